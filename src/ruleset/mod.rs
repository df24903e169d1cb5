//! What stands in the kernel, as values: chains, their rules with handles and counters, each rule
//! read or marked foreign. Also which dialect the host's own iptables writes.

mod contents;
mod dialect;
mod parse;

pub use contents::Contents;
pub use dialect::detect as detect_dialect;

use std::{borrow::Cow, fmt};

use crate::{
    extension::{Context, Sets},
    message::Request,
    model::{ChainName, Counters, Dialect, Family, Generation, Handle},
    netlink::{Netlink, NetlinkError},
    rule::{Landmarks, Reader, Reading, Rule},
    uapi::{NF_INET_FORWARD, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT},
};

/// The table `filter` of one family, as far as it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruleset {
    /// Its family.
    pub family: Family,
    /// The state that all of it is from.
    pub generation: Generation,
    /// All chains, built-in ones first, then by name, as iptables lists them.
    pub chains: Vec<Chain>,
    /// The ipsets that its rules name.
    pub sets: Sets,
}

/// A chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Its name.
    pub name: ChainName,
    /// Its handle.
    pub handle: Handle,
    /// Where it hangs, if a hook enters it.
    pub hook: Option<Hook>,
    /// How many jumps lead to it, and rules it has, as the kernel counts.
    pub uses: u32,
    /// Its rules in order; `None` where they were not asked for.
    pub rules: Option<Vec<Entry>>,
}

/// How the kernel enters a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// What kind of chain it is.
    pub kind: ChainType,
    /// `NF_INET_…`
    pub number: u32,
    /// Lower comes earlier; iptables' filter chains have 0.
    pub priority: i32,
    /// Is the policy ACCEPT, not DROP?
    pub accepts: bool,
    /// Packets that met the policy; `None` where the chain does not count.
    pub counters: Option<Counters>,
}

/// What kind of base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainType {
    /// For filtering, as iptables' own in `filter`.
    Filter,
    /// Routes anew what a rule has changed.
    Route,
    /// Translates addresses.
    Nat,
}

impl fmt::Display for ChainType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filter => "filter",
            Self::Route => "route",
            Self::Nat => "nat",
        })
    }
}

/// A rule in its chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its handle.
    pub handle: Handle,
    /// Its counters; `None` where it has none.
    pub counters: Option<Counters>,
    /// What it says.
    pub reading: Reading,
    /// Its expressions as they came (content of `NFTA_RULE_EXPRESSIONS`); only for foreign rules,
    /// and for all where they were asked for.
    pub raw: Option<Box<[u8]>>,
    /// Its user data, if it has any.
    pub userdata: Option<Box<[u8]>>,
}

impl Entry {
    /// The rule, if it could be read.
    pub fn rule(&self) -> Option<&Rule> {
        match &self.reading {
            Reading::Rule(rule) => Some(rule),
            Reading::Foreign => None,
        }
    }
}

/// Whose rules to read.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Nobody's: the chains alone.
    None,
    /// Those of one chain.
    Of(&'a ChainName),
    /// Those of one chain that may be one of these rules; the others are left out.
    Like(&'a ChainName, &'a [Rule]),
    /// Those of these chains.
    These(&'a [ChainName]),
    /// Those of the chains with such a name.
    Named(fn(&ChainName) -> bool),
    /// All.
    All,
}

impl Which<'_> {
    fn landmarks(self) -> Option<Vec<Landmarks>> {
        match self {
            Which::Like(_, rules) => Some(rules.iter().map(Rule::landmarks).collect()),
            _ => None,
        }
    }

    fn includes(self, name: &ChainName) -> bool {
        match self {
            Which::None => false,
            Which::Of(one) | Which::Like(one, _) => one == name,
            Which::These(some) => some.contains(name),
            Which::Named(is) => is(name),
            Which::All => true,
        }
    }
}

impl Ruleset {
    /// Reads the chains, and the rules of some. All of it is from one generation: if the ruleset
    /// changes meanwhile, it is read again.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn read(netlink: &mut Netlink, family: Family, which: Which<'_>) -> Result<Self, NetlinkError> {
        Self::read_with(netlink, family, which, false)
    }

    /// The same, keeping every rule's expressions as they came.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn read_raw(netlink: &mut Netlink, family: Family, which: Which<'_>) -> Result<Self, NetlinkError> {
        Self::read_with(netlink, family, which, true)
    }

    fn read_with(netlink: &mut Netlink, family: Family, which: Which<'_>, raw: bool) -> Result<Self, NetlinkError> {
        // The chains alone are one dump, which is whole in itself.
        if matches!(which, Which::None) {
            let generation = netlink.generation()?;
            return Self::read_at(netlink, generation, family, which, raw);
        }
        netlink.snapshot(format_args!("the table `{family} filter`"), |netlink, generation| {
            Self::read_at(netlink, generation, family, which, raw)
        })
    }

    /// Reads the chains, and the rules of some, `raw` or not, as a part of a [`Netlink::snapshot`] of this generation.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn read_at(
        netlink: &mut Netlink,
        generation: Generation,
        family: Family,
        which: Which<'_>,
        raw: bool,
    ) -> Result<Self, NetlinkError> {
        let landmarks = which.landmarks();
        let wanted = |list: &[u8]| landmarks.as_ref().is_none_or(|all| all.iter().any(|one| one.may_be_in(list)));
        // One for all chains: what it has found likely holds for the next as well.
        let mut reader = Reader::default();
        let mut ruleset = Self { family, generation, chains: read_chains(netlink, family)?, sets: Sets::default() };
        for index in 0..ruleset.chains.len() {
            if which.includes(&ruleset.chains[index].name) {
                ruleset.read_rules(netlink, &mut reader, index, raw, &wanted)?;
            }
        }
        Ok(ruleset)
    }

    fn read_rules(
        &mut self,
        netlink: &mut Netlink,
        reader: &mut Reader,
        index: usize,
        keep_raw: bool,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), NetlinkError> {
        let context = Context { family: self.family, dialect: Dialect::D, sets: &self.sets };
        // If the chain was removed since the chains were read, the generation will say so.
        let mut rules = dump_rules(netlink, reader, &self.chains[index].name, context, keep_raw, wanted)?;
        self.name_sets(netlink, reader, &mut rules, keep_raw)?;
        self.chains[index].rules = Some(rules);
        Ok(())
    }

    /// Rules hold the numbers of ipsets. Asks for the names of those that were met, and reads the
    /// rules that have them again.
    fn name_sets(&mut self, netlink: &mut Netlink, reader: &mut Reader, rules: &mut [Entry], keep_raw: bool) -> Result<(), NetlinkError> {
        let mut again = Vec::new();
        for (at, entry) in rules.iter().enumerate() {
            let (Reading::Foreign, Some(raw)) = (&entry.reading, &entry.raw) else { continue };
            for index in parse::sets_of(raw) {
                if self.sets.name(index).is_none()
                    && let Some(name) = netlink.set_name(index)?
                {
                    self.sets.push(index, name);
                }
                again.push(at);
            }
        }
        let context = Context { family: self.family, dialect: Dialect::D, sets: &self.sets };
        for at in again {
            let entry = &mut rules[at];
            let Some(raw) = &entry.raw else { continue };
            (entry.reading, _) = reader.read(raw, entry.userdata.as_deref(), context);
            if !keep_raw && entry.rule().is_some() {
                entry.raw = None;
            }
        }
        Ok(())
    }

    /// The chain of that name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name.as_str() == name)
    }

    /// The chains as iptables shows them: the built-in ones stand in their places also where nobody
    /// has made them yet, empty and accepting.
    pub fn listed(&self) -> Vec<Cow<'_, Chain>> {
        let missing = Chain::BUILTIN.into_iter().filter(|(name, _)| self.chain(name).is_none());
        let missing = missing.filter_map(|(name, hook)| Chain::unmade(name, hook)).map(Cow::Owned);
        let mut chains: Vec<_> = missing.chain(self.chains.iter().map(Cow::Borrowed)).collect();
        chains.sort_by(|a, b| a.place().cmp(&b.place()));
        chains
    }

    /// Is there nothing at all, not even the table?
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }
}

impl Chain {
    /// Those that iptables makes when it first needs them.
    const BUILTIN: [(&'static str, u32); 3] = [("INPUT", NF_INET_LOCAL_IN), ("FORWARD", NF_INET_FORWARD), ("OUTPUT", NF_INET_LOCAL_OUT)];

    /// A built-in chain as it would be made.
    fn unmade(name: &str, number: u32) -> Option<Self> {
        let hook = Hook { kind: ChainType::Filter, number, priority: 0, accepts: true, counters: Some(Counters::default()) };
        Some(Self { name: ChainName::from_kernel(name).ok()?, handle: Handle(0), hook: Some(hook), uses: 0, rules: Some(Vec::new()) })
    }

    /// By what chains are ordered: built-in ones first, in the order of their hooks; then by name.
    fn place(&self) -> (bool, Option<u32>, &ChainName) {
        (self.hook.is_none(), self.hook.map(|hook| hook.number), &self.name)
    }

    /// Its rules; none where they were not read.
    pub fn rules(&self) -> &[Entry] {
        self.rules.as_deref().unwrap_or_default()
    }
}

/// The rules of one chain, none if it is not there; ipsets in them stay numbers, and so foreign.
///
/// # Errors
/// [`NetlinkError`]
pub fn rules(netlink: &mut Netlink, family: Family, chain: &ChainName) -> Result<Vec<Entry>, NetlinkError> {
    let context = Context { family, dialect: Dialect::D, sets: Sets::NONE };
    dump_rules(netlink, &mut Reader::default(), chain, context, false, &|_| true)
}

/// A chain that is gone has no rules.
fn dump_rules(
    netlink: &mut Netlink,
    reader: &mut Reader,
    chain: &ChainName,
    context: Context<'_>,
    keep_raw: bool,
    wanted: &dyn Fn(&[u8]) -> bool,
) -> Result<Vec<Entry>, NetlinkError> {
    let rules = netlink.dump(&Request::rules(context.family, chain), |rules: &mut Vec<Entry>, message| {
        rules.extend(Entry::read(message, reader, context, keep_raw, wanted));
    });
    match rules {
        Err(NetlinkError::Refused { errno: libc::ENOENT, .. }) => Ok(Vec::new()),
        other => other,
    }
}

fn read_chains(netlink: &mut Netlink, family: Family) -> Result<Vec<Chain>, NetlinkError> {
    let mut chains: Vec<Chain> =
        netlink.dump(&Request::chains(family), |chains: &mut Vec<Chain>, message| chains.extend(Chain::read(message)))?;
    chains.sort_by(|a, b| a.place().cmp(&b.place()));
    Ok(chains)
}
