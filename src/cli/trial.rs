//! `dockgate apply --confirm`, `confirm`, `rollback`

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use super::{
    ExitCode, Global, How,
    difference::Mood,
    policy::{DRY, date, dry, failed, load, notes, open, show},
    report::{self, Failure},
    session,
};
use crate::{
    compile::Identity,
    live::{Host, LiveError, Trial},
    model::Family,
    netlink::NetlinkError,
    policy::Strategy,
};

/// How often the end of a trial is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// `60s`, `5m`, `1h`, `90`
pub fn parse_length(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        other => return Err(format!("`{other}` is no unit of time: s, m, h")),
    };
    match digits.parse::<u64>().map(|number| number * unit) {
        Ok(5..=86_400) => Ok(Duration::from_secs(digits.parse::<u64>().unwrap_or_default() * unit)),
        Ok(_) => Err("a trial takes from 5 seconds to a day".to_owned()),
        Err(_) => Err(format!("`{text}` is no length of time, like 60s")),
    }
}

/// `dockgate apply POLICY --confirm 60s`
pub fn apply(global: &Global, paths: &[PathBuf], how: How, length: Duration) -> Result<(), Failure> {
    let mut loaded = load(paths, how)?;
    let mut host = open(global)?;
    let pending = host.plan(&loaded.compiled).map_err(|error| failed(&error, Some(&loaded)))?;
    if pending.plan.is_empty() {
        show(global, &loaded, &pending, Mood::Done, &[])?;
        return notes(&mut host);
    }
    if Family::BOTH.into_iter().any(|family| loaded.compiled.table(family).is_some()) {
        // There is one table for sets, and it is that of what stands.
        loaded.compile(Some(Strategy::Tree));
        report::note("on trial its senders stand in chains of rules; once it is confirmed, `dockgate apply` looks them up in sets again");
    }
    let outcome = host.try_out(&loaded.compiled, length).map_err(|error| failed(&error, Some(&loaded)))?;
    show(global, &loaded, &outcome, if global.dry_run { Mood::Planned } else { Mood::OnTrial }, &[])?;
    notes(&mut host)?;
    if global.dry_run {
        report::note(DRY);
        return Ok(());
    }
    let seconds = length.as_secs();
    report::note(&format!(
        "on trial for {seconds} s: open a NEW connection to this host and run `dockgate confirm` there; else the kernel goes back by \
         itself, also if this command ends before"
    ));
    wait(&mut host, &loaded.compiled.identity)
}

/// Until the trial is confirmed or over.
fn wait(host: &mut Host, name: &Identity) -> Result<(), Failure> {
    let mut stderr = std::io::stderr();
    let mut shown = None;
    loop {
        let trial = current(host).map_err(|error| report::netlink(&error))?;
        let left = trial.as_ref().map_or(0, |trial| trial.left.as_secs());
        if stderr.is_terminal() && shown != Some(left) {
            let line = if left > 0 { format!("{left} s left to confirm ") } else { String::new() };
            // A terminal that is gone is no reason to stop.
            let _ = write!(stderr, "\r\x1b[K{line}");
            shown = Some(left);
        }
        match trial {
            None => return ended(host, name),
            Some(trial) if trial.left.is_zero() => {
                return match host.end_trial() {
                    // Somebody was faster: confirmed in the last second, or taken back.
                    Err(LiveError::NoTrial) => ended(host, name),
                    Err(error) => Err(failed(&error, None)),
                    Ok(_) => Err(Failure::new(ExitCode::TakenBack, "not confirmed in time: what stood before holds again")
                        .hint("if nothing was wrong, apply it again and confirm from a new connection")),
                };
            }
            Some(_) => std::thread::sleep(LOOK),
        }
    }
}

fn current(host: &mut Host) -> Result<Option<Trial>, NetlinkError> {
    host.trial()
}

/// The trial is gone: is what was on trial there?
fn ended(host: &mut Host, name: &Identity) -> Result<(), Failure> {
    let standing = host.status().map_err(|error| report::netlink(&error))?.into_iter().find_map(|status| status.identity);
    match standing {
        Some(identity) if identity == *name => report::print(&format!("confirmed: policy {name} holds\n")),
        _ => Err(Failure::new(ExitCode::TakenBack, "the trial was ended: what stood before holds again")),
    }
}

/// `dockgate confirm`
pub fn confirm(global: &Global, here: bool) -> Result<(), Failure> {
    let mut host = open(global)?;
    let trial = current(&mut host).map_err(|error| report::netlink(&error))?;
    if let (Some(trial), false) = (&trial, here)
        && let Some(begun) = session::since_start(trial.begun)
        && let Some(older) = session::older_than(begun)
    {
        let left = trial.left.as_secs();
        return Err(Failure::new(
            ExitCode::Failure,
            format!("{older} was there before the change, so it proves nothing: known connections pass by the rules"),
        )
        .hint(&format!(
            "open a new connection and confirm there ({left} s left), or say that it is all right: `dockgate confirm --here`"
        )));
    }
    let outcome = host.confirm().map_err(|error| failed(&error, None))?;
    let identity = trial.and_then(|trial| trial.identity).map_or_else(String::new, |identity| format!(": policy {identity} holds"));
    match global.dry_run {
        true => dry(&outcome),
        false => report::print(&format!("confirmed{identity}\n")),
    }
}

/// `dockgate rollback`
pub fn rollback(global: &Global, steps: usize, list: bool) -> Result<(), Failure> {
    let mut host = open(global)?;
    if list {
        let records = host.history().records().map_err(|error| failed(&error.into(), None))?;
        let line = |(index, record): (usize, &crate::live::Record)| {
            let policy = record.policy.as_deref().map_or_else(|| "no policy".to_owned(), |policy| format!("policy {policy}"));
            format!("{:>3}  {}  before `{}`: {policy}\n", index + 1, date(record.when), record.what)
        };
        if records.is_empty() {
            report::note("no change is known that could be taken back");
        }
        return report::print(&records.iter().enumerate().map(line).collect::<String>());
    }
    let trial = current(&mut host).map_err(|error| report::netlink(&error))?.is_some_and(|trial| !trial.left.is_zero());
    let outcome = host.rollback(steps).map_err(|error| failed(&error, None))?;
    if global.dry_run {
        return dry(&outcome);
    }
    let now = host.status().map_err(|error| report::netlink(&error))?.into_iter().find_map(|status| status.identity);
    let now = now.map_or_else(|| "no policy holds".to_owned(), |identity| format!("policy {identity} holds"));
    let done = match (trial, outcome.plan.is_empty()) {
        (true, _) => "the trial is ended",
        // Written down, and then killed before it was made; or somebody else took it back.
        (false, true) => "rolled back, and nothing was to be changed for it",
        (false, false) => "rolled back",
    };
    report::print(&format!("{done}: {now}\n"))
}
