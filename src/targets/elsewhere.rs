//! The targets of iptables that nobody can have in `filter`.

use crate::model::Family;

/// A target that the kernel takes in other tables only, or no more.
#[derive(Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The word after `-j`.
    pub name: &'static str,
    /// The families that have it.
    pub families: &'static [Family],
    /// Where it works.
    pub place: Place,
}

/// Where a target works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the tables of these names.
    Tables(&'static [&'static str]),
    /// In no kernel any more that has nf_tables; what does the same today.
    Gone(&'static str),
}

const MANGLE: Place = Place::Tables(&["mangle"]);
const SECURITY: Place = Place::Tables(&["mangle", "security"]);
const NAT: Place = Place::Tables(&["nat"]);
const RAW: Place = Place::Tables(&["raw"]);

const fn both(name: &'static str, place: Place) -> Elsewhere {
    Elsewhere { name, families: &Family::BOTH, place }
}

const fn only(name: &'static str, families: &'static [Family], place: Place) -> Elsewhere {
    Elsewhere { name, families, place }
}

/// All of them, by name. Source: iptables' `extensions/`, each tried in each table; the kernel's log
/// says the same (`CT target: only valid in raw table, not filter`).
pub static ELSEWHERE: &[Elsewhere] = &[
    both("CHECKSUM", MANGLE),
    only("CLUSTERIP", &[Family::Ip], Place::Gone("`-m cluster` shares packets among hosts")),
    both("CONNSECMARK", SECURITY),
    both("CT", RAW),
    both("DNAT", NAT),
    only("DNPT", &[Family::Ip6], MANGLE),
    both("DSCP", MANGLE),
    only("ECN", &[Family::Ip], MANGLE),
    only("HL", &[Family::Ip6], MANGLE),
    both("MASQUERADE", NAT),
    both("NETMAP", NAT),
    both("NOTRACK", RAW),
    both("QUEUE", Place::Gone("`-j NFQUEUE --queue-num 0` hands packets to programs")),
    both("REDIRECT", NAT),
    both("SECMARK", SECURITY),
    both("SNAT", NAT),
    only("SNPT", &[Family::Ip6], MANGLE),
    both("TCPOPTSTRIP", MANGLE),
    both("TOS", MANGLE),
    both("TPROXY", MANGLE),
    only("TTL", &[Family::Ip], MANGLE),
    only("ULOG", &[Family::Ip], Place::Gone("`-j NFLOG` hands packets to ulogd")),
];

/// The one of that name, of whatever family: never the name of a chain to jump to.
pub fn elsewhere(name: &str) -> Option<&'static Elsewhere> {
    ELSEWHERE.iter().find(|one| one.name == name)
}
