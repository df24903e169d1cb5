//! `dockgate apply --confirm`, `confirm`, `rollback`

use std::{
    fmt,
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    ExitCode, Global, How,
    difference::Mood,
    done,
    policy::{DRY, date, failed, in_force, load, notes, open, show, show_trial},
    report::{self, Failure},
    session,
};
use crate::{
    compile::{Compiled, Identity},
    live::{History, Host, LiveError, Outcome, Status, Trial},
    marks::Table,
    model::Family,
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
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is no length of time, like 60s"));
    }
    match digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(seconds @ 5..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("a trial takes from 5 seconds to a day".to_owned()),
    }
}

/// `dockgate apply POLICY --confirm 60s`
pub fn apply(global: &Global, paths: &[PathBuf], how: How, length: Duration) -> Result<(), Failure> {
    let loaded = load(global, paths, how)?;
    let mut host = open(global)?;
    let pending = host.plan(&loaded.compiled).map_err(|error| failed(&error, Some(&loaded)))?;
    if pending.plan.is_empty() {
        show(global, &loaded, &pending, Mood::Done, &[])?;
        return in_force(&mut host);
    }
    let before = Exactly::deployed(&look_at(&mut host)?);
    let outcome = host.try_out(&loaded.compiled, length).map_err(|error| failed(&error, Some(&loaded)))?;
    show_trial(global, &loaded, &outcome, if global.dry_run { Mood::Planned } else { Mood::OnTrial }, &[], Some(length))?;
    notes(&mut host);
    if global.dry_run {
        report::note(DRY);
        return Ok(());
    }
    let seconds = length.as_secs();
    report::note(&format!(
        "on trial for {seconds} s: open a NEW connection to this host and run `dockgate confirm` there; else the kernel goes back by \
         itself, also if this command ends before"
    ));
    let wanted = Exactly::of(&loaded.compiled);
    wait(&mut host, &before, &wanted)?;
    // Another process confirmed it, and wrote down what stood before.
    let outcome = Outcome { recorded: true, ..outcome };
    done::say(global, &mut host, "confirm", &outcome, &format!("confirmed: {wanted} is deployed"))
}

fn look_at(host: &mut Host) -> Result<[Status; 2], Failure> {
    host.status().map_err(|error| report::netlink(&error))
}

/// Which policy exactly, for each family: its name and rules, and the senders in sets.
#[derive(Debug, Clone, PartialEq)]
struct Exactly([(Option<Identity>, Option<u32>); 2]);

impl Exactly {
    fn of(compiled: &Compiled) -> Self {
        Self(Family::BOTH.map(|family| (Some(compiled.identity.clone()), compiled.table(family).and_then(Table::senders_hash))))
    }

    fn deployed(status: &[Status; 2]) -> Self {
        Self(status.each_ref().map(|status| (status.identity.clone(), status.senders_hash)))
    }

    /// The policy on trial, and how long it goes on.
    fn on_trial(status: &[Status; 2]) -> Option<(Self, Duration)> {
        let trials = status.each_ref().map(|status| status.trial.as_ref());
        let left = trials.iter().flatten().map(|trial| trial.left).min()?;
        let one = |trial: Option<&Trial>| trial.map_or((None, None), |trial| (trial.identity.clone(), trial.senders_hash));
        Some((Self(trials.map(one)), left))
    }
}

impl fmt::Display for Exactly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.iter().find_map(|(identity, _)| identity.as_ref()) {
            Some(identity) => write!(f, "policy {identity}"),
            None => f.write_str("no policy"),
        }
    }
}

/// Until the trial of `wanted` is over in one way or another; an error unless it was confirmed.
fn wait(host: &mut Host, before: &Exactly, wanted: &Exactly) -> Result<(), Failure> {
    let (mut seen, mut end) = (None, Instant::now());
    loop {
        // Only what changes the ruleset can end it before its time.
        let generation = host.netlink().generation().map_err(|error| report::netlink(&error))?;
        if seen.replace(generation) != Some(generation) || end <= Instant::now() {
            let status = look_at(host)?;
            count_down(None);
            if status.iter().any(|status| status.trial.as_ref().is_some_and(|trial| trial.disturbed)) {
                return disturbed(host);
            }
            match Exactly::on_trial(&status) {
                None => return ended(&Exactly::deployed(&status), before, wanted),
                Some((other, left)) if other != *wanted && !left.is_zero() => return Err(superseded(&other)),
                Some((_, Duration::ZERO)) => return over(host, before, wanted),
                Some((_, left)) => end = Instant::now() + left,
            }
        }
        count_down(Some(end.saturating_duration_since(Instant::now())));
        std::thread::sleep(LOOK);
    }
}

/// Shows how long it goes on; `None` clears the line.
fn count_down(left: Option<Duration>) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let line = left.map_or_else(String::new, |left| format!("{} s left to confirm ", left.as_secs()));
        // A terminal that is gone is no reason to stop.
        let _ = write!(stderr, "\r\x1b[K{line}");
    }
}

/// The time is over: takes away what is left of the trial.
fn over(host: &mut Host, before: &Exactly, wanted: &Exactly) -> Result<(), Failure> {
    match host.end_trial() {
        // Somebody was faster: confirmed in the last second, or ended it.
        Err(LiveError::NoTrial) => {
            let now = Exactly::deployed(&look_at(host)?);
            ended(&now, before, wanted)
        }
        Err(error) => Err(failed(&error, None)),
        Ok(_) => {
            let now = Exactly::deployed(&look_at(host)?);
            Err(Failure::new(ExitCode::TakenBack, format!("not confirmed in time: {now} is deployed again"))
                .hint("if nothing was wrong, apply it again and confirm from a new connection"))
        }
    }
}

/// Somebody changed a part of the trial: it is ended.
fn disturbed(host: &mut Host) -> Result<(), Failure> {
    host.end_trial().map_err(|error| failed(&error, None))?;
    let now = Exactly::deployed(&look_at(host)?);
    Err(Failure::new(ExitCode::TakenBack, format!("somebody changed what was on trial, so it was ended: {now} is deployed again"))
        .hint("look for what writes these chains meanwhile (a firewall's reload, a restored backup), and apply it again"))
}

/// There is no trial any more: says what is deployed now.
fn ended(now: &Exactly, before: &Exactly, wanted: &Exactly) -> Result<(), Failure> {
    if now == wanted {
        return Ok(());
    }
    let what = match now == before {
        true => format!("the trial was ended: {now} is deployed again"),
        false => format!("the trial was ended by another change: {now} is deployed now"),
    };
    Err(Failure::new(ExitCode::TakenBack, what))
}

fn superseded(other: &Exactly) -> Failure {
    Failure::new(ExitCode::TakenBack, format!("another trial took the place of this one: {other} is on trial now"))
        .hint("`dockgate status` shows it; without `dockgate confirm`, the policy that was deployed before both is deployed again")
}

/// `dockgate confirm`
pub fn confirm(global: &Global, here: bool) -> Result<(), Failure> {
    let mut host = open(global)?;
    let trial = current(&mut host)?;
    if let (Some(trial), false) = (&trial, here)
        && !trial.left.is_zero()
        && let Some(age) = host.trial_age().map_err(|error| report::netlink(&error))?
        && let Some(up) = session::up()
        && let Some(older) = session::older_than(session::latest(up, age))
    {
        let left = trial.seconds_left();
        return Err(Failure::new(
            ExitCode::Failure,
            format!("{older} was there before the change, so it proves nothing: known connections pass by the rules"),
        )
        .hint(&format!(
            "open a new connection and confirm there ({left} s left), or say that it is all right: `dockgate confirm --here`"
        )));
    }
    let outcome = host.confirm().map_err(|error| not_confirmed(&mut host, &error))?;
    let identity = trial.and_then(|trial| trial.identity).map_or_else(String::new, |identity| format!(": policy {identity} is deployed"));
    match global.dry_run {
        true => done::say_dry(global, &mut host, "confirm", &outcome),
        false => done::say(global, &mut host, "confirm", &outcome, &format!("confirmed{identity}")),
    }
}

/// Why it was not confirmed, and whether the trial goes on.
fn not_confirmed(host: &mut Host, error: &LiveError) -> Failure {
    let failure = failed(error, None);
    match current(host) {
        Ok(Some(trial)) if !trial.left.is_zero() => failure.hint(&format!(
            "the trial goes on for another {} s: until then `dockgate confirm` may be tried again, after that the kernel goes back by itself",
            trial.seconds_left()
        )),
        _ => failure,
    }
}

fn current(host: &mut Host) -> Result<Option<Trial>, Failure> {
    Ok(look_at(host)?.into_iter().find_map(|status| status.trial))
}

/// `dockgate rollback`
pub fn rollback(global: &Global, steps: usize, list: bool) -> Result<(), Failure> {
    let mut host = open(global)?;
    if list {
        return show_records(global, host.history());
    }
    let trial = current(&mut host)?;
    let outcome = host.rollback(steps).map_err(|error| failed(&error, None))?;
    if global.dry_run {
        return done::say_dry(global, &mut host, "rollback", &outcome);
    }
    // It is done: what can't be seen of it is no error.
    let now = match host.status() {
        Err(error) => format!("what is deployed now could not be read: {error}"),
        Ok(status) => format!("{} is deployed", Exactly::deployed(&status)),
    };
    let done = match (trial, outcome.plan.is_empty()) {
        (Some(trial), _) if !trial.left.is_zero() => "the trial is ended",
        (Some(_), _) => "what was left of a trial is taken away",
        // Written down, and then killed before it was made; or somebody else took it back.
        (None, true) => "rolled back, and nothing was to be changed for it",
        (None, false) => "rolled back",
    };
    done::say(global, &mut host, "rollback", &outcome, &format!("{done}: {now}"))
}

/// `dockgate rollback --list`: the number of each is that of the steps to it; what is no record is no step.
fn show_records(global: &Global, history: &History) -> Result<(), Failure> {
    let records = history.records().map_err(|error| failed(&error.into(), None))?;
    if global.json {
        return report::print(&format!("{}\n", done::steps(&records)));
    }
    if records.is_empty() {
        report::note("no change is known that could be taken back");
    }
    let (mut text, mut number) = (String::new(), 0);
    for record in &records {
        text += &match record {
            Ok(record) => {
                number += 1;
                let policy = record.policy.as_deref().map_or_else(|| "no policy".to_owned(), |policy| format!("policy {policy}"));
                format!("{number:>3}  {}  before `{}`: {policy}\n", date(record.when), record.what)
            }
            Err(error) => format!("  -  {error}; it is passed over\n"),
        };
    }
    report::print(&text)
}
