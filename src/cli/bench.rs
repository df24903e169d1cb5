//! `dockgate bench`: what rules cost on this machine, measured in throw-away namespaces.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

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

/// What there is to measure: plain chains three times each, a policy's three kinds of packets.
const PARTS: u32 = 3 * LENGTHS.len() as u32 + 3;

/// All that was found.
#[derive(Debug, Default)]
struct Found {
    /// Nanoseconds of the whole way through an empty chain.
    empty: f64,
    linear: Vec<(usize, Cost)>,
    append: Vec<(usize, Duration)>,
    check: Vec<(usize, Duration)>,
    policy: Option<OfPolicy>,
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
pub fn run(global: &Global, paths: &[PathBuf], how: How, seconds: u64) -> Result<(), Failure> {
    if global.netns.is_some() || global.dry_run {
        return Err(Failure::new(ExitCode::Usage, "`bench` makes namespaces of its own: `--netns` and `--dry-run` don't go with it"));
    }
    let loaded = if paths.is_empty() { None } else { Some(policy::load(paths, how)?) };
    lab::enter(Userns::WhenNeeded).map_err(|error| failure(&error.into()))?;
    let part = Duration::from_secs(seconds) / PARTS;
    let found = measure(global.only().unwrap_or(Family::Ip), loaded.as_ref(), part).map_err(|error| failure(&error))?;
    let text = if global.json { format!("{}\n", json(&found)) } else { text(&found) };
    report::print(&text)
}

fn failure(error: &Error) -> Failure {
    let failure = Failure::new(ExitCode::Resource, error.to_string());
    error.hint().iter().fold(failure, |failure, hint| failure.hint(hint))
}

fn measure(family: Family, loaded: Option<&policy::Loaded>, part: Duration) -> Result<Found, Error> {
    let mut found = Found::default();
    let inward =
        loaded.and_then(|loaded| loaded.read.policy.external.first()).map_or("eth0".to_owned(), |name| name.to_string().replace('+', "0"));
    let accepts = Path::build("without rules", &inward)?;
    if let Some(error) = accepts.router().no_tun() {
        report::note(&format!("{error}: measured over veth pairs, which take longer, with rules as without"));
        error.hint().iter().for_each(|hint| report::note(hint));
    }
    for rules in LENGTHS {
        progress(&format!("{rules} rules in a row"));
        let mut tested = Path::build("with rules", &inward)?;
        tested.fill(family, block_list(family, rules), Dialect::D)?;
        let cost = pair(&accepts, &tested, &[elsewhere(family)], part)?;
        found.empty = cost.floor;
        found.linear.push((rules, cost));
        let Work { append, check } = work(&mut tested, family, part)?;
        found.append.push((rules, append));
        found.check.push((rules, check));
    }
    if let Some(loaded) = loaded {
        progress("the policy");
        found.policy = Some(of_policy(family, loaded, &accepts, &inward, part)?);
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
    let mut text = format!("An empty DOCKER-USER: a packet takes {} through this host.\n\n", time(found.empty));
    text += "rules in a row   a packet takes more   one rule more   is a rule there?\n";
    for (((rules, cost), (_, append)), (_, check)) in found.linear.iter().zip(&found.append).zip(&found.check) {
        let (append, check) = (time(append.as_nanos() as f64), time(check.as_nanos() as f64));
        text += &format!("{rules:>14}   {:>19}   {append:>13}   {check:>16}\n", signed(cost.added));
    }
    let Some(policy) = &found.policy else { return text };
    let senders = if policy.senders > 0 { format!(" and {}", number(policy.senders, "sender")) } else { String::new() };
    text += &format!("\nThe policy `{}`, {}{senders}:\n", policy.name, number(policy.rules, "rule"));
    for (what, cost) in kinds(policy) {
        if let Some(cost) = cost {
            text += &format!("  {what:<38} {:>9}   half of all: {} to {}\n", signed(cost.added), signed(cost.low), signed(cost.high));
        }
    }
    text + &format!("\n{}\n", sentence(policy, found.empty))
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
    let rows = found.linear.iter().zip(&found.append).zip(&found.check).map(|(((rules, linear), (_, append)), (_, check))| {
        json!({
            "rules": rules, "packet": cost(linear),
            "append_ns": append.as_nanos() as u64, "check_ns": check.as_nanos() as u64,
        })
    });
    json!({
        "empty_ns": rounded(found.empty),
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
        let found = Found {
            empty: 1400.0,
            linear: vec![(10, cost(45.0).unwrap())],
            append: vec![(10, Duration::from_micros(21))],
            check: vec![(10, Duration::from_millis(3))],
            policy: Some(policy),
        };
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
    }
}
