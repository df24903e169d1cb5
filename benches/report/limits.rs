//! What was measured beside what it should take at most.

use dockgate::measure::Cost;

use crate::{
    page::Part,
    records::{Latency, Memory, Record},
    table::{Table, count, time},
};

/// What all programs found that there are limits for.
#[derive(Debug)]
pub struct Found<'a> {
    pub packets: &'a [Record<Cost>],
    pub updates: &'a [Record<Latency>],
    pub policies: &'a [Record<Latency>],
    pub memory: &'a [Record<Memory>],
}

pub const METHOD: &str = "<p>Packets: the least and the most of IPv4 packets from those who are known and from others; lists of
addresses that are dropped, and that alone are allowed; ports with the same senders for all, and with their own. Behind it the
part of the empty path beside it. One sender: all packets come from the same address, so that what is looked up is in the
processor's caches. Times and memory: medians.</p>
";

/// The empty path in µs where the limits for packets were set.
const PATHS: [f64; 2] = [1.3, 1.8];

/// Work, how the groups begin, size, and the limit in ns.
const PACKETS: [(&str, &str, usize, f64); 3] = [
    ("a packet, 10,000 addresses", "addresses", 10_000, 180.0),
    ("a packet, 100,000 addresses", "addresses", 100_000, 230.0),
    ("a packet, 1,000 mixed rules", "ports", 1000, 400.0),
];
/// Who sends, and what those packets are called.
const WHO: [(&str, &[&str]); 2] = [("one sender", &["other", "first", "middle", "last"]), ("1,024 senders", &["others", "members"])];
const STRATEGIES: [&str; 2] = ["dockgate set", "dockgate tree"];

/// A row for each limit.
pub fn parts(found: &Found<'_>) -> Vec<Part> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for ((work, group, size, limit), (who, cases)) in PACKETS.into_iter().flat_map(|row| WHO.map(|who| (row, who))) {
        let of = |strategy: &str| costs(found.packets, group, size, strategy, cases);
        let floors = STRATEGIES.map(|strategy| of(strategy).iter().map(|cost| cost.floor / 1e3).collect::<Vec<_>>()).concat();
        let [least, most] = PATHS.map(|path| limit / 1e3 / path);
        let limit = format!("{limit} ns, × {most:.2} to {least:.2}");
        rows.push(
            [
                vec![format!("{work}, {who}"), limit],
                STRATEGIES.map(|strategy| added(&of(strategy))).to_vec(),
                vec![range(&floors, |us| format!("{us:.1}"), " µs")],
            ]
            .concat(),
        );
    }
    let size = 100_000;
    let p50 = |records: &[Record<Latency>], case: &str, series: &str| {
        one(records, case, size, series).map_or_else(String::new, |found| time(found.p50))
    };
    let commit = |what: &str| [p50(found.updates, "one address", &format!("dockgate set, {what} (library)")), String::new()];
    let compiled = STRATEGIES.map(|strategy| p50(found.policies, "compile", strategy));
    let peaks = |of: fn(Memory) -> f64| {
        let text = |found: Memory| format!("{:.0} MB", of(found) / 1e6);
        STRATEGIES.map(|strategy| one(found.memory, "memory", size, strategy).map(text).unwrap_or_default())
    };
    for (work, limit, [set, tree]) in [
        ("one of 100,000 addresses for another, commits in a row", "50 µs", commit("commits in a row")),
        ("the same, others have emptied the caches", "", commit("commit alone")),
        ("100,000 addresses compiled", "100 ms", compiled),
        ("memory until 100,000 addresses are compiled", "100 MB", peaks(|found| found.compiled)),
        ("memory until they are applied", "", peaks(|found| found.applied)),
    ] {
        rows.push(vec![work.to_owned(), limit.to_owned(), set, tree, String::new()]);
    }
    if rows.iter().all(|row| row[2..].iter().all(String::is_empty)) {
        return Vec::new();
    }
    let [least, most] = PATHS;
    let limit = format!("limit, and part of an empty path of {least} to {most} µs");
    let head = vec![String::new(), limit, STRATEGIES[0].to_owned(), STRATEGIES[1].to_owned(), "the empty path here".to_owned()];
    vec![Part { title: "Limits".to_owned(), svg: None, table: Some(Table { head, rows }) }]
}

/// Those of a strategy.
fn costs(records: &[Record<Cost>], group: &str, size: usize, strategy: &str, cases: &[&str]) -> Vec<Cost> {
    let is_compared = |record: &&Record<Cost>| {
        let replies = record.series.ends_with("replies first");
        record.group.starts_with(group) && record.family == "ip" && record.size == size && record.series.starts_with(strategy) && !replies
    };
    let is_one = |record: &&Record<Cost>| cases.contains(&record.case.as_str());
    records.iter().filter(is_compared).filter(is_one).map(|record| record.found).collect()
}

/// `+120 to +150 ns, × 0.03 to 0.04`
fn added(costs: &[Cost]) -> String {
    let ns: Vec<f64> = costs.iter().map(|cost| cost.added).collect();
    let parts: Vec<f64> = costs.iter().map(|cost| cost.added / cost.floor).collect();
    match costs {
        [] => String::new(),
        _ => format!("{}, × {}", range(&ns, |ns| format!("+{}", count(ns)), " ns"), range(&parts, |part| format!("{part:.2}"), "")),
    }
}

/// From the least to the most.
fn range(all: &[f64], text: impl Fn(f64) -> String, unit: &str) -> String {
    let (least, most) = (all.iter().copied().reduce(f64::min), all.iter().copied().reduce(f64::max));
    match (least.map(&text), most.map(&text)) {
        (Some(least), Some(most)) if least == most => least + unit,
        (Some(least), Some(most)) => format!("{least} to {most}{unit}"),
        _ => String::new(),
    }
}

fn one<N: Copy>(records: &[Record<N>], case: &str, size: usize, series: &str) -> Option<N> {
    records.iter().find(|record| record.case == case && record.size == size && record.series == series).map(|record| record.found)
}
