//! `dockgate iptables …`, `dockgate ip6tables …`

use std::ffi::OsString;

use super::{
    ExitCode, Global, help, host, list,
    report::{self, Failure, Source},
    words::{self, Action, Invocation},
};
use crate::{
    apply::{ApplyError, transact},
    audit::{self, Finding},
    model::{ChainName, Family, Handle},
    netlink::{Netlink, NetlinkError},
    plan::{self, Plan, PlanError},
    ruleset::{self, Ruleset, Which},
    save::save_lines,
    syntax::{Line, split},
};

/// Does what the words say.
pub fn run(family: Family, words: &[OsString], global: &Global) -> Result<(), Failure> {
    let words = words.iter().map(|word| word.to_str().ok_or(word)).collect::<Result<Vec<_>, _>>();
    let words = words.map_err(|word| Failure::new(ExitCode::Usage, format!("{word:?} is not UTF-8")))?;
    let line = Line::from_words(&words);
    let source = Source { label: family.command(), numbered: false, lines: &line.text, family };
    let mut split_words = Vec::new();
    let parsed = split(&line.text, &mut split_words).and_then(|()| words::parse(&split_words, family));
    let invocation = parsed.map_err(|error| Failure::usage(&source, error))?;
    match &invocation.action {
        Action::Help(extension) => return report::print(&help::text(family, extension.as_deref())),
        Action::Version => {
            let version = format!("{} v{} (nf_tables, dockgate)\n", family.command(), env!("CARGO_PKG_VERSION"));
            return report::print(&version);
        }
        _ => {}
    }
    let mut netlink = Netlink::open().map_err(|error| report::netlink(&error))?;
    match &invocation.action {
        Action::Check(chain, rules) => {
            let ruleset = read(&mut netlink, family, Which::Like(chain, rules))?;
            plan::check(&ruleset, chain, rules).map_err(|error| report::plan(&error, family))
        }
        Action::SaveLines(chain, number) => show(&mut netlink, global, family, chain.as_ref(), |ruleset| {
            let mut text = String::new();
            save_lines(&mut text, ruleset, chain.as_ref(), *number, invocation.verbose).map(|()| text)
        }),
        Action::List(chain, number) => {
            show(&mut netlink, global, family, chain.as_ref(), |ruleset| list::columns(ruleset, chain.as_ref(), *number, &invocation))
        }
        _ => write(&mut netlink, global, &source, &invocation),
    }
}

fn read(netlink: &mut Netlink, family: Family, which: Which<'_>) -> Result<Ruleset, Failure> {
    Ruleset::read(netlink, family, which).map_err(|error| report::netlink(&error))
}

/// Prints one chain, or all.
fn show(
    netlink: &mut Netlink,
    global: &Global,
    family: Family,
    chain: Option<&ChainName>,
    text: impl FnOnce(&Ruleset) -> Result<String, std::fmt::Error>,
) -> Result<(), Failure> {
    let ruleset = read(netlink, family, chain.map_or(Which::All, Which::Of))?;
    if let Some(chain) = chain
        && ruleset.chain(chain.as_str()).is_none()
        && !chain.is_builtin()
    {
        return Err(report::plan(&PlanError::NoChain { family, chain: chain.clone() }, family));
    }
    if global.json {
        let chains: Vec<_> = ruleset.chains.iter().filter(|one| chain.is_none_or(|chain| one.name == *chain)).collect();
        return report::print(&format!("{}\n", list::json(&ruleset, &chains)));
    }
    report::print(&text(&ruleset).expect("a string takes everything"))
}

/// Makes a change.
fn write(netlink: &mut Netlink, global: &Global, source: &Source<'_>, invocation: &Invocation) -> Result<(), Failure> {
    let family = source.family;
    host::refuse_legacy(family)?;
    let (mut kept, mut seen, mut unseen) = (Vec::new(), Vec::new(), None);
    let done = transact(netlink, global.options(), |netlink| {
        let decision = decide(netlink, family, &invocation.action)?;
        (kept, seen, unseen) = (decision.kept, decision.seen, decision.unseen);
        Ok(decision.plan)
    });
    let done = done.map_err(|error| Failure::apply(source, &error))?;
    if global.dry_run || invocation.verbose {
        report::print(&done.to_string())?;
    }
    if !kept.is_empty() {
        let handles: Vec<_> = kept.iter().map(Handle::to_string).collect();
        report::note(&format!("{} rules that dockgate can't read were left as they are: handle {}", kept.len(), handles.join(", ")));
    }
    if let Some(chain) = unseen {
        // The change is made: what can't be seen is only not warned of.
        let rules = ruleset::rules(netlink, family, &chain).unwrap_or_default();
        seen.extend(audit::glance_at_rules(family, &chain, &rules));
    }
    host::notes(netlink, &[family], seen);
    Ok(())
}

/// A chain with up to so many rules and jumps to it is looked into only for what others wrote there.
const SHORT: u32 = 64;

/// What came of reading the ruleset.
#[derive(Debug, Default)]
struct Decision {
    plan: Plan,
    /// The handles of rules that are left alone because nobody can read them.
    kept: Vec<Handle>,
    /// What was seen on the way that iptables does not understand.
    seen: Vec<Finding>,
    /// The chain that is written, if its rules were not read, and are few.
    unseen: Option<ChainName>,
}

/// What to do for a command, from the ruleset as it is now.
fn decide(netlink: &mut Netlink, family: Family, action: &Action) -> Result<Decision, ApplyError> {
    let (mut kept, mut seen, mut unseen) = (Vec::new(), Vec::new(), None);
    let mut read = |which| {
        // Only `-Z` needs the expressions of all rules, to write them again.
        let read = if matches!(action, Action::Zero(..)) { Ruleset::read_raw } else { Ruleset::read };
        let ruleset = read(netlink, family, which)?;
        seen = audit::glance(&ruleset);
        if let Action::Append(chain, ..) | Action::Insert(chain, ..) = action {
            let short = ruleset.chain(chain.as_str()).filter(|chain| chain.rules.is_none() && chain.uses <= SHORT);
            unseen = short.map(|chain| chain.name.clone());
        }
        Ok::<_, NetlinkError>(ruleset)
    };
    let plan = match action {
        Action::Append(chain, rules, counters) => plan::append(&read(Which::None)?, chain, rules.clone(), *counters)?,
        Action::Insert(chain, number, rules, counters) => {
            let which = if *number == 1 { Which::None } else { Which::Of(chain) };
            plan::insert(&read(which)?, chain, *number, rules.clone(), *counters)?
        }
        Action::Replace(chain, number, rule, counters) => {
            plan::replace(&read(Which::Of(chain))?, chain, *number, rule.as_ref().clone(), *counters)?
        }
        Action::Delete(chain, rules) => plan::delete_rule(&read(Which::Like(chain, rules))?, chain, rules)?,
        Action::DeleteNumber(chain, number) => plan::delete_number(&read(Which::Of(chain))?, chain, *number)?,
        Action::DeleteHandle(chain, handle) => plan::delete_handle(&read(Which::Of(chain))?, chain, *handle)?,
        Action::Flush(chain) => {
            let (plan, left) = plan::flush(&read(Which::Of(chain))?, chain)?;
            kept = left;
            plan
        }
        Action::Zero(chain, number) => {
            let (plan, left) = plan::zero(&read(Which::Of(chain))?, chain, *number)?;
            kept = left;
            plan
        }
        Action::NewChain(chain) => plan::new_chain(&read(Which::None)?, chain)?,
        Action::DeleteChain(chain) => plan::delete_chain(&read(Which::None)?, chain)?,
        Action::RenameChain(from, to) => plan::rename_chain(&read(Which::None)?, from, to)?,
        Action::Check(..) | Action::SaveLines(..) | Action::List(..) | Action::Help(_) | Action::Version => Plan::default(),
    };
    seen.retain(|finding| !goes(action, finding));
    Ok(Decision { plan, kept, seen, unseen })
}

/// Does what was found go away by this?
fn goes(action: &Action, finding: &Finding) -> bool {
    match action {
        Action::DeleteHandle(chain, handle) => {
            finding.number.is_some() && finding.chain.as_ref() == Some(chain) && finding.handle == *handle
        }
        Action::DeleteChain(chain) | Action::RenameChain(chain, _) => finding.chain.as_ref() == Some(chain),
        _ => false,
    }
}
