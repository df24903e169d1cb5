//! `dockgate save`, `dockgate restore`

use std::{io, path::Path};

use super::{
    ExitCode, Global, host,
    report::{self, Failure, Source},
};
use crate::{
    apply::transact,
    audit::{self, Finding},
    model::{ChainName, Family},
    netlink::Netlink,
    plan::{self, Plan},
    policy::input,
    ruleset::{Ruleset, Which},
    save::{self, Saved},
};

/// `dockgate save`
pub fn save(global: &Global, counters: bool) -> Result<(), Failure> {
    let mut netlink = Netlink::open().map_err(|error| report::netlink(&error))?;
    let mut text = String::new();
    for &family in global.families() {
        let ruleset = Ruleset::read(&mut netlink, family, Which::Named(ChainName::is_writable)).map_err(|error| report::netlink(&error))?;
        if ruleset.is_empty() {
            continue;
        }
        let left_out = save::write(&mut text, &ruleset, counters, ChainName::is_writable).expect("a string takes everything");
        if left_out > 0 {
            report::note(&format!(
                "{left_out} rules of `{family} filter` are no rules of iptables and were left out; `dockgate list` shows them"
            ));
        }
    }
    report::print(&text)
}

/// `dockgate restore`
pub fn run(global: &Global, file: Option<&Path>, counters: bool, noflush: bool) -> Result<(), Failure> {
    let text = read(file)?;
    let label = file.map_or("stdin".to_owned(), |file| file.display().to_string());
    let source = Source { label: &label, numbered: true, lines: &text, family: global.only().unwrap_or(Family::Ip) };
    let saved = save::read(&text, global.only(), counters).map_err(|errors| Failure::syntax(&source, &errors))?;
    for family in saved.iter().filter(|saved| !saved.chains.is_empty()).map(|saved| saved.family) {
        host::refuse_legacy(family)?;
    }
    say_passed_over(&saved);
    let mut netlink = Netlink::open().map_err(|error| report::netlink(&error))?;
    let (mut others, mut seen) = (0, Vec::<Finding>::new());
    // The first plan takes the rules; only where somebody interferes is the text read again.
    let mut first = Some(saved);
    let done = transact(&mut netlink, global.options(), |netlink| {
        let saved = first.take().unwrap_or_else(|| save::read(&text, global.only(), counters).unwrap_or_default());
        let mut plan = Plan::default();
        let mut generation = None;
        others = 0;
        seen.clear();
        for Saved { family, chains, .. } in saved {
            let names: Vec<ChainName> = chains.iter().map(|chain| chain.name.clone()).collect();
            let ruleset = Ruleset::read(netlink, family, Which::These(&names))?;
            seen.extend(audit::glance(&ruleset));
            others += plan::kept_of_others(&ruleset, &chains).len();
            // Both families are planned on one state: the older one, so that a change between the
            // two makes the commit fail, and all is planned anew.
            let against = *generation.get_or_insert(ruleset.generation);
            plan::restore(&ruleset, chains, noflush, &mut plan)?;
            plan.against = Some(against);
        }
        Ok(plan)
    });
    let done = done.map_err(|error| Failure::apply(&source, &error))?;
    if global.dry_run {
        report::print(&done.to_string())?;
    }
    if others > 0 {
        report::note(&format!("{others} rules of others in these chains were kept; `dockgate list` shows them"));
    }
    let families: Vec<Family> = done.families().collect();
    host::notes(&mut netlink, &families, seen);
    Ok(())
}

fn read(file: Option<&Path>) -> Result<String, Failure> {
    let not_text = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let result = match file {
        None => input().and_then(|bytes| String::from_utf8(bytes).map_err(not_text)),
        Some(path) if path == Path::new("-") => return read(None),
        Some(path) => std::fs::read_to_string(path),
    };
    let name = file.map_or("standard input".to_owned(), |file| format!("`{}`", file.display()));
    result.map_err(|error| Failure::new(ExitCode::Usage, format!("could not read {name}: {error}")))
}

fn say_passed_over(saved: &[Saved]) {
    let passed: Vec<_> = saved.iter().flat_map(|saved| &saved.passed_over).collect();
    let rules: usize = passed.iter().map(|(_, rules)| rules).sum();
    if rules > 0 {
        let mut names: Vec<&str> = passed.iter().filter(|(_, rules)| *rules > 0).map(|(name, _)| name.as_str()).collect();
        names.dedup();
        report::note(&format!("{rules} rules of chains that are Docker's or built in were passed over: {}", names.join(", ")));
    }
}
