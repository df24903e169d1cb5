//! A policy on trial: beside the deployed one, in chains of its own, with one rule in front of the deployed
//! one that leads there. What the policy looks up, and whether the trial goes on, is in our own table
//! ([`crate::marks::Trial`]).

use super::{
    Plan, PlanError, Step, ensure_chain,
    ours::{Ours, chains_from, delete, first, jumps, lead, make_chains, remove_chains, saved},
};
use crate::{
    compile::{self, Identity, ROOT, TRIAL, is_trial, on_trial, root, text_hash},
    marks::{EndTrial, NewTrial, OwnTable, Table},
    matches::Match,
    model::{ChainName, Counters, Family},
    rule::Rule,
    ruleset::{Chain, Entry, Ruleset},
    save::{SavedChain, SavedRule},
    targets::Target,
};

/// Is this the rule that leads to a policy on trial?
pub(super) fn is_gate(entry: &Entry) -> bool {
    matches!(entry.rule().and_then(|rule| rule.target.as_ref()), Some(Target::Goto(to)) if is_trial(to))
}

/// The rule in front of our first chain that leads to a policy on trial.
pub fn gate(ruleset: &Ruleset) -> Option<&Entry> {
    ruleset.chain(ROOT)?.rules().iter().find(|entry| is_gate(entry))
}

impl Ours {
    /// The policy that is on trial in a table, as it will be when it is confirmed; `None` if none is, or what
    /// it looks up is gone.
    pub fn on_trial(ruleset: &Ruleset, own: &OwnTable) -> Option<Self> {
        let gate = gate(ruleset)?.rule()?;
        let identity = Identity::of(gate)?;
        let mut chains = renamed(&chains_from(ruleset, TRIAL, is_trial), true);
        let first = chains.iter_mut().find(|chain| chain.name.as_str() == ROOT)?;
        if first.rules.first().is_some_and(|saved| bit_of(gate).is_some_and(|bit| saved.rule == compile::unmark(bit))) {
            first.rules.remove(0);
        }
        let marks = own.trial.as_ref()?.table.clone();
        let rule = compile::jump(&identity, ruleset.family, &chains, marks.as_ref().and_then(|table| table.id_bits()));
        let jump = SavedRule { rule, counters: Counters::default(), line: 0 };
        Some(Self { chains, jump: Some(jump), marks })
    }
}

/// The bit of the packets that a gate lets through.
fn bit_of(gate: &Rule) -> Option<u32> {
    gate.matches.iter().find_map(|one| match one {
        Match::Mark(mark) => Some(mark.mask()),
        _ => None,
    })
}

/// Is all of a policy on trial there, as it was written? Else neither it nor the deployed one need decide.
pub fn is_whole(ruleset: &Ruleset, own: &OwnTable) -> bool {
    let starts = ruleset.chain(TRIAL).and_then(|chain| chain.rules().first()?.rule());
    let unmarks = gate(ruleset).and_then(|gate| bit_of(gate.rule()?)).is_some_and(|bit| starts == Some(&compile::unmark(bit)));
    let entries = || ruleset.chains.iter().filter(|chain| is_trial(&chain.name)).flat_map(Chain::rules);
    let Some(ours) = Ours::on_trial(ruleset, own) else { return false };
    let right = || ours.identity().is_some_and(|identity| identity.hash_of(ruleset.family) == text_hash(&ours.chains, ours.marks.as_ref()));
    unmarks
        && own.trial.as_ref().is_some_and(|trial| trial.entered)
        && entries().all(|entry| entry.rule().is_some())
        && right()
        && ours.marks.as_ref().is_none_or(Table::is_sound)
}

/// The same chains under the names they have on trial, or `back`.
fn renamed(chains: &[SavedChain], back: bool) -> Vec<SavedChain> {
    let mut chains = chains.to_vec();
    for chain in &mut chains {
        chain.name = on_trial(&chain.name, back);
        for saved in &mut chain.rules {
            if let Some(Target::Jump(to) | Target::Goto(to)) = &mut saved.rule.target {
                *to = on_trial(to, back);
            }
        }
    }
    chains
}

/// Steps that put `desired` on trial, appended to `plan`: what is deployed stays, and `gate`, a rule whose
/// target is a goto to the first chain on trial, goes in front of it. `trial` is what our own table gets;
/// `None` leaves that as it is.
///
/// # Errors
/// [`PlanError`]
pub fn try_out(ruleset: &Ruleset, own: &OwnTable, desired: &Ours, gate: &Rule, trial: NewTrial, plan: &mut Plan) -> Result<(), PlanError> {
    let family = ruleset.family;
    plan.against.get_or_insert(ruleset.generation);
    end_trial(ruleset, own, plan);
    ensure_chain(ruleset, &ChainName::docker_user(), &mut plan.steps)?;
    let root = root();
    let entry = SavedChain { name: root.clone(), declared: true, rules: Vec::new() };
    make_chains(ruleset, &[entry], &mut plan.steps);
    let mut chains = renamed(&desired.chains, false);
    if let Some(chain) = chains.iter_mut().find(|chain| chain.name.as_str() == TRIAL) {
        chain.rules.insert(0, SavedRule { rule: compile::unmark(trial.bit), counters: Counters::default(), line: usize::MAX });
    }
    plan.steps.push(Step::NewTrial(family, Box::new(trial)));
    let steps = chains.iter().map(|chain| Step::NewChain(family, chain.name.clone()));
    plan.steps.extend(steps);
    plan.steps.push(first(family, root, gate.clone(), Counters::default()));
    // Where no policy is deployed, the jump names none.
    let plain = || Rule { target: desired.jump.as_ref().and_then(|jump| jump.rule.target.clone()), ..Rule::default() };
    let jump = jumps(ruleset).first().and_then(|(_, entry)| saved(entry));
    let jump = jump.unwrap_or_else(|| SavedRule { rule: plain(), counters: Counters::default(), line: 0 });
    lead(ruleset, Some(&jump), plan, &mut Vec::new());
    // Last, as in `reconcile`.
    plan.steps.extend(chains.into_iter().map(|chain| Step::Append { family, chain: chain.name, rules: chain.rules }));
    Ok(())
}

/// Steps that end a trial, appended to `plan`: what was deployed before it stands alone again.
pub fn end_trial(ruleset: &Ruleset, own: &OwnTable, plan: &mut Plan) {
    let family = ruleset.family;
    plan.against.get_or_insert(ruleset.generation);
    if let Some(chain) = ruleset.chain(ROOT) {
        let gates = chain.rules().iter().filter(|entry| is_gate(entry));
        plan.steps.extend(gates.map(|entry| delete(family, &chain.name, entry)));
    }
    remove_chains(ruleset, is_trial, &mut plan.steps);
    end_trial_in_table(family, own, plan);
}

/// The same in our own table alone.
pub(super) fn end_trial_in_table(family: Family, own: &OwnTable, plan: &mut Plan) {
    let Some(trial) = &own.trial else { return };
    let end = EndTrial { remains: trial.remains.clone(), deployed: own.deployed.clone() };
    plan.steps.push(Step::EndTrial(family, Box::new(end)));
}
