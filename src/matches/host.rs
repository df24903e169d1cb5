//! An address with a mask, as the structs of xt extensions hold them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    model::{Family, Ip6Text},
    syntax::{SyntaxError, Word, parse_number},
};

/// An address and a mask as options take them that know both (`--ctorigsrc`, `--tunnel-src`): bits of the address outside of the
/// mask are kept, and printed, though the kernel ignores them.
///
/// Of IPv4's mask the struct has twelve bytes more. iptables fills them with ones if the mask was
/// left out or has holes, else with zeros; the kernel ignores them, and so does `==`.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    addr: IpAddr,
    mask: [u8; 16],
}

impl Host {
    /// Reads `ADDRESS`, `ADDRESS/BITS` or `ADDRESS/MASK`.
    ///
    /// # Errors
    /// At the word. Names are not looked up.
    pub fn parse(word: &Word<'_>, family: Family) -> Result<Self, SyntaxError> {
        let (text, mask) = match word.text.split_once('/') {
            Some((text, mask)) => (text, Some(mask)),
            None => (word.text.as_ref(), None),
        };
        let (addr, max) = match family {
            Family::Ip => (text.parse().map(IpAddr::V4), 32),
            Family::Ip6 => (text.parse().map(IpAddr::V6), 128),
        };
        let addr = addr.map_err(|_| {
            let error = word.error(format!("`{text}` is not an {} address", if family == Family::Ip { "IPv4" } else { "IPv6" }));
            error.hint("write it in full: names are not looked up, and parts can't be left out")
        })?;
        let mut host = Self { addr, mask: [0xff; 16] };
        let Some(mask) = mask else { return Ok(host) };
        if let Some(bits) = parse_number(mask).filter(|&bits| bits <= max) {
            host.mask = u128::MAX.checked_shl(128 - bits as u32).unwrap_or(0).to_be_bytes();
            return Ok(host);
        }
        let octets = match family {
            Family::Ip => mask.parse().map(|mask: Ipv4Addr| mask.octets().to_vec()),
            Family::Ip6 => mask.parse().map(|mask: Ipv6Addr| mask.octets().to_vec()),
        };
        let octets = octets.map_err(|_| word.error(format!("after the slash comes a mask, or a number from 0 to {max}")))?;
        host.mask[..octets.len()].copy_from_slice(&octets);
        if host.prefix_len().is_some() {
            host.mask[octets.len()..].fill(0);
        }
        Ok(host)
    }

    /// The mask's bytes that count.
    fn mask(&self) -> &[u8] {
        &self.mask[..if self.addr.is_ipv4() { 4 } else { 16 }]
    }

    /// The address, and the number of one bits in the mask if they all come first.
    pub fn prefix(&self) -> Option<(IpAddr, usize)> {
        Some((self.addr, self.prefix_len()?))
    }

    /// The number of one bits in the mask if they all come first.
    fn prefix_len(&self) -> Option<usize> {
        let mut wide = [0; 16];
        wide[..self.mask().len()].copy_from_slice(self.mask());
        let bits = u128::from_be_bytes(wide);
        (bits.leading_ones() == bits.count_ones()).then(|| bits.leading_ones() as usize)
    }

    /// Address and mask as a struct has them, 16 bytes each.
    pub fn to_xt(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        match self.addr {
            IpAddr::V4(addr) => bytes[..4].copy_from_slice(&addr.octets()),
            IpAddr::V6(addr) => bytes[..16].copy_from_slice(&addr.octets()),
        }
        bytes[16..].copy_from_slice(&self.mask);
        bytes
    }

    /// From those.
    pub fn from_xt(bytes: &[u8; 32], family: Family) -> Option<Self> {
        let (addr, mask): (&[u8; 16], &[u8; 16]) = (bytes.first_chunk()?, bytes.last_chunk()?);
        let addr = match (family, *addr) {
            (Family::Ip, [a, b, c, d, ..]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            (Family::Ip6, octets) => IpAddr::V6(octets.into()),
        };
        let host = Self { addr, mask: *mask };
        let rest = &mask[host.mask().len()..];
        rest.iter().all(|byte| [0, 0xff].contains(byte) && *byte == rest[0]).then_some(host)
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        self.addr == other.addr && self.mask() == other.mask()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr {
            IpAddr::V4(addr) => addr.fmt(f)?,
            IpAddr::V6(addr) => Ip6Text(addr).fmt(f)?,
        }
        match (self.prefix_len(), self.mask()) {
            (Some(bits), mask) if bits == 8 * mask.len() => Ok(()),
            (Some(bits), _) => write!(f, "/{bits}"),
            (None, &[a, b, c, d]) => write!(f, "/{}", Ipv4Addr::new(a, b, c, d)),
            (None, _) => write!(f, "/{}", Ip6Text(self.mask.into())),
        }
    }
}
