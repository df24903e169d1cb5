//! Makes one page of what the benchmarks found, `target/report/index.html` with its plots, and prints
//! its tables for the README.
//!
//! `cargo bench` measures, all or a part of it: `packets`, `end_to_end`, `lookup`, `update`,
//! `policy`. Then
//! `cargo bench --bench report`.

mod flow;
mod latency;
mod limits;
mod packets;
mod page;
mod plot;
#[path = "../support/records.rs"]
#[expect(dead_code, reason = "the benchmarks write them")]
mod records;
mod table;

use std::{fs, io};

use page::Part;
use plot::Drawn;
use records::{Numbers, Record};

/// A program's section of the page.
struct Section {
    title: &'static str,
    /// In HTML.
    method: &'static str,
    machine: String,
    parts: Vec<Part>,
}

fn main() {
    // `cargo bench` hands options for criterion to every program.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let found = [
        section("packets", "What rules cost a packet", packets::METHOD, packets::parts),
        section("end_to_end", "End to end", flow::METHOD, flow::parts),
        section("lookup", "Looking rules up", latency::LOOKUP, |records| latency::parts(records, "rules")),
        section("update", "Changing a list", latency::UPDATE, |records| latency::parts(records, "addresses")),
        section("traffic", "Changing a list while packets come", latency::TRAFFIC, latency::traffic),
        section("policy", "Reading and compiling", latency::POLICY, |records| latency::parts(records, "addresses")),
        limits(),
    ];
    let mut sections = Vec::new();
    for one in found {
        match one {
            Ok(section) => sections.extend(section),
            Err(error) => println!("SKIPPED {error}"),
        }
    }
    if sections.is_empty() {
        return println!("SKIPPED the report: nothing was measured");
    }
    sections.iter().for_each(|section| print!("{}", page::markdown(section)));
    let file = records::folder().join("index.html");
    match fs::write(&file, page::html(&sections)) {
        Ok(()) => println!("\n{}", file.display()),
        Err(error) => println!("{}: {error}", file.display()),
    }
}

/// What several of them found; what is not there was skipped above.
fn limits() -> io::Result<Option<Section>> {
    let (machine, packets) = found("packets")?;
    let [updates, policies] = ["update", "policy"].map(|program| found(program).unwrap_or_default().1);
    let (_, memory) = found("memory").unwrap_or_default();
    let parts = limits::parts(&limits::Found { packets: &packets, updates: &updates, policies: &policies, memory: &memory });
    Ok((!parts.is_empty()).then_some(Section { title: "Limits", method: limits::METHOD, machine, parts }))
}

/// The machine, and what a program found there.
fn found<N: Numbers>(program: &str) -> io::Result<(String, Vec<Record<N>>)> {
    records::read(&records::folder().join(format!("{program}.json")))
}

/// What a program found, if it has found any such thing.
fn section<N: Numbers>(
    program: &str,
    title: &'static str,
    method: &'static str,
    parts: impl Fn(&[Record<N>]) -> Drawn<Vec<Part>>,
) -> io::Result<Option<Section>> {
    let (machine, records) = found(program)?;
    let parts = parts(&records).unwrap_or_else(|error| panic!("a plot of {program} can't be drawn: {error}"));
    Ok((!parts.is_empty()).then_some(Section { title, method, machine, parts }))
}

/// A series, and its records by size.
type Series<'r, N> = (&'r str, Vec<&'r Record<N>>);

/// Those that are wanted, by series in the order in which they were measured.
fn series<N>(records: &[Record<N>], wanted: impl Fn(&Record<N>) -> bool) -> Vec<Series<'_, N>> {
    let mut all: Vec<Series<'_, N>> = Vec::new();
    for record in records.iter().filter(|record| wanted(record)) {
        match all.iter_mut().find(|(name, _)| *name == record.series) {
            Some((_, points)) => points.push(record),
            None => all.push((&record.series, vec![record])),
        }
    }
    all.iter_mut().for_each(|(_, points)| points.sort_by_key(|record| record.size));
    all
}

/// The cases that occur, in the order in which they were measured.
fn cases<N>(records: &[Record<N>]) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    for record in records {
        if !all.contains(&record.case.as_str()) {
            all.push(&record.case);
        }
    }
    all
}
