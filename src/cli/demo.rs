//! `dockgate demo`: the steps of [`crate::demo`], each with its commands run as if they were typed.

use std::{
    ffi::OsString,
    fmt::{self, Write as _},
    time::Instant,
};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::{
    ExitCode, Global, iptables,
    look::Look,
    report::{self, Failure},
};
use crate::{
    demo::{self, Demo, Report, STEPS, Step, Tried},
    lab::{self, Userns},
    model::Counters,
};

const NETWORK: &str = "\
A Docker host in a throw-away network: no root, no Docker; real packets and a real nf_tables.

  client                          host                                 container
  192.168.1.1   friend    ------- ext0 192.168.1.10     docker0 ------ 172.17.0.2, port 80
  192.168.1.2   stranger               192.168.1.11
  192.168.1.N   others            eth1 10.9.0.1 ---------------------- lan 10.9.0.2, port 22

Port 8080 of the host is published as port 80 of the container. The chains around DOCKER-USER are
those that engine 28.5 makes. Everything below is typed on the host.
";

const NEXT: &str = "\
Next, on a host with Docker (as root):
  dockgate list                                  what is in DOCKER-USER now, and whose it is
  dockgate --dry-run iptables -I DOCKER-USER …   what would be done, checked by the kernel
";

/// `dockgate demo`
pub fn run(global: &Global) -> Result<(), Failure> {
    if global.netns.is_some() || global.dry_run {
        return Err(Failure::new(ExitCode::Usage, "`demo` makes namespaces of its own: `--netns` and `--dry-run` don't go with it"));
    }
    let begun = Instant::now();
    lab::enter(Userns::WhenNeeded).map_err(|error| failure(&error.into()))?;
    let mut demo = Demo::build().map_err(|error| failure(&error))?;
    let families: Vec<_> = demo.families().iter().filter(|family| global.families().contains(family)).collect();
    let look = Look::of_stdout();
    if !global.json {
        report::print(&look.text(NETWORK))?;
    }
    let mut told = Vec::new();
    let (mut tried, mut wrong) = (0, 0);
    for (index, step) in STEPS.iter().filter(|step| families.contains(&&step.family)).enumerate() {
        perform(&demo, step, global)?;
        let report = demo.observe(step).map_err(|error| failure(&error))?;
        tried += report.results.len();
        wrong += report.results.iter().filter(|result| !result.is_expected()).count();
        match global.json {
            true => told.push(json(step, &report)),
            false => report::print(&look.text(&text(index + 1, step, &report, look).expect("a string takes everything")))?,
        }
    }
    // Here the namespaces end, and with them all that was in them.
    drop(demo);
    let seconds = begun.elapsed().as_secs_f64();
    if global.json {
        let seconds = (seconds * 1000.0).round() / 1000.0;
        report::print(&format!("{}\n", json!({ "steps": told, "attempts": tried, "unexpected": wrong, "seconds": seconds })))?;
    } else {
        let all = if wrong == 0 { "all as expected" } else { "NOT all as expected" };
        let end = format!(
            "\n{tried} connections in {seconds:.1} s, {all}.\n\
             Everything is gone again, with its namespaces; this machine's own network was never touched.\n\n"
        );
        report::print(&look.text(&(end + NEXT)))?;
    }
    verdict(tried, wrong)
}

fn verdict(tried: usize, wrong: usize) -> Result<(), Failure> {
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::new(ExitCode::Failure, format!("{wrong} of {tried} results are not what was expected"))),
    }
}

/// Runs a step's commands in the host as if they were typed there.
fn perform(demo: &Demo, step: &Step, global: &Global) -> Result<(), Failure> {
    let typed = Global { dialect: global.dialect, ..Global::default() };
    for command in step.commands {
        let words: Vec<OsString> = command.split(' ').map(Into::into).collect();
        demo.host().run(|| iptables::run(step.family, &words, &typed)).map_err(|error| failure(&error.into()))??;
    }
    Ok(())
}

fn failure(error: &demo::Error) -> Failure {
    let failure = Failure::new(ExitCode::Resource, error.to_string());
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// A command as it is typed.
fn typed(step: &Step, command: &str) -> String {
    format!("dockgate {} {command}", step.family.command())
}

/// A long command on two lines, broken before its last match.
fn broken(command: &str) -> String {
    match command.rsplit_once(" -m ") {
        Some((first, second)) if command.len() > 92 => format!("{first} \\\n        -m {second}"),
        _ => command.to_owned(),
    }
}

fn json(step: &Step, report: &Report) -> Value {
    let result = |result: &Tried| {
        let attempt = &result.attempt;
        json!({
            "who": attempt.from.name(), "from": attempt.from.address(step.family).to_string(),
            "to": attempt.endpoint(step.family).to_string(), "outcome": result.outcome.to_string(),
            "expected": attempt.expected.to_string(), "as_expected": result.is_expected(),
        })
    };
    let rules = report.chain.iter().flat_map(|chain| chain.rules()).map(|entry| {
        let Counters { packets, bytes } = entry.counters.unwrap_or_default();
        json!({ "packets": packets, "bytes": bytes, "rule": entry.rule().map(ToString::to_string) })
    });
    json!({
        "title": step.title, "why": step.why, "family": step.family.to_string(),
        "commands": step.commands.iter().map(|command| typed(step, command)).collect::<Vec<_>>(),
        "results": report.results.iter().map(result).collect::<Vec<_>>(),
        "chain": rules.collect::<Vec<_>>(),
    })
}

/// A step: what it shows, what is typed, who reaches what, and the chain with its counters.
fn text(number: usize, step: &Step, report: &Report, look: Look) -> Result<String, fmt::Error> {
    let (bold, dim) = (look.style(Style::new().bold()), look.style(Style::new().dimmed()));
    let mut out = String::new();
    writeln!(out, "\n{bold}{number:>2}  {}{bold:#}\n    {}", step.title, step.why)?;
    for command in step.commands {
        writeln!(out, "    {dim}#{dim:#} {bold}{}{bold:#}", broken(&typed(step, command)))?;
    }
    out.push('\n');
    for result in &report.results {
        line(&mut out, step, result, look)?;
    }
    writeln!(out, "\n    {dim}packets  {} filter DOCKER-USER{dim:#}", step.family)?;
    let rules = report.chain.as_ref().map(|chain| chain.rules()).unwrap_or_default();
    if rules.is_empty() {
        writeln!(out, "          {dim}-  (no rules){dim:#}")?;
    }
    for entry in rules {
        let packets = entry.counters.unwrap_or_default().packets;
        let rule = entry.rule().map_or("not a rule of iptables".to_owned(), ToString::to_string);
        writeln!(out, "    {packets:>7}  {rule}")?;
    }
    Ok(out)
}

/// Who, from where, to where, what became of it, and whether that is right.
fn line(out: &mut String, step: &Step, result: &Tried, look: Look) -> fmt::Result {
    let attempt = &result.attempt;
    let colour = match result.outcome {
        lab::Outcome::Passed => AnsiColor::Green,
        lab::Outcome::Dropped | lab::Outcome::Rejected(_) => AnsiColor::Yellow,
    };
    let colour = look.style(colour.on_default());
    let (who, from, to) = (attempt.from.name(), attempt.from.address(step.family).to_string(), attempt.endpoint(step.family).to_string());
    write!(out, "    {who:<9} {from:<13} → {to:<18} {colour}{:<7}{colour:#} ", result.outcome)?;
    if !result.is_expected() {
        let red = look.style(AnsiColor::Red.on_default().bold());
        return writeln!(out, "{red}✗ NOT EXPECTED: should have been {}{red:#}", attempt.expected);
    }
    writeln!(out, "{}", format_args!("✓ {}", attempt.note).to_string().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Outcome;

    #[test]
    fn a_surprise_is_said_and_fails() {
        let plain = Look { colour: false, unicode: false };
        let step = &STEPS[1];
        let mut out = String::new();
        for outcome in [Outcome::Passed, Outcome::Dropped, Outcome::Rejected(libc::ECONNREFUSED)] {
            line(&mut out, step, &Tried { attempt: step.attempts[1], outcome }, plain).unwrap();
        }
        assert_eq!(
            plain.text(&out),
            "    stranger  192.168.1.2   -> 192.168.1.10:8080  passed  !! NOT EXPECTED: should have been dropped\n    \
             stranger  192.168.1.2   -> 192.168.1.10:8080  dropped ok\n    \
             stranger  192.168.1.2   -> 192.168.1.10:8080  rejected: Connection refused (os error 111) \
             !! NOT EXPECTED: should have been dropped\n"
        );
        assert_eq!(verdict(36, 0), Ok(()));
        assert_eq!(verdict(36, 2).unwrap_err().code(), ExitCode::Failure);
    }

    #[test]
    fn colours_are_for_terminals() {
        let (step, report) = (&STEPS[0], Report { results: Vec::new(), chain: None });
        let written = |colour| text(1, step, &report, Look { colour, unicode: true }).unwrap();
        assert!(written(true).contains("\x1b[1m"));
        assert!(!written(false).contains('\x1b'));
    }
}
