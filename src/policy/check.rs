//! Rules that can't be meant: for no family, or behind rules that leave them nothing.

use std::ops::Range;

use super::{Action, Addresses, Block, Policy, PolicyRule, Ports, Problem, Sources};
use crate::model::{Family, Interface};

/// Looks at every rule, and at those before it.
pub(super) fn rules(policy: &Policy, spans: &[Range<usize>], problems: &mut Vec<Problem>) {
    let everything = policy.rules.len() * policy.rules.len();
    for (index, rule) in policy.rules.iter().enumerate() {
        let header = spans[index].start..spans[index].start + "[[rule]]".len();
        let mut error = |message: String, hint: String| problems.push(Problem::new(rule.place.file, header.clone(), message).hint(hint));
        if matches!(rule.action, Action::Raw(_)) {
            continue;
        }
        if families(rule).is_empty() {
            let message = "`from` and `to` have no family in common, so no packet can match".to_owned();
            error(message, "an IPv4 packet has two IPv4 addresses: make it two rules".to_owned());
            continue;
        }
        // Long lists of rules are written by programs.
        if everything > 4_000_000 {
            continue;
        }
        if let Some(before) = hidden(rule, &policy.rules[..index], &policy.external) {
            let place = policy.at(before.place);
            error(
                format!("no packet reaches this rule: `{before}` decides before"),
                format!("that rule is at {place}; put this one before it, or take it out"),
            );
        }
    }
}

/// The families whose packets a rule can match.
pub(super) fn families(rule: &PolicyRule) -> Vec<Family> {
    let has = |sources: &Option<Sources>, family| sources.as_ref().is_none_or(|sources| !sources.addresses.of(family).is_empty());
    Family::BOTH.into_iter().filter(|&family| has(&rule.from, family) && has(&rule.to, family)).collect()
}

/// The last of the rules that together decide all that this one could match.
fn hidden<'p>(rule: &PolicyRule, before: &'p [PolicyRule], external: &[Interface]) -> Option<&'p PolicyRule> {
    let decides = |other: &&PolicyRule| matches!(other.action, Action::Decide(_) | Action::Accept);
    let wider: Vec<&PolicyRule> = before
        .iter()
        .filter(decides)
        .filter(|other| {
            ports_cover(&other.ports, &rule.ports)
                && sources_cover(&other.to, &rule.to, rule)
                && interfaces_cover(inward(other, external), inward(rule, external))
                && (other.outward.is_empty() || interfaces_cover(&other.outward, &rule.outward))
        })
        .collect();
    let last = *wider.last()?;
    let together: Addresses = wider.iter().flat_map(|other| blocks(&other.from, rule)).collect();
    let own: Addresses = blocks(&rule.from, rule).into_iter().collect();
    together.covers(&own).then_some(last)
}

fn inward<'a>(rule: &'a PolicyRule, external: &'a [Interface]) -> &'a [Interface] {
    if rule.inward.is_empty() { external } else { &rule.inward }
}

/// The addresses, as far as they are of families that `rule` is for.
fn blocks(sources: &Option<Sources>, rule: &PolicyRule) -> Vec<Block> {
    let families = families(rule);
    match sources {
        None => families.into_iter().map(Block::all).collect(),
        Some(sources) => families.into_iter().flat_map(|family| sources.addresses.of(family).iter().copied()).collect(),
    }
}

fn sources_cover(wide: &Option<Sources>, narrow: &Option<Sources>, rule: &PolicyRule) -> bool {
    let set = |sources| blocks(sources, rule).into_iter().collect::<Addresses>();
    wide.is_none() || set(wide).covers(&set(narrow))
}

fn ports_cover(wide: &[Ports], narrow: &[Ports]) -> bool {
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|one| wide.iter().any(|other| other.covers(one))))
}

fn interfaces_cover(wide: &[Interface], narrow: &[Interface]) -> bool {
    !narrow.is_empty() && narrow.iter().all(|one| wide.iter().any(|other| other.covers(one)))
}
