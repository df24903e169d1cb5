//! `dockgate plan`, `apply`, `remove`, `status`

use std::{path::PathBuf, time::Duration};

use super::{
    ExitCode, Global, How, check,
    difference::{self, Mood},
    done, faults, host,
    look::Look,
    report::{self, Failure},
};
use crate::{
    compile::{self, Compiled},
    lab::Links,
    live::{Fault, HistoryError, Host, LiveError, Outcome, Status},
    marks::{Marks, id_bits},
    model::{Family, Interface},
    netlink::NetlinkError,
    plan::{Step, ours::ChangeKind},
    policy::{Action, Policy, PolicyRule, Read, Strategy},
    rule::Rule,
    targets::Target,
};

/// A policy as read, and its chains.
pub(super) struct Loaded {
    pub(super) read: Read,
    pub(super) compiled: Compiled,
}

/// Reads and checks the policy in these files.
pub(super) fn load(global: &Global, paths: &[PathBuf], how: How) -> Result<Loaded, Failure> {
    let read = read(paths, how.skip_tests)?;
    if let Some(failure) = Failure::policy(&read) {
        if global.json {
            report::print(&format!("{}\n", check::json(&read)))?;
        }
        let only_tests = !read.tried.is_empty();
        return Err(if only_tests { failure.hint("with --skip-tests it is done all the same") } else { failure });
    }
    report::warnings(&read);
    say_missing_interfaces(&read.policy);
    let name = paths.first().and_then(|path| path.file_stem()).map_or_else(|| "policy".into(), |name| name.to_string_lossy());
    let compiled = compile::docker_user(&read.policy, &name, how.strategy);
    if how.strategy.unwrap_or(read.policy.strategy) == Strategy::Set {
        say_what_has_no_sets(&read.policy, &compiled);
    }
    Ok(Loaded { read, compiled })
}

/// Says where senders stand in rules though sets are asked for, and why as far as that is known.
pub(super) fn say_what_has_no_sets(policy: &Policy, compiled: &Compiled) {
    let outside = |rule: &PolicyRule| match rule.inward.as_slice() {
        [] => !policy.external.is_empty(),
        names => names.iter().any(|name| policy.external.iter().any(|external| external.overlaps(name))),
    };
    let has_senders = |family: Family| {
        let has = |rule: &PolicyRule| rule.from.as_ref().is_some_and(|from| !from.addresses.of(family).is_empty());
        policy.rules.iter().any(|rule| has(rule) && rule.is_for(family) && outside(rule))
    };
    let without: Vec<Family> = Family::BOTH.into_iter().filter(|&family| has_senders(family) && compiled.table(family).is_none()).collect();
    let families = match without.as_slice() {
        [] => return,
        [Family::Ip] => "IPv4",
        [Family::Ip6] => "IPv6",
        _ => "IPv4 and IPv6",
    };
    let line = |is: fn(&Rule) -> bool| {
        let has = |rule: &&PolicyRule| match &rule.action {
            Action::Raw(lines) => lines.iter().any(|(family, line)| without.contains(family) && is(line)),
            _ => false,
        };
        policy.rules.iter().find(has).map(|rule| format!("the line of iptables at {}", policy.at(rule.place)))
    };
    let why = match line(changes_the_mark) {
        Some(line) => format!("{line} changes the packet's mark, which sets need"),
        None => {
            let room = Marks::room(id_bits(policy.mark));
            let chain = line(leaves).map_or_else(String::new, |line| format!(", or the chain that {line} leads to may change the mark"));
            format!(
                "there are more kinds of senders than 32, or more lists of rules than {room}, which `mark = {:#x}` has room for{chain}",
                policy.mark
            )
        }
    };
    report::note(&format!("strategy `set` can't be used for {families}: the senders stand in rules instead of sets; {why}"));
}

/// Does it lead to another chain, which may do anything?
fn leaves(line: &Rule) -> bool {
    matches!(line.target, Some(Target::Jump(_) | Target::Goto(_)))
}

/// Does it write the packet's mark?
fn changes_the_mark(line: &Rule) -> bool {
    match line.target.as_ref().map(Target::name) {
        Some("MARK" | "HMARK") => true,
        Some("CONNMARK") => line.to_string().contains("--restore-mark"),
        _ => false,
    }
}

/// Reads the policy in these files, and runs its tests.
pub(super) fn read(paths: &[PathBuf], skip_tests: bool) -> Result<Read, Failure> {
    let mut read = Policy::load(paths).map_err(|error| {
        let failure = Failure::new(ExitCode::Usage, error.to_string());
        error.hint.iter().fold(failure, |failure, hint| failure.hint(hint))
    })?;
    match read.policy.tests.len() {
        0 => {}
        _ if !skip_tests => read.run_tests(),
        count => report::note(&format!("skipped: {} of the policy", difference::number(count, "test"))),
    }
    Ok(read)
}

/// A rule for an interface that is not there matches nothing; it may come, so that is no error. One that
/// the policy calls external is ([`faults`]).
fn say_missing_interfaces(policy: &Policy) {
    let of_rules = policy.rules.iter().flat_map(|rule| rule.inward.iter().chain(&rule.outward));
    let mut names: Vec<&Interface> = of_rules.filter(|name| !name.is_prefix() && !policy.external.contains(name)).collect();
    names.sort_by_key(|name| name.as_bytes());
    names.dedup();
    let Ok(mut links) = Links::open("this host") else { return };
    names.retain(|name| links.index(&name.to_string()).is_err());
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => {}
        [name] => report::note(&format!("there is no interface {name} here: rules for it match nothing until it comes")),
        _ => report::note(&format!("there are no interfaces {} here: rules for them match nothing until they come", names.join(", "))),
    }
}

/// Opens the host for changes.
pub(super) fn open(global: &Global) -> Result<Host, Failure> {
    if let Some(family) = global.only() {
        let only = if family == Family::Ip { "-4" } else { "-6" };
        return Err(Failure::new(ExitCode::Usage, format!("a policy is for both families: `{only}` does not go with it"))
            .hint("a rule with addresses of one family is for that family alone"));
    }
    refuse_legacy()?;
    let mut host = look()?;
    host.netlink().generation().map_err(|error| denied(&error))?;
    host.set_options(global.options());
    if let Some(folder) = host.history().elsewhere().filter(|_| !global.dry_run) {
        report::note(&format!("/run/dockgate can't be written here; the steps back are kept in {}", folder.display()));
    }
    Ok(host)
}

/// The steps back are root's: for a change the capability alone would not do.
fn denied(error: &NetlinkError) -> Failure {
    match error {
        NetlinkError::Denied => Failure::new(
            ExitCode::Resource,
            "no permission: netfilter answers only a process with CAP_NET_ADMIN, and only root changes policies; run it with sudo",
        ),
        other => report::netlink(other),
    }
}

fn refuse_legacy() -> Result<(), Failure> {
    Family::BOTH.into_iter().try_for_each(host::refuse_legacy)
}

pub(super) fn look() -> Result<Host, Failure> {
    let mut host = Host::open().map_err(|error| failed(&error, None))?;
    host.set_say(report::note);
    Ok(host)
}

/// A change that was not made, with the place in the policy if there is one.
pub(super) fn failed(error: &LiveError, loaded: Option<&Loaded>) -> Failure {
    match error {
        LiveError::Apply(error) => match loaded {
            Some(Loaded { read, compiled }) => Failure::refused(error, &read.policy, compiled),
            None => Failure::apply(&report::Source { label: "", numbered: false, lines: "", family: Family::Ip }, error),
        },
        LiveError::History(HistoryError::NotSoMany(0)) => Failure::new(ExitCode::Failure, error.to_string()),
        LiveError::History(HistoryError::NotSoMany(_)) => {
            Failure::new(ExitCode::Failure, error.to_string()).hint("`dockgate rollback --list` shows them")
        }
        LiveError::History(HistoryError::Damaged(_)) => {
            Failure::new(ExitCode::Resource, error.to_string()).hint("remove it; the steps behind it are then one nearer")
        }
        LiveError::History(HistoryError::Highest(_)) => Failure::new(ExitCode::Resource, error.to_string())
            .hint("nothing was changed; dockgate itself never gets that far: look at the file, and remove it"),
        LiveError::History(HistoryError::NotOurs(_) | HistoryError::Writable(_)) => Failure::new(ExitCode::Resource, error.to_string())
            .hint(
                "each folder of the path must be yours or root's, and writable for nobody else; DOCKGATE_STATE=/path names another folder",
            ),
        LiveError::History(HistoryError::NotRoot(_)) => Failure::new(ExitCode::Resource, error.to_string())
            .hint("run it with sudo; DOCKGATE_STATE=/path begins a history of your own, of which root's `dockgate rollback` knows nothing"),
        LiveError::History(HistoryError::Locked { .. }) => {
            Failure::new(ExitCode::Resource, error.to_string()).hint("nothing was changed; try again when it has ended")
        }
        LiveError::History(_) => Failure::new(ExitCode::Resource, error.to_string())
            .hint("what stands is written there before each change; DOCKGATE_STATE=/path names another folder"),
        LiveError::NoTrial => Failure::new(ExitCode::Failure, error.to_string()).hint("`dockgate apply POLICY --confirm 60s` begins one"),
        LiveError::OtherMark { deployed, .. } => Failure::new(ExitCode::Failure, error.to_string())
            .hint(&format!("write `mark = {deployed:#x}` in this policy, or apply it without --confirm")),
        LiveError::Disturbed => {
            Failure::new(ExitCode::Failure, error.to_string()).hint("`dockgate rollback` ends the trial; then apply the policy again")
        }
        LiveError::TooLate => Failure::new(ExitCode::TakenBack, error.to_string()).hint("apply it again, with a longer --confirm"),
    }
}

/// `dockgate plan`
pub fn plan(global: &Global, paths: &[PathBuf], how: How) -> Result<(), Failure> {
    let loaded = load(global, paths, how)?;
    refuse_legacy()?;
    let mut host = look()?;
    let outcome = host.plan(&loaded.compiled).map_err(|error| failed(&error, Some(&loaded)))?;
    let found = faults::hindrances(&mut host, Some(&loaded.compiled))?;
    show(global, &loaded, &outcome, Mood::Planned, &found)?;
    host::say_unknown_legacy();
    faults::say(&found, true);
    match (outcome.plan.is_empty(), found.is_empty()) {
        (false, _) => Err(Failure::silent(ExitCode::Pending)),
        (true, false) => Err(Failure::silent(ExitCode::NotInForce)),
        (true, true) => Ok(()),
    }
}

/// Said of every dry run that has something to do.
pub(super) const DRY: &str = "dry run: the kernel would take all of it; nothing was changed";

pub(super) fn show(global: &Global, loaded: &Loaded, outcome: &Outcome, mood: Mood, faults: &[(Family, Fault)]) -> Result<(), Failure> {
    show_trial(global, loaded, outcome, mood, faults, None)
}

/// The same; with the length of the trial that it is on, or would be.
pub(super) fn show_trial(
    global: &Global,
    loaded: &Loaded,
    outcome: &Outcome,
    mood: Mood,
    faults: &[(Family, Fault)],
    trial: Option<Duration>,
) -> Result<(), Failure> {
    let text = match global.json {
        true => format!("{}\n", difference::json(loaded, outcome, faults, trial)),
        false => difference::text(loaded, outcome, mood, global.verbose > 0, Look::of_stdout()),
    };
    report::print(&text)
}

/// `dockgate apply`, without a trial.
pub fn apply(global: &Global, paths: &[PathBuf], how: How) -> Result<(), Failure> {
    let loaded = load(global, paths, how)?;
    let mut host = open(global)?;
    let outcome = host.apply(&loaded.compiled).map_err(|error| failed(&error, Some(&loaded)))?;
    let found = match global.dry_run {
        true => faults::hindrances(&mut host, Some(&loaded.compiled))?,
        false => faults::after_change(&mut host),
    };
    show(global, &loaded, &outcome, if global.dry_run { Mood::Planned } else { Mood::Done }, &found)?;
    if global.dry_run && !outcome.plan.is_empty() {
        report::note(DRY);
    }
    host::glance(host.netlink());
    host::say_unknown_legacy();
    faults::say(&found, global.dry_run);
    if found.is_empty() { Ok(()) } else { Err(Failure::silent(ExitCode::NotInForce)) }
}

/// Says what keeps a policy that is deployed from being in force; with an exit code of its own where
/// something does.
pub(super) fn in_force(host: &mut Host) -> Result<(), Failure> {
    let deployed = host.status().is_ok_and(|both| both.iter().any(Status::stands));
    let found = if deployed { faults::after_change(host) } else { Vec::new() };
    faults::say(&found, false);
    if found.is_empty() { Ok(()) } else { Err(Failure::silent(ExitCode::NotInForce)) }
}

/// What keeps the policy from working here, where something does.
pub(super) fn notes(host: &mut Host) {
    host::glance(host.netlink());
    host::say_unknown_legacy();
    let found = faults::after_change(host);
    faults::say(&found, false);
}

/// `dockgate remove`
pub fn remove(global: &Global) -> Result<(), Failure> {
    let mut host = open(global)?;
    let outcome = host.remove().map_err(|error| failed(&error, None))?;
    const NOTHING: &str = "there is nothing of a policy here";
    match outcome.plan.is_empty() {
        true if global.json => done::say(global, &mut host, "remove", &outcome, NOTHING),
        true => {
            report::note(NOTHING);
            Ok(())
        }
        false if global.dry_run => done::say_dry(global, &mut host, "remove", &outcome),
        false => done::say(global, &mut host, "remove", &outcome, &removed(&outcome)),
    }
}

/// `removed: 25 rules in 4 chains`, and whether it can be had again.
fn removed(outcome: &Outcome) -> String {
    let gone = |step: &&Step| matches!(step, Step::DeleteChain(..));
    let chains = outcome.plan.steps.iter().filter(gone).count();
    if outcome.trial_ended {
        return "what was made for a trial is removed; no policy was deployed, so there is nothing to go back to".to_owned();
    }
    let rules = outcome.of(ChangeKind::Removed).count();
    let again = if outcome.recorded { "; `dockgate rollback` brings it back" } else { "" };
    format!("removed: {} in {}{again}", difference::number(rules, "rule"), difference::number(chains, "chain"))
}

/// As it is written: `2026-11-23 07:01:00 UTC`.
pub(super) fn date(seconds: u64) -> String {
    let when = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX)).unwrap_or(jiff::Timestamp::MAX);
    when.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
