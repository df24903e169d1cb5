use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use crate::model::{Address, Family};

/// What is wrong with a word, and if it can be said, what would be right.
pub(super) type Mistake = (String, Option<String>);

/// Addresses of one family, from the first to the last: a prefix, a range, or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// Their family.
    pub family: Family,
    /// The first, as a number (IPv4: 32 bits of it).
    pub first: u128,
    /// The last.
    pub last: u128,
}

impl Block {
    /// `192.168.1.1`, `192.168.1.0/24`, `10.1.2.3-10.1.2.9`, and the same of IPv6.
    ///
    /// # Errors
    /// What is wrong, and if it can be said, what would be right.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let text = text.trim();
        let block = Self::parse_any(text)?;
        match block.unmapped() {
            Some(hint) => Err((format!("`{text}` is IPv4 written as IPv6, and no packet has it"), Some(format!("write {hint}")))),
            None => Ok(block),
        }
    }

    /// The same, also of `::ffff:192.168.1.1`, which no packet has.
    pub(super) fn parse_any(text: &str) -> Result<Self, Mistake> {
        // Names have a `-` as well.
        let ends = text.split_once('-').filter(|(first, last)| first.contains(['.', ':']) && !last.trim().is_empty());
        let block = match (ends, text.split_once('/')) {
            (Some((first, last)), _) => range(first.trim(), last.trim())?,
            (_, Some((address, bits))) if !text.contains(char::is_whitespace) => prefix(address, bits)?,
            _ => Self::of(address(text)?),
        };
        Ok(block)
    }

    /// How many bits an address of its family has.
    pub(super) fn width(&self) -> u32 {
        width(self.family)
    }

    /// The IPv4 addresses that are meant by `::ffff:192.168.1.1`, as programs log them.
    pub(super) fn unmapped(&self) -> Option<Self> {
        // `::ffff:0:0/96` as a whole may stand in lists of what no packet should carry.
        let meant = self.is_mapped() && self.last - self.first < u128::from(u32::MAX);
        meant.then(|| Self { family: Family::Ip, first: self.first & mask(32), last: self.last & mask(32) })
    }

    /// One address.
    pub fn of(address: IpAddr) -> Self {
        let (family, one) = number(address);
        Self { family, first: one, last: one }
    }

    /// All addresses of a family.
    pub fn all(family: Family) -> Self {
        Self { family, first: 0, last: mask(width(family)) }
    }

    /// The prefix that an address is in, with so many bits that differ: up to 32, or 128.
    pub fn around(family: Family, address: u128, bits: u32) -> Self {
        let rest = mask(bits);
        Self { family, first: address & !rest, last: address | rest }
    }

    /// Is every one of the other's in this one?
    pub fn covers(&self, other: &Self) -> bool {
        self.family == other.family && self.first <= other.first && other.last <= self.last
    }

    /// The prefix that it is, if it is one.
    pub fn prefix(&self) -> Option<Address> {
        let rest = self.first ^ self.last;
        let is_prefix = rest & (rest.wrapping_add(1)) == 0 && self.first & rest == 0;
        let mask = mask(width(self.family)) & !rest;
        is_prefix.then(|| match self.family {
            Family::Ip => Address::v4(self.first as u32, mask as u32),
            Family::Ip6 => Address::v6(self.first, mask),
        })
    }

    /// Is it within `::ffff:0:0/96`?
    fn is_mapped(&self) -> bool {
        self.family == Family::Ip6 && self.first >> 32 == 0xffff && self.last >> 32 == 0xffff
    }

    /// Its first and last address.
    pub fn ends(&self) -> (IpAddr, IpAddr) {
        let address = |number: u128| match self.family {
            Family::Ip => IpAddr::from(Ipv4Addr::from_bits(number as u32)),
            Family::Ip6 => IpAddr::from(Ipv6Addr::from_bits(number)),
        };
        (address(self.first), address(self.last))
    }
}

fn range(first: &str, last: &str) -> Result<Block, Mistake> {
    let (low, high) = (address(first)?, address(last));
    // `10.1.2.3-9`, as some programs have it.
    if let (IpAddr::V4(low), true) = (low, last.parse::<u8>().is_ok()) {
        let [a, b, c, _] = low.octets();
        let hint = format!("write {low}-{a}.{b}.{c}.{last}");
        return Err((format!("`{last}` is not an address"), Some(hint)));
    }
    let high = high?;
    let ((family, first), (other, last)) = (number(low), number(high));
    match family == other {
        false => Err(("the ends of a range are of one family".to_owned(), Some("write a range for each family".to_owned()))),
        true if first > last => Err((format!("the range runs backwards: {low} is more than {high}"), Some(format!("write {high}-{low}")))),
        true => Ok(Block { family, first, last }),
    }
}

fn prefix(text: &str, bits: &str) -> Result<Block, Mistake> {
    let begin = address(text).map_err(|(message, hint)| match bare(text) {
        Some((address, without)) => (message, Some(format!("write {address}/{bits}, without {without}"))),
        None => (message, hint),
    })?;
    let (family, first) = number(begin);
    let width = width(family);
    let Some(bits) = digits::<u32>(bits).filter(|&bits| bits <= width) else {
        let hint = match bits.parse().ok().and_then(prefix_of_mask) {
            Some(bits) => format!("write {text}/{bits}"),
            None => format!("write {text} for this address alone, or {text}/LENGTH with a length from 0 to {width}"),
        };
        return Err((format!("`/{bits}` is not a length of a prefix: 0 to {width}"), Some(hint)));
    };
    let block = Block::around(family, first, width - bits);
    match first == block.first {
        true => Ok(block),
        false => {
            let hint = format!("write {block}, or {text} for this address alone");
            Err((format!("`{text}` is not the beginning of a /{bits}"), Some(hint)))
        }
    }
}

/// `8` of `255.0.0.0`
pub(super) fn prefix_of_mask(mask: Ipv4Addr) -> Option<u32> {
    let mask = mask.to_bits();
    (mask.leading_ones() + mask.trailing_zeros() == 32).then(|| mask.leading_ones())
}

fn address(text: &str) -> Result<IpAddr, Mistake> {
    text.parse().map_err(|_| {
        if let Some((address, without)) = bare(text) {
            return (format!("`{text}` is not an address"), Some(format!("write {address}, without {without}")));
        }
        let numbers: Vec<&str> = text.split('.').collect();
        let cure = if text.contains(char::is_whitespace) {
            Some("one address, prefix or range at a time")
        } else if text.contains('%') {
            Some("leave out the interface: a rule has `in` for it")
        } else if text.starts_with('[') {
            Some("write it without the brackets")
        } else if text.contains('*') {
            Some("write a prefix, like 192.0.2.0/24")
        } else if numbers.len() == 4 && numbers.iter().all(|number| digits::<u8>(number).is_some()) {
            Some("write its numbers without zeros in front")
        } else if numbers.iter().all(|number| digits::<u32>(number).is_some()) && numbers.len() > 1 {
            Some("an IPv4 address has four numbers, each from 0 to 255")
        } else if text.contains('.') && text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains(':') {
            Some("names of hosts are not looked up: write the address")
        } else {
            None
        };
        (format!("`{text}` is not an address"), cure.map(str::to_owned))
    })
}

/// The address in what has a port or brackets as well, and what to leave out.
fn bare(text: &str) -> Option<(IpAddr, &'static str)> {
    let brackets = text.starts_with('[');
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some((socket.ip(), if brackets { "brackets and port" } else { "the port" }));
    }
    let address = text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
    Some((address, "the brackets"))
}

/// A number that has only digits: no sign.
pub(super) fn digits<N: FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn number(address: IpAddr) -> (Family, u128) {
    match address {
        IpAddr::V4(address) => (Family::Ip, address.to_bits().into()),
        IpAddr::V6(address) => (Family::Ip6, address.to_bits()),
    }
}

fn width(family: Family) -> u32 {
    match family {
        Family::Ip => 32,
        Family::Ip6 => 128,
    }
}

/// That many ones.
fn mask(bits: u32) -> u128 {
    1u128.checked_shl(bits).map_or(u128::MAX, |one| one - 1)
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.ends();
        match self.prefix().and_then(|prefix| prefix.prefix_len()) {
            _ if first == last => write!(f, "{first}"),
            Some(bits) => write!(f, "{first}/{bits}"),
            None => write!(f, "{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_print_as_they_are_written() {
        for word in ["10.0.0.0/8", "10.1.2.3", "10.1.2.3-10.1.2.9", "0.0.0.0/0", "::/0", "2001:db8::/48", "::1-::3", "2001:db8::1"] {
            assert_eq!(Block::parse(word).unwrap().to_string(), word);
        }
        assert_eq!(Block::parse("10.0.0.0-10.255.255.255").unwrap().to_string(), "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_block_is_said_with_its_cure() {
        for (word, hint) in [
            ("10.0.0.1/8", "write 10.0.0.0/8, or 10.0.0.1 for this address alone"),
            ("2001:db8::1/32", "write 2001:db8::/32, or 2001:db8::1 for this address alone"),
            ("10.0.0.1/0", "write 0.0.0.0/0, or 10.0.0.1 for this address alone"),
            ("10.0.0.9-10.0.0.1", "write 10.0.0.1-10.0.0.9"),
            ("10.0.0.1-9", "write 10.0.0.1-10.0.0.9"),
            ("10.0.0.0/255.255.0.0", "write 10.0.0.0/16"),
            ("010.0.0.1", "write its numbers without zeros in front"),
            ("10.0.0", "an IPv4 address has four numbers, each from 0 to 255"),
            ("10.0.0.256", "an IPv4 address has four numbers, each from 0 to 255"),
            ("10.0.0.*", "write a prefix, like 192.0.2.0/24"),
            ("fe80::1%eth0", "leave out the interface: a rule has `in` for it"),
            ("[::1]", "write ::1, without the brackets"),
            ("[::1]:22", "write ::1, without brackets and port"),
            ("[2001:db8::]/32", "write 2001:db8::/32, without the brackets"),
            ("[fe80::1%2]:22", "write fe80::1, without brackets and port"),
            ("[::1", "write it without the brackets"),
            ("192.0.2.66:22", "write 192.0.2.66, without the port"),
            ("192.0.2.66:22/24", "write 192.0.2.66/24, without the port"),
            ("www.example.org", "names of hosts are not looked up: write the address"),
            ("::ffff:10.0.0.1", "write 10.0.0.1"),
            ("::ffff:10.0.0.0/104", "write 10.0.0.0/8"),
        ] {
            assert_eq!(Block::parse(word).unwrap_err().1.as_deref(), Some(hint), "{word}");
        }
        for word in ["10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/255.0.255.0", "::/129", "10.0.0.1-::1", "::1-::2/64", "office", "-", "/", ""] {
            assert!(Block::parse(word).is_err(), "{word}");
        }
        assert!(Block::parse("::ffff:0:0/96").is_ok());
    }
}
