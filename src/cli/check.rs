//! `dockgate check`

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    Global, policy,
    report::{self, Failure},
};
use crate::{
    compile,
    model::Interface,
    policy::{By, Expected, Lines, Outcome, PacketTest, Problem, Read, Strategy, Tried},
};

/// `dockgate check`
pub fn run(global: &Global, paths: &[PathBuf], skip_tests: bool) -> Result<(), Failure> {
    let read = policy::read(paths, skip_tests)?;
    if global.json {
        report::print(&format!("{}\n", json(&read)))?;
    }
    if let Some(failure) = Failure::policy(&read) {
        return Err(failure);
    }
    report::warnings(&read);
    if read.policy.strategy == Strategy::Set {
        policy::say_what_has_no_sets(&read.policy, &compile::docker_user(&read.policy, "", None));
    }
    if global.json {
        return Ok(());
    }
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    report::print(&format!("{}: sound: {}\n", names.join(", "), summary(&read)))
}

/// `3 rules, 2 groups, 2 tests passed, default drop on eth0`
fn summary(read: &Read) -> String {
    let count = |number: usize, one: &str| match number {
        0 => String::new(),
        1 => format!("1 {one}, "),
        many => format!("{many} {one}s, "),
    };
    let policy = &read.policy;
    let rules = if policy.rules.is_empty() { "no rules, ".to_owned() } else { count(policy.rules.len(), "rule") };
    let (groups, tests) = (count(read.groups.len(), "group"), tests(read));
    let mut text = format!("{rules}{groups}{tests}default {}", policy.default.word());
    if !policy.external.is_empty() {
        text += " on ";
        text += &policy.external.iter().map(Interface::to_string).collect::<Vec<_>>().join(", ");
    }
    text
}

/// `2 tests passed, `, and what became of the others.
fn tests(read: &Read) -> String {
    let all = read.policy.tests.len();
    let passed = read.tried.iter().filter(|tried| tried.outcome == Outcome::Passed).count();
    let word = |count: usize| if count == 1 { "test" } else { "tests" };
    match (all, read.tried.len() - passed) {
        (0, _) => String::new(),
        _ if read.tried.is_empty() => format!("{all} {} skipped, ", word(all)),
        (_, 0) => format!("{passed} {} passed, ", word(passed)),
        (_, undecided) => format!("{passed} {} passed, {undecided} undecided, ", word(passed)),
    }
}

pub(super) fn json(read: &Read) -> Value {
    // In the order of the files.
    let mut lines: Option<(usize, Lines<'_>)> = None;
    let mut problem = |problem: &Problem| {
        let lines = match &mut lines {
            Some((of, lines)) if *of == problem.file => lines,
            stale => &stale.insert((problem.file, Lines::new(&read.policy.files[problem.file].text))).1,
        };
        let (line, span) = problem.line(lines);
        let column = lines.text(line).get(..span.start).map_or(1, |before| before.chars().count() + 1);
        json!({
            "severity": if problem.warning { "warning" } else { "error" },
            "file": read.policy.files[problem.file].name,
            "line": line + 1,
            "column": column,
            "message": problem.message,
            "hint": problem.hint,
        })
    };
    let problems: Vec<Value> = read.problems.iter().map(&mut problem).collect();
    let mut tried = read.tried.iter();
    let tests: Vec<Value> = read.policy.tests.iter().map(|test| json_of_test(read, test, tried.next())).collect();
    json!({ "sound": read.is_sound(), "problems": problems, "tests": tests })
}

/// A test; one that was not run is `skipped`, also for a policy that is not sound.
fn json_of_test(read: &Read, test: &PacketTest, tried: Option<&Tried>) -> Value {
    let policy = &read.policy;
    let outcome = match tried.map(|tried| tried.outcome) {
        None => "skipped",
        Some(Outcome::Passed) => "passed",
        Some(Outcome::Failed) => "failed",
        Some(Outcome::Unclear(_)) => "unclear",
        Some(Outcome::Undecided(_)) => "undecided",
    };
    let decided_by = tried.map(|tried| match tried.meaning.decided_by {
        By::Known => "known connection".to_owned(),
        By::Rule(index) => policy.at(policy.rules[index].place),
        By::Default => "default".to_owned(),
        By::Nothing => "nothing".to_owned(),
    });
    json!({
        "name": test.name,
        "file": policy.files[test.place.file].name,
        "line": test.place.line,
        "expect": test.expect.word(),
        "outcome": outcome,
        "verdict": tried.map(|tried| Expected::from(tried.meaning.verdict).word()),
        "decided_by": decided_by,
    })
}
