//! Who can hold a list, and how each of them changes it.

use std::{fmt::Write as _, net::IpAddr, time::Duration};

use dockgate::{
    apply::{ApplyError, Options, transact},
    marks::Difference,
    measure::Path,
    model::{ChainName, Counters, Dialect},
    plan::{self, Plan, Step},
    policy::Strategy,
    rule::Rule,
    ruleset::{Ruleset, Which},
    save::{SavedChain, SavedRule},
};

use crate::{
    FAMILY, INWARD,
    hands::Hands,
    support::{
        experiment::took,
        process::{self, DOCKGATE},
        shapes::{IN_IPSET, List, MARKED, compiled},
        workload::parse,
        world::Result,
    },
};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// One rule behind the others.
    Rule,
    /// One address instead of another.
    One,
    /// A hundred instead of others.
    Hundred,
    /// Another list.
    Whole,
}

impl Case {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rule => "one rule more",
            Self::One => "one address",
            Self::Hundred => "100 addresses",
            Self::Whole => "whole list",
        }
    }

    /// How many addresses of such a list are others then.
    pub fn count(self, size: usize) -> usize {
        match self {
            Self::Rule | Self::One => 1,
            Self::Hundred => 100,
            Self::Whole => size,
        }
    }
}

/// From one list to another.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub case: Case,
    pub to: &'a List,
    pub removed: &'a [IpAddr],
    pub added: &'a [IpAddr],
}

/// Who holds a list.
#[derive(Debug)]
pub struct Tool {
    pub name: &'static str,
    /// The program, if it is one.
    pub needs: Option<&'static str>,
    pub cases: &'static [Case],
    /// Makes a host drop the list.
    pub hold: fn(&mut Path, &List) -> Result<()>,
    /// Changes it; how long that took.
    pub change: fn(&mut Hands, &Change<'_>) -> Result<Duration>,
}

impl Tool {
    /// Does it take the list away before it puts the other one there? Those that do show that wrong
    /// verdicts are counted, and nothing else.
    pub fn flushes(&self) -> bool {
        self.cases.is_empty()
    }
}

use Case::{Hundred, One, Rule as More, Whole};

/// What an agent pays that knows what stands.
const COMMIT: &str = "dockgate set, commit alone (library)";
/// The same, when nobody else has had the processor's caches in between.
pub const IN_A_ROW: &str = "dockgate set, commits in a row (library)";

/// All of them; the first is the one that others are compared with.
#[rustfmt::skip]
pub const TOOLS: &[Tool] = &[
    Tool { name: "dockgate (library)", needs: None, cases: &[More, One, Hundred, Whole], hold: linear, change: library },
    Tool { name: "`dockgate iptables`", needs: Some(DOCKGATE), cases: &[More, One], hold: linear, change: dockgate },
    Tool { name: "`dockgate restore`", needs: Some(DOCKGATE), cases: &[Whole], hold: linear, change: dockgate },
    Tool { name: "`iptables`", needs: Some("iptables"), cases: &[More, One], hold: linear, change: iptables },
    Tool { name: "`iptables-restore -n`", needs: Some("iptables"), cases: &[More, One, Hundred, Whole], hold: linear, change: restore },
    Tool { name: "`nft -f`", needs: Some("nft"), cases: &[More, Whole], hold: linear, change: nft },
    Tool { name: "ipset, `ipset restore`", needs: Some("ipset"), cases: &[One, Hundred, Whole], hold: ipset, change: swap },
    Tool { name: "native set, `nft -f`", needs: Some("nft"), cases: &[One, Hundred, Whole], hold: native, change: elements },
    Tool { name: "dockgate tree (library)", needs: None, cases: &[One, Hundred, Whole], hold: policy, change: apply_tree },
    Tool { name: "dockgate set (library)", needs: None, cases: &[One, Hundred, Whole], hold: policy, change: apply_set },
    Tool { name: COMMIT, needs: None, cases: &[One, Hundred, Whole], hold: policy, change: commit_set },
    Tool { name: IN_A_ROW, needs: None, cases: &[One], hold: policy, change: commit_many },
    Tool { name: "dockgate set, `dockgate apply`", needs: Some(DOCKGATE), cases: &[One, Hundred, Whole], hold: policy, change: apply_process },
    Tool { name: "`iptables -F`, then `iptables-restore -n`", needs: Some("iptables"), cases: &[], hold: linear, change: flush_iptables },
    Tool { name: "ipset flushed, then filled", needs: Some("ipset"), cases: &[], hold: ipset, change: flush_ipset },
    Tool { name: "native set flushed, then filled", needs: Some("nft"), cases: &[], hold: native, change: flush_native },
];

fn linear(path: &mut Path, list: &List) -> Result<()> {
    Ok(path.fill(FAMILY, list.rules(""), Dialect::D)?)
}

fn ipset(path: &mut Path, list: &List) -> Result<()> {
    process::run(path.router().netns(), &["ipset", "restore"], &list.ipset("hash:ip"))?;
    Ok(path.fill(FAMILY, vec![parse(IN_IPSET, FAMILY)], Dialect::D)?)
}

fn native(path: &mut Path, list: &List) -> Result<()> {
    process::run(path.router().netns(), &["nft", "-f", "-"], &list.marking())?;
    Ok(path.fill(FAMILY, vec![parse(MARKED, FAMILY)], Dialect::D)?)
}

/// Nothing yet: the first change, which does not count, makes the policy hold.
fn policy(_: &mut Path, _: &List) -> Result<()> {
    Ok(())
}

fn text(list: &List) -> String {
    list.policy(INWARD, true, "")
}

fn rules(addresses: &[IpAddr]) -> Vec<Rule> {
    addresses.iter().map(|from| parse(&format!("-s {from} -j DROP"), FAMILY)).collect()
}

/// A line for each.
fn lines(each: impl Fn(&IpAddr) -> String, addresses: &[IpAddr]) -> String {
    addresses.iter().fold(String::new(), |mut lines, address| {
        writeln!(lines, "{}", each(address)).expect("a string takes everything");
        lines
    })
}

fn library(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    if change.case != Whole {
        return edit(hands, change.removed, change.added);
    }
    let chain = ChainName::docker_user();
    let rules = rules(&change.to.members).into_iter().map(|rule| SavedRule { rule, counters: Counters::default(), line: 0 });
    let mut desired = Some(SavedChain { name: chain.clone(), declared: true, rules: rules.collect() });
    took(|| {
        Ok(transact(hands.netlink(), Options::default(), |netlink| {
            let observed = Ruleset::read(netlink, FAMILY, Which::Of(&chain))?;
            let mut plan = Plan::default();
            plan::restore(&observed, desired.take().into_iter().collect(), false, &mut plan)?;
            Ok(plan)
        })?)
    })
}

/// Deletes rules and appends others, in one transaction.
pub fn edit(hands: &mut Hands, removed: &[IpAddr], added: &[IpAddr]) -> Result<Duration> {
    let chain = ChainName::docker_user();
    let (removed, added) = (rules(removed), rules(added));
    took(|| {
        Ok(transact(hands.netlink(), Options::default(), |netlink| {
            let which = if removed.is_empty() { Which::None } else { Which::Like(&chain, &removed) };
            let observed = Ruleset::read(netlink, FAMILY, which)?;
            let mut plan = if removed.is_empty() { Plan::default() } else { plan::delete_rule(&observed, &chain, &removed)? };
            if !added.is_empty() {
                plan.steps.extend(plan::append(&observed, &chain, added.clone(), Counters::default())?.steps);
            }
            Ok(plan)
        })?)
    })
}

/// One process for each rule that goes or comes; or one that restores the whole chain.
fn by_rule(hands: &Hands, program: &str, change: &Change<'_>) -> Result<Duration> {
    let mut taken = Duration::ZERO;
    for (option, addresses) in [("-D", change.removed), ("-A", change.added)] {
        for from in addresses {
            taken += hands.run(&format!("{program} {option} DOCKER-USER -s {from} -j DROP"), "")?;
        }
    }
    Ok(taken)
}

fn dockgate(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    match change.case {
        Whole => hands.run("dockgate restore", &saved(change)),
        _ => by_rule(hands, "dockgate iptables", change),
    }
}

fn iptables(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    by_rule(hands, "iptables", change)
}

/// As iptables-restore reads it.
fn saved(change: &Change<'_>) -> String {
    let add = |from: &IpAddr| format!("-A DOCKER-USER -s {from} -j DROP");
    let body = match change.case {
        Whole => format!(":DOCKER-USER - [0:0]\n{}", lines(add, &change.to.members)),
        _ => lines(|from| format!("-D DOCKER-USER -s {from} -j DROP"), change.removed) + &lines(add, change.added),
    };
    format!("*filter\n{body}COMMIT\n")
}

fn restore(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    hands.run("iptables-restore -n", &saved(change))
}

fn nft(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    let add = lines(|from| format!("add rule ip filter DOCKER-USER ip saddr {from} counter drop"), change.added);
    let flush = if change.case == Whole { "flush chain ip filter DOCKER-USER\n" } else { "" };
    hands.run("nft -f -", &(flush.to_owned() + &add))
}

fn swap(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    let script = match change.case {
        Whole => change.to.ipset("hash:ip").replace("senders", "next") + "swap next senders\ndestroy next\n",
        _ => lines(|from| format!("del senders {from}"), change.removed) + &lines(|from| format!("add senders {from}"), change.added),
    };
    hands.run("ipset restore", &script)
}

/// In the table of the set.
fn members(verb: &str, addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!("{verb} element ip own senders {{ {} }}\n", addresses.join(","))
}

fn elements(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    let removed = if change.case == Whole { "flush set ip own senders\n".to_owned() } else { members("delete", change.removed) };
    hands.run("nft -f -", &(removed + &members("add", change.added)))
}

fn apply_tree(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    apply(hands, change, Strategy::Tree)
}

fn apply_set(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    apply(hands, change, Strategy::Set)
}

/// From a compiled policy on: what stands is read, compared, written to the history, and changed.
fn apply(hands: &mut Hands, change: &Change<'_>, strategy: Strategy) -> Result<Duration> {
    let compiled = compiled(&text(change.to), strategy)?;
    took(|| Ok(hands.live.apply(&compiled)?))
}

/// The transaction alone, encoded and committed: what stands is read, and compared, before, and in which
/// dialect rules are written is known.
fn commit_set(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    let mut plan = Some(planned(hands, change)?);
    let netlink = hands.netlink();
    took(|| Ok(transact(netlink, KNOWN, |_| plan.take().ok_or(ApplyError::Contended))?))
}

/// The same again and again, back and forth; each asks whether anybody else has changed anything. The mean.
fn commit_many(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    const COMMITS: u32 = 101;
    let there = planned(hands, change)?;
    if !there.steps.iter().all(|step| matches!(step, Step::Elements(..))) {
        // The first, which does not count.
        return commit_set(hands, change);
    }
    let mut back = there.clone();
    for step in &mut back.steps {
        if let Step::Elements(_, difference) = step {
            let Difference { removed, added, .. } = &mut **difference;
            std::mem::swap(removed, added);
        }
    }
    let mut plans = [&there, &back].into_iter().cycle();
    let netlink = hands.netlink();
    let all = took(|| {
        for plan in plans.by_ref().take(COMMITS as usize) {
            transact(netlink, KNOWN, |netlink| Ok(Plan { against: Some(netlink.generation()?), ..plan.clone() }))?;
        }
        Ok(())
    })?;
    Ok(all / COMMITS)
}

/// How rules are written.
const KNOWN: Options = Options { dialect: Some(Dialect::Portable), dry_run: false };

fn planned(hands: &mut Hands, change: &Change<'_>) -> Result<Plan> {
    let plan = hands.live.plan(&compiled(&text(change.to), Strategy::Set)?)?.plan;
    if plan.is_empty() { Err("there is nothing to be done".into()) } else { Ok(plan) }
}

/// From the text on.
fn apply_process(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    hands.run("dockgate apply --strategy set -", &text(change.to))
}

fn flush_iptables(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    Ok(hands.run("iptables -F DOCKER-USER", "")? + restore(hands, change)?)
}

fn flush_ipset(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    hands.run("ipset restore", &format!("flush senders\n{}", lines(|from| format!("add senders {from}"), &change.to.members)))
}

fn flush_native(hands: &mut Hands, change: &Change<'_>) -> Result<Duration> {
    Ok(hands.run("nft flush set ip own senders", "")? + hands.run("nft -f -", &members("add", &change.to.members))?)
}
