//! `dockgate check`

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    Global, policy,
    report::{self, Failure},
};
use crate::{
    model::Interface,
    policy::{Lines, Problem, Read},
};

/// `dockgate check`
pub fn run(global: &Global, paths: &[PathBuf]) -> Result<(), Failure> {
    let read = policy::read(paths)?;
    if global.json {
        report::print(&format!("{}\n", json(&read)))?;
    }
    if let Some(failure) = Failure::policy(&read) {
        return Err(failure);
    }
    report::warnings(&read);
    if global.json {
        return Ok(());
    }
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    report::print(&format!("{}: sound: {}\n", names.join(", "), summary(&read)))
}

/// `3 rules, 2 groups, default drop on eth0`
fn summary(read: &Read) -> String {
    let count = |number: usize, one: &str| match number {
        0 => String::new(),
        1 => format!("1 {one}, "),
        many => format!("{many} {one}s, "),
    };
    let policy = &read.policy;
    let rules = if policy.rules.is_empty() { "no rules, ".to_owned() } else { count(policy.rules.len(), "rule") };
    let (groups, tests) = (count(read.groups.len(), "group"), count(policy.tests.len(), "test"));
    let mut text = format!("{rules}{groups}{tests}default {}", policy.default.word());
    if !policy.external.is_empty() {
        text += " on ";
        text += &policy.external.iter().map(Interface::to_string).collect::<Vec<_>>().join(", ");
    }
    text
}

fn json(read: &Read) -> Value {
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
    json!({ "sound": read.is_sound(), "problems": read.problems.iter().map(&mut problem).collect::<Vec<_>>() })
}
