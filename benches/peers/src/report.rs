//! Tables, for a terminal or for a README, and what had to be reached.

use std::fmt::Write as _;

use crate::{
    bulk, single,
    support::{
        experiment::Outcome,
        samples::{Digits, Runs},
    },
};

/// Writes an outcome as a table.
pub fn table(outcome: &Outcome, markdown: bool) -> String {
    let mut rows = vec![headings(outcome)];
    rows.extend(outcome.runs.iter().map(|runs| row(outcome, runs)));
    let widths: Vec<usize> = (0..rows[0].len()).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let mut text = if markdown { format!("\n### {}\n\n", outcome.title) } else { format!("\n{}\n", outcome.title) };
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        let line = if markdown { format!("| {} |", cells.join(" | ")) } else { format!("  {}", cells.join("  ")) };
        writeln!(text, "{}", line.trim_end()).expect("a string takes everything");
        if index == 0 && markdown {
            let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
            writeln!(text, "| {} |", rule.join(" | ")).expect("a string takes everything");
        }
    }
    for (name, failure) in outcome.runs.iter().filter_map(|runs| Some((&runs.name, runs.failure.as_ref()?))) {
        let indent = if markdown { "\n" } else { "  " };
        writeln!(text, "{indent}{name}: {failure}").expect("a string takes everything");
    }
    text
}

fn headings(outcome: &Outcome) -> Vec<String> {
    let columns = outcome.columns.iter().map(|column| format!("× {}", column.heading));
    ["who".to_owned(), "ms".to_owned()].into_iter().chain(columns).chain(["cpu ms".to_owned(), "MB".to_owned()]).collect()
}

fn row(outcome: &Outcome, runs: &Runs) -> Vec<String> {
    let mut cells = vec![runs.name.clone()];
    cells.push(match &runs.failure {
        Some(_) => "fails".to_owned(),
        None => runs.wall().map_or_else(String::new, |wall| wall.to_string()),
    });
    for column in &outcome.columns {
        let ratio = outcome.against(column, runs).filter(|_| runs.failure.is_none() && !column.baselines.contains(&runs.name.as_str()));
        cells.push(ratio.map_or_else(String::new, |ratio| ratio.to_string()));
    }
    cells.extend([runs.cpu(), runs.resident()].map(|value| value.map_or_else(String::new, |value| Digits(value).to_string())));
    cells
}

/// What dockgate must reach, and whether it does.
pub fn targets(outcomes: &[Outcome]) -> String {
    let of = |title: &str| outcomes.iter().find(|outcome| outcome.title == title);
    let ratio = |title: &str, name: &str, beside: &str| Some(of(title)?.ratio(name, beside)?.median);
    let bulk = "load 100000 rules";
    let list = [
        ("100000 rules from the library, × replay", 1.05, ratio(bulk, bulk::LIBRARY, bulk::REPLAY)),
        ("`dockgate restore` of 100000 rules, × replay", 1.12, ratio(bulk, bulk::RESTORE, bulk::REPLAY_PROCESS)),
        ("`dockgate restore` of 100000 rules, × `iptables-restore`", 0.85, ratio(bulk, bulk::RESTORE, bulk::IPTABLES)),
        ("`dockgate restore` of 100000 rules, MB resident", 64.0, of(bulk).and_then(|outcome| outcome.of(bulk::RESTORE)?.resident())),
        ("`dockgate iptables -A`, × `iptables -A`", 0.55, ratio("add one rule to 0", single::DOCKGATE, single::IPTABLES)),
        (
            "`dockgate iptables -C` in 10000 rules, × `iptables -C`",
            0.5,
            ratio("look for the last of 10000 rules", single::DOCKGATE, single::IPTABLES),
        ),
    ];
    let mut text = String::from("\nmust reach\n");
    for (what, most, got) in list {
        let verdict = match got {
            None => "not measured".to_owned(),
            Some(got) if got <= most => format!("{:>6}  reached", Digits(got).to_string()),
            Some(got) => format!("{:>6}  NOT REACHED", Digits(got).to_string()),
        };
        writeln!(text, "  {what:<58} at most {most:<5}  {verdict}").expect("a string takes everything");
    }
    text
}
