//! `dockgate audit`, and the warning beside a write.

use std::{
    fmt::{self, Write as _},
    io::{self, IsTerminal as _},
};

use serde_json::{Value, json};

use super::{
    ExitCode, Global,
    report::{self, Failure},
};
use crate::{
    audit::{self, Finding, Harm, Table, Version, Versions, Wrong},
    model::Family,
    netlink::Netlink,
    ruleset::Ruleset,
};

/// `dockgate audit`: [`ExitCode::Failure`] if anything was found.
pub fn run(global: &Global) -> Result<(), Failure> {
    let mut netlink = Netlink::open().map_err(|error| report::netlink(&error))?;
    let mut tables = Vec::new();
    for &family in global.families() {
        let mut table = Table::read(&mut netlink, family).map_err(|error| report::netlink(&error))?;
        if let Some(dialect) = global.options().dialect {
            table.versions = Version::of(dialect).map_or(Versions::ALL, Versions::from);
        }
        tables.push((audit::audit(&table), table));
    }
    if global.json {
        let tables: Vec<Value> = tables.iter().map(|(findings, table)| as_json(findings, table)).collect();
        report::print(&format!("{}\n", json!({ "tables": tables })))?;
    } else {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let mut text = String::new();
        for (findings, table) in &tables {
            write(&mut text, findings, table, colour).expect("a string takes everything");
        }
        report::print(&text)?;
    }
    let clean = tables.iter().all(|(findings, _)| findings.is_empty());
    if clean { Ok(()) } else { Err(Failure::silent(ExitCode::Failure)) }
}

fn write(out: &mut String, findings: &[Finding], table: &Table, colour: bool) -> fmt::Result {
    let Ruleset { family, chains, .. } = &table.ruleset;
    let rules: usize = chains.iter().map(|chain| chain.rules().len()).sum();
    if !out.is_empty() {
        out.push('\n');
    }
    if findings.is_empty() {
        return writeln!(out, "{family} filter: nothing that iptables does not understand (chains: {}, rules: {rules})", chains.len());
    }
    let (red, bold, plain) = if colour { ("\x1b[31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
    let past = |wrong: &Wrong| matches!(wrong.harm, Harm::NotReached | Harm::AcceptsBefore { .. });
    let kind = match findings.iter().filter(|finding| finding.harms.iter().any(past)).count() {
        0 => "that iptables does not understand",
        all if all == findings.len() => "that lets packets past DOCKER-USER",
        _ => "that iptables does not understand, or that lets packets past DOCKER-USER",
    };
    writeln!(out, "{family} filter: {} {kind}", things(findings.len()))?;
    if !table.versions.are_one() {
        writeln!(out, "  the host's rules do not tell which iptables it has ({} is possible); `--dialect` says it", table.versions)?;
    }
    for finding in findings {
        writeln!(out, "\n  {}\n    {bold}{}{plain}", place(finding), finding.what)?;
        for Wrong { harm, versions } in &finding.harms {
            match *versions == table.versions {
                true => writeln!(out, "    {red}wrong:{plain} {harm}")?,
                false => writeln!(out, "    {red}wrong with iptables {versions}:{plain} {harm}")?,
            }
        }
        writeln!(out, "    by:    {}\n    cure:  {}", finding.owner, finding.cure)?;
    }
    Ok(())
}

fn things(number: usize) -> String {
    if number == 1 { "1 thing".to_owned() } else { format!("{number} things") }
}

fn place(finding: &Finding) -> String {
    let Finding { family, chain, number, handle, .. } = finding;
    match (chain, number) {
        (None, _) => format!("{family} filter"),
        (Some(chain), None) => format!("{family} filter {chain}"),
        (Some(chain), Some(number)) => format!("{family} filter {chain}, rule {number}, handle {handle}"),
    }
}

/// As JSON; the names of its keys, and [`Harm::name`], stay.
fn as_json(findings: &[Finding], table: &Table) -> Value {
    let names = |versions: Versions| versions.iter().map(Version::name).collect::<Vec<_>>();
    let harm = |Wrong { harm, versions }: &Wrong| {
        let printed = match harm {
            Harm::PrintedWrong { printed, .. } => printed.as_deref(),
            _ => None,
        };
        json!({ "harm": harm.name(), "text": harm.to_string(), "printed": printed, "versions": names(*versions) })
    };
    let finding = |finding: &Finding| {
        json!({
            "chain": finding.chain.as_ref().map(|chain| chain.as_str()), "number": finding.number,
            "handle": Some(finding.handle.0).filter(|&handle| handle > 0), "what": finding.what, "owner": finding.owner,
            "harms": finding.harms.iter().map(harm).collect::<Vec<_>>(), "cure": finding.cure,
        })
    };
    json!({
        "family": table.ruleset.family.to_string(), "generation": table.ruleset.generation.0, "versions": names(table.versions),
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

/// One line where what was read on the way shows something that iptables does not understand.
pub fn warn(family: Family, findings: &[Finding]) {
    let Some(first) = findings.first() else { return };
    let only = if family == Family::Ip { "-4" } else { "-6" };
    let others = if findings.len() > 1 { format!(" and {} more", findings.len() - 1) } else { String::new() };
    report::note(&format!("iptables does not understand {}: `{}`{others}; see `dockgate {only} audit`", place(first), first.what));
}
