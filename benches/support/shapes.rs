//! A list of addresses, in the words of those who can hold one.

use std::{collections::HashSet, fmt::Write as _, net::IpAddr};

use dockgate::{
    compile::{self, Compiled},
    measure::stranger,
    model::Family,
    policy::{File, Policy, Strategy},
    rule::Rule,
};

use super::{workload::parse, world::Result};

/// So many different senders take turns.
pub const POOL: usize = 1024;
/// Where rules test the mark that a native set gives.
pub const MARKED: &str = "-m mark --mark 0x1/0x1 -j DROP";
/// Where rules ask an ipset.
pub const IN_IPSET: &str = "-m set --match-set senders src -j DROP";

/// A list, and who is not in it.
#[derive(Debug, Clone)]
pub struct List {
    pub family: Family,
    pub members: Vec<IpAddr>,
    pub others: Vec<IpAddr>,
}

impl List {
    /// The same list for the same numbers, in no order.
    pub fn new(family: Family, count: usize) -> Self {
        let mut known = HashSet::new();
        let mut fresh = (0..).map(|index| stranger(family, index)).filter(|address| known.insert(*address));
        let members = fresh.by_ref().take(count).collect();
        Self { family, members, others: fresh.take(POOL).collect() }
    }

    /// Members, some more than once, in no order.
    pub fn pool(&self) -> Vec<IpAddr> {
        (0..POOL.min(4 * self.members.len())).map(|index| self.members[mixed(index as u64) as usize % self.members.len()]).collect()
    }

    /// All members, with that between two.
    pub fn text(&self, separator: &str) -> String {
        self.members.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
    }

    /// A rule for each.
    pub fn rules(&self, interface: &str) -> Vec<Rule> {
        self.members.iter().map(|from| parse(&format!("{interface}-s {from} -j DROP"), self.family)).collect()
    }

    /// For `ipset restore`: makes the set `senders`, for [`IN_IPSET`].
    pub fn ipset(&self, kind: &str) -> String {
        let family = if self.family == Family::Ip { "inet" } else { "inet6" };
        let mut text = format!("create senders {kind} family {family} maxelem 200000\n");
        self.members.iter().for_each(|member| writeln!(text, "add senders {member}").expect("a string takes everything"));
        text
    }

    /// nft's words for the family's tables, and for its addresses.
    pub fn nft(&self) -> (&'static str, &'static str) {
        if self.family == Family::Ip { ("ip", "ipv4_addr") } else { ("ip6", "ipv6_addr") }
    }

    /// For `nft -f`: makes the set `senders` in that table.
    pub fn native(&self, table: &str) -> String {
        format!("add set {table} senders {{ type {}; }}\nadd element {table} senders {{ {} }}\n", self.nft().1, self.text(","))
    }

    /// For `nft -f`: a table `own` with the set and a chain that marks its members before FORWARD,
    /// for [`MARKED`].
    pub fn marking(&self) -> String {
        let own = format!("{} own", self.nft().0);
        format!("add table {own}\nadd chain {own} before {{ type filter hook forward priority -1; }}\n")
            + &self.native(&own)
            + &format!("add rule {own} before {} saddr @senders meta mark set meta mark or 0x1\n", self.nft().0)
    }

    /// A policy that drops them, or allows them alone; `header`: further lines on top.
    pub fn policy(&self, interface: &str, drops: bool, header: &str) -> String {
        let (default, action) = if drops { ("allow", "drop") } else { ("drop", "allow") };
        let list = self.text("', '");
        format!("external = '{interface}'\ndefault = '{default}'\n{header}[[rule]]\n{action} = 'any'\nfrom = ['{list}']\n")
    }
}

/// Reads a policy.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str) -> Result<Policy> {
    let read = Policy::parse(vec![File::new("bench.toml", text)]);
    match read.problems.iter().find(|problem| !problem.warning) {
        Some(problem) => Err(problem.message.clone().into()),
        None => Ok(read.policy),
    }
}

/// Reads and compiles a policy. With [`Strategy::Set`] it must have sets then.
///
/// # Errors
/// What is wrong with it.
pub fn compiled(text: &str, strategy: Strategy) -> Result<Compiled> {
    let compiled = compile::docker_user(&read(text)?, "bench", Some(strategy));
    let sets = Family::BOTH.iter().any(|&family| compiled.table(family).is_some());
    match strategy {
        Strategy::Set if !sets => Err("there is nothing for sets in it".into()),
        Strategy::Tree if sets => Err("it has sets".into()),
        _ => Ok(compiled),
    }
}

/// splitmix64: numbers without order, the same in every run.
pub fn mixed(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
