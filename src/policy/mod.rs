//! The policy file: who may reach what Docker publishes on this host. TOML to values; what is wrong
//! is found all at once, each with its place and its cure. Knows no rule of iptables but the lines
//! that the file itself has, and no kernel.
//!
//! ```
//! use dockgate::policy::{File, Policy};
//!
//! let text = r#"
//!     external = ["eth0"]
//!     default = "drop"
//!
//!     [[rule]]
//!     allow = "443/tcp"
//!     from = ["192.168.1.0/24"]
//! "#;
//! let read = Policy::parse(vec![File::new("web.toml", text)]);
//! assert!(read.problems.is_empty());
//! assert_eq!(read.policy.rules[0].to_string(), "allow 443/tcp from 192.168.1.0/24");
//! ```

mod addresses;
mod block;
mod cases;
mod check;
mod groups;
mod line;
mod list;
mod load;
mod meaning;
mod packet;
mod ports;
mod problem;
mod reach;
mod read;
mod rule;
mod schema;
mod table;

pub use addresses::Addresses;
pub use block::Block;
pub use cases::{Outcome, Tried};
pub use load::{File, LIST_BYTES, LoadError, POLICY_BYTES, input};
pub use meaning::{By, Fate, Meaning, Packet, State, Unknown, Unless};
pub use ports::{PortRange, Ports};
pub use problem::{Lines, Problem};
pub use schema::SCHEMA;

use std::{collections::BTreeMap, fmt, ops::Range};

use crate::model::{Family, Interface};

/// What may pass from outside to published ports, and what else `DOCKER-USER` decides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// The files it was read from, those of groups included.
    pub files: Vec<File>,
    /// Groups whose addresses stand in a file of their own, each with the index of that in `files`.
    pub lists: BTreeMap<String, usize>,
    /// The interfaces that face the outside.
    pub external: Vec<Interface>,
    /// What becomes of a new connection from outside that no rule decides.
    pub default: Verdict,
    /// Do replies, and what belongs to known connections, pass before all rules?
    pub established: bool,
    /// How many senders and ports are told from each other.
    pub strategy: Strategy,
    /// The bits of the packet's mark that are ours: side by side, at least 2. The highest is for trials, the
    /// others tell lists of senders from each other.
    pub mark: u32,
    /// In order; the first that decides wins.
    pub rules: Vec<PolicyRule>,
    /// What the policy says of itself.
    pub tests: Vec<PacketTest>,
}

/// How many senders and ports are told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Whichever costs a packet less.
    #[default]
    Auto,
    /// Chains of rules alone: every address stands in one.
    Tree,
    /// Sets in a table of our own ([`crate::marks`]), where there is anything for them.
    Set,
}

/// A policy as far as it could be read, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Read {
    /// To be used only if [`Read::is_sound`].
    pub policy: Policy,
    /// In the order of the files.
    pub problems: Vec<Problem>,
    /// The names of its groups, in order.
    pub groups: Vec<String>,
    /// Its tests, as far as [`Read::run_tests`] has run them.
    pub tried: Vec<Tried>,
}

impl Read {
    /// Is nothing wrong with it but what is worth a warning?
    pub fn is_sound(&self) -> bool {
        self.problems.iter().all(|problem| problem.warning)
    }
}

/// One `[[rule]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRule {
    /// Where it stands.
    pub place: Place,
    /// `name`: for its chain and for people.
    pub name: Option<String>,
    /// `comment`
    pub comment: Option<String>,
    /// What it does.
    pub action: Action,
    /// The ports on the host, before Docker's DNAT; empty for all.
    pub ports: Vec<Ports>,
    /// The client's address; `None` for any.
    pub from: Option<Sources>,
    /// The host's address that the port is published on; `None` for any.
    pub to: Option<Sources>,
    /// Where the packet comes in; empty for the external interfaces.
    pub inward: Vec<Interface>,
    /// Where it goes out; empty for any.
    pub outward: Vec<Interface>,
    /// Log it with this prefix first.
    pub log: Option<String>,
}

/// Addresses, and what the file calls them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources {
    /// Names of groups, and addresses, as written.
    pub words: Vec<String>,
    /// All of them.
    pub addresses: Addresses,
}

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The index of its file in [`Policy::files`].
    pub file: usize,
    /// Its line, counted from 1.
    pub line: usize,
}

/// What a rule does with a packet.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Decides.
    Decide(Verdict),
    /// Lets it pass for good, past Docker's own rules.
    Accept,
    /// Logs it, and goes on.
    Log,
    /// A line of iptables, for each family that can have it.
    Raw(Vec<(Family, crate::rule::Rule)>),
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// Docker decides: it passes if its port is published.
    #[default]
    Allow,
    /// It is gone.
    Drop,
    /// It is gone, and its sender told.
    Reject,
}

/// One `[[test]]`: a packet, and what must become of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PacketTest {
    /// Where it stands.
    pub place: Place,
    /// `name`
    pub name: String,
    /// The packet.
    pub packet: Packet,
    /// What must become of it.
    pub expect: Expected,
    /// The bytes of its file that say so.
    pub expect_at: Range<usize>,
}

/// What a test expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It reaches the container.
    Pass,
    /// It is gone.
    Drop,
    /// Its sender is told.
    Reject,
}

impl Policy {
    /// The bits of the mark that are ours if a policy does not say others.
    pub const MARK: u32 = 0xff00_0000;

    /// `FILE:LINE` of a place.
    pub fn at(&self, place: Place) -> String {
        let file = self.files.get(place.file).map_or_else(String::new, |file| file.name.clone());
        format!("{file}:{}", place.line)
    }

    /// Which list has all of these addresses, and where: `banned (banned.txt:3)`. Only lists in files are asked,
    /// and only for what one line of them has.
    fn listed(&self, sources: &Sources, addresses: &Block) -> Option<String> {
        sources.words.iter().find_map(|word| {
            let &file = self.lists.get(word)?;
            let line = list::find(&self.files[file].text, addresses)?;
            Some(format!("`{word}` ({})", self.at(Place { file, line })))
        })
    }
}

impl Strategy {
    /// As the file, and the command line, have them.
    pub const WORDS: [(&str, Self); 3] = [("auto", Self::Auto), ("tree", Self::Tree), ("set", Self::Set)];
}

impl PolicyRule {
    /// What people know it by: its comment, else its name, else what it says, in 200 bytes at most.
    pub fn title(&self) -> String {
        self.comment.clone().or_else(|| self.name.clone()).unwrap_or_else(|| self.short())
    }

    /// What it says, but not all of a long list.
    fn short(&self) -> String {
        let text = self.to_string();
        match text.char_indices().nth(60) {
            Some((end, _)) if text.len() > 80 => format!("{}…", &text[..end]),
            _ => text,
        }
    }

    /// Has it addresses of that family wherever it has any?
    pub fn is_for(&self, family: Family) -> bool {
        [&self.from, &self.to].into_iter().flatten().all(|sources| !sources.addresses.of(family).is_empty())
    }
}

impl Verdict {
    /// As the file has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

/// More words than these are a long list.
const MANY: usize = 8;

impl fmt::Display for PolicyRule {
    /// In words: `allow 443/tcp from office`. Long lists of senders are not said, so that a comment stays
    /// when an address comes or goes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match &self.action {
            Action::Raw(rules) => return write!(f, "iptables {}", rules.first().map_or_else(String::new, |(_, rule)| rule.to_string())),
            Action::Decide(verdict) => verdict.word(),
            Action::Accept => "accept",
            Action::Log => "log",
        };
        f.write_str(verdict)?;
        list(f, " ", &self.ports)?;
        if self.ports.is_empty() {
            f.write_str(" any")?;
        }
        for (word, sources) in [(" from ", &self.from), (" to ", &self.to)] {
            match sources {
                Some(Sources { words, .. }) if words.len() > MANY => write!(f, "{word}a long list")?,
                Some(Sources { words, .. }) => list(f, word, words)?,
                None => {}
            }
        }
        list(f, " in ", &self.inward)?;
        list(f, " out ", &self.outward)
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, word: &str, all: &[T]) -> fmt::Result {
    all.iter().enumerate().try_for_each(|(index, one)| write!(f, "{}{one}", if index == 0 { word } else { ", " }))
}
