use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::model::{Address, Family};

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

/// A set of addresses of both families: blocks in order, none within another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    blocks: Vec<Block>,
}

impl Block {
    /// `192.168.1.1`, `192.168.1.0/24`, `10.1.2.3-10.1.2.9`, and the same of IPv6.
    ///
    /// # Errors
    /// What is wrong, and if it can be said, what would be right.
    pub fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| (format!("`{text}` is not an address"), None));
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (address(first)?, address(last)?);
            let ((family, a), (other, b)) = (number(first), number(last));
            return match family == other {
                _ if a > b => {
                    Err((format!("the range runs backwards: {first} is more than {last}"), Some(format!("write {last}-{first}"))))
                }
                true => Ok(Self { family, first: a, last: b }),
                false => Err(("the ends of a range are of one family".to_owned(), None)),
            };
        }
        let Some((text, bits)) = text.split_once('/') else {
            let (family, one) = number(address(text)?);
            return Ok(Self { family, first: one, last: one });
        };
        let (family, first) = number(address(text)?);
        let width = width(family);
        let bits: u32 = bits
            .parse()
            .ok()
            .filter(|&bits| bits <= width)
            .ok_or_else(|| (format!("`/{bits}` is not a length of a prefix: 0 to {width}"), None))?;
        let rest = if bits == 0 { mask(width) } else { mask(width - bits) };
        match first & rest {
            0 => Ok(Self { family, first, last: first | rest }),
            _ => {
                let begin = Self { family, first: first & !rest, last: first | rest };
                Err((
                    format!("`{text}` is not the beginning of a /{bits}"),
                    Some(format!("write {begin}, or {text} for this address alone")),
                ))
            }
        }
    }

    /// All addresses of a family.
    pub fn all(family: Family) -> Self {
        Self { family, first: 0, last: mask(width(family)) }
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

    /// Its first and last address.
    pub fn ends(&self) -> (IpAddr, IpAddr) {
        let address = |number: u128| match self.family {
            Family::Ip => IpAddr::from(Ipv4Addr::from_bits(number as u32)),
            Family::Ip6 => IpAddr::from(Ipv6Addr::from_bits(number)),
        };
        (address(self.first), address(self.last))
    }
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

impl Addresses {
    /// The blocks of one family, in order.
    pub fn of(&self, family: Family) -> &[Block] {
        let split = self.blocks.partition_point(|block| block.family == Family::Ip);
        match family {
            Family::Ip => &self.blocks[..split],
            Family::Ip6 => &self.blocks[split..],
        }
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Is every one of the other's in this set?
    pub fn covers(&self, other: &Self) -> bool {
        other.blocks.iter().all(|block| {
            let mut next = block.first;
            for own in self.of(block.family).iter().filter(|own| own.last >= block.first) {
                match own.last.checked_add(1) {
                    _ if own.first > next => return false,
                    _ if own.last >= block.last => return true,
                    Some(behind) => next = next.max(behind),
                    None => return true,
                }
            }
            false
        })
    }
}

impl FromIterator<Block> for Addresses {
    fn from_iter<I: IntoIterator<Item = Block>>(blocks: I) -> Self {
        let mut blocks: Vec<Block> = blocks.into_iter().collect();
        // A block comes behind those that it is within.
        blocks.sort_unstable_by_key(|block| (block.family, block.first, std::cmp::Reverse(block.last)));
        let mut kept: Vec<Block> = Vec::with_capacity(blocks.len());
        for block in blocks {
            if !kept.last().is_some_and(|last| last.covers(&block)) {
                kept.push(block);
            }
        }
        Self { blocks: kept }
    }
}

impl<'a> IntoIterator for &'a Addresses {
    type Item = &'a Block;
    type IntoIter = std::slice::Iter<'a, Block>;

    fn into_iter(self) -> Self::IntoIter {
        self.blocks.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> Addresses {
        words.iter().map(|word| Block::parse(word).unwrap()).collect()
    }

    #[test]
    fn blocks_print_as_they_are_written() {
        for word in ["10.0.0.0/8", "10.1.2.3", "10.1.2.3-10.1.2.9", "0.0.0.0/0", "::/0", "2001:db8::/48", "::1-::3", "2001:db8::1"] {
            assert_eq!(Block::parse(word).unwrap().to_string(), word);
        }
        assert_eq!(Block::parse("10.0.0.0-10.255.255.255").unwrap().to_string(), "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_block_is_said_with_its_cure() {
        let hint = |word| Block::parse(word).unwrap_err().1;
        assert_eq!(hint("10.0.0.1/8").unwrap(), "write 10.0.0.0/8, or 10.0.0.1 for this address alone");
        assert_eq!(hint("10.0.0.9-10.0.0.1").unwrap(), "write 10.0.0.1-10.0.0.9");
        for word in ["10.0.0.0/33", "::/129", "10.0.0.1-::1", "office", "10.0.0", ""] {
            assert!(Block::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn sets_cover_what_their_blocks_cover_together() {
        let own = set(&["10.0.0.0/25", "10.0.0.128-10.0.0.200", "10.0.0.3", "::/1"]);
        assert_eq!(own.of(Family::Ip).len(), 2);
        for (words, expected) in [
            (&["10.0.0.0-10.0.0.200"][..], true),
            (&["10.0.0.127-10.0.0.130", "10.0.0.9"], true),
            (&["10.0.0.0/24"], false),
            (&["9.255.255.255-10.0.0.1"], false),
            (&["::1"], true),
            (&["::/0"], false),
        ] {
            assert_eq!(own.covers(&set(words)), expected, "{words:?}");
        }
        assert!(set(&["::/0"]).covers(&set(&["ffff::/16"])));
    }
}
