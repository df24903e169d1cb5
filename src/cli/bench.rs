//! `dockgate bench`: what rules cost on this machine, measured in throw-away namespaces.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::{
    ExitCode, Global, How,
    difference::number,
    policy,
    report::{self, Failure},
};
use crate::{
    lab::{self, Packet, Userns},
    marks::Table,
    measure::{Cost, Error, Path, Samples, Work, block_list, elsewhere, pair, work},
    model::{Dialect, Family},
};

/// The lengths of a chain of plain rules.
const LENGTHS: [usize; 4] = [10, 100, 1000, 10_000];

/// What there is to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// What rules in a row cost a packet
    Packets,
    /// What it takes to add a rule to them, and to ask for one
    Changes,
    /// What the policy costs a packet
    Policy,
}

impl Part {
    /// So many shares of the time.
    const fn shares(self) -> usize {
        match self {
            Self::Packets => LENGTHS.len(),
            Self::Changes => 2 * LENGTHS.len(),
            // Three kinds of packets.
            Self::Policy => 3,
        }
    }
}

/// All that was found.
#[derive(Debug, Default)]
struct Found {
    rows: Vec<Row>,
    policy: Option<OfPolicy>,
}

/// A chain of plain rules.
#[derive(Debug)]
struct Row {
    rules: usize,
    packet: Option<Cost>,
    work: Option<Work>,
}

impl Found {
    /// Nanoseconds of the whole way through an empty chain, if packets were sent.
    fn empty(&self) -> Option<f64> {
        let policy = self.policy.iter().flat_map(kinds).find_map(|(_, cost)| *cost);
        self.rows.iter().rev().find_map(|row| row.packet).or(policy).map(|cost| cost.floor)
    }
}

/// What a policy costs; where it has no such packets, nothing.
#[derive(Debug, Default)]
struct OfPolicy {
    name: String,
    rules: usize,
    senders: usize,
    known: Option<Cost>,
    passed: Option<Cost>,
    stopped: Option<Cost>,
}

/// `dockgate bench`
pub fn run(global: &Global, paths: &[PathBuf], how: How, seconds: u64, only: &[Part]) -> Result<(), Failure> {
    if global.netns.is_some() || global.dry_run {
        return Err(Failure::new(ExitCode::Usage, "`bench` makes namespaces of its own: `--netns` and `--dry-run` don't go with it"));
    }
    if only.contains(&Part::Policy) && paths.is_empty() {
        return Err(Failure::new(ExitCode::Usage, "`--only policy` needs a policy").hint("dockgate bench --only policy POLICY"));
    }
    let loaded = if paths.is_empty() { None } else { Some(policy::load(global, paths, how)?) };
    let parts: Vec<Part> = match only {
        [] => Part::value_variants().iter().copied().filter(|part| *part != Part::Policy || loaded.is_some()).collect(),
        only => only.to_vec(),
    };
    lab::enter(Userns::WhenNeeded).map_err(|error| failure(&error.into()))?;
    let shares: usize = parts.iter().map(|part| part.shares()).sum();
    let share = Duration::from_secs(seconds) / shares as u32;
    let found = measure(global.only().unwrap_or(Family::Ip), loaded.as_ref(), &parts, share).map_err(|error| failure(&error))?;
    let text = if global.json { format!("{}\n", json(&found)) } else { text(&found) };
    report::print(&text)
}

fn failure(error: &Error) -> Failure {
    let failure = Failure::new(ExitCode::Resource, error.to_string());
    error.hint().iter().fold(failure, |failure, hint| failure.hint(hint))
}

fn measure(family: Family, loaded: Option<&policy::Loaded>, parts: &[Part], share: Duration) -> Result<Found, Error> {
    let mut found = Found::default();
    let inward =
        loaded.and_then(|loaded| loaded.read.policy.external.first()).map_or("eth0".to_owned(), |name| name.to_string().replace('+', "0"));
    let accepts = Path::build("without rules", &inward)?;
    if let Some(error) = accepts.router().no_tun() {
        report::note(&format!("{error}: measured over veth pairs, which take longer, with rules as without"));
        error.hint().iter().for_each(|hint| report::note(hint));
    }
    let (packets, changes) = (parts.contains(&Part::Packets), parts.contains(&Part::Changes));
    for rules in LENGTHS.into_iter().filter(|_| packets || changes) {
        progress(&format!("{rules} rules in a row"));
        let mut tested = Path::build("with rules", &inward)?;
        tested.fill(family, block_list(family, rules), Dialect::D)?;
        let packet = packets.then(|| pair(&accepts, &tested, &[elsewhere(family)], share)).transpose()?;
        let work = changes.then(|| work(&mut tested, family, 2 * share)).transpose()?;
        found.rows.push(Row { rules, packet, work });
    }
    if let Some(loaded) = loaded.filter(|_| parts.contains(&Part::Policy)) {
        progress("the policy");
        found.policy = Some(of_policy(family, loaded, &accepts, &inward, share)?);
    }
    progress("");
    Ok(found)
}

fn of_policy(family: Family, loaded: &policy::Loaded, accepts: &Path, inward: &str, part: Duration) -> Result<OfPolicy, Error> {
    let mut drops = Path::build("without rules, dropping", inward)?;
    drops.set_policy(false)?;
    let mut tested = Path::build("with the policy", inward)?;
    tested.apply(&loaded.compiled)?;
    let Samples { known, passed, stopped } = Samples::of(&loaded.read.policy, family, accepts, &tested)?;
    let cost = |floor: &Path, packets: &[Packet]| match packets {
        [] => Ok(None),
        packets => pair(floor, &tested, packets, part).map(Some),
    };
    Ok(OfPolicy {
        name: loaded.compiled.identity.name.clone(),
        rules: loaded.compiled.chains(family).iter().map(|chain| chain.rules.len()).sum(),
        senders: loaded.compiled.table(family).map_or(0, Table::senders),
        known: cost(accepts, &known)?,
        passed: cost(accepts, &passed)?,
        stopped: cost(&drops, &stopped)?,
    })
}

/// What is being measured, for who watches; nothing: all is done.
fn progress(what: &str) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let line = if what.is_empty() { String::new() } else { format!("measuring: {what} …") };
        // If stderr is gone there is nobody to tell.
        let _ = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
    }
}

fn text(found: &Found) -> String {
    let mut text = String::new();
    if let Some(empty) = found.empty() {
        text += &format!("An empty DOCKER-USER: a packet takes {} through this host.\n\n", time(empty));
    }
    if let Some(first) = found.rows.first() {
        text += "rules in a row";
        text += if first.packet.is_some() { "   a packet takes more" } else { "" };
        text += if first.work.is_some() { "   one rule more   is a rule there?\n" } else { "\n" };
    }
    for Row { rules, packet, work } in &found.rows {
        text += &format!("{rules:>14}");
        packet.iter().for_each(|cost| text += &format!("   {:>19}", signed(cost.added)));
        if let Some(Work { append, check }) = work {
            let of = |taken: &Duration| time(taken.as_nanos() as f64);
            text += &format!("   {:>13}   {:>16}", of(append), of(check));
        }
        text.push('\n');
    }
    let Some(policy) = &found.policy else { return text };
    let gap = if found.rows.is_empty() { "" } else { "\n" };
    let senders = if policy.senders > 0 { format!(" and {}", number(policy.senders, "sender")) } else { String::new() };
    text += &format!("{gap}The policy `{}`, {}{senders}:\n", policy.name, number(policy.rules, "rule"));
    for (what, cost) in kinds(policy) {
        if let Some(cost) = cost {
            text += &format!("  {what:<38} {:>9}   half of all: {} to {}\n", signed(cost.added), signed(cost.low), signed(cost.high));
        }
    }
    text + &format!("\n{}\n", sentence(policy, found.empty().unwrap_or_default()))
}

fn kinds(policy: &OfPolicy) -> [(&'static str, &Option<Cost>); 3] {
    [
        ("a packet of a known connection", &policy.known),
        ("the first of a connection that passes", &policy.passed),
        ("the first of one that is stopped", &policy.stopped),
    ]
}

/// What it comes to.
fn sentence(policy: &OfPolicy, empty: f64) -> String {
    let worst = [policy.passed, policy.stopped].into_iter().flatten().map(|cost| cost.added).fold(0.0, f64::max);
    let most = policy.known.map_or(worst, |cost| cost.added);
    format!(
        "Your policy costs {} a packet, and up to {} the first of a connection (empty chain: {}).",
        time(most),
        time(worst),
        time(empty)
    )
}

/// `+140 ns`; less than nothing is nothing that can be measured.
fn signed(ns: f64) -> String {
    if ns < 0.5 { "0 ns".to_owned() } else { format!("+{}", time(ns)) }
}

/// Nanoseconds in the unit that fits.
fn time(ns: f64) -> String {
    match ns.max(0.0) {
        ns @ 1e6.. => format!("{:.1} ms", ns / 1e6),
        ns @ 1e3.. => format!("{:.1} µs", ns / 1e3),
        ns => format!("{ns:.0} ns"),
    }
}

fn json(found: &Found) -> Value {
    let rounded = |ns: f64| (ns * 10.0).round() / 10.0;
    let cost = |cost: &Cost| json!({ "added_ns": rounded(cost.added), "low_ns": rounded(cost.low), "high_ns": rounded(cost.high) });
    let rows = found.rows.iter().map(|Row { rules, packet, work }| {
        let nanos = |taken: Duration| taken.as_nanos() as u64;
        json!({
            "rules": rules, "packet": packet.as_ref().map(cost),
            "append_ns": work.map(|work| nanos(work.append)), "check_ns": work.map(|work| nanos(work.check)),
        })
    });
    json!({
        "empty_ns": found.empty().map(rounded),
        "linear": rows.collect::<Vec<_>>(),
        "policy": found.policy.as_ref().map(|policy| json!({
            "name": policy.name, "rules": policy.rules, "senders": policy.senders,
            "known": policy.known.as_ref().map(cost),
            "passed": policy.passed.as_ref().map(cost),
            "stopped": policy.stopped.as_ref().map(cost),
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_means() {
        let cost = |added| Some(Cost { floor: 1400.0, added, low: added - 5.0, high: added + 5.0, pairs: 9, packets: 100 });
        let policy =
            OfPolicy { name: "web".to_owned(), rules: 7, senders: 0, known: cost(140.2), passed: cost(-3.0), stopped: cost(1234.0) };
        let work = Work { append: Duration::from_micros(21), check: Duration::from_millis(3) };
        let row = Row { rules: 10, packet: cost(45.0), work: Some(work) };
        let mut found = Found { rows: vec![row], policy: Some(policy) };
        assert_eq!(
            text(&found),
            "An empty DOCKER-USER: a packet takes 1.4 µs through this host.\n\n\
             rules in a row   a packet takes more   one rule more   is a rule there?\n            \
             10                +45 ns         21.0 µs             3.0 ms\n\n\
             The policy `web`, 7 rules:\n  \
             a packet of a known connection           +140 ns   half of all: +135 ns to +145 ns\n  \
             the first of a connection that passes       0 ns   half of all: 0 ns to +2 ns\n  \
             the first of one that is stopped         +1.2 µs   half of all: +1.2 µs to +1.2 µs\n\n\
             Your policy costs 140 ns a packet, and up to 1.2 µs the first of a connection (empty chain: 1.4 µs).\n"
        );
        assert_eq!(json(&found)["policy"]["known"]["added_ns"], 140.2);
        // Parts of it.
        found.policy = None;
        found.rows[0].packet = None;
        assert_eq!(text(&found), "rules in a row   one rule more   is a rule there?\n            10         21.0 µs             3.0 ms\n");
        assert_eq!(json(&found)["empty_ns"], Value::Null);
    }
}
