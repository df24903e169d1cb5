//! From the rules a chain has to those it should have, with as few steps as are cheap.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{AddRule, Plan, PlanError, Step, ensure_chain};
use crate::{
    message::Place,
    model::{ChainName, Family, Handle},
    rule::Rule,
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
    let known: HashSet<ChainName> = desired.iter().map(|chain| chain.name.clone()).collect();
    // A policy may have many thousands of chains.
    let there: HashMap<&ChainName, &Chain> = ruleset.chains.iter().map(|chain| (&chain.name, chain)).collect();
    let mut table_there = !ruleset.is_empty();
    for chain in desired.iter().filter(|chain| !chain.name.is_writable() || !there.contains_key(&chain.name)) {
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
        let observed = there.get(&name).map(|chain| chain.rules()).unwrap_or_default();
        if observed.is_empty() || (append && !declared) {
            plan.steps.push(Step::Append { family, chain: name, rules });
        } else {
            let observed: Vec<&Entry> = observed.iter().collect();
            let staying = Staying::of(&observed, &rules, |entry| is_others(entry, &rules, &known));
            edit(family, &name, &staying, rules, plan);
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
fn is_others(entry: &Entry, desired: &[SavedRule], known: &HashSet<ChainName>) -> bool {
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

/// What stays of a chain.
pub(super) struct Staying<'e> {
    /// Its rules but for others', in order.
    pub(super) own: Vec<&'e Entry>,
    /// For each desired rule the one of its own that stays for it.
    pub(super) kept: Vec<Option<usize>>,
    /// Has it no rules of others?
    alone: bool,
}

impl<'e> Staying<'e> {
    /// What stays of a chain that has `observed` and should have `desired`; what `keep` says is
    /// somebody else's.
    pub(super) fn of(observed: &[&'e Entry], desired: &[SavedRule], keep: impl Fn(&Entry) -> bool) -> Self {
        let own: Vec<&Entry> = observed.iter().copied().filter(|entry| !keep(entry)).collect();
        let kept = unchanged(&own, desired);
        Self { kept, alone: own.len() == observed.len(), own }
    }

    /// Is the chain as it should be?
    pub(super) fn is_all(&self) -> bool {
        self.own.len() == self.kept.len() && self.kept.iter().all(Option::is_some)
    }

    /// The places of its own rules that don't stay.
    pub(super) fn going(&self) -> impl Iterator<Item = usize> {
        let mut stays = vec![false; self.own.len()];
        self.kept.iter().flatten().for_each(|&index| stays[index] = true);
        stays.into_iter().enumerate().filter(|(_, stays)| !stays).map(|(index, _)| index)
    }
}

/// Makes a chain have `desired`; others' rules in it stay.
pub(super) fn edit(family: Family, name: &ChainName, staying: &Staying<'_>, desired: Vec<SavedRule>, plan: &mut Plan) {
    let Staying { own, kept, alone } = staying;
    let deletes = own.len() - kept.iter().flatten().count();
    let inserts = kept.iter().filter(|kept| kept.is_none()).count();
    if *alone && rewriting_is_cheaper(own.len(), desired.len(), deletes, inserts) {
        plan.steps.push(Step::Flush(family, name.clone()));
        let counters = |rule: &SavedRule, kept: &Option<usize>| kept.map_or(rule.counters, |index| own[index].counters.unwrap_or_default());
        let again = |(rule, kept): (SavedRule, &Option<usize>)| SavedRule { counters: counters(&rule, kept), ..rule };
        let rules = desired.into_iter().zip(kept).map(again).collect();
        return plan.steps.push(Step::Append { family, chain: name.clone(), rules });
    }
    plan.steps.extend(staying.going().map(|index| Step::DeleteRule { family, chain: name.clone(), handle: own[index].handle }));
    // Those that come: before the first that stays, else behind the one before them. There the last of them
    // comes first: so each is put behind a rule of the chain's, and not behind one of this transaction, which
    // the kernel walks as a whole to find it (`nft_rule_lookup_byid`).
    let mut place = kept.iter().flatten().next().map_or(Place::Last, |&index| Place::Before(own[index].handle));
    let mut coming = Vec::new();
    let put = |coming: &mut Vec<SavedRule>, place: Place, plan: &mut Plan| {
        if matches!(place, Place::After(_)) {
            coming.reverse();
        }
        plan.steps.extend(coming.drain(..).map(|rule| add(family, name, place, rule)));
    };
    for (rule, kept) in desired.into_iter().zip(kept) {
        match kept {
            &Some(index) => {
                put(&mut coming, place, plan);
                place = Place::After(own[index].handle);
            }
            None => coming.push(rule),
        }
    }
    put(&mut coming, place, plan);
}

/// For each desired rule the observed one that stays for it: as many as can without any moving (the
/// longest increasing run of places).
fn unchanged(observed: &[&Entry], desired: &[SavedRule]) -> Vec<Option<usize>> {
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
    let mut places = Places::of(observed, middle);
    let candidates: Vec<(usize, usize)> = (head..end).filter_map(|want| Some((want, places.take(&desired[want].rule)?))).collect();
    for (want, index) in longest_increasing(&candidates) {
        kept[want] = Some(index);
    }
    kept
}

/// The places of rules, to be found by what they say.
pub(super) struct Places(HashMap<String, VecDeque<usize>>);

impl Places {
    /// Those of some of these rules.
    pub(super) fn of(observed: &[&Entry], places: impl Iterator<Item = usize>) -> Self {
        let mut all: HashMap<String, VecDeque<usize>> = HashMap::new();
        for index in places {
            // No rule has this text.
            let text = observed[index].rule().map_or_else(|| "\0".to_owned(), ToString::to_string);
            all.entry(text).or_default().push_back(index);
        }
        Self(all)
    }

    /// The first where this rule stands, which is then no longer there.
    pub(super) fn take(&mut self, rule: &Rule) -> Option<usize> {
        // In a new chain there are very many to be looked for, and none to be found.
        if self.0.is_empty() {
            return None;
        }
        self.0.get_mut(&rule.to_string())?.pop_front()
    }

    /// What nobody has taken, in order.
    pub(super) fn rest(self) -> Vec<usize> {
        let mut rest: Vec<usize> = self.0.into_values().flatten().collect();
        rest.sort_unstable();
        rest
    }
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
    let known: HashSet<ChainName> = desired.iter().map(|chain| chain.name.clone()).collect();
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
