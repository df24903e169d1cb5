//! The commands of iptables, each as a decision.

use super::{AddRule, Plan, PlanError, Step, ensure_chain};
use crate::{
    message::Place,
    model::{ChainName, Counters, Handle},
    rule::Rule,
    ruleset::{Chain, Entry, Ruleset},
    save::SavedRule,
};

/// A rule's number in its chain, from 1.
pub type Position = usize;

fn plan(ruleset: &Ruleset, steps: Vec<Step>) -> Plan {
    Plan { steps, against: Some(ruleset.generation) }
}

fn chain<'r>(ruleset: &'r Ruleset, name: &ChainName) -> Result<&'r Chain, PlanError> {
    if !name.is_writable() {
        return Err(PlanError::NotOurs { chain: name.clone() });
    }
    ruleset.chain(name.as_str()).ok_or_else(|| PlanError::NoChain { family: ruleset.family, chain: name.clone() })
}

fn numbered<'r>(ruleset: &'r Ruleset, name: &ChainName, number: Position) -> Result<&'r Entry, PlanError> {
    let rules = chain(ruleset, name)?.rules();
    let entry = number.checked_sub(1).and_then(|index| rules.get(index));
    entry.ok_or_else(|| PlanError::NoNumber { chain: name.clone(), number, len: rules.len() })
}

fn add(ruleset: &Ruleset, name: &ChainName, place: Place, rule: Rule, counters: Counters) -> Step {
    let family = ruleset.family;
    Step::Rule(Box::new(AddRule { family, chain: name.clone(), place, rule, counters, line: Some(0) }))
}

/// `-A`: behind all others. Needs the chains alone.
///
/// # Errors
/// As [`ensure_chain`].
pub fn append(ruleset: &Ruleset, name: &ChainName, rules: Vec<Rule>, counters: Counters) -> Result<Plan, PlanError> {
    let mut steps = Vec::new();
    ensure_chain(ruleset, name, &mut steps)?;
    let rules = rules.into_iter().map(|rule| SavedRule { rule, counters, line: 0 }).collect();
    steps.push(Step::Append { family: ruleset.family, chain: name.clone(), rules });
    Ok(plan(ruleset, steps))
}

/// `-I`: as number `number`; needs the chain's rules unless that is 1.
///
/// Several rules from one line come in the order in which iptables inserts them, the last on top.
///
/// # Errors
/// As [`ensure_chain`]; [`PlanError::NoNumber`] past the end.
pub fn insert(ruleset: &Ruleset, name: &ChainName, number: Position, rules: Vec<Rule>, counters: Counters) -> Result<Plan, PlanError> {
    let mut steps = Vec::new();
    ensure_chain(ruleset, name, &mut steps)?;
    let len = ruleset.chain(name.as_str()).map_or(0, |chain| chain.rules().len());
    let place = match number {
        1 => Place::First,
        // Behind the last rule is where `-A` puts it.
        _ if number == len + 1 => Place::Last,
        _ => Place::Before(numbered(ruleset, name, number)?.handle),
    };
    let first = steps.len();
    steps.extend(rules.into_iter().map(|rule| add(ruleset, name, place, rule, counters)));
    // Each would be inserted in front of the one before.
    if place != Place::First {
        steps[first..].reverse();
    }
    Ok(plan(ruleset, steps))
}

/// `-R`: instead of number `number`.
///
/// # Errors
/// [`PlanError::NoNumber`]; [`PlanError::Foreign`]
pub fn replace(ruleset: &Ruleset, name: &ChainName, number: Position, rule: Rule, counters: Counters) -> Result<Plan, PlanError> {
    let entry = numbered(ruleset, name, number)?;
    if entry.rule().is_none() {
        return Err(PlanError::Foreign { chain: name.clone(), number, handle: entry.handle });
    }
    Ok(plan(ruleset, vec![add(ruleset, name, Place::Replacing(entry.handle), rule, counters)]))
}

/// The number of the first rule that says the same, whatever dialect it is written in.
pub fn find(chain: &Chain, rule: &Rule) -> Option<Position> {
    chain.rules().iter().position(|entry| entry.rule() == Some(rule)).map(|index| index + 1)
}

/// `-C`: are all these rules there?
///
/// # Errors
/// [`PlanError::NoRule`] if one is not.
pub fn check(ruleset: &Ruleset, name: &ChainName, rules: &[Rule]) -> Result<(), PlanError> {
    let no_chain = || PlanError::NoChain { family: ruleset.family, chain: name.clone() };
    let chain = ruleset.chain(name.as_str()).ok_or_else(no_chain)?;
    if rules.iter().all(|rule| find(chain, rule).is_some()) { Ok(()) } else { Err(PlanError::NoRule) }
}

/// `-D` by words: for each rule, the first that says the same.
///
/// # Errors
/// [`PlanError::NoRule`] if there is none.
pub fn delete_rule(ruleset: &Ruleset, name: &ChainName, rules: &[Rule]) -> Result<Plan, PlanError> {
    let chain = chain(ruleset, name)?;
    let mut handles: Vec<Handle> = Vec::with_capacity(rules.len());
    for rule in rules {
        let same = |entry: &&Entry| entry.rule() == Some(rule) && !handles.contains(&entry.handle);
        let entry = chain.rules().iter().find(same).ok_or(PlanError::NoRule)?;
        handles.push(entry.handle);
    }
    Ok(plan(ruleset, handles.into_iter().map(|handle| delete(ruleset, name, handle)).collect()))
}

/// `-D` by number.
///
/// # Errors
/// [`PlanError::NoNumber`]; [`PlanError::Foreign`], as a number is easily the wrong one.
pub fn delete_number(ruleset: &Ruleset, name: &ChainName, number: Position) -> Result<Plan, PlanError> {
    let entry = numbered(ruleset, name, number)?;
    if entry.rule().is_none() {
        return Err(PlanError::Foreign { chain: name.clone(), number, handle: entry.handle });
    }
    Ok(plan(ruleset, vec![delete(ruleset, name, entry.handle)]))
}

/// `-D CHAIN --handle HANDLE`: any rule, also one that can't be read.
///
/// # Errors
/// [`PlanError::NoHandle`]
pub fn delete_handle(ruleset: &Ruleset, name: &ChainName, handle: Handle) -> Result<Plan, PlanError> {
    let there = chain(ruleset, name)?.rules().iter().any(|entry| entry.handle == handle);
    match there {
        true => Ok(plan(ruleset, vec![delete(ruleset, name, handle)])),
        false => Err(PlanError::NoHandle { chain: name.clone(), handle }),
    }
}

fn delete(ruleset: &Ruleset, name: &ChainName, handle: Handle) -> Step {
    Step::DeleteRule { family: ruleset.family, chain: name.clone(), handle }
}

/// `-F`: all rules but those that can't be read, which are kept; the second value is their handles.
///
/// # Errors
/// [`PlanError::NoChain`], [`PlanError::NotOurs`]
pub fn flush(ruleset: &Ruleset, name: &ChainName) -> Result<(Plan, Vec<Handle>), PlanError> {
    let rules = chain(ruleset, name)?.rules();
    let foreign: Vec<Handle> = rules.iter().filter(|entry| entry.rule().is_none()).map(|entry| entry.handle).collect();
    let steps = match (rules.is_empty(), foreign.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => vec![Step::Flush(ruleset.family, name.clone())],
        (false, false) => rules.iter().filter(|entry| entry.rule().is_some()).map(|entry| delete(ruleset, name, entry.handle)).collect(),
    };
    Ok((plan(ruleset, steps), foreign))
}

/// `-Z`: sets counters to 0, of one rule or of all; needs the rules as they came. Those that can't
/// be read are left alone; the second value is their handles.
///
/// # Errors
/// [`PlanError::NoChain`], [`PlanError::NotOurs`], [`PlanError::NoNumber`]; [`PlanError::Foreign`]
/// for one rule by number.
pub fn zero(ruleset: &Ruleset, name: &ChainName, number: Option<Position>) -> Result<(Plan, Vec<Handle>), PlanError> {
    let rules = chain(ruleset, name)?.rules();
    let entries = match number {
        None => rules,
        Some(number) => {
            let entry = numbered(ruleset, name, number)?;
            if entry.rule().is_none() {
                return Err(PlanError::Foreign { chain: name.clone(), number, handle: entry.handle });
            }
            std::slice::from_ref(entry)
        }
    };
    let counted = entries.iter().filter(|entry| entry.counters.is_some_and(|counters| counters != Counters::default()));
    let mut steps = Vec::new();
    let mut foreign = Vec::new();
    for entry in counted {
        match (entry.rule(), &entry.raw) {
            (Some(rule), Some(raw)) => steps.push(Step::Zero {
                family: ruleset.family,
                chain: name.clone(),
                handle: entry.handle,
                raw: raw.clone(),
                compat: rule.compat(),
            }),
            _ => foreign.push(entry.handle),
        }
    }
    Ok((plan(ruleset, steps), foreign))
}

/// `-N`: makes a chain. `DOCKER-USER` gets its jump as well.
///
/// # Errors
/// [`PlanError::ChainExists`], [`PlanError::NotOurs`]
pub fn new_chain(ruleset: &Ruleset, name: &ChainName) -> Result<Plan, PlanError> {
    if ruleset.chain(name.as_str()).is_some() {
        return Err(PlanError::ChainExists { chain: name.clone() });
    }
    let mut steps = Vec::new();
    match ensure_chain(ruleset, name, &mut steps) {
        Err(PlanError::NoChain { .. }) => {
            if ruleset.is_empty() {
                steps.push(Step::Table(ruleset.family));
            }
            steps.push(Step::NewChain(ruleset.family, name.clone()));
        }
        other => other?,
    }
    Ok(plan(ruleset, steps))
}

/// `-X`: removes an empty chain that no jump leads to; the kernel refuses others.
///
/// # Errors
/// [`PlanError::NoChain`], [`PlanError::NotOurs`]; `DOCKER-USER` is Docker's to remove.
pub fn delete_chain(ruleset: &Ruleset, name: &ChainName) -> Result<Plan, PlanError> {
    let chain = chain(ruleset, name)?;
    Ok(plan(ruleset, vec![Step::DeleteChain(ruleset.family, chain.name.clone())]))
}

/// `-E`: gives a chain another name. Jumps follow it.
///
/// # Errors
/// [`PlanError::NoChain`], [`PlanError::NotOurs`] (either name), [`PlanError::ChainExists`]
pub fn rename_chain(ruleset: &Ruleset, from: &ChainName, to: &ChainName) -> Result<Plan, PlanError> {
    let handle = chain(ruleset, from)?.handle;
    if !to.is_writable() {
        return Err(PlanError::NotOurs { chain: to.clone() });
    }
    if ruleset.chain(to.as_str()).is_some() {
        return Err(PlanError::ChainExists { chain: to.clone() });
    }
    Ok(plan(ruleset, vec![Step::RenameChain { family: ruleset.family, handle, from: from.clone(), to: to.clone() }]))
}
