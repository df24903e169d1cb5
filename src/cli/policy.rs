//! `dockgate plan`, `apply`, `remove`, `status`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    ExitCode, Global, difference, host,
    report::{self, Failure},
};
use crate::{
    compile::{self, Compiled},
    docker::Jump,
    lab::Links,
    live::{Host, LiveError, Outcome, Status},
    model::{Family, Interface},
    policy::{Policy, Read},
};

/// A policy as read, and its chains.
pub(super) struct Loaded {
    pub(super) read: Read,
    pub(super) compiled: Compiled,
}

/// Reads and checks the policy in these files.
pub(super) fn load(paths: &[PathBuf]) -> Result<Loaded, Failure> {
    let read = Policy::load(paths).map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
    if let Some(failure) = Failure::policy(&read) {
        return Err(failure);
    }
    report::warnings(&read);
    say_missing_interfaces(&read.policy);
    let name = paths.first().and_then(|path| path.file_stem()).map_or_else(|| "policy".into(), |name| name.to_string_lossy());
    let compiled = compile::docker_user(&read.policy, &name);
    Ok(Loaded { read, compiled })
}

/// A rule for an interface that is not there matches nothing; it may come, so that is no error.
fn say_missing_interfaces(policy: &Policy) {
    let of_rules = policy.rules.iter().flat_map(|rule| rule.inward.iter().chain(&rule.outward));
    let mut names: Vec<&Interface> = policy.external.iter().chain(of_rules).filter(|name| !name.is_prefix()).collect();
    names.sort_by_key(|name| name.as_bytes());
    names.dedup();
    let Ok(mut links) = Links::open("this host") else { return };
    names.retain(|name| links.index(&name.to_string()).is_err());
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => {}
        [name] => report::note(&format!("there is no interface {name} here: rules for it match nothing until it comes")),
        _ => report::note(&format!("there are no interfaces {} here: rules for them match nothing until they come", names.join(", "))),
    }
}

/// Opens the host for changes.
pub(super) fn open(global: &Global) -> Result<Host, Failure> {
    if let Some(family) = global.only() {
        let only = if family == Family::Ip { "-4" } else { "-6" };
        return Err(Failure::new(ExitCode::Usage, format!("a policy is for both families: `{only}` does not go with it"))
            .hint("a rule with addresses of one family is for that family alone"));
    }
    for family in Family::BOTH {
        host::refuse_legacy(family)?;
    }
    let mut host = look()?;
    host.set_options(global.options());
    Ok(host)
}

fn look() -> Result<Host, Failure> {
    Host::open().map_err(|error| failed(&error, None))
}

/// A change that was not made, with the place in the policy if there is one.
pub(super) fn failed(error: &LiveError, loaded: Option<&Loaded>) -> Failure {
    match error {
        LiveError::Apply(error) => match loaded {
            Some(Loaded { read, compiled }) => Failure::refused(error, &read.policy, compiled),
            None => Failure::apply(&report::Source { label: "", numbered: false, lines: "", family: Family::Ip }, error),
        },
        LiveError::History(_) => Failure::new(ExitCode::Resource, error.to_string()).hint("another folder: DOCKGATE_STATE=/path"),
        LiveError::NoTrial => Failure::new(ExitCode::Failure, error.to_string()).hint("`dockgate apply POLICY --confirm 60s` begins one"),
        LiveError::TooLate => Failure::new(ExitCode::TakenBack, error.to_string()).hint("apply it again, with a longer --confirm"),
    }
}

/// `dockgate plan`
pub fn plan(global: &Global, paths: &[PathBuf]) -> Result<(), Failure> {
    let loaded = load(paths)?;
    let mut host = look()?;
    let outcome = host.plan(&loaded.compiled).map_err(|error| failed(&error, Some(&loaded)))?;
    show(global, &loaded, &outcome)?;
    if outcome.plan.is_empty() { Ok(()) } else { Err(Failure::silent(ExitCode::Pending)) }
}

fn show(global: &Global, loaded: &Loaded, outcome: &Outcome) -> Result<(), Failure> {
    let text = match global.json {
        true => format!("{}\n", difference::json(loaded, outcome)),
        false => difference::text(loaded, outcome, global.verbose > 0),
    };
    report::print(&text)
}

/// `dockgate apply`, without a trial.
pub fn apply(global: &Global, paths: &[PathBuf]) -> Result<(), Failure> {
    let loaded = load(paths)?;
    let mut host = open(global)?;
    let outcome = host.apply(&loaded.compiled).map_err(|error| failed(&error, Some(&loaded)))?;
    show(global, &loaded, &outcome)?;
    notes(&mut host)
}

/// What keeps the policy from working here, where something does.
pub(super) fn notes(host: &mut Host) -> Result<(), Failure> {
    Family::BOTH.into_iter().try_for_each(|family| host::notes(host.netlink(), family, Vec::new())).map_err(|error| report::netlink(&error))
}

/// `dockgate remove`
pub fn remove(global: &Global) -> Result<(), Failure> {
    let mut host = open(global)?;
    let outcome = host.remove().map_err(|error| failed(&error, None))?;
    match outcome.plan.is_empty() {
        true => report::note("there was nothing of dockgate's"),
        false if global.dry_run => report::print(&outcome.plan.to_string())?,
        false => report::print(&format!("removed: {} rules\n", outcome.changes.len()))?,
    }
    Ok(())
}

/// `dockgate status`
pub fn status(global: &Global) -> Result<(), Failure> {
    let mut host = look()?;
    let status = host.status().map_err(|error| report::netlink(&error))?;
    let records = host.history().records().map_err(|error| failed(&error.into(), None))?;
    let when = records.first().map(|record| record.when);
    if global.json {
        let families: Vec<Value> = status.iter().map(status_json).collect();
        report::print(&format!("{}\n", json!({ "changed": when, "steps_back": records.len(), "families": families })))?;
    } else {
        let shown = status.iter().filter(|status| global.families().contains(&status.family)).map(status_text).collect::<String>();
        let changed = when.map_or_else(String::new, |when| {
            format!("last changed {}; {} steps back are known (dockgate rollback)\n", date(when), records.len())
        });
        report::print(&(shown + &changed))?;
    }
    let sound = |status: &Status| {
        status.identity.is_none() || (!status.is_changed() && status.jump == Some(1) && status.docker_user != Jump::Missing)
    };
    if status.iter().all(sound) { Ok(()) } else { Err(Failure::silent(ExitCode::Pending)) }
}

fn status_text(status: &Status) -> String {
    let mut text = format!("{} filter: ", status.family);
    match &status.identity {
        None => text += "no policy\n",
        Some(identity) => {
            let counters = status.counters.unwrap_or_default();
            text += &format!("policy {identity}: {} rules in {} chains, {} packets\n", status.rules, status.chains, counters.packets);
        }
    }
    let mut say = |what: &str| text += &format!("  {what}\n");
    if status.identity.is_some() {
        match status.jump {
            Some(1) => say("the jump to it is the first rule of DOCKER-USER"),
            Some(number) => {
                say(&format!("DRIFT: the jump to it is rule {number} of DOCKER-USER, so others decide before it; apply puts it on top"))
            }
            None => say("DRIFT: nothing leads to it"),
        }
        if status.is_changed() {
            say(&format!("DRIFT: the rules are not those of the policy ({}); `dockgate plan POLICY` shows where", status.hash));
        }
        match status.docker_user {
            Jump::Missing => {
                say("NO PACKET COMES HERE: the jump from FORWARD to DOCKER-USER is missing; Docker puts it there when it starts")
            }
            Jump::At(number) => say(&format!("DOCKER-USER is rule {number} of FORWARD; those before it decide first")),
            Jump::First | Jump::NoChain => {}
        }
    }
    if let Some(trial) = &status.trial {
        let policy = trial.identity.as_ref().map_or_else(String::new, |identity| format!(": {identity}"));
        match trial.left.as_secs() {
            0 => say(&format!("a trial is over{policy}; what stood before it holds, and the next change takes its chains away")),
            left => say(&format!("on trial for another {left} s{policy}; `dockgate confirm` keeps it")),
        }
    }
    text
}

fn status_json(status: &Status) -> Value {
    let identity = |identity: &compile::Identity| json!({ "name": identity.name, "hash": identity.hash });
    json!({
        "family": status.family.to_string(),
        "policy": status.identity.as_ref().map(identity),
        "hash": status.hash,
        "drift": status.identity.is_some() && (status.is_changed() || status.jump != Some(1)),
        "jump": status.jump,
        "docker_user": match status.docker_user {
            Jump::NoChain => json!("missing"),
            Jump::Missing => json!("not reached"),
            Jump::First => json!(1),
            Jump::At(number) => json!(number),
        },
        "chains": status.chains,
        "rules": status.rules,
        "foreign": status.foreign,
        "packets": status.counters.map(|counters| counters.packets),
        "bytes": status.counters.map(|counters| counters.bytes),
        "trial": status.trial.as_ref().map(|trial| json!({
            "policy": trial.identity.as_ref().map(identity),
            "until": trial.until,
            "seconds_left": trial.left.as_secs(),
        })),
    })
}

/// As it is written: `2026-11-23 07:01:00 UTC`.
pub(super) fn date(seconds: u64) -> String {
    let when = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX)).unwrap_or(jiff::Timestamp::MAX);
    when.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The file's name, for messages.
pub(super) fn names(paths: &[PathBuf]) -> String {
    paths.iter().map(|path: &PathBuf| Path::display(path).to_string()).collect::<Vec<_>>().join(" ")
}
