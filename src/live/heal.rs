//! The way from FORWARD to `DOCKER-USER` is put back where it is lost, or where something in front of it can
//! accept what the policy would stop.

use super::faults::expected;
use crate::{
    docker::{self, Jump},
    model::{ChainName, DOCKER_USER},
    plan::{
        Plan, PlanError, lead_forward,
        ours::{Change, ChangeKind, Ours},
    },
    ruleset::{Entry, Ruleset},
};

/// Steps that put the jump on top of FORWARD, appended to `plan`, if it must be there for `desired` to be
/// in force.
pub(super) fn heal(ruleset: &Ruleset, desired: &Ours, plan: &mut Plan, changes: &mut Vec<Change>) -> Result<(), PlanError> {
    // What makes the chain makes the jump as well.
    if desired.is_empty() || ruleset.chain(DOCKER_USER).is_none() {
        return Ok(());
    }
    match docker::jump(ruleset) {
        Jump::Missing => {}
        Jump::At(_) => {
            let (guarded, known_pass) = expected(ruleset, Some(&desired.chains));
            if docker::in_front(ruleset, &guarded, known_pass).is_none() {
                return Ok(());
            }
        }
        Jump::NoChain | Jump::First => return Ok(()),
    }
    let forward = ruleset.chain("FORWARD").map(|chain| chain.rules()).unwrap_or_default();
    let rule = docker::jump_rule();
    // One with a comment, or a goto, somebody else wrote.
    let copies: Vec<&Entry> = forward.iter().filter(|entry| entry.rule() == Some(&rule)).collect();
    let kind = if copies.is_empty() { ChangeKind::Added } else { ChangeKind::Moved };
    lead_forward(ruleset, &copies, &mut plan.steps)?;
    changes.push(Change { family: ruleset.family, chain: ChainName::forward(), kind, rule: Some(rule), line: None });
    Ok(())
}
