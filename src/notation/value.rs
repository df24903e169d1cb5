//! Values as nft prints them.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::model::Protocol;

/// What a field holds, and so how its values are printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// An address of IPv4, or its first bytes.
    Ip4,
    /// An address of IPv6, or its first bytes.
    Ip6,
    /// The number of a transport protocol.
    Protocol,
    /// An interface's name; without its NUL a prefix.
    Interface,
    /// An address of Ethernet.
    Ether,
    /// Both ports of this protocol at once.
    Ports(&'static str),
    /// A mark: 32 bits in host order.
    Mark,
    /// A number in host order.
    Host,
    /// A number in network order.
    Number,
    /// Bits with names, in host order.
    Bits(&'static [(u32, &'static str)]),
    /// Numbers with names, in host order.
    Names(&'static [(u32, &'static str)]),
    /// Whatever it is.
    Bytes,
}

pub(super) const CT_STATES: Kind = Kind::Bits(&[(2, "established"), (4, "related"), (8, "new"), (1, "invalid"), (64, "untracked")]);
pub(super) const CT_STATUSES: Kind =
    Kind::Bits(&[(1, "expected"), (2, "seen-reply"), (4, "assured"), (8, "confirmed"), (16, "snat"), (32, "dnat"), (512, "dying")]);
pub(super) const TCP_FLAGS: Kind =
    Kind::Bits(&[(1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"), (64, "ecn"), (128, "cwr")]);
pub(super) const DIRECTIONS: Kind = Kind::Names(&[(0, "original"), (1, "reply")]);
pub(super) const PACKET_TYPES: Kind = Kind::Names(&[(0, "host"), (1, "broadcast"), (2, "multicast"), (3, "other")]);
pub(super) const EXISTENCE: Kind = Kind::Names(&[(0, "missing"), (1, "exists")]);
pub(super) const ADDRESS_TYPES: Kind = Kind::Names(&[
    (0, "unspec"),
    (1, "unicast"),
    (2, "local"),
    (3, "broadcast"),
    (4, "anycast"),
    (5, "multicast"),
    (6, "blackhole"),
    (7, "unreachable"),
    (8, "prohibit"),
]);
pub(super) const ICMP_TYPES: Kind = Kind::Names(&[
    (0, "echo-reply"),
    (3, "destination-unreachable"),
    (4, "source-quench"),
    (5, "redirect"),
    (8, "echo-request"),
    (9, "router-advertisement"),
    (10, "router-solicitation"),
    (11, "time-exceeded"),
    (12, "parameter-problem"),
    (13, "timestamp-request"),
    (14, "timestamp-reply"),
]);
pub(super) const ICMPV6_TYPES: Kind = Kind::Names(&[
    (1, "destination-unreachable"),
    (2, "packet-too-big"),
    (3, "time-exceeded"),
    (4, "parameter-problem"),
    (128, "echo-request"),
    (129, "echo-reply"),
    (133, "nd-router-solicit"),
    (134, "nd-router-advert"),
    (135, "nd-neighbor-solicit"),
    (136, "nd-neighbor-advert"),
    (137, "nd-redirect"),
]);

impl Kind {
    /// How many bytes such a value has; 0 where it may have any number.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Ip4 | Self::Mark => 4,
            Self::Ip6 => 16,
            Self::Protocol => 1,
            Self::Interface => 16,
            Self::Ether => 6,
            _ => 0,
        }
    }

    /// The number that a value is, so that values can be put in order.
    pub(super) fn order(self, value: &[u8]) -> u128 {
        match self {
            Self::Mark | Self::Host | Self::Bits(_) | Self::Names(_) => host(value),
            _ => number(value),
        }
    }

    /// A value in nft's words.
    pub(super) fn text(self, value: &[u8]) -> String {
        match self {
            Self::Ip4 | Self::Ip6 => address(self, value),
            Self::Protocol => Protocol(value.first().copied().unwrap_or_default()).to_string(),
            Self::Interface => interface(value),
            Self::Ether => value.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"),
            Self::Mark => format!("{:#010x}", host(value)),
            Self::Ports(header) => {
                let (source, destination) = value.split_at(value.len() / 2);
                format!("{} {header} dport {}", number(source), number(destination))
            }
            Self::Host => host(value).to_string(),
            Self::Number => number(value).to_string(),
            Self::Bits(names) => bits(names, host(value) as u32),
            Self::Names(names) => {
                let number = host(value) as u32;
                names.iter().find(|(known, _)| *known == number).map_or(number.to_string(), |(_, name)| (*name).to_owned())
            }
            Self::Bytes => hex(value),
        }
    }
}

/// Bytes as one number.
pub(super) fn hex(value: &[u8]) -> String {
    format!("{:#x}", number(value))
}

fn number(value: &[u8]) -> u128 {
    value.iter().take(16).fold(0, |number, &byte| number << 8 | u128::from(byte))
}

fn host(value: &[u8]) -> u128 {
    let swapped: Vec<u8> = if cfg!(target_endian = "little") { value.iter().rev().copied().collect() } else { value.to_vec() };
    number(&swapped)
}

/// The names of the bits, in the order in which nft lists them.
fn bits(names: &[(u32, &str)], value: u32) -> String {
    let said: Vec<&str> = names.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| *name).collect();
    let known = names.iter().fold(0, |all, (bit, _)| all | bit);
    if said.is_empty() || value & !known != 0 { format!("{value:#x}") } else { said.join(",") }
}

/// An address, of which the last bytes may be missing.
fn address(kind: Kind, value: &[u8]) -> String {
    let mut bytes = [0; 16];
    let len = value.len().min(16);
    bytes[..len].copy_from_slice(&value[..len]);
    let [a, b, c, d, ..] = bytes;
    let whole = kind.len();
    let text = if kind == Kind::Ip4 { Ipv4Addr::new(a, b, c, d).to_string() } else { Ipv6Addr::from(bytes).to_string() };
    if len < whole { format!("{text}/{}", len * 8) } else { text }
}

fn interface(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0);
    let name = String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned();
    if end.is_some() || value.len() >= 16 { format!("\"{name}\"") } else { format!("\"{name}*\"") }
}

/// The number of leading ones, if all others are zeros.
pub(super) fn prefix_len(mask: &[u8]) -> Option<u32> {
    let ones = mask.iter().take_while(|&&byte| byte == 0xff).count();
    let edge = mask.get(ones).copied().unwrap_or_default();
    let whole = edge.leading_ones() + edge.trailing_zeros() == 8;
    let rest = mask.get(ones + 1..).unwrap_or_default().iter().all(|&byte| byte == 0);
    (whole && rest).then(|| ones as u32 * 8 + edge.leading_ones())
}
