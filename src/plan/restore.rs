//! From the rules a chain has to those it should have, with as few steps as are cheap.

use std::collections::HashMap;

use super::{AddRule, Plan, PlanError, Step, ensure_chain};
use crate::{
    message::Place,
    model::{ChainName, Family, Handle},
    ruleset::{Chain, Entry, Ruleset},
    save::{SavedChain, SavedRule},
    targets::Target,
};

/// Steps for one family that make its chains as `desired` has them, appended to `plan`. All other
/// chains stay as they are, and in these chains: rules that can't be read, and jumps to chains that
/// `desired` doesn't know, which are somebody else's. A rule that stays keeps handle and counters.
///
/// With `append`, a chain that the text does not declare (`:NAME`) keeps all its rules, and the new
/// ones come behind.
///
/// # Errors
/// [`PlanError`]
pub fn restore(ruleset: &Ruleset, desired: Vec<SavedChain>, append: bool, plan: &mut Plan) -> Result<(), PlanError> {
    plan.against = Some(ruleset.generation);
    let family = ruleset.family;
    let known: Vec<ChainName> = desired.iter().map(|chain| chain.name.clone()).collect();
    let mut table_there = !ruleset.is_empty();
    for chain in &desired {
        match ensure_chain(ruleset, &chain.name, &mut plan.steps) {
            Err(PlanError::NoChain { .. }) => {
                let planned = plan.steps.iter().any(|step| matches!(step, Step::Table(of) if *of == family));
                if !table_there && !planned {
                    plan.steps.push(Step::Table(family));
                }
                table_there = true;
                plan.steps.push(Step::NewChain(family, chain.name.clone()));
            }
            other => other?,
        }
    }
    for SavedChain { name, declared, rules } in desired {
        let observed = ruleset.chain(name.as_str()).map(Chain::rules).unwrap_or_default();
        if observed.is_empty() || (append && !declared) {
            plan.steps.push(Step::Append { family, chain: name, rules });
        } else {
            let observed: Vec<&Entry> = observed.iter().collect();
            edit(family, &name, &observed, rules, |entry, rules| is_others(entry, rules, &known), plan);
        }
    }
    Ok(())
}

fn add(family: Family, chain: &ChainName, place: Place, rule: SavedRule) -> Step {
    let SavedRule { rule, counters, line } = rule;
    Step::Rule(Box::new(AddRule { family, chain: chain.clone(), place, rule, counters, line: Some(line) }))
}

/// Is this rule somebody else's, to be kept though it is not desired? One that can't be read, or a
/// jump to a user chain that is not known.
fn is_others(entry: &Entry, desired: &[SavedRule], known: &[ChainName]) -> bool {
    match entry.rule() {
        None => true,
        Some(rule) => match &rule.target {
            Some(Target::Jump(to) | Target::Goto(to)) if !known.contains(to) && to.is_writable() => {
                !desired.iter().any(|want| want.rule == *rule)
            }
            _ => false,
        },
    }
}

/// Makes a chain that has `observed` have `desired`; what `keep` says is somebody else's stays.
pub(super) fn edit(
    family: Family,
    name: &ChainName,
    observed: &[&Entry],
    desired: Vec<SavedRule>,
    keep: impl Fn(&Entry, &[SavedRule]) -> bool,
    plan: &mut Plan,
) {
    let own: Vec<&Entry> = observed.iter().copied().filter(|entry| !keep(entry, &desired)).collect();
    let kept = unchanged(&own, &desired);
    let deletes = own.len() - kept.iter().flatten().count();
    let inserts = kept.iter().filter(|kept| kept.is_none()).count();
    if own.len() == observed.len() && rewriting_is_cheaper(observed.len(), desired.len(), deletes, inserts) {
        plan.steps.push(Step::Flush(family, name.clone()));
        let counters = |rule: &SavedRule, kept: Option<usize>| kept.map_or(rule.counters, |index| own[index].counters.unwrap_or_default());
        let again = |(rule, kept): (SavedRule, Option<usize>)| SavedRule { counters: counters(&rule, kept), ..rule };
        let rules = desired.into_iter().zip(kept).map(again).collect();
        return plan.steps.push(Step::Append { family, chain: name.clone(), rules });
    }
    // Those that go.
    let mut stays = vec![false; own.len()];
    kept.iter().flatten().for_each(|&index| stays[index] = true);
    for (entry, _) in own.iter().zip(stays).filter(|(_, stays)| !stays) {
        plan.steps.push(Step::DeleteRule { family, chain: name.clone(), handle: entry.handle });
    }
    // Those that come: behind the one before them, else before the first that stays.
    let first_kept = kept.iter().flatten().next().map(|&index| own[index].handle);
    let mut behind: Option<Place> = None;
    let mut message = plan.messages() as u32;
    for (rule, kept) in desired.into_iter().zip(kept) {
        match kept {
            Some(index) => behind = Some(Place::After(own[index].handle)),
            None => {
                let place = behind.or(first_kept.map(Place::Before)).unwrap_or(Place::Last);
                plan.steps.push(add(family, name, place, rule));
                behind = match place {
                    Place::Last => None,
                    // The next one goes before the same rule too, and so behind this one.
                    Place::Before(_) => None,
                    _ => Some(Place::AfterStep(message)),
                };
                message += 1;
            }
        }
    }
}

/// For each desired rule the observed one that stays for it: as many as can without any moving (the
/// longest increasing run of places).
pub(super) fn unchanged(observed: &[&Entry], desired: &[SavedRule]) -> Vec<Option<usize>> {
    let same = |index: usize, want: &SavedRule| observed[index].rule() == Some(&want.rule);
    let short = observed.len().min(desired.len());
    let head = (0..short).take_while(|&index| same(index, &desired[index])).count();
    let tail = (1..=short - head).take_while(|back| same(observed.len() - back, &desired[desired.len() - back])).count();
    let mut kept = vec![None; desired.len()];
    (0..head).for_each(|index| kept[index] = Some(index));
    (1..=tail).for_each(|back| kept[desired.len() - back] = Some(observed.len() - back));

    let (middle, end) = (head..observed.len() - tail, desired.len() - tail);
    if middle.is_empty() || head == end {
        return kept;
    }
    let mut places: HashMap<String, std::collections::VecDeque<usize>> = HashMap::new();
    for index in middle {
        let text = observed[index].rule().map(ToString::to_string).unwrap_or_default();
        places.entry(text).or_default().push_back(index);
    }
    let candidates: Vec<(usize, usize)> =
        (head..end).filter_map(|want| Some((want, places.get_mut(&desired[want].rule.to_string())?.pop_front()?))).collect();
    for (want, index) in longest_increasing(&candidates) {
        kept[want] = Some(index);
    }
    kept
}

/// Of pairs in the order of their first part, the most whose second parts increase.
fn longest_increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // ends[n]: the pair with the smallest second part that ends a run of n + 1.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; pairs.len()];
    for (at, &(_, place)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|&end| pairs[end].1 < place);
        before[at] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut run = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        run.push(pairs[at]);
        next = before[at];
    }
    run.reverse();
    run
}

/// Costs as measured: a rule added costs about 10 µs and one removed 1 µs; to find a rule by its
/// handle the kernel walks the chain, 3 ns a rule.
fn rewriting_is_cheaper(observed: usize, desired: usize, deletes: usize, inserts: usize) -> bool {
    let walk = 0.003 * observed as f64;
    let edit = deletes as f64 * (1.0 + walk) + inserts as f64 * (10.0 + walk);
    let rewrite = observed as f64 + 10.0 * desired as f64;
    rewrite < edit
}

/// The handles of rules that [`restore`] would keep though the text does not have them.
pub fn kept_of_others(ruleset: &Ruleset, desired: &[SavedChain]) -> Vec<(ChainName, Handle)> {
    let known: Vec<ChainName> = desired.iter().map(|chain| chain.name.clone()).collect();
    let chains = desired.iter().filter_map(|want| Some((want, ruleset.chain(want.name.as_str())?)));
    chains
        .flat_map(|(want, chain)| {
            let others = chain.rules().iter().filter(|entry| is_others(entry, &want.rules, &known));
            let kept: Vec<_> = others.map(|entry| (chain.name.clone(), entry.handle)).collect();
            kept
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_run_without_a_move_is_found() {
        let places = [3, 0, 1, 5, 2, 4];
        let pairs: Vec<_> = places.into_iter().enumerate().collect();
        let run: Vec<_> = longest_increasing(&pairs).into_iter().map(|(_, place)| place).collect();
        assert_eq!(run, [0, 1, 2, 4]);
        assert!(longest_increasing(&[]).is_empty());
    }

    #[test]
    fn a_long_chain_is_rewritten_when_much_changes() {
        assert!(!rewriting_is_cheaper(10_000, 10_000, 1_000, 1_000));
        assert!(rewriting_is_cheaper(10_000, 10_000, 4_000, 4_000));
        assert!(rewriting_is_cheaper(100_000, 100_000, 3_000, 3_000));
        assert!(!rewriting_is_cheaper(10, 10, 1, 1));
    }
}
