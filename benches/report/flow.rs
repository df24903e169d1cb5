//! Connections and packets from end to end.

use crate::{
    cases,
    page::Part,
    plot::{self, Axes, Drawn, Line, Point},
    records::{Latency, Record},
    series,
    table::{Table, count},
};

pub const METHOD: &str = "<p>A client, a host with the rules, and a container, each in a network namespace, joined by veth
and a bridge; real sockets. TCP: four clients at once connect, are accepted, closed by the other end, and close. UDP: one
thread sends 64 packets and receives what arrived, which was all of them. Each host has its turn of 30 ms in every round; the
ratio is that to the host with an empty <code>DOCKER-USER</code> in the same round, and the brackets (and thin lines) have half
of all rounds in them. Sender, host and receiver share the processors of one machine. The client is in no list: it was proved
that who is in it comes through to nobody.</p>
";

pub fn parts(records: &[Record<Latency>]) -> Drawn<Vec<Part>> {
    let mut parts = Vec::new();
    for case in cases(records) {
        let (title, across) = match case {
            "udp" => ("UDP packets per second, by the number of addresses that are dropped", "addresses"),
            "tcp" => ("TCP connections per second, by the number of addresses that are dropped", "addresses"),
            _ => ("TCP connections per second, by the number of published ports", "ports"),
        };
        let lines = series(records, |record| record.case == case);
        let drawn: Vec<Line<'_>> = lines
            .iter()
            .map(|(name, points)| Line { name, points: points.iter().map(|record| Point::new(record.size, ratios(record))).collect() })
            .collect();
        let least = drawn.iter().flat_map(|line| line.points.iter().map(|point| point.low)).fold(0.1, f64::min) / 1.2;
        let axes = Axes { across, up: "part of what an empty chain lets through", least, text: |part| format!("× {part:.2}") };
        let svg = Some(plot::lines(&drawn, axes)?);
        parts.push(Part { title: title.to_owned(), svg, table: Some(Table::by_size(&lines, cell)) });
    }
    Ok(parts)
}

/// In a second.
fn rate(record: &Record<Latency>) -> f64 {
    1e9 / record.found.p50
}

/// Half of the ratios are between the outer ones: a part of the floor's rate, where the floor's times
/// are compared.
fn ratios(record: &Record<Latency>) -> [f64; 3] {
    [1.0 / record.found.high, 1.0 / record.found.ratio, 1.0 / record.found.low]
}

/// `9,810, × 0.97 [0.95 to 0.99]`
fn cell(record: &Record<Latency>) -> String {
    let [low, middle, high] = ratios(record);
    let ratio = if middle == 1.0 && low == high { String::new() } else { format!(", × {middle:.2} [{low:.2} to {high:.2}]") };
    count(rate(record)) + &ratio
}
