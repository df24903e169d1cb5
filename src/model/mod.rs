//! The words of netfilter as types: validated when made, then trusted. No text of rules, no bytes
//! of messages, no I/O.

mod address;
mod interface;
mod name;
mod protocol;

pub use address::{Address, InvalidAddress, Ip6Text};
pub use interface::{Interface, InvalidInterface};
pub use name::{ChainName, InvalidName};
pub use protocol::{Protocol, UnknownProtocol};

use std::fmt;

use crate::uapi;

/// The address family of a table: `ip` or `ip6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4, table `ip filter`.
    Ip,
    /// IPv6, table `ip6 filter`.
    Ip6,
}

impl Family {
    /// Both, in the order in which they are shown.
    pub const BOTH: [Self; 2] = [Self::Ip, Self::Ip6];

    /// The kernel's number (`NFPROTO_…`).
    pub const fn nfproto(self) -> u8 {
        match self {
            Self::Ip => uapi::NFPROTO_IPV4,
            Self::Ip6 => uapi::NFPROTO_IPV6,
        }
    }

    /// The iptables command for this family.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Ip => "iptables",
            Self::Ip6 => "ip6tables",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        })
    }
}

/// The table that everything here is about, in both families: Docker's iptables backend and
/// `iptables` without `-t` use no other for filtering.
pub const TABLE: &str = "filter";

/// The chain that Docker leaves to the administrator.
pub const DOCKER_USER: &str = "DOCKER-USER";

/// A rule's, chain's or set's number in its table; unique while the table lives, never 0.
///
/// `iptables-restore` without `--noflush` makes the table anew, and handles start at 1 again: a
/// handle means something only together with the [`Generation`] it was read under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub u64);

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of the ruleset's present state in this network namespace; every transaction of
/// anybody raises it. A batch that names one is refused (`ERESTART`) if it is no longer that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation(pub u32);

/// Packets and bytes that a rule has matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes, headers of the network layer included.
    pub bytes: u64,
}

impl fmt::Display for Counters {
    /// As `iptables-save -c` prints them: `[packets:bytes]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}]", self.packets, self.bytes)
    }
}

/// A value that a rule tests, perhaps the other way round (`!`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Test<T> {
    /// `! ` before the option: true where the packet does *not* have the value.
    pub negated: bool,
    /// What is compared with.
    pub value: T,
}

impl<T> Test<T> {
    /// The plain test.
    pub const fn is(value: T) -> Self {
        Self { negated: false, value }
    }

    /// `"! "` if negated: what stands before the option in the save form.
    pub const fn bang(&self) -> &'static str {
        if self.negated { "! " } else { "" }
    }
}

/// The encoding in which a rule is written: what one range of iptables versions writes and reads.
///
/// The xt extensions are the same bytes in all of them; what differs is which tests are native
/// expressions, and their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// iptables 1.8.3 to 1.8.7: ports, TCP flags, marks and NFLOG are xt extensions.
    A,
    /// iptables 1.8.8 and 1.8.9: those are native expressions.
    B,
    /// iptables 1.8.10 as well as 1.8.11 and later: addresses before interfaces, the protocol of
    /// IPv4 from its header. (1.8.10's own dialect differs from this in two wrong negations.)
    D,
    /// Read rightly by every version: A, less its bugs.
    Portable,
}

impl Dialect {
    /// All, the likeliest first.
    pub const ALL: [Self; 4] = [Self::D, Self::B, Self::A, Self::Portable];

    /// Are ports, TCP flags, marks and NFLOG native expressions?
    pub const fn native(self) -> bool {
        matches!(self, Self::B | Self::D)
    }

    /// Do addresses come before interfaces, and is IPv4's protocol read from its header?
    pub const fn addresses_first(self) -> bool {
        matches!(self, Self::D)
    }
}
