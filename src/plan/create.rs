use super::{AddRule, PlanError, Step};
use crate::{
    message::Place,
    model::{ChainName, Counters, DOCKER_USER, Family},
    rule::Rule,
    ruleset::{Entry, Ruleset},
    targets::Target,
    uapi::NF_INET_FORWARD,
};

/// Adds what is missing for `chain` to have rules. `DOCKER-USER` is made as Docker makes it (its
/// `setupUserChain`): the table, FORWARD, the chain, and the jump to it on top of FORWARD; Docker
/// finds all that when it starts, and takes it over.
///
/// # Errors
/// [`PlanError::NotOurs`] for a chain that is not to be written; [`PlanError::NoChain`] for another
/// user chain that is not there: those are made on purpose (`-N`).
pub fn ensure_chain(ruleset: &Ruleset, chain: &ChainName, steps: &mut Vec<Step>) -> Result<(), PlanError> {
    let family = ruleset.family;
    if !chain.is_writable() {
        return Err(PlanError::NotOurs { chain: chain.clone() });
    }
    if ruleset.chain(chain.as_str()).is_some() {
        return Ok(());
    }
    if chain.as_str() != DOCKER_USER {
        return Err(PlanError::NoChain { family, chain: chain.clone() });
    }
    ensure_forward(ruleset, steps)?;
    steps.push(Step::NewChain(family, chain.clone()));
    steps.push(jump(family, Counters::default()));
    Ok(())
}

/// Puts the jump to `DOCKER-USER` on top of FORWARD, where Docker puts it; `copies` are those that stand
/// there already, which go. No other rule of FORWARD is touched.
///
/// # Errors
/// [`PlanError::StrangeForward`]
pub fn lead_forward(ruleset: &Ruleset, copies: &[&Entry], steps: &mut Vec<Step>) -> Result<(), PlanError> {
    let family = ruleset.family;
    ensure_forward(ruleset, steps)?;
    let counters = copies.first().and_then(|entry| entry.counters).unwrap_or_default();
    steps.push(jump(family, counters));
    let gone = |entry: &&Entry| Step::DeleteRule { family, chain: ChainName::forward(), handle: entry.handle };
    steps.extend(copies.iter().map(gone));
    Ok(())
}

fn ensure_forward(ruleset: &Ruleset, steps: &mut Vec<Step>) -> Result<(), PlanError> {
    let family = ruleset.family;
    if ruleset.is_empty() {
        steps.push(Step::Table(family));
    }
    match ruleset.chain("FORWARD") {
        Some(forward) if forward.hook.is_some_and(|hook| hook.number == NF_INET_FORWARD && hook.priority == 0) => Ok(()),
        Some(_) => Err(PlanError::StrangeForward { family }),
        None => {
            steps.push(Step::Forward(family));
            Ok(())
        }
    }
}

/// `-I FORWARD -j DOCKER-USER`: the one rule outside of our chains that is ever written.
fn jump(family: Family, counters: Counters) -> Step {
    let rule = Rule { target: Some(Target::Jump(ChainName::docker_user())), ..Rule::default() };
    let chain = ChainName::forward();
    Step::Rule(Box::new(AddRule { family, chain, place: Place::First, rule, counters, line: None }))
}
