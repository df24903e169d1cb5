//! What a change did that was made without a policy's file: `confirm`, `rollback`, `remove`. For people, and
//! for programs as one object in a line.

use serde_json::{Value, json};

use super::{
    ExitCode, Global, faults,
    policy::DRY,
    report::{self, Failure},
};
use crate::{
    compile::Identity,
    live::{Fault, Host, Outcome, Record, Status},
    model::Family,
};

/// Says by `text` (a line) what was done, and what keeps the policy that is deployed now from being in force; with an
/// exit code of its own where something does.
pub fn say(global: &Global, host: &mut Host, command: &str, outcome: &Outcome, text: &str) -> Result<(), Failure> {
    let status = host.status().ok();
    let deployed = status.as_ref().is_some_and(|both| both.iter().any(Status::stands));
    let found = if deployed { faults::after_change(host) } else { Vec::new() };
    match global.json {
        true => report::print(&format!("{}\n", json(command, outcome, text, status.as_ref(), &found)))?,
        false => report::print(&format!("{text}\n"))?,
    }
    faults::say(&found, false);
    if found.is_empty() { Ok(()) } else { Err(Failure::silent(ExitCode::NotInForce)) }
}

/// What it would do.
pub fn say_dry(global: &Global, host: &mut Host, command: &str, outcome: &Outcome) -> Result<(), Failure> {
    let plan = outcome.plan.to_string();
    match global.json {
        true => {
            let status = host.status().ok();
            let mut value = json(command, outcome, DRY, status.as_ref(), &[]);
            value["dry_run"] = json!(true);
            value["changed"] = json!(false);
            value["commands"] = plan.lines().collect();
            report::print(&format!("{value}\n"))?;
        }
        false => report::print(&plan)?,
    }
    report::note(DRY);
    Ok(())
}

/// The words in it stay.
fn json(command: &str, outcome: &Outcome, text: &str, status: Option<&[Status; 2]>, faults: &[(Family, Fault)]) -> Value {
    let families = status.map(|both| {
        let one = |status: &Status| json!({ "family": status.family.to_string(), "policy": status.identity.as_ref().map(identity) });
        both.iter().map(one).collect::<Vec<_>>()
    });
    json!({
        "command": command,
        "dry_run": false,
        "changed": !outcome.plan.is_empty(),
        "trial_ended": outcome.trial_ended,
        "step_back": outcome.recorded,
        "text": text,
        "commands": [],
        "families": families,
        "faults": faults.iter().map(|(family, fault)| faults::as_json(fault, *family, "")).collect::<Vec<_>>(),
    })
}

/// The name of a policy, and the hash of its rules.
pub fn identity(identity: &Identity) -> Value {
    json!({ "name": identity.name, "hash": identity.hash })
}

/// The steps back, the latest first, each with its number; and what is none.
pub fn steps<E: ToString>(records: &[Result<Record, E>]) -> Value {
    let steps = records.iter().flatten().enumerate().map(|(index, record)| {
        let policy = record.policy.as_ref().and_then(|policy| policy.rsplit_once(' '));
        let policy = policy.map(|(name, hash)| json!({ "name": name, "hash": hash }));
        json!({ "step": index + 1, "when": record.when, "before": record.what, "policy": policy })
    });
    let faults = records.iter().filter_map(|record| record.as_ref().err()).map(ToString::to_string);
    json!({ "steps": steps.collect::<Vec<_>>(), "history_faults": faults.collect::<Vec<_>>() })
}
