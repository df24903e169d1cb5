//! From a policy to chains of rules. Pure. One placement so far: [`docker_user`], user chains of
//! our own that one jump at the top of `DOCKER-USER` leads to; iptables reads every rule of them.
//!
//! A packet walks `DOCKGATE`: replies leave first; what comes in by an external interface goes on in
//! `DOCKGATE-OUTSIDE`, which ends with the default. The ways on are gotos, so that a RETURN anywhere
//! leaves our chains as a whole, and Docker decides: that is what `allow` means.
//!
//! | file | what it does |
//! |---|---|
//! | `rules` | one rule of the policy → rules of iptables |
//! | `chains` | the lists for packets from outside and for all others; few rules stay in a row |
//! | `tree` | many senders: who is asked about which rules; a tree of chains by the address's digits |
//! | `ports` | many ports, in each list: a tree of chains by ranges of ports |
//! | `cuts` | addresses and ports, cut where it changes which rules can match |
//! | `marked` | the same by sets in our own table ([`crate::marks`]), and ports as well |
//! | `cost` | which of the two costs a packet less |
//! | `names` | what our chains are called |
//!
//! ```
//! use dockgate::{compile, model::Family, policy::{File, Policy}};
//!
//! let text = "external = 'eth0'\ndefault = 'drop'\n[[rule]]\nallow = '443/tcp'\nfrom = '192.168.1.0/24'\ncomment = 'portal'\n";
//! let policy = Policy::parse(vec![File::new("web.toml", text)]).policy;
//! let compiled = compile::docker_user(&policy, "web", None);
//! let outside = &compiled.chains(Family::Ip)[1];
//! assert_eq!(
//!     outside.rules[0].rule.to_string(),
//!     "-s 192.168.1.0/24 -p tcp -m conntrack --ctorigdstport 443 --ctdir ORIGINAL -m comment --comment portal -j RETURN",
//! );
//! ```

mod chains;
mod cost;
mod cuts;
mod marked;
mod names;
mod ports;
mod rules;
mod tree;

pub use names::{ROOT, TRIAL, is_ours, is_trial, on_trial, root, trial};

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::{
    marks::{Frame, Marks, Table, bit_above},
    matches::{Comment, Match},
    model::{ChainName, Family},
    policy::{Policy, Strategy},
    rule::Rule,
    save::SavedChain,
    targets::{self, Target},
};

/// A policy as chains, for both families.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// Which policy.
    pub identity: Identity,
    chains: [Vec<SavedChain>; 2],
    tables: [Option<(Marks, Table)>; 2],
    mark: u32,
    origins: Vec<Origin>,
}

/// Which policy it is: `NAME HASH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its file's name without `.toml`.
    pub name: String,
    /// [`text_hash`] of its IPv4 chains, `-`, and that of its IPv6 chains. Policies that mean the
    /// same to the kernel have the same; and so have those that differ in the senders in sets alone.
    pub hash: String,
}

/// What a rule is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Replies come first.
    Replies,
    /// The way from one of our chains to the next.
    Way,
    /// The rule with that index in [`Policy::rules`].
    Rule(usize),
    /// What no rule decides.
    Default,
}

impl Compiled {
    /// The chains of one family, the first of all first. The line of a rule in them is what
    /// [`Compiled::origin`] takes.
    pub fn chains(&self, family: Family) -> &[SavedChain] {
        &self.chains[family as usize]
    }

    /// Which packets get which mark, if any do.
    pub fn marks(&self, family: Family) -> Option<&Marks> {
        self.tables[family as usize].as_ref().map(|(marks, _)| marks)
    }

    /// The bits of the packet's mark that are the policy's.
    pub fn mark(&self) -> u32 {
        self.mark
    }

    /// The table that gives them.
    pub fn table(&self, family: Family) -> Option<&Table> {
        self.tables[family as usize].as_ref().map(|(_, table)| table)
    }

    /// What a rule is there for.
    pub fn origin(&self, line: usize) -> Option<Origin> {
        self.origins.get(line).copied()
    }

    /// The jump that leads to the chains: `-m comment --comment "dockgate: NAME HASH" -j DOCKGATE`. Where
    /// they say nothing of packets without a mark, as with a list of senders to be dropped, such packets do
    /// not come there: it begins with `-m mark ! --mark 0x0/MASK`.
    pub fn jump(&self, family: Family) -> Rule {
        jump(&self.identity, family, self.chains(family), self.marks(family).map(|marks| marks.mask))
    }
}

/// The rule that leads to a policy on trial, in front of the deployed one:
/// `-m mark --mark BIT/BIT -m comment --comment "dockgate: NAME HASH" -g DOCKTRIAL`.
pub fn gate(identity: &Identity, family: Family, bit: u32) -> Rule {
    let way = Rule { matches: identity.comment().into_iter().collect(), target: Some(Target::Goto(trial())), ..Rule::default() };
    rules::also(&format!("-m mark --mark {bit:#x}/{bit:#x}"), family, way)
}

/// The first rule of a policy on trial: packets leave it without the bit that led there, so that nobody behind
/// it sees another mark than without a trial.
pub fn unmark(bit: u32) -> Rule {
    Rule { target: Some(Target::Mark(targets::Mark::clearing(bit))), ..Rule::default() }
}

/// [`Compiled::jump`] from what stands in the kernel; `ids` are the bits of the mark that our own table gives ids in.
///
/// The bit above them is tested as well: a packet that a policy on trial decides has it, and comes in.
pub fn jump(identity: &Identity, family: Family, chains: &[SavedChain], ids: Option<u32>) -> Rule {
    let jump = identity.jump();
    match ids {
        Some(ids) if passes_unmarked(ROOT, chains, ids) => {
            rules::also(&format!("-m mark ! --mark 0x0/{:#x}", ids | bit_above(ids)), family, jump)
        }
        _ => jump,
    }
}

impl Identity {
    /// The jump of the policy with this identity.
    pub fn jump(&self) -> Rule {
        Rule { matches: self.comment().into_iter().collect(), target: Some(Target::Jump(root())), ..Rule::default() }
    }

    /// `-m comment --comment "dockgate: NAME HASH"`: what [`Identity::of`] reads.
    pub fn comment(&self) -> Option<Match> {
        Comment::new(&format!("dockgate: {self}")).map(Match::Comment)
    }

    /// The hash of one family's chains.
    pub fn hash_of(&self, family: Family) -> &str {
        self.hash.split('-').nth(family as usize).unwrap_or_default()
    }

    /// Reads it from a rule's comment.
    pub fn of(rule: &Rule) -> Option<Self> {
        let (name, hash) = rule.comment()?.strip_prefix("dockgate: ")?.rsplit_once(' ')?;
        Some(Self { name: name.to_owned(), hash: hash.to_owned() })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.hash)
    }
}

/// The chains for the placement `docker-user`, and our own table where it helps. `strategy` stands
/// instead of the policy's own if it is given.
pub fn docker_user(policy: &Policy, name: &str, strategy: Option<Strategy>) -> Compiled {
    let mut origins = Vec::new();
    let strategy = strategy.unwrap_or(policy.strategy);
    let built = Family::BOTH.map(|family| chains::Builder::new(policy, family, strategy, &mut origins).build());
    let (chains, tables): (Vec<_>, Vec<_>) = built.into_iter().unzip();
    let (Ok(chains), Ok(tables)) = (<[_; 2]>::try_from(chains), <[_; 2]>::try_from(tables)) else { unreachable!("two families") };
    let tables = tables.map(|marks: Option<Marks>| marks.map(|marks| (marks.table(), marks)).map(|(table, marks)| (marks, table)));
    let hash = [0, 1].map(|index| text_hash(&chains[index], tables[index].as_ref().map(|(_, table)| table))).join("-");
    // The whole jump's comment has 255 bytes at most.
    let name = name.chars().filter(|c| !c.is_control()).take(60).collect();
    Compiled { identity: Identity { name, hash }, chains, tables, mark: policy.mark, origins }
}

/// What tells the rules of one family from others: the first 8 hexadecimal digits of the SHA-256 of
/// their text, in the order of the chains' names, and of that of our own table without its senders.
pub fn text_hash(chains: &[SavedChain], table: Option<&Table>) -> String {
    let (mut hash, mut text) = (Sha256::new(), String::new());
    let mut chains: Vec<&SavedChain> = chains.iter().collect();
    chains.sort_by(|a, b| a.name.cmp(&b.name));
    for (chain, saved) in chains.iter().flat_map(|chain| chain.rules.iter().map(|saved| (&chain.name, saved))) {
        text.clear();
        text.extend([chain.as_str(), " "]);
        saved.rule.save(&mut text, None).expect("a string takes everything");
        text.push('\n');
        hash.update(&text);
    }
    if let Some(table) = table {
        hash.update(Frame(table).to_string());
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Does a packet with none of our marks leave this chain as if there were none?
fn passes_unmarked(chain: &str, chains: &[SavedChain], mask: u32) -> bool {
    let rules = chains.iter().find(|saved| saved.name.as_str() == chain).map(|saved| &saved.rules[..]).unwrap_or_default();
    rules.iter().map(|saved| &saved.rule).all(|rule| {
        let is_for_marked = rule.matches.iter().any(|one| matches!(one, Match::Mark(mark) if mark.excludes_unmarked(mask)));
        is_for_marked
            || match &rule.target {
                Some(Target::Return) => true,
                Some(Target::Goto(to)) => passes_unmarked(to.as_str(), chains, mask),
                _ => false,
            }
    })
}

/// The chain name that these characters make: all ours are short and plain.
fn chain(text: &str) -> ChainName {
    ChainName::for_iptables(text).expect("our names are plain and short")
}
