//! What is known of a packet's connection: the struct behind `-m conntrack` and `-m state`, as values
//! and as bytes.

use std::fmt;

use super::{
    host::Host,
    ports::{Colon, PortRange},
    words::{self, Words},
};
use crate::model::{Family, Protocol, Test};

/// The match's name in the kernel, for both of iptables' names.
pub const NAME: &str = "conntrack";
/// The layout of its struct.
pub const REVISION: u32 = 3;
/// `XT_ALIGN(sizeof(struct xt_conntrack_mtinfo3), 8)`
pub const LEN: usize = 168;

/// What `--ctstate` tests, and (without the last two) `--state`.
pub const STATES: &Words =
    &[("INVALID", 1), ("NEW", 8), ("RELATED", 4), ("ESTABLISHED", 2), ("UNTRACKED", 0x100), ("SNAT", 0x40), ("DNAT", 0x80)];
/// What `--ctstatus` tests (`IPS_…`).
pub const STATUSES: &Words = &[("EXPECTED", 1), ("SEEN_REPLY", 2), ("ASSURED", 4), ("CONFIRMED", 8), ("NONE", 0)];

/// `XT_CONNTRACK_STATE_ALIAS`: the rule is printed with `-m state`. The kernel ignores it.
pub const ALIAS: u16 = 0x2000;
const STATE: u16 = 1;
const PROTO: u16 = 2;
const ORIGSRC: u16 = 4;
const STATUS: u16 = 0x40;
const EXPIRES: u16 = 0x80;
const ORIGSRC_PORT: u16 = 0x100;
const DIRECTION: u16 = 0x1000;

/// Where the fields are in the struct. Addresses take 32 bytes each, with their masks; ports two.
mod at {
    pub const ADDRESSES: usize = 0;
    pub const EXPIRES: usize = 128;
    pub const PROTOCOL: usize = 136;
    pub const PORTS: usize = 138;
    pub const MATCHED: usize = 146;
    pub const INVERTED: usize = 148;
    pub const STATES: usize = 150;
    pub const STATUSES: usize = 152;
    pub const HIGH_PORTS: usize = 154;
}

/// All the tests there are. Of addresses and ports there are four: source and destination of the
/// packets in the original direction, then of the replies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tracking {
    /// Bits of [`STATES`], at least one.
    pub states: Option<Test<u16>>,
    /// The connection's protocol.
    pub protocol: Option<Test<Protocol>>,
    /// Addresses.
    pub hosts: [Option<Test<Host>>; 4],
    /// Ports.
    pub ports: [Option<Test<PortRange>>; 4],
    /// Bits of [`STATUSES`], perhaps none.
    pub statuses: Option<Test<u16>>,
    /// The seconds that the connection has left, both ends included.
    pub expires: Option<Test<(u32, u32)>>,
    /// The packet's direction: true for replies.
    pub reply: Option<bool>,
}

/// RELATED and ESTABLISHED.
const KNOWN: u16 = 4 | 2;
const NEW: u16 = 8;
/// What the state says besides of address translation: SNAT, DNAT.
const TRANSLATED: u16 = 0x40 | 0x80;

impl Tracking {
    /// Does it match every first packet of a connection to that port, or none? `None` if it depends.
    pub fn is_for_new(&self, protocol: Protocol, port: u16) -> Option<bool> {
        let state = |test: Test<u16>| match test.value & TRANSLATED {
            0 => Some((test.value & NEW != 0) != test.negated),
            _ => None,
        };
        let within = |test: Test<PortRange>| ((test.value.0..=test.value.1).contains(&port)) != test.negated;
        let [_, original, ..] = self.ports;
        let known = [
            self.states.map(state),
            self.protocol.map(|test| Some((test.value == protocol) != test.negated)),
            original.map(|test| Some(within(test))),
            self.reply.map(|reply| Some(!reply)),
        ];
        let others = self.hosts.iter().any(Option::is_some)
            || self.ports.iter().enumerate().any(|(index, ports)| index != 1 && ports.is_some())
            || self.statuses.is_some()
            || self.expires.is_some();
        let known = || known.into_iter().flatten();
        match () {
            () if known().any(|one| one == Some(false)) => Some(false),
            () if others || known().any(|one| one.is_none()) => None,
            () => Some(true),
        }
    }

    /// Does it match packets of known connections alone: RELATED, ESTABLISHED?
    pub fn is_known_alone(&self) -> bool {
        self.states.is_some_and(|states| !states.negated && states.value & !KNOWN == 0)
    }

    /// The struct; `alias` is 0 or [`ALIAS`].
    pub fn to_xt(&self, alias: u16) -> [u8; LEN] {
        let mut info = [0; LEN];
        let mut put = |at: usize, bytes: &[u8]| info[at..at + bytes.len()].copy_from_slice(bytes);
        let (mut matched, mut inverted) = (alias, 0);
        let mut flag = |bit: u16, negated: bool| {
            matched |= bit;
            inverted |= if negated { bit } else { 0 };
        };
        if let Some(test) = &self.states {
            flag(STATE, test.negated);
            put(at::STATES, &test.value.to_ne_bytes());
        }
        if let Some(test) = &self.protocol {
            flag(PROTO, test.negated);
            put(at::PROTOCOL, &u16::from(test.value.0).to_ne_bytes());
        }
        for (index, test) in self.hosts.iter().enumerate() {
            if let Some(test) = test {
                flag(ORIGSRC << index, test.negated);
                put(at::ADDRESSES + 32 * index, &test.value.to_xt());
            }
        }
        for (index, test) in self.ports.iter().enumerate() {
            if let Some(test) = test {
                flag(ORIGSRC_PORT << index, test.negated);
                put(at::PORTS + 2 * index, &test.value.0.to_ne_bytes());
                put(at::HIGH_PORTS + 2 * index, &test.value.1.to_ne_bytes());
            }
        }
        if let Some(test) = &self.statuses {
            flag(STATUS, test.negated);
            put(at::STATUSES, &test.value.to_ne_bytes());
        }
        if let Some(test) = &self.expires {
            flag(EXPIRES, test.negated);
            put(at::EXPIRES, &test.value.0.to_ne_bytes());
            put(at::EXPIRES + 4, &test.value.1.to_ne_bytes());
        }
        if let Some(reply) = self.reply {
            flag(DIRECTION, reply);
        }
        put(at::MATCHED, &matched.to_ne_bytes());
        put(at::INVERTED, &inverted.to_ne_bytes());
        info
    }

    /// From the struct, if `alias` is as given and something is tested that can be written as options.
    pub fn from_xt(info: &[u8; LEN], alias: u16, family: Family) -> Option<Self> {
        let half = |at: usize| u16::from_ne_bytes([info[at], info[at + 1]]);
        let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        let (matched, inverted) = (half(at::MATCHED), half(at::INVERTED));
        let negated = |bit: u16| (matched & bit != 0).then_some(inverted & bit != 0);
        let mut read = Self::default();
        if let Some(negated) = negated(STATE) {
            read.states = Some(Test { negated, value: words::known(half(at::STATES), STATES)? });
        }
        if let Some(negated) = negated(PROTO) {
            let number = u8::try_from(half(at::PROTOCOL)).ok().filter(|&number| number != 0)?;
            read.protocol = Some(Test { negated, value: Protocol(number) });
        }
        for index in 0..4 {
            if let Some(negated) = negated(ORIGSRC << index) {
                let (bytes, _) = info[at::ADDRESSES + 32 * index..].split_first_chunk()?;
                read.hosts[index] = Some(Test { negated, value: Host::from_xt(bytes, family)? });
            }
            if let Some(negated) = negated(ORIGSRC_PORT << index) {
                let value = (half(at::PORTS + 2 * index), half(at::HIGH_PORTS + 2 * index));
                read.ports[index] = Some(Test { negated, value }).filter(|_| value.0 <= value.1);
            }
        }
        if let Some(negated) = negated(STATUS) {
            read.statuses = Some(Test { negated, value: words::known(half(at::STATUSES), STATUSES)? });
        }
        if let Some(negated) = negated(EXPIRES) {
            let value = (word(at::EXPIRES), word(at::EXPIRES + 4));
            read.expires = Some(Test { negated, value }).filter(|_| value.0 <= value.1);
        }
        read.reply = negated(DIRECTION);
        (read != Self::default() && read.to_xt(alias) == *info).then_some(read)
    }

    /// The options, each after `dashes`, with blanks between: the save form, and without dashes what
    /// `-L` prints. `state` is how the first is called.
    pub fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str, state: &str) -> fmt::Result {
        let mut blank = "";
        let mut option = |bang: &str, name: &str, value: &dyn fmt::Display| {
            let blank = std::mem::replace(&mut blank, " ");
            write!(f, "{blank}{bang}{dashes}{name} {value}")
        };
        if let Some(test) = &self.states {
            option(test.bang(), state, &words::List(test.value, STATES))?;
        }
        if let Some(test) = &self.protocol {
            option(test.bang(), "ctproto", &test.value.0)?;
        }
        for (test, name) in self.hosts.iter().zip(["ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst"]) {
            if let Some(test) = test {
                option(test.bang(), name, &test.value)?;
            }
        }
        for (test, name) in self.ports.iter().zip(["ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport"]) {
            if let Some(test) = test {
                option(test.bang(), name, &Colon(test.value))?;
            }
        }
        if let Some(test) = &self.statuses {
            option(test.bang(), "ctstatus", &words::List(test.value, STATUSES))?;
        }
        if let Some(test) = &self.expires {
            option(test.bang(), "ctexpire", &Colon(test.value))?;
        }
        if let Some(reply) = self.reply {
            option("", "ctdir", &if reply { "REPLY" } else { "ORIGINAL" })?;
        }
        Ok(())
    }
}
