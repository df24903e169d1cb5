//! Elements of our sets: their keys, and what stands behind them.

use std::{
    cmp::Ordering,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::{
    model::{Family, Protocol},
    uapi::*,
};

/// So many elements go into one message: all of them stay below the 64 KiB of an attribute.
pub const MOST: usize = 700;

/// Which set it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Senders of a class, one by one.
    Hosts(Family, u32),
    /// Senders of a class, as the ends of intervals.
    Networks(Family, u32),
    /// The port of that protocol that the client asked for, in that class → the chain `mark-ID`.
    Ports(Protocol, u32),
    /// No packet asks for it: its one element says which senders there are ([`super::Table::is_sound`]).
    Hash,
}

/// An element of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// An address, or a port, as a number.
    pub key: u128,
    /// Is it the first address behind an interval?
    pub end: bool,
    /// The id that it leads to; 0 for an address.
    pub id: u32,
}

impl Kind {
    /// The set's name.
    pub fn name(self) -> String {
        match self {
            Self::Hosts(_, class) => format!("hosts-{class}"),
            Self::Networks(_, class) => format!("networks-{class}"),
            Self::Ports(protocol, class) => format!("{}-{class}", protocol.name().unwrap_or("port")),
            Self::Hash => HASH.to_owned(),
        }
    }

    /// Does it hold senders?
    pub fn has_senders(self) -> bool {
        matches!(self, Self::Hosts(..) | Self::Networks(..))
    }

    /// The set of that name in a family's table, with such flags (`NFT_SET_…`).
    pub(super) fn of(name: &str, flags: u32, family: Family) -> Option<Self> {
        let kind = match name.split_once('-') {
            None => Self::Hash,
            Some((begin, class)) => {
                let class = class.parse().ok()?;
                match begin {
                    "hosts" => Self::Hosts(family, class),
                    "networks" => Self::Networks(family, class),
                    _ => Self::Ports(Protocol::parse(begin).ok()??, class),
                }
            }
        };
        (kind.flags() == flags && kind.name() == name).then_some(kind)
    }

    /// `NFT_SET_…`
    pub(super) fn flags(self) -> u32 {
        match self {
            Self::Hosts(..) | Self::Hash => 0,
            Self::Networks(..) => NFT_SET_INTERVAL,
            Self::Ports(..) => NFT_SET_MAP,
        }
    }

    /// Does an element lead to a chain?
    pub(super) fn is_map(self) -> bool {
        matches!(self, Self::Ports(..))
    }

    /// What nft calls the type of the key, and its length in bytes. Source: `enum nft_datatypes` of nft.
    pub(super) fn key(self) -> (u32, usize) {
        match self {
            Self::Hosts(Family::Ip, _) | Self::Networks(Family::Ip, _) => (7, 4),
            Self::Hosts(..) | Self::Networks(..) => (8, 16),
            Self::Ports(..) => (13, 2),
            Self::Hash => (19, 4),
        }
    }

    /// The key's bytes, in the last [`Kind::key`] of them.
    pub(super) fn bytes(self, key: u128) -> ([u8; 16], usize) {
        (self.ordered(key).to_be_bytes(), 16 - self.key().1)
    }

    /// The key with those bytes.
    pub(super) fn number(self, bytes: &[u8]) -> Option<u128> {
        let number = || self.ordered(bytes.iter().fold(0, |key, byte| key << 8 | u128::from(*byte)));
        (bytes.len() == self.key().1).then(number)
    }

    /// A mark has the host's order of bytes, all else the network's.
    fn ordered(self, key: u128) -> u128 {
        if self == Self::Hash { (key as u32).to_be().into() } else { key }
    }

    /// What nft wants to know of the set: the order of bytes, if it is the host's.
    pub(super) fn notes(self) -> Vec<u8> {
        /// A note is kind, length, value.
        const KEY_ORDER: u8 = 0;
        const HOST: u32 = 1;
        let note = || [&[KEY_ORDER, 4][..], &HOST.to_ne_bytes()].concat();
        if self == Self::Hash { note() } else { Vec::new() }
    }

    /// An element as nft writes it.
    pub(super) fn show(self, element: &Element) -> String {
        match self {
            _ if element.end => format!("…{}", Self::show(self, &Element { end: false, ..*element })),
            Self::Hosts(Family::Ip, _) | Self::Networks(Family::Ip, _) => Ipv4Addr::from_bits(element.key as u32).to_string(),
            Self::Hosts(..) | Self::Networks(..) => Ipv6Addr::from_bits(element.key).to_string(),
            Self::Ports(..) => format!("{} : goto {}", element.key, chain(element.id)),
            Self::Hash => format!("{:#010x}", element.key),
        }
    }
}

const HASH: &str = "hash";

const CHAIN: &str = "mark-";

/// The chain that gives a packet that id.
pub(super) fn chain(id: u32) -> String {
    format!("{CHAIN}{id}")
}

/// The id that a packet gets in that chain.
pub(super) fn id(chain: &str) -> Option<u32> {
    chain.strip_prefix(CHAIN)?.parse().ok()
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// How many messages hold so many elements.
pub(super) fn messages(elements: &[Element]) -> usize {
    elements.len().div_ceil(MOST)
}

/// What goes and what comes between two lists in order.
pub(super) fn between(old: &[Element], new: &[Element]) -> (Vec<Element>, Vec<Element>) {
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return (removed, added),
            (Some(a), Some(b)) if a == b => {
                old.next();
                new.next();
            }
            (Some(a), Some(b)) if a.cmp(b) == Ordering::Less => removed.extend(old.next().copied()),
            (Some(_), None) => removed.extend(old.next().copied()),
            _ => added.extend(new.next().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        let (v4, v6) = (Family::Ip, Family::Ip6);
        for (kind, key, expected) in [
            (Kind::Hosts(v4, 1), 0x0a01_0203, &[10, 1, 2, 3][..]),
            (Kind::Networks(v6, 2), 1, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            (Kind::Ports(Protocol::UDP, 3), 443, &[1, 0xbb]),
            (Kind::Hash, 0x0102_0304, &0x0102_0304_u32.to_ne_bytes()),
        ] {
            let (bytes, from) = kind.bytes(key);
            assert_eq!(&bytes[from..], expected, "{kind:?}");
            assert_eq!(kind.number(expected), Some(key), "{kind:?}");
            assert_eq!(Kind::of(&kind.name(), kind.flags(), if expected.len() == 16 { v6 } else { v4 }), Some(kind));
        }
        assert_eq!(Kind::of("tcp-01", NFT_SET_MAP, v4), None);
        assert_eq!(Kind::of("hosts-1", NFT_SET_INTERVAL, v4), None);
    }

    #[test]
    fn what_comes_and_what_goes() {
        let of = |key, id| Element { key, end: false, id };
        let (removed, added) = between(&[of(1, 1), of(2, 1), of(5, 1)], &[of(2, 1), of(3, 2), of(5, 2)]);
        assert_eq!(removed, [of(1, 1), of(5, 1)]);
        assert_eq!(added, [of(3, 2), of(5, 2)]);
    }
}
