//! How long look-ups and updates take, and what packets meet meanwhile.

use crate::{
    cases,
    page::Part,
    plot::{self, Axes, Drawn, Line, Point},
    records::{Exposure, Latency, Record},
    series,
    table::{Table, count, time},
};

pub const LOOKUP: &str = "<p>All take turns on the same chain in a network namespace. What is compared with is the kernel's dump,
read by nobody. Programs are processes, from start to end. Points are medians (p50), thin lines go up to p90. Whoever deletes
and ends waits in the kernel, when the socket closes, until what was deleted is freed (some 10 ms); an open socket does
not.</p>
";

pub const UPDATE: &str = "<p>A list of addresses that are dropped, held in different ways, each on a host of its own, in turn.
One address: one instead of another; so for 100; the whole list: another one, of the same length. “A rule more” is
appended, and taken away again off the clock. Programs are processes, from start to end; “library” is dockgate by an
open connection, with a policy that is compiled already. “Commit alone”: what stands was read and compared before. Points are
medians (p50), thin lines go up to p90. Who deletes and ends waits in the kernel, when the socket closes, until what was deleted is freed (some 10 ms); an open socket does not.</p>
";

pub const POLICY: &str = "<p>Without a kernel. A policy with one list of addresses that may reach two ports: read from its text; compiled;
compared with the same as it stands. Points are medians (p50), thin lines go up to p90.</p>
";

pub const TRAFFIC: &str = "<p>One thread changes the list as fast as it can. Another one sends packets, of which each has one right
verdict: senders who are in every list, and others who are in none. The kernel decides about a packet within the
<code>write(2)</code> that sends it, and a wrong verdict is counted. Those that take a list away before they fill it again are
there to show that it is.</p>
";

/// A plot and two tables for each kind of work.
pub fn parts(records: &[Record<Latency>], across: &str) -> Drawn<Vec<Part>> {
    let mut parts = Vec::new();
    for case in cases(records) {
        let lines = series(records, |record| record.case == case);
        let point = |record: &&Record<Latency>| Point::new(record.size, [record.found.p50, record.found.p50, record.found.p90]);
        let drawn: Vec<Line<'_>> = lines.iter().map(|(name, points)| Line { name, points: points.iter().map(point).collect() }).collect();
        let least = drawn.iter().flat_map(|line| line.points.iter().map(|point| point.value)).fold(f64::MAX, f64::min) / 2.0;
        let svg = Some(plot::lines(&drawn, Axes { across, up: "time, median", least, text: time })?);
        let title = format!("{}, by the number of {across}", title(case));
        parts.push(Part { title, svg, table: Some(Table::by_size(&lines, |record| time(record.found.p50))) });
        // The one that still is of interest to many, and that all were asked for.
        let size = 1000;
        let head = ["", "p50", "p90", "p99", "max", "× the first row", "runs"].map(str::to_owned).to_vec();
        let of = lines.iter().filter_map(|(name, points)| Some((name, points.iter().find(|record| record.size == size)?.found)));
        let rows: Vec<Vec<String>> = of
            .map(|(name, found)| {
                let times = [found.p50, found.p90, found.p99, found.max].map(time);
                let ratio = format!("{:.2} [{:.2} to {:.2}]", found.ratio, found.low, found.high);
                [vec![(*name).to_owned()], times.to_vec(), vec![ratio, count(found.runs)]].concat()
            })
            .collect();
        if !rows.is_empty() {
            let title = format!("{}, of {} {across}, in percentiles", self::title(case), count(size as f64));
            parts.push(Part { title, svg: None, table: Some(Table { head, rows }) });
        }
    }
    Ok(parts)
}

fn title(case: &str) -> &str {
    match case {
        "check" => "Is the last rule there (`-C`)",
        "list" => "All rules as text (`-S`)",
        "dump" => "The whole table, for programs",
        "delete" => "Deleting the last rule by its words (`-D`)",
        "read" => "Reading a policy",
        "compile" => "Compiling it",
        "compile IPv6" => "Compiling one with IPv6 addresses",
        "nothing to do" => "Finding that nothing is to be done",
        "one rule more" => "One rule more",
        "one address" => "One address for another",
        "100 addresses" => "100 addresses for others",
        "whole list" => "The whole list for another",
        "traffic, one address" => "One address for another, again and again",
        "traffic, whole list" => "The whole list for another, again and again",
        other => other,
    }
}

/// A table for each kind and size.
pub fn traffic(records: &[Record<Exposure>]) -> Drawn<Vec<Part>> {
    let mut parts = Vec::new();
    for case in cases(records) {
        let mut sizes: Vec<usize> = records.iter().filter(|record| record.case == case).map(|record| record.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        for size in sizes {
            let head = ["", "updates a second", "packets a second", "packets", "wrong verdicts"].map(str::to_owned).to_vec();
            let row = |record: &Record<Exposure>| {
                let Exposure { packets, wrong, updates, seconds } = record.found;
                let rates = [rate(updates / seconds), count(packets / seconds), count(packets), count(wrong)];
                [vec![record.series.clone()], rates.to_vec()].concat()
            };
            let rows = records.iter().filter(|record| record.case == case && record.size == size).map(row).collect();
            let title = format!("{}, of {}", title(case), count(size as f64));
            parts.push(Part { title, svg: None, table: Some(Table { head, rows }) });
        }
    }
    Ok(parts)
}

fn rate(number: f64) -> String {
    if number < 10.0 { format!("{number:.1}") } else { count(number) }
}
