//! The page.

use std::{error::Error, fmt::Write as _};

use dockgate::measure::Cost;

use crate::{
    plot,
    records::Record,
    series,
    tables::{TABLES, matches, spread},
};

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<title>What rules cost a packet</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
h1 { font-size: 1.7em } h2 { font-size: 1.2em; margin: 2em 0 .3em } svg { max-width: 100%; height: auto }
p { max-width: 46em }
</style></head><body>
<h1>What rules cost a packet</h1>
";

const METHOD: &str = "<p>A packet is written into a TUN device; the kernel routes it, tracks its connection, asks FORWARD and
<code>DOCKER-USER</code>, and drops it or queues it for the other link, all within that <code>write(2)</code>. Two hosts
in network namespaces of their own, one with the rules and one without, get the same packets in turn, in batches of at
least 0.2 ms. Shown is the median of the differences; the thin upright lines have half of all differences in them.
Before and after each measurement it was proved that the packets took the verdict, and the rule, that they are said to.
Senders “from all over” are 1,024 different ones in turn.</p>
";

/// All of it in one file.
///
/// # Errors
/// Those of drawing.
pub fn html(machine: &str, records: &[Record<Cost>]) -> Result<String, Box<dyn Error>> {
    let floors = records.iter().map(|record| record.found.floor).collect();
    let mut page = HEAD.to_owned();
    writeln!(page, "<p>{}. The whole way through an empty <code>DOCKER-USER</code>: {}.</p>", escaped(machine), spread(floors))?;
    page += METHOD;
    for (title, group, family, case) in TABLES {
        let lines = series(records, group, family, case);
        if lines.iter().any(|(_, points)| points.len() > 1) {
            let across = if *group == "addresses" { "addresses" } else { "rules (10 for each published port)" };
            writeln!(page, "<h2>{title}</h2>\n{}", plot::lines(&lines, across)?)?;
        }
    }
    let rows = matches(records);
    if !rows.is_empty() {
        let drawn = plot::bars(&rows, ["as iptables 1.8.11 writes it", "as iptables 1.8.7 writes it"])?;
        writeln!(page, "<h2>One rule that does not match</h2>\n{drawn}")?;
    }
    Ok(page + "</body></html>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
