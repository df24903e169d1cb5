//! Makes one page of what the benchmarks found, `target/report/index.html` with its plots, and prints
//! the tables of the README.
//!
//! `cargo bench --bench packets && cargo bench --bench report`

mod page;
mod plot;
#[path = "../support/records.rs"]
#[expect(dead_code, reason = "the benchmarks write them")]
mod records;
mod tables;

use std::fs;

use dockgate::measure::Cost;
use records::Record;

fn main() {
    // `cargo bench` hands options for criterion to every program.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let folder = records::folder();
    let (machine, records) = match records::read(&folder.join("packets.json")) {
        Ok(read) => read,
        Err(error) => return println!("SKIPPED the report: {error}; `cargo bench --bench packets` measures"),
    };
    print!("{}", tables::markdown(&machine, &records));
    let page = page::html(&machine, &records).unwrap_or_else(|error| panic!("a plot can't be drawn: {error}"));
    let file = folder.join("index.html");
    match fs::write(&file, page) {
        Ok(()) => println!("\n{}", file.display()),
        Err(error) => println!("{}: {error}", file.display()),
    }
}

/// Those of a group and family, by series in the order in which they were measured.
fn series<'r>(records: &'r [Record<Cost>], group: &str, family: &str, case: &str) -> Vec<(&'r str, Vec<&'r Record<Cost>>)> {
    let mut all: Vec<(&str, Vec<&Record<Cost>>)> = Vec::new();
    for record in records.iter().filter(|record| record.group == group && record.family == family && record.case == case) {
        match all.iter_mut().find(|(name, _)| *name == record.series) {
            Some((_, points)) => points.push(record),
            None => all.push((&record.series, vec![record])),
        }
    }
    all.iter_mut().for_each(|(_, points)| points.sort_by_key(|record| record.size));
    all
}
