//! What is ours in a table, as a whole: from what stands there to what should.

use std::collections::{HashMap, HashSet};

use super::{
    AddRule, Plan, PlanError, Step, ensure_chain,
    restore::{Places, Staying, edit},
    trial::{end_trial_in_table, is_gate},
};
use crate::{
    compile::{Compiled, Identity, ROOT, is_ours, is_trial},
    marks::{OwnTable, Table},
    message::Place,
    model::{ChainName, Counters, DOCKER_USER, Family},
    rule::Rule,
    ruleset::{Chain, Entry, Ruleset},
    save::{SavedChain, SavedRule},
    targets::Target,
};

/// The chains of a policy in one family, and the jump in `DOCKER-USER` that leads to them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ours {
    /// The chains; the first is entered by the jump.
    pub chains: Vec<SavedChain>,
    /// The jump; `None` if there is none.
    pub jump: Option<SavedRule>,
    /// Our own table, if there is one.
    pub marks: Option<Table>,
}

/// What becomes of one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its family.
    pub family: Family,
    /// Its chain.
    pub chain: ChainName,
    /// What becomes of it.
    pub kind: ChangeKind,
    /// The rule; `None` if it can't be read.
    pub rule: Option<Rule>,
    /// The line of the rule that is desired ([`SavedRule::line`]).
    pub line: Option<usize>,
}

/// What becomes of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is there and stays, with its counters, and with its handle unless so much of the chain changes
    /// that all of it is written anew ([`Step::Flush`]).
    Kept,
    /// It goes to another place in its chain, with its counters.
    Moved,
    /// It comes.
    Added,
    /// It goes.
    Removed,
}

impl Ours {
    /// What should stand of a policy.
    pub fn desired(compiled: &Compiled, family: Family) -> Self {
        let jump = SavedRule { rule: compiled.jump(family), counters: Counters::default(), line: usize::MAX };
        Self { chains: compiled.chains(family).to_vec(), jump: Some(jump), marks: compiled.table(family).cloned() }
    }

    /// What stands in a table, what is on trial left out; not yet our own table.
    pub fn observe(ruleset: &Ruleset) -> Self {
        let chains = chains_from(ruleset, ROOT, |name| is_ours(name) && !is_trial(name));
        let jump = jumps(ruleset).first().and_then(|(_, entry)| saved(entry));
        if chains.iter().all(|chain| chain.rules.is_empty()) && jump.as_ref().is_none_or(|jump| Identity::of(&jump.rule).is_none()) {
            // The place for a trial, where no policy stood before.
            return Self::default();
        }
        Self { chains, jump, marks: None }
    }

    /// Nothing at all?
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.jump.is_none() && self.marks.is_none()
    }

    /// Which policy it is, if it says so.
    pub fn identity(&self) -> Option<Identity> {
        Identity::of(&self.jump.as_ref()?.rule)
    }
}

/// The chains of such names with their rules, but for the way to a policy on trial (which has gotos of
/// its own to chains on trial). The dump has them by name; here `first`, where packets enter, is first.
pub(super) fn chains_from(ruleset: &Ruleset, first: &str, is: impl Fn(&ChainName) -> bool) -> Vec<SavedChain> {
    let rules = |chain: &Chain| {
        let own = chain.rules().iter().filter(|entry| is_trial(&chain.name) || !is_gate(entry));
        own.filter_map(saved).collect()
    };
    let chains = ruleset.chains.iter().filter(|chain| is(&chain.name));
    let mut chains: Vec<SavedChain> =
        chains.map(|chain| SavedChain { name: chain.name.clone(), declared: true, rules: rules(chain) }).collect();
    chains.sort_by_key(|chain| chain.name.as_str() != first);
    chains
}

/// Our jumps in `DOCKER-USER`, with their numbers from 0.
pub fn jumps(ruleset: &Ruleset) -> Vec<(usize, &Entry)> {
    let ours = |entry: &&Entry| matches!(entry.rule().and_then(|rule| rule.target.as_ref()), Some(Target::Jump(to) | Target::Goto(to)) if is_ours(to));
    let rules = ruleset.chain(DOCKER_USER).map(|chain| chain.rules()).unwrap_or_default();
    rules.iter().enumerate().filter(|(_, entry)| ours(entry)).collect()
}

pub(super) fn saved(entry: &Entry) -> Option<SavedRule> {
    Some(SavedRule { rule: entry.rule()?.clone(), counters: entry.counters.unwrap_or_default(), line: 0 })
}

/// Steps that make what is ours in a table `desired`, appended to `plan`; what is on trial ends. What
/// becomes of each rule is appended to `changes`. Rules that stay keep their handle and counters;
/// others' rules in `DOCKER-USER` stay as they are, behind our jump.
///
/// # Errors
/// [`PlanError`]
pub fn reconcile(ruleset: &Ruleset, desired: &Ours, plan: &mut Plan, changes: &mut Vec<Change>) -> Result<(), PlanError> {
    let family = ruleset.family;
    plan.against.get_or_insert(ruleset.generation);
    if !desired.is_empty() {
        ensure_chain(ruleset, &ChainName::docker_user(), &mut plan.steps)?;
    }
    // A policy may have many thousands of chains.
    let there: HashMap<&ChainName, &Chain> = ruleset.chains.iter().map(|chain| (&chain.name, chain)).collect();
    let wanted: HashSet<&ChainName> = desired.chains.iter().map(|chain| &chain.name).collect();
    make_chains(ruleset, &desired.chains, &mut plan.steps);
    // Before the rules: one that can't stand behind FORWARD is then refused itself, and not the jump to it.
    lead(ruleset, desired.jump.as_ref(), plan, changes);
    for SavedChain { name, rules, .. } in &desired.chains {
        let observed = there.get(name).map(|chain| chain.rules()).unwrap_or_default();
        // A trial ends; with its gate out of the way, what becomes of the others is decided.
        let (gates, others): (Vec<&Entry>, Vec<&Entry>) = observed.iter().partition(|entry| is_gate(entry));
        plan.steps.extend(gates.iter().map(|gate| delete(family, name, gate)));
        // The chain is ours alone: what can't be read there goes as well.
        let staying = Staying::of(&others, rules, |_| false);
        let moved = compare(family, name, &staying, rules, changes);
        if staying.is_all() {
            continue;
        }
        let mut rules = rules.clone();
        moved.into_iter().for_each(|(index, counters)| rules[index].counters = counters);
        match observed.is_empty() {
            true => plan.steps.push(Step::Append { family, chain: name.clone(), rules }),
            false => edit(family, name, &staying, rules, plan),
        }
    }
    let gone = |name: &ChainName| is_ours(name) && !wanted.contains(name);
    for chain in ruleset.chains.iter().filter(|chain| gone(&chain.name) && !is_trial(&chain.name)) {
        // All of them, also those that can't be read: they are nowhere without their chain.
        let removed = |entry: &&Entry| !is_gate(entry);
        let change = |entry: &Entry| Change {
            family,
            chain: chain.name.clone(),
            kind: ChangeKind::Removed,
            rule: entry.rule().cloned(),
            line: None,
        };
        changes.extend(chain.rules().iter().filter(removed).map(change));
    }
    remove_chains(ruleset, gone, &mut plan.steps);
    Ok(())
}

/// Steps that make our own table what a deployed policy needs, appended to `plan`: elements where that is
/// enough, else it is replaced as a whole. What a trial has there goes.
pub fn reconcile_marks(family: Family, observed: &OwnTable, desired: Option<&Table>, plan: &mut Plan) {
    match (&observed.deployed, desired) {
        (Some(deployed), Some(desired)) if let Some(differences) = deployed.difference(desired) => {
            end_trial_in_table(family, observed, plan);
            plan.steps.extend(differences.into_iter().map(|difference| Step::Elements(family, Box::new(difference))));
        }
        (None, _) => {
            end_trial_in_table(family, observed, plan);
            plan.steps.extend(desired.map(|desired| Step::NewMarks(family, Box::new(desired.clone()))));
        }
        (Some(_), _) => {
            plan.steps.push(Step::DeleteMarks(family));
            plan.steps.extend(desired.map(|desired| Step::NewMarks(family, Box::new(desired.clone()))));
        }
    }
}

pub(super) fn make_chains(ruleset: &Ruleset, chains: &[SavedChain], steps: &mut Vec<Step>) {
    let there: HashSet<&ChainName> = ruleset.chains.iter().map(|chain| &chain.name).collect();
    let missing = chains.iter().filter(|chain| !there.contains(&chain.name));
    steps.extend(missing.map(|chain| Step::NewChain(ruleset.family, chain.name.clone())));
}

/// All their rules first: they jump to one another.
pub(super) fn remove_chains(ruleset: &Ruleset, gone: impl Fn(&ChainName) -> bool, steps: &mut Vec<Step>) {
    let family = ruleset.family;
    let all = || ruleset.chains.iter().filter(|chain| gone(&chain.name)).map(|chain| chain.name.clone());
    steps.extend(all().map(|name| Step::Flush(family, name)));
    steps.extend(all().map(|name| Step::DeleteChain(family, name)));
}

/// Makes `jump` the first rule of `DOCKER-USER`, and the only one that leads to chains of ours.
pub(super) fn lead(ruleset: &Ruleset, jump: Option<&SavedRule>, plan: &mut Plan, changes: &mut Vec<Change>) {
    let (family, chain) = (ruleset.family, ChainName::docker_user());
    let jumps = jumps(ruleset);
    let mut change = |kind, rule: &Rule| changes.push(Change { family, chain: chain.clone(), kind, rule: Some(rule.clone()), line: None });
    let right = |(number, entry): &(usize, &Entry)| jump.is_some_and(|jump| *number == 0 && entry.rule() == Some(&jump.rule));
    let stays = jumps.first().is_some_and(right);
    for (_, entry) in &jumps[usize::from(stays)..] {
        plan.steps.push(delete(family, &chain, entry));
    }
    let same = |entry: &&(usize, &Entry)| jump.is_some_and(|jump| entry.1.rule() == Some(&jump.rule));
    let moved = jumps.iter().find(same);
    for (index, (_, entry)) in jumps.iter().enumerate() {
        match entry.rule() {
            Some(rule) if stays && index == 0 => change(ChangeKind::Kept, rule),
            Some(rule) if !stays && moved.is_some_and(|(_, moved)| moved.handle == entry.handle) => change(ChangeKind::Moved, rule),
            Some(rule) => change(ChangeKind::Removed, rule),
            None => {}
        }
    }
    if let (Some(jump), false) = (jump, stays) {
        if moved.is_none() {
            change(ChangeKind::Added, &jump.rule);
        }
        // A jump to the next policy goes on counting.
        let counters = moved.or(jumps.first()).and_then(|(_, entry)| entry.counters).unwrap_or(jump.counters);
        plan.steps.push(first(family, chain.clone(), jump.rule.clone(), counters));
    }
}

pub(super) fn delete(family: Family, chain: &ChainName, entry: &Entry) -> Step {
    Step::DeleteRule { family, chain: chain.clone(), handle: entry.handle }
}

pub(super) fn first(family: Family, chain: ChainName, rule: Rule, counters: Counters) -> Step {
    Step::Rule(Box::new(AddRule { family, chain, place: Place::First, rule, counters, line: None }))
}

/// What becomes of each rule of a chain. One that moves takes its counters with it: those are given back,
/// with its place among the desired.
fn compare(
    family: Family,
    chain: &ChainName,
    staying: &Staying<'_>,
    desired: &[SavedRule],
    changes: &mut Vec<Change>,
) -> Vec<(usize, Counters)> {
    let own = &staying.own;
    let (mut left, mut moved) = (Places::of(own, staying.going()), Vec::new());
    let mut change =
        |kind, rule: Option<&Rule>, line| changes.push(Change { family, chain: chain.clone(), kind, rule: rule.cloned(), line });
    for (at, (saved, kept)) in desired.iter().zip(&staying.kept).enumerate() {
        let kind = match kept {
            Some(_) => ChangeKind::Kept,
            None => match left.take(&saved.rule) {
                Some(index) => {
                    moved.push((at, own[index].counters.unwrap_or_default()));
                    ChangeKind::Moved
                }
                None => ChangeKind::Added,
            },
        };
        change(kind, Some(&saved.rule), Some(saved.line));
    }
    left.rest().into_iter().for_each(|index| change(ChangeKind::Removed, own[index].rule(), None));
    moved
}
