use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::Family;

/// An address with its mask, as `-s` and `-d` take it. The mask may have holes; bits outside of it
/// are 0 in the address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// IPv4.
    V4 {
        /// The address, masked.
        addr: Ipv4Addr,
        /// The mask.
        mask: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// The address, masked.
        addr: Ipv6Addr,
        /// The mask.
        mask: Ipv6Addr,
    },
}

/// Why a text is not an address of that family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Not an address at all, as far as we read names.
    #[error("this is not an IPv4 address")]
    NotIpv4,
    /// An IPv4 address or nothing readable where IPv6 is wanted.
    #[error("this is not an IPv6 address")]
    NotIpv6,
    /// An IPv6 address given to the IPv4 command.
    #[error("this is an IPv6 address; `ip6tables` takes those")]
    Ipv6ForIpv4,
    /// An IPv4 address given to the IPv6 command.
    #[error("this is an IPv4 address; `iptables` takes those")]
    Ipv4ForIpv6,
    /// After the slash is neither a mask nor a number of bits.
    #[error("after the slash comes a mask, or a number from 0 to {0}")]
    Mask(u8),
}

impl Address {
    /// Reads `ADDRESS`, `ADDRESS/BITS` or `ADDRESS/MASK`. IPv4 may leave out bytes at the end
    /// (`10/8`), as iptables allows.
    ///
    /// # Errors
    /// [`InvalidAddress`]. Names of hosts are not looked up.
    pub fn parse(text: &str, family: Family) -> Result<Self, InvalidAddress> {
        let (addr, mask) = match text.split_once('/') {
            Some((addr, mask)) => (addr, Some(mask)),
            None => (text, None),
        };
        match family {
            Family::Ip => {
                let addr = parse_v4(addr).ok_or_else(|| match addr.parse::<Ipv6Addr>() {
                    Ok(_) => InvalidAddress::Ipv6ForIpv4,
                    Err(_) => InvalidAddress::NotIpv4,
                })?;
                let mask = mask.map_or(Some(u32::MAX), |mask| {
                    bits(mask, 32)
                        .map(|n| u32::MAX.checked_shl(32 - n).unwrap_or(0))
                        .or_else(|| mask.parse::<Ipv4Addr>().ok().map(u32::from))
                });
                Ok(Self::v4(addr.into(), mask.ok_or(InvalidAddress::Mask(32))?))
            }
            Family::Ip6 => {
                let addr = addr.parse::<Ipv6Addr>().map_err(|_| match addr.parse::<Ipv4Addr>() {
                    Ok(_) => InvalidAddress::Ipv4ForIpv6,
                    Err(_) => InvalidAddress::NotIpv6,
                })?;
                let mask = mask.map_or(Some(u128::MAX), |mask| {
                    bits(mask, 128)
                        .map(|n| u128::MAX.checked_shl(128 - n).unwrap_or(0))
                        .or_else(|| mask.parse::<Ipv6Addr>().ok().map(u128::from))
                });
                Ok(Self::v6(addr.into(), mask.ok_or(InvalidAddress::Mask(128))?))
            }
        }
    }

    /// An IPv4 address and mask, in host order; bits outside the mask are cleared.
    pub fn v4(addr: u32, mask: u32) -> Self {
        Self::V4 { addr: (addr & mask).into(), mask: mask.into() }
    }

    /// An IPv6 address and mask, in host order; bits outside the mask are cleared.
    pub fn v6(addr: u128, mask: u128) -> Self {
        Self::V6 { addr: (addr & mask).into(), mask: mask.into() }
    }

    /// The number of one bits in the mask if they all come first.
    pub fn prefix_len(&self) -> Option<u8> {
        match self {
            Self::V4 { mask, .. } => {
                let mask = u32::from(*mask);
                (mask.leading_ones() == mask.count_ones()).then(|| mask.leading_ones() as u8)
            }
            Self::V6 { mask, .. } => {
                let mask = u128::from(*mask);
                (mask.leading_ones() == mask.count_ones()).then(|| mask.leading_ones() as u8)
            }
        }
    }

    /// Its family.
    pub fn family(&self) -> Family {
        match self {
            Self::V4 { .. } => Family::Ip,
            Self::V6 { .. } => Family::Ip6,
        }
    }
}

fn bits(text: &str, max: u32) -> Option<u32> {
    text.parse::<u32>().ok().filter(|&n| n <= max && text.bytes().all(|b| b.is_ascii_digit()))
}

/// One to four numbers with dots between; what is missing is 0. A number with a leading 0 is refused:
/// iptables takes it for octal, people mean decimal.
fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    if let Ok(whole) = text.parse() {
        return Some(whole);
    }
    let mut octets = [0; 4];
    for (index, part) in text.split('.').enumerate() {
        let decimal = part.bytes().all(|b| b.is_ascii_digit()) && (part.len() == 1 || !part.starts_with('0'));
        *octets.get_mut(index)? = part.parse().ok().filter(|_| decimal)?;
    }
    Some(octets.into())
}

impl fmt::Display for Address {
    /// The save form: always with the mask, as bits where it has no holes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { addr, .. } => write_v4(f, *addr)?,
            Self::V6 { addr, .. } => Ip6Text(*addr).fmt(f)?,
        }
        f.write_str("/")?;
        match (self.prefix_len(), self) {
            (Some(bits), _) => bits.fmt(f),
            (None, Self::V4 { mask, .. }) => mask.fmt(f),
            (None, Self::V6 { mask, .. }) => Ip6Text(*mask).fmt(f),
        }
    }
}

/// As the standard library does it, in a fraction of the time: rules are told apart by their text, and
/// there may be very many.
fn write_v4(f: &mut fmt::Formatter<'_>, addr: Ipv4Addr) -> fmt::Result {
    let (mut text, mut end) = ([b'.'; 15], 0);
    for octet in addr.octets() {
        // Between two there is a point, which stands there already.
        end += usize::from(end > 0);
        for (least, divisor) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text[end] = b'0' + octet / divisor % 10;
                end += 1;
            }
        }
    }
    f.write_str(str::from_utf8(&text[..end]).expect("digits and points"))
}

/// An IPv6 address as the C library's `inet_ntop` prints it: unlike Rust's, the deprecated
/// IPv4-compatible form (`::192.0.2.1`) is dotted.
#[derive(Clone, Copy)]
pub struct Ip6Text(pub Ipv6Addr);

impl fmt::Display for Ip6Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => write!(f, "::{}", Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
            _ => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked_and_printed_as_iptables_does() {
        for (family, text, saved) in [
            (Family::Ip, "10.1.2.3", "10.1.2.3/32"),
            (Family::Ip, "10.1.2.3/24", "10.1.2.0/24"),
            (Family::Ip, "10/8", "10.0.0.0/8"),
            (Family::Ip, "0/0", "0.0.0.0/0"),
            (Family::Ip, "10.1.2.3/255.0.0.255", "10.0.0.3/255.0.0.255"),
            (Family::Ip6, "2001:db8::1", "2001:db8::1/128"),
            (Family::Ip6, "2001:db8::1/ffff::", "2001::/16"),
            (Family::Ip6, "::/0", "::/0"),
        ] {
            assert_eq!(Address::parse(text, family).unwrap().to_string(), saved, "{text}");
        }
    }

    #[test]
    fn ipv4_is_printed_as_the_standard_library_does() {
        for octet in 0..=255 {
            for addr in [[octet, 0, 9, 10], [255, octet, 100, octet]].map(Ipv4Addr::from) {
                assert_eq!(Address::v4(addr.to_bits(), u32::MAX).to_string(), format!("{addr}/32"));
            }
        }
    }

    #[test]
    fn what_is_no_address_is_said_to_be_none() {
        for (family, text, error) in [
            (Family::Ip, "fd00::1", InvalidAddress::Ipv6ForIpv4),
            (Family::Ip6, "10.0.0.1", InvalidAddress::Ipv4ForIpv6),
            (Family::Ip, "example.org", InvalidAddress::NotIpv4),
            (Family::Ip, "10.0.0.256", InvalidAddress::NotIpv4),
            (Family::Ip, "010.0.0.1", InvalidAddress::NotIpv4),
            (Family::Ip, "10.0.0.1/33", InvalidAddress::Mask(32)),
            (Family::Ip6, "::1/129", InvalidAddress::Mask(128)),
        ] {
            assert_eq!(Address::parse(text, family), Err(error), "{text}");
        }
    }
}
