//! What rules cost a packet.

use dockgate::measure::Cost;

use crate::{
    page::Part,
    plot::{self, Axes, Drawn, Line, Point},
    records::Record,
    series,
    table::{Table, count, time},
};

type Found = Record<Cost>;

pub const METHOD: &str = "<p>A packet is written into a TUN device; the kernel routes it, tracks its connection, asks FORWARD and
<code>DOCKER-USER</code>, and drops it or queues it for the other link, all within that <code>write(2)</code>. Two hosts
in network namespaces of their own, one with the rules and one without, get the same packets in turn, in batches of at
least 0.2 ms. Shown is the median of the differences, and in the tables behind it what part of the empty host's own time it is: the
machine is faster at some times than at others, and that part stays; where the empty host was slow, it was measured again, and what
was found beside the fastest one counts. The thin upright lines have half of all differences in them.
Before and after each measurement it was proved that the packets took the verdict, and the rule, that they are said to.
Senders “from all over” are 1,024 different ones in turn. Policies of lists have <code>established = false</code>, as no other
shape asks for replies either, unless it says “replies first”; those of ports let replies pass first, as the others do.</p>
";

/// What stands above a table of addresses or ports: its group, its family, its packets.
const TABLES: &[(&str, &str, &str, &str)] = &[
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
    ("Published ports for everybody, those that are published", EVERYBODY, "ip", "published"),
    ("Published ports for everybody, others", EVERYBODY, "ip", "others"),
];
const SAME: &str = "ports, the same 10 senders for all";
const OWN: &str = "ports, 10 senders of its own each";
const EVERYBODY: &str = "ports for everybody";
/// Below this is nothing that can be told from no cost.
const LEAST: f64 = 5.0;

pub fn parts(records: &[Found]) -> Drawn<Vec<Part>> {
    let mut parts = Vec::new();
    for (title, group, family, case) in TABLES {
        let lines = series(records, |record| record.group == *group && record.family == *family && record.case == *case);
        if lines.is_empty() {
            continue;
        }
        let across = match *group {
            "addresses" => "addresses",
            EVERYBODY => "published ports",
            _ => "rules (10 for each published port)",
        };
        let axes = Axes { across, up: "more than without rules, per packet", least: LEAST, text: added };
        let point = |record: &&Found| Point::new(record.size, [record.found.low, record.found.added, record.found.high]);
        let drawn: Vec<Line<'_>> = lines.iter().map(|(name, points)| Line { name, points: points.iter().map(point).collect() }).collect();
        let svg = if lines.iter().any(|(_, points)| points.len() > 1) { Some(plot::lines(&drawn, axes)?) } else { None };
        let table = Some(Table::by_size(&lines, |record| cell(&record.found)));
        let floors = lines.iter().flat_map(|(_, points)| points.iter().map(|record| record.found.floor)).collect();
        parts.push(Part { title: format!("{title} (an empty chain: {})", spread(floors)), svg, table });
    }
    parts.extend(pieces(records));
    let rows = matches(records);
    if !rows.is_empty() {
        let bars: Vec<_> = rows.iter().map(|(name, one, other)| (name.clone(), [Some(*one), *other])).collect();
        let svg = plot::bars(&bars, ["as iptables 1.8.11 writes it", "as iptables 1.8.7 writes it"], each)?;
        let row =
            |(name, one, other): &(String, f64, Option<f64>)| vec![format!("`{name}`"), each(*one), other.map(each).unwrap_or_default()];
        let head = ["rule", "by iptables 1.8.11", "by iptables 1.8.7"].map(str::to_owned).to_vec();
        let table = Table { head, rows: rows.iter().map(row).collect() };
        parts.push(Part { title: "One rule that does not match".to_owned(), svg: Some(svg), table: Some(table) });
    }
    Ok(parts)
}

/// Rules of iptables that stand in compiled policies.
const PIECES: &[&str] = &["-s address", "-i", "-p", "-m mark", "-m conntrack --ctstate", "-m conntrack --ctorigdstport"];

/// What policies are made of, piece by piece.
fn pieces(records: &[Found]) -> Option<Part> {
    let largest = |record: &&Found| {
        !records.iter().any(|other| other.group == record.group && other.series == record.series && other.size > record.size)
    };
    let row = |record: &Found, name: String| vec![name, each(record.found.added / record.size as f64)];
    let own = records.iter().filter(|record| record.group == "part").filter(largest).map(|record| row(record, record.series.clone()));
    let rules = PIECES.iter().filter_map(|piece| {
        let record = records.iter().filter(|record| record.group == "match by iptables 1.8.11" && record.series == *piece).find(largest)?;
        Some(row(record, format!("`{piece}`")))
    });
    let rows: Vec<_> = own.chain(rules).collect();
    let head = vec!["one of these".to_owned(), "costs".to_owned()];
    (!rows.is_empty()).then(|| Part { title: "What policies are made of".to_owned(), svg: None, table: Some(Table { head, rows }) })
}

fn each(ns: f64) -> String {
    format!("{ns:.1} ns")
}

/// `+140 ns`; what is less than nothing is nothing that was measured.
fn added(ns: f64) -> String {
    if ns < 0.5 { "0".to_owned() } else { format!("+{}", time(ns)) }
}

/// `+140 ns, × 0.05`: and what part of the empty path that is.
fn cell(cost: &Cost) -> String {
    let text = added(cost.added);
    match cost.added / cost.floor {
        part if part < 0.005 => text,
        part if part < 10.0 => format!("{text}, × {part:.2}"),
        part => format!("{text}, × {}", count(part)),
    }
}

/// `1.4 to 1.8 µs`: half of all that were measured.
fn spread(mut all: Vec<f64>) -> String {
    all.sort_by(f64::total_cmp);
    match (all.get(all.len() / 4), all.get(all.len() * 3 / 4)) {
        (Some(low), Some(high)) => format!("{:.1} to {:.1} µs", low / 1000.0, high / 1000.0),
        _ => count(0.0),
    }
}

/// What one rule costs, in both dialects, the cheapest first.
fn matches(records: &[Found]) -> Vec<(String, f64, Option<f64>)> {
    let each = |record: &Found| record.found.added / record.size as f64;
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
