//! The story: rules of Docker's page on packet filtering, one after another, and who is to reach
//! what with each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::PUBLISHED;
use crate::{
    lab::{Outcome, Party},
    model::Family,
};

/// A few commands, and what is true afterwards.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it shows, in a line.
    pub title: &'static str,
    /// Why it is so.
    pub why: &'static str,
    /// The family whose chain is changed and shown, and whose packets are sent.
    pub family: Family,
    /// What is typed behind `dockgate iptables` or `dockgate ip6tables`.
    pub commands: &'static [&'static str],
    /// The packets that are then sent, at the same time.
    pub attempts: &'static [Attempt],
}

/// A connection that somebody tries.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Who.
    pub from: Place,
    /// Where to.
    pub to: Place,
    /// To which port.
    pub port: u16,
    /// What is to become of it.
    pub expected: Outcome,
    /// What to think of it; mostly nothing.
    pub note: &'static str,
}

/// Whoever has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One of the topology.
    Party(Party),
    /// A further address of the client: 192.168.1.N, fd00:1::N (N in hexadecimal).
    Client(u8),
    /// A further address of the host on `ext0`, likewise.
    Host(u8),
}

impl Place {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Party(Party::Friend) => "friend",
            Self::Party(Party::Stranger) => "stranger",
            Self::Party(Party::Container) => "container",
            Self::Party(Party::Lan) => "lan",
            Self::Party(Party::Host | Party::Bridge | Party::Router) | Self::Host(_) => "host",
            Self::Client(_) => "client",
        }
    }

    /// In whose namespace it is.
    pub fn party(self) -> Party {
        match self {
            Self::Party(party) => party,
            Self::Client(_) => Party::Stranger,
            Self::Host(_) => Party::Host,
        }
    }

    /// Its address.
    pub fn address(self, family: Family) -> IpAddr {
        match (self, family) {
            (Self::Party(party), _) => party.address(family),
            (Self::Client(last) | Self::Host(last), Family::Ip) => Ipv4Addr::new(192, 168, 1, last).into(),
            (Self::Client(last) | Self::Host(last), Family::Ip6) => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, last.into()).into(),
        }
    }
}

impl Attempt {
    /// The address and port that are asked.
    pub fn endpoint(&self, family: Family) -> SocketAddr {
        SocketAddr::new(self.to.address(family), self.port)
    }

    const fn remark(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }
}

const FRIEND: Place = Place::Party(Party::Friend);
const STRANGER: Place = Place::Party(Party::Stranger);
const CONTAINER: Place = Place::Party(Party::Container);
const HOST: Place = Place::Party(Party::Host);
const LAN: Place = Place::Party(Party::Lan);

/// The host's second address.
pub(super) const SECOND: u8 = 11;
/// The client's further addresses.
pub(super) const CLIENTS: [u8; 3] = [70, 105, 200];
/// The stranger serves these ports.
pub(super) const STRANGERS: [u16; 2] = [HTTPS, PUBLISHED];
/// The lan serves this one.
pub(super) const LANS: u16 = 22;
const HTTPS: u16 = 443;

const fn attempt(from: Place, to: Place, port: u16, expected: Outcome) -> Attempt {
    Attempt { from, to, port, expected, note: "" }
}

/// Reaches the published port.
const fn passes(from: Place) -> Attempt {
    attempt(from, HOST, PUBLISHED, Outcome::Passed)
}

/// Does not.
const fn is_dropped(from: Place) -> Attempt {
    attempt(from, HOST, PUBLISHED, Outcome::Dropped)
}

/// The container's own connection to the stranger.
const fn goes_out(expected: Outcome) -> Attempt {
    attempt(CONTAINER, STRANGER, HTTPS, expected)
}

/// All steps in order: each goes on where the one before it ended.
pub static STEPS: &[Step] = &[
    Step {
        title: "Docker alone: what is published is open to everybody",
        why: "DOCKER-USER is empty, so Docker's own chains decide.",
        family: Family::Ip,
        commands: &[],
        attempts: &[
            passes(FRIEND),
            passes(STRANGER),
            attempt(STRANGER, CONTAINER, 80, Outcome::Dropped).remark("past the published port: Docker drops"),
            goes_out(Outcome::Passed),
            attempt(FRIEND, LAN, LANS, Outcome::Dropped).remark("Docker's policy of FORWARD: DROP"),
        ],
    },
    Step {
        title: "One allowed address",
        why: "Whatever comes in by ext0 is dropped, unless it comes from the friend. Mind the last line.",
        family: Family::Ip,
        commands: &["-I DOCKER-USER -i ext0 ! -s 192.168.1.1 -j DROP"],
        attempts: &[passes(FRIEND), is_dropped(STRANGER), goes_out(Outcome::Dropped).remark("the commonest mistake: no replies")],
    },
    Step {
        title: "Replies to what the container asked come back first",
        why: "The stranger's answers came in by ext0 as well. RETURN leaves them to Docker, which accepts.",
        family: Family::Ip,
        commands: &["-I DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"],
        attempts: &[passes(FRIEND), is_dropped(STRANGER), goes_out(Outcome::Passed)],
    },
    Step {
        title: "A subnet instead of the address",
        why: "Rule 2 is replaced in one transaction: there is no moment without it.",
        family: Family::Ip,
        commands: &["-R DOCKER-USER 2 -i ext0 ! -s 192.168.1.64/26 -j DROP"],
        attempts: &[
            passes(Place::Client(70)).remark("in the subnet"),
            is_dropped(Place::Client(200)).remark("outside of it"),
            is_dropped(FRIEND).remark("outside of it"),
            goes_out(Outcome::Passed),
        ],
    },
    Step {
        title: "A range of addresses",
        why: "For what no subnet says.",
        family: Family::Ip,
        commands: &["-R DOCKER-USER 2 -i ext0 -m iprange ! --src-range 192.168.1.100-192.168.1.109 -j DROP"],
        attempts: &[
            passes(Place::Client(105)).remark("in the range"),
            is_dropped(Place::Client(70)).remark("outside of it"),
            is_dropped(FRIEND).remark("outside of it"),
        ],
    },
    Step {
        title: "Source and destination combined",
        why: "The host has two addresses; the destination as the client asked for it is in conntrack.",
        family: Family::Ip,
        commands: &["-R DOCKER-USER 2 -i ext0 ! -s 192.168.1.1 -m conntrack --ctorigdst 192.168.1.10 -j DROP"],
        attempts: &[
            passes(FRIEND),
            is_dropped(STRANGER),
            attempt(STRANGER, Place::Host(SECOND), PUBLISHED, Outcome::Passed).remark("the host's other address stays open"),
        ],
    },
    Step {
        title: "The published port by --dport: no effect",
        why: "Here Docker's DNAT has rewritten the destination already: the packet says port 80.",
        family: Family::Ip,
        commands: &["-F DOCKER-USER", "-I DOCKER-USER -i ext0 -p tcp --dport 8080 -j DROP"],
        attempts: &[passes(STRANGER).remark("nobody is stopped: see the counter")],
    },
    Step {
        title: "The published port as the client asked for it",
        why: "--ctdir ORIGINAL keeps the rule off replies to the container's own connections to that port.",
        family: Family::Ip,
        commands: &["-R DOCKER-USER 1 -i ext0 -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP"],
        attempts: &[
            is_dropped(STRANGER),
            is_dropped(FRIEND),
            goes_out(Outcome::Passed),
            attempt(CONTAINER, STRANGER, PUBLISHED, Outcome::Passed).remark("port 8080 there: not what is meant"),
        ],
    },
    Step {
        title: "The host as a router, half done",
        why: "ACCEPT is final, so the friend's packets reach the lan; its replies still meet Docker's policy.",
        family: Family::Ip,
        commands: &["-F DOCKER-USER", "-I DOCKER-USER -i ext0 -o eth1 -j ACCEPT"],
        attempts: &[
            attempt(FRIEND, LAN, LANS, Outcome::Dropped).remark("asked (see the counter), never answered"),
            passes(STRANGER).remark("Docker's own rules hold as before"),
        ],
    },
    Step {
        title: "The host as a router",
        why: "Replies pass as well; connections that the lan begins do not.",
        family: Family::Ip,
        commands: &["-I DOCKER-USER -i eth1 -o ext0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"],
        attempts: &[attempt(FRIEND, LAN, LANS, Outcome::Passed), attempt(LAN, STRANGER, HTTPS, Outcome::Dropped).remark("not opened")],
    },
    Step {
        title: "IPv6 is a ruleset of its own",
        why: "What iptables is told is for IPv4 alone. What Docker publishes on IPv6 is still open.",
        family: Family::Ip6,
        commands: &[],
        attempts: &[
            passes(FRIEND),
            passes(STRANGER),
            attempt(STRANGER, CONTAINER, 80, Outcome::Dropped).remark("past the published port: Docker drops"),
        ],
    },
    Step {
        title: "The same for IPv6",
        why: "One allowed address, and replies.",
        family: Family::Ip6,
        commands: &["-I DOCKER-USER -i ext0 ! -s fd00:1::1 -j DROP", "-I DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"],
        attempts: &[passes(FRIEND), is_dropped(STRANGER), goes_out(Outcome::Passed)],
    },
];
