//! The same as text: Markdown for the README.

use std::fmt::Write as _;

use dockgate::measure::Cost;

use crate::{
    plot::{count, time},
    records::Record,
    series,
};

/// What stands above a table of addresses or ports: its group, its family, its packets.
pub const TABLES: &[(&str, &str, &str, &str)] = &[
    ("A list of IPv4 addresses, senders who are not in it", "addresses", "ip", "others"),
    ("A list of IPv4 addresses, senders from all over it", "addresses", "ip", "members"),
    ("A list of IPv4 addresses, always the same sender, not in it", "addresses", "ip", "other"),
    ("A list of IPv4 addresses, always the same sender, the first in it", "addresses", "ip", "first"),
    ("A list of IPv4 addresses, always the same sender, in the middle of it", "addresses", "ip", "middle"),
    ("A list of IPv4 addresses, always the same sender, the last in it", "addresses", "ip", "last"),
    ("A list of IPv6 addresses, senders who are not in it", "addresses", "ip6", "others"),
    ("A list of IPv6 addresses, senders from all over it", "addresses", "ip6", "members"),
    ("Published ports with the same 10 senders for all, strangers", SAME, "ip", "others"),
    ("Published ports with the same 10 senders for all, those who may", SAME, "ip", "members"),
    ("Published ports with 10 senders of its own each, strangers", OWN, "ip", "others"),
    ("Published ports with 10 senders of its own each, those who may", OWN, "ip", "members"),
    ("The same with IPv6, strangers", OWN, "ip6", "others"),
    ("The same with IPv6, those who may", OWN, "ip6", "members"),
];
const SAME: &str = "ports, the same 10 senders for all";
const OWN: &str = "ports, 10 senders of its own each";

/// All tables.
pub fn markdown(machine: &str, records: &[Record<Cost>]) -> String {
    let floors: Vec<f64> = records.iter().map(|record| record.found.floor).collect();
    let mut text = format!("{machine}. What a packet takes more than through an empty `DOCKER-USER` ({}).\n", spread(floors));
    for (title, group, family, case) in TABLES {
        let lines = series(records, group, family, case);
        if !lines.is_empty() {
            text += &format!("\n{title}:\n\n{}", lines_table(&lines));
        }
    }
    let matches = matches(records);
    if !matches.is_empty() {
        text += "\nOne rule:\n\n| rule | by iptables 1.8.11 | by iptables 1.8.7 |\n|---|---|---|\n";
        for (name, one, other) in matches {
            let other = other.map_or_else(String::new, |other| format!("{other:.1} ns"));
            writeln!(text, "| `{name}` | {one:.1} ns | {other} |").expect("a string takes everything");
        }
    }
    text
}

/// `1.4 to 1.8 µs`: half of all that were measured.
pub fn spread(mut all: Vec<f64>) -> String {
    all.sort_by(f64::total_cmp);
    match (all.get(all.len() / 4), all.get(all.len() * 3 / 4)) {
        (Some(low), Some(high)) => format!("{:.1} to {:.1} µs", low / 1000.0, high / 1000.0),
        _ => String::new(),
    }
}

fn lines_table(lines: &[(&str, Vec<&Record<Cost>>)]) -> String {
    let mut sizes: Vec<usize> = lines.iter().flat_map(|(_, points)| points.iter().map(|point| point.size)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut text = "| |".to_owned();
    sizes.iter().for_each(|size| text += &format!(" {} |", count(*size as f64)));
    text += "\n|---|";
    sizes.iter().for_each(|_| text += "--:|");
    for (name, points) in lines {
        text += &format!("\n| {name} |");
        for size in &sizes {
            let cell = points.iter().find(|point| point.size == *size).map_or_else(String::new, |point| signed(point.found.added));
            text += &format!(" {cell} |");
        }
    }
    text + "\n"
}

/// `+140 ns`; what is less than nothing is nothing that was measured.
fn signed(ns: f64) -> String {
    if ns < 0.5 { "0".to_owned() } else { format!("+{}", time(ns)) }
}

/// What one rule costs, in both dialects, the cheapest first.
pub fn matches(records: &[Record<Cost>]) -> Vec<(String, f64, Option<f64>)> {
    let each = |record: &Record<Cost>| record.found.added / record.size as f64;
    // `--quick` leaves results of fewer copies.
    let most = records.iter().filter(|record| record.case == "none").map(|record| record.size).max();
    let of = |group: &str| records.iter().filter(move |record| record.group == group && Some(record.size) == most).collect::<Vec<_>>();
    let older = of("match by iptables 1.8.7");
    let mut rows: Vec<_> = of("match by iptables 1.8.11")
        .into_iter()
        .map(|record| {
            let other = older.iter().find(|other| other.series == record.series).map(|other| each(other));
            (record.series.clone(), each(record), other)
        })
        .collect();
    rows.sort_by(|a, b| a.1.total_cmp(&b.1));
    rows
}
