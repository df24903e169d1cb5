//! `dockgate list`, and what `-L` and `--json` print.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::{
    ExitCode, Global,
    faults::accepts,
    host,
    report::{self, Failure},
    words::Invocation,
};
use crate::{
    docker::{self, Culprit, Guarded, Jump},
    expr,
    model::{ChainName, Counters, DOCKER_USER, Family},
    netlink::Netlink,
    rule::{Listing, Standing},
    ruleset::{Chain, Entry, Ruleset, Which},
    targets::Target,
};

/// `dockgate list`
pub fn run(global: &Global) -> Result<(), Failure> {
    let mut netlink = Netlink::open().map_err(|error| report::netlink(&error))?;
    let mut text = String::new();
    let mut tables = Vec::new();
    let mut code = ExitCode::Success;
    for &family in global.families() {
        let legacy = host::refuse_legacy(family).err();
        if let Some(legacy) = &legacy {
            legacy.print();
            code = legacy.code();
        }
        let ruleset = Ruleset::read(&mut netlink, family, Which::All).map_err(|error| report::netlink(&error))?;
        let (chains, reach) = (reached(&ruleset), Reach::of(&ruleset));
        if reach.is_open && code == ExitCode::Success {
            code = ExitCode::Pending;
        }
        if global.json {
            let mut table = json(&ruleset, &chains);
            table["open"] = json!(reach.is_open);
            table["legacy"] = json!(docker::legacy(family).ok());
            table["accepts_before"] = json!(reach.culprit.as_ref().map(|culprit| culprit.number));
            tables.push(table);
        } else {
            table(&mut text, &ruleset, &chains, &reach).expect("a string takes everything");
        }
    }
    let ended = || if code == ExitCode::Success { Ok(()) } else { Err(Failure::silent(code)) };
    if global.json {
        report::print(&format!("{}\n", json!({ "tables": tables })))?;
        return ended();
    }
    report::print(&text)?;
    if docker::nftables_backend(&mut netlink).map_err(|error| report::netlink(&error))? {
        host::say_nftables_backend();
    }
    ended()
}

/// How packets come to `DOCKER-USER`.
struct Reach {
    jump: Jump,
    /// What in front of the jump accepts what the chain would stop.
    culprit: Option<Culprit>,
    /// Is there something to be stopped, and packets pass that are not asked?
    is_open: bool,
}

impl Reach {
    fn of(ruleset: &Ruleset) -> Self {
        let (jump, guarded) = (docker::jump(ruleset), Guarded::of(ruleset));
        let culprit = docker::in_front(ruleset, &guarded, docker::known_pass(ruleset));
        let is_open = culprit.is_some() || (jump == Jump::Missing && guarded != Guarded::Nothing);
        Self { jump, culprit, is_open }
    }
}

/// `DOCKER-USER` and the chains that its rules lead to, in the order in which packets meet them.
fn reached(ruleset: &Ruleset) -> Vec<&Chain> {
    let mut chains: Vec<&Chain> = ruleset.chain(DOCKER_USER).into_iter().collect();
    let mut at = 0;
    while let Some(chain) = chains.get(at) {
        at += 1;
        for rule in chain.rules().iter().filter_map(Entry::rule) {
            if let Some(Target::Jump(to) | Target::Goto(to)) = &rule.target
                && let Some(next) = ruleset.chain(to.as_str())
                && next.name.is_writable()
                && !chains.iter().any(|known| known.name == next.name)
            {
                chains.push(next);
            }
        }
    }
    chains
}

fn jump_text(reach: &Reach, family: Family) -> String {
    match (reach.jump, &reach.culprit) {
        (Jump::NoChain, _) => format!("{family} filter: no DOCKER-USER chain"),
        (Jump::Missing, _) => format!("{family} filter DOCKER-USER: NO PACKET COMES HERE, the jump in FORWARD is missing"),
        (Jump::First, _) => format!("{family} filter DOCKER-USER: every forwarded packet comes here first"),
        (Jump::At(number), Some(culprit)) => {
            format!("{family} filter DOCKER-USER: TOO LATE, packets come here from rule {number} of FORWARD; {} before", accepts(culprit))
        }
        (Jump::At(number), None) => {
            format!(
                "{family} filter DOCKER-USER: packets come here from rule {number} of FORWARD; none before it accepts what is stopped here"
            )
        }
    }
}

fn table(out: &mut String, ruleset: &Ruleset, chains: &[&Chain], reach: &Reach) -> fmt::Result {
    if !out.is_empty() {
        out.push('\n');
    }
    writeln!(out, "{}", jump_text(reach, ruleset.family))?;
    for chain in chains {
        if chain.name.as_str() != DOCKER_USER {
            writeln!(out, "\n{} filter {}", ruleset.family, chain.name)?;
        }
        if chain.rules().is_empty() {
            writeln!(out, "  (no rules: everything goes on)")?;
            continue;
        }
        writeln!(out, "{:>5} {:>10} {:>12} {:>7}  rule", "#", "packets", "bytes", "handle")?;
        for (index, entry) in chain.rules().iter().enumerate() {
            let Counters { packets, bytes } = entry.counters.unwrap_or_default();
            write!(out, "{:>5} {packets:>10} {bytes:>12} {:>7}  ", index + 1, entry.handle)?;
            match entry.rule() {
                Some(rule) => writeln!(out, "{rule}")?,
                None => writeln!(out, "FOREIGN, not iptables': {}", expressions(entry).join(" "))?,
            }
        }
    }
    Ok(())
}

/// A foreign rule's expressions in libnftnl's notation; what is no expression at all, as bytes.
fn expressions(entry: &Entry) -> Vec<String> {
    let raw = entry.raw.as_deref().unwrap_or_default();
    let mut exprs = Vec::new();
    match expr::read_all(raw, &mut exprs) {
        Ok(()) => exprs.iter().map(ToString::to_string).collect(),
        Err(_) => vec![raw.iter().fold(String::from("unreadable: 0x"), |text, byte| text + &format!("{byte:02x}"))],
    }
}

/// Chains as JSON; the names of its keys stay.
pub fn json(ruleset: &Ruleset, chains: &[&Chain]) -> Value {
    let rule = |(index, entry): (usize, &Entry)| {
        let Counters { packets, bytes } = entry.counters.unwrap_or_default();
        let (number, handle) = (index + 1, entry.handle.0);
        match entry.rule() {
            Some(rule) => json!({
                "number": number, "handle": handle, "packets": packets, "bytes": bytes, "foreign": false,
                "rule": rule.to_string(), "comment": rule.comment(),
            }),
            None => json!({
                "number": number, "handle": handle, "packets": packets, "bytes": bytes, "foreign": true,
                "expressions": expressions(entry),
            }),
        }
    };
    let chain = |chain: &&Chain| {
        json!({
            "name": chain.name.as_str(), "handle": chain.handle.0,
            "rules": chain.rules().iter().enumerate().map(rule).collect::<Vec<_>>(),
        })
    };
    let jump = match docker::jump(ruleset) {
        Jump::NoChain => json!(null),
        Jump::Missing => json!(0),
        Jump::First => json!(1),
        Jump::At(number) => json!(number),
    };
    json!({
        "family": ruleset.family.to_string(), "generation": ruleset.generation.0, "jump": jump,
        "chains": chains.iter().map(chain).collect::<Vec<_>>(),
    })
}

/// What `iptables -n -L` prints.
pub fn columns(ruleset: &Ruleset, only: Option<&ChainName>, number: Option<usize>, invocation: &Invocation) -> Result<String, fmt::Error> {
    let listing = Listing { verbose: invocation.verbose, exact: invocation.exact, line_numbers: invocation.line_numbers };
    let mut out = String::new();
    let listed = ruleset.listed();
    for chain in listed.iter().filter(|chain| only.is_none_or(|only| *only == chain.name)) {
        if number.is_none() {
            if !out.is_empty() {
                out.push('\n');
            }
            listing.header(&mut out, chain.name.as_str(), standing(chain))?;
            out.push('\n');
            listing.columns(&mut out)?;
            out.push('\n');
        }
        for (index, entry) in chain.rules().iter().enumerate() {
            if number.is_some_and(|number| number != index + 1) {
                continue;
            }
            match entry.rule() {
                Some(rule) => listing.line(&mut out, ruleset.family, index + 1, entry.counters.unwrap_or_default(), rule)?,
                None => write!(out, "# rule {}, handle {}: not a rule of iptables", index + 1, entry.handle)?,
            }
            out.push('\n');
        }
    }
    Ok(out)
}

fn standing(chain: &Chain) -> Standing<'static> {
    match chain.hook {
        Some(hook) => Standing::Base { policy: if hook.accepts { "ACCEPT" } else { "DROP" }, counters: hook.counters.unwrap_or_default() },
        // The kernel counts a chain's own rules among its uses.
        None => Standing::User { references: chain.uses.saturating_sub(chain.rules().len() as u32) },
    }
}
