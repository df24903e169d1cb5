//! A packet in FORWARD, and what becomes of it.

use std::fmt;

use dockgate::{
    model::{Family, Protocol},
    policy::Block,
};

/// A packet in FORWARD, and what connection tracking knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    pub family: Family,
    pub inward: Link,
    pub outward: Link,
    pub source: u128,
    pub protocol: Protocol,
    /// The address that the connection's first packet was sent to, before DNAT.
    pub asked: u128,
    /// The port, too.
    pub port: u16,
    pub known: Known,
    /// What `-m mark` tests.
    pub mark: u32,
}

impl Packet {
    /// The first of a connection, from `ext0` to `docker0`, with the least of all else.
    pub const PLAIN: Self = Self {
        family: Family::Ip,
        inward: Link(0),
        outward: Link(3),
        source: 0,
        protocol: Protocol::TCP,
        asked: 0,
        port: 1,
        known: Known::New,
        mark: 0,
    };
}

/// An interface that packets come and go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link(u8);

/// A set of them, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Links(u8);

const NAMES: [&str; 6] = ["ext0", "ext1", "eth1", "docker0", "br-1", "ext10"];

impl Link {
    pub const ALL: [Self; 6] = [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5)];

    /// One that there is.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|link| link.name() == name).unwrap_or_else(|| panic!("there is no interface {name}"))
    }

    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

impl Links {
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Those whose name passes.
    pub fn that(pass: impl Fn(&str) -> bool) -> Self {
        Self(Link::ALL.into_iter().filter(|link| pass(link.name())).fold(0, |bits, link| bits | 1 << link.0))
    }

    pub fn has(self, link: Link) -> bool {
        self.0 >> link.0 & 1 == 1
    }
}

/// What connection tracking knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The first of a connection.
    New,
    /// A later one, the same way.
    Established,
    /// One back.
    Reply,
    /// The first of a connection that belongs to another, or an error about one.
    Related,
    /// Nothing.
    Invalid,
}

impl Known {
    pub const ALL: [Self; 5] = [Self::New, Self::Established, Self::Reply, Self::Related, Self::Invalid];

    pub fn is_of_known_connections(self) -> bool {
        matches!(self, Self::Established | Self::Reply | Self::Related)
    }

    /// Does it go the way of its connection's first packet?
    pub fn is_original(self) -> bool {
        !matches!(self, Self::Reply | Self::Invalid)
    }
}

/// What becomes of a packet in our chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, to others' rules in `DOCKER-USER` and to Docker's.
    Docker,
    Accept,
    Drop,
    Reject,
}

/// What becomes of it, and the prefixes that it is logged with on the way, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'t> {
    pub fate: Fate,
    pub logged: Vec<&'t str>,
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |number| Block { family: self.family, first: number, last: number };
        let (source, asked) = (address(self.source), address(self.asked));
        write!(f, "{:?}: in {} out {} from {source}, ", self.known, self.inward.name(), self.outward.name())?;
        write!(f, "asked for {asked} port {} {}", self.port, self.protocol)?;
        if self.mark == 0 { Ok(()) } else { write!(f, ", mark {:#x}", self.mark) }
    }
}
