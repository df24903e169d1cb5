//! Fields as nft calls them: those of the packet, and what the kernel knows of it.

use super::value::{self, Kind};
use crate::{
    expr::{Base, Payload},
    model::Family,
};

/// Offset, bytes, name, kind.
type Fields = &'static [(u32, u32, &'static str, Kind)];

const IP: Fields = &[
    (2, 2, "ip length", Kind::Number),
    (4, 2, "ip id", Kind::Number),
    (6, 2, "ip frag-off", Kind::Number),
    (8, 1, "ip ttl", Kind::Number),
    (9, 1, "ip protocol", Kind::Protocol),
    (12, 4, "ip saddr", Kind::Ip4),
    (16, 4, "ip daddr", Kind::Ip4),
];
const IP6: Fields = &[
    (4, 2, "ip6 length", Kind::Number),
    (6, 1, "ip6 nexthdr", Kind::Protocol),
    (7, 1, "ip6 hoplimit", Kind::Number),
    (8, 16, "ip6 saddr", Kind::Ip6),
    (24, 16, "ip6 daddr", Kind::Ip6),
];
const ETHER: Fields = &[(0, 6, "ether daddr", Kind::Ether), (6, 6, "ether saddr", Kind::Ether), (12, 2, "ether type", Kind::Bytes)];
const PORTS: Fields = &[(0, 2, "sport", Kind::Number), (2, 2, "dport", Kind::Number)];
const TCP: Fields = &[
    (4, 4, "sequence", Kind::Number),
    (8, 4, "ackseq", Kind::Number),
    (13, 1, "flags", value::TCP_FLAGS),
    (14, 2, "window", Kind::Number),
    (16, 2, "checksum", Kind::Number),
    (18, 2, "urgptr", Kind::Number),
];
const UDP: Fields = &[(4, 2, "length", Kind::Number), (6, 2, "checksum", Kind::Number)];
const ICMP: Fields = &[(0, 1, "type", value::ICMP_TYPES), (1, 1, "code", Kind::Number)];
const ICMPV6: Fields = &[(0, 1, "type", value::ICMPV6_TYPES), (1, 1, "code", Kind::Number)];

fn find(fields: Fields, load: &Payload) -> Option<(&'static str, Kind)> {
    // The first bytes of an address are its prefix.
    let fits = |offset: u32, len: u32, kind: Kind| {
        offset == load.offset && (len == load.len || (matches!(kind, Kind::Ip4 | Kind::Ip6) && load.len < len && load.len > 0))
    };
    fields.iter().find(|(offset, len, _, kind)| fits(*offset, *len, *kind)).map(|(.., name, kind)| (*name, *kind))
}

/// Bytes of the packet; those of the transport header by its protocol, where that was tested.
pub(super) fn payload(family: Family, load: &Payload, protocol: Option<u8>) -> (String, Kind) {
    let named = match (load.base, family) {
        (Base::LinkLayer, _) => find(ETHER, load).map(|(name, kind)| (name.to_owned(), kind)),
        (Base::Network, Family::Ip) => find(IP, load).map(|(name, kind)| (name.to_owned(), kind)),
        (Base::Network, Family::Ip6) => find(IP6, load).map(|(name, kind)| (name.to_owned(), kind)),
        (Base::Transport, _) => transport(load, protocol),
    };
    named.unwrap_or_else(|| {
        let base = match load.base {
            Base::LinkLayer => "ll",
            Base::Network => "nh",
            Base::Transport => "th",
        };
        (format!("@{base},{},{}", load.offset * 8, load.len * 8), Kind::Bytes)
    })
}

fn transport(load: &Payload, protocol: Option<u8>) -> Option<(String, Kind)> {
    let (header, fields): (&'static str, Fields) = match protocol {
        Some(1) => ("icmp", ICMP),
        Some(6) => ("tcp", TCP),
        Some(17) => ("udp", UDP),
        Some(33) => ("dccp", &[]),
        Some(58) => ("icmpv6", ICMPV6),
        Some(132) => ("sctp", &[]),
        Some(136) => ("udplite", &[]),
        _ => ("th", &[]),
    };
    let ports: Fields = if matches!(protocol, Some(1 | 58)) { &[] } else { PORTS };
    if (load.offset, load.len, header) == (0, 4, "tcp") || (load.offset, load.len, header) == (0, 4, "udp") {
        return Some((format!("{header} sport"), Kind::Ports(header)));
    }
    let (name, kind) = find(fields, load).or_else(|| find(ports, load))?;
    Some((format!("{header} {name}"), kind))
}

/// What the kernel knows of a packet (`NFT_META_…`).
pub(super) fn meta(key: u32) -> (String, Kind) {
    let (name, kind) = match key {
        0 => ("meta length", Kind::Host),
        1 => ("meta protocol", Kind::Bytes),
        2 => ("meta priority", Kind::Host),
        3 => ("meta mark", Kind::Mark),
        4 => ("iif", Kind::Host),
        5 => ("oif", Kind::Host),
        6 => ("iifname", Kind::Interface),
        7 => ("oifname", Kind::Interface),
        8 => ("meta iiftype", Kind::Host),
        9 => ("meta oiftype", Kind::Host),
        10 => ("meta skuid", Kind::Host),
        11 => ("meta skgid", Kind::Host),
        12 => ("meta nftrace", Kind::Host),
        13 => ("rt classid", Kind::Host),
        14 => ("meta secmark", Kind::Host),
        15 => ("meta nfproto", Kind::Host),
        16 => ("meta l4proto", Kind::Protocol),
        17 => ("meta ibrname", Kind::Interface),
        18 => ("meta obrname", Kind::Interface),
        19 => ("meta pkttype", value::PACKET_TYPES),
        20 => ("meta cpu", Kind::Host),
        21 => ("iifgroup", Kind::Host),
        22 => ("oifgroup", Kind::Host),
        23 => ("meta cgroup", Kind::Host),
        24 => ("meta random", Kind::Host),
        25 => ("meta ipsec", value::EXISTENCE),
        26 => ("meta iifkind", Kind::Interface),
        27 => ("meta oifkind", Kind::Interface),
        30 => ("meta time", Kind::Host),
        31 => ("meta day", Kind::Host),
        32 => ("meta hour", Kind::Host),
        _ => return (format!("meta key {key}"), Kind::Bytes),
    };
    (name.to_owned(), kind)
}

/// What connection tracking knows of it (`NFT_CT_…`), of one direction where that is given.
pub(super) fn conntrack(key: u32, direction: Option<u8>) -> (String, Kind) {
    let (name, kind) = match key {
        0 => ("state", value::CT_STATES),
        1 => ("direction", value::DIRECTIONS),
        2 => ("status", value::CT_STATUSES),
        3 => ("mark", Kind::Mark),
        4 => ("secmark", Kind::Host),
        5 => ("expiration", Kind::Host),
        6 => ("helper", Kind::Interface),
        7 => ("l3proto", Kind::Host),
        8 => ("saddr", Kind::Bytes),
        9 => ("daddr", Kind::Bytes),
        10 => ("protocol", Kind::Protocol),
        11 => ("proto-src", Kind::Number),
        12 => ("proto-dst", Kind::Number),
        13 => ("label", Kind::Bytes),
        14 => ("packets", Kind::Host),
        15 => ("bytes", Kind::Host),
        16 => ("avgpkt", Kind::Host),
        17 => ("zone", Kind::Host),
        18 => ("event", Kind::Host),
        19 => ("ip saddr", Kind::Ip4),
        20 => ("ip daddr", Kind::Ip4),
        21 => ("ip6 saddr", Kind::Ip6),
        22 => ("ip6 daddr", Kind::Ip6),
        23 => ("id", Kind::Host),
        _ => return (format!("ct key {key}"), Kind::Bytes),
    };
    let direction = match direction {
        Some(0) => "original ",
        Some(1) => "reply ",
        _ => "",
    };
    (format!("ct {direction}{name}"), kind)
}

/// What the routing tables say.
pub(super) fn fib(result: u32, flags: u32) -> (String, Kind) {
    let parts = [(1, "saddr"), (2, "daddr"), (4, "mark"), (8, "iif"), (16, "oif")];
    let of: Vec<&str> = parts.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    let (name, kind) = match result {
        1 if flags & 32 != 0 => ("oif", value::EXISTENCE),
        1 => ("oif", Kind::Host),
        2 => ("oifname", Kind::Interface),
        _ => ("type", value::ADDRESS_TYPES),
    };
    (format!("fib {} {name}", of.join(" . ")), kind)
}
