//! One rule: added to chains of many lengths, looked up, deleted; and the list of all.

use std::{cell::Cell, io::IoSlice, time::Duration};

use dockgate::{
    apply::{Options, transact},
    message::{Batch, SealedBatch},
    model::{ChainName, Counters, DOCKER_USER, Family},
    plan,
    rule::Rule,
    ruleset::{Ruleset, Which},
    save::save_lines,
};

use crate::{
    bulk::{Files, REPLAY, REPLAY_PROCESS},
    peers,
    programs::{Programs, is_there},
    raw::Raw,
    support::{
        experiment::{Column, Contender, Experiment, Outcome, Verify, timed},
        workload,
        world::{self, Result, World},
    },
};

/// The number of the rule that is added, looked for and deleted; no chain has as many.
const ONE: usize = 0x00ff_fffe;

/// What iptables does, as a process.
pub const IPTABLES: &str = "`iptables`";
/// What dockgate does, as a process.
pub const DOCKGATE: &str = "`dockgate iptables`";
/// A dump that nobody reads.
const DUMP: &str = "dump alone";

const AGAINST_IPTABLES: Column = Column { heading: "iptables", baselines: &[IPTABLES] };

fn one() -> Rule {
    workload::parse(&workload::words(ONE), Family::Ip)
}

/// `-A DOCKER-USER …` and the like.
fn words(command: &str) -> Vec<String> {
    let text = format!("{command} {DOCKER_USER} {}", workload::words(ONE));
    text.split_whitespace().map(str::to_owned).collect()
}

/// The contenders that are processes: dockgate and iptables with the same words.
fn processes<'a>(programs: &'a Programs, words: Vec<String>) -> Vec<Contender<'a, World>> {
    let own: Vec<String> = std::iter::once("iptables".to_owned()).chain(words.iter().cloned()).collect();
    let mut contenders = vec![Contender::new(DOCKGATE, move |_| programs.run(&programs.dockgate, &own))];
    if is_there("iptables") {
        contenders.push(Contender::new(IPTABLES, move |_| programs.run("iptables", &words)));
    }
    contenders
}

/// Adds one rule to a chain that has `len`.
///
/// # Errors
/// As [`Experiment::run`].
pub fn append(world: &mut World, programs: &Programs, len: usize, rounds: usize) -> Result<Outcome> {
    world.fill(&workload::rules(0..len))?;
    let rule = one();
    let sealed = world::batch(std::slice::from_ref(&rule));
    let raw = Raw::open(64 * 1024)?;
    let address = [workload::address(ONE)];
    let before = Cell::new(0);
    let files = Files::new(0, sealed.as_bytes())?;
    let mut contenders = vec![
        Contender::new(REPLAY, |_| timed(|| Ok(raw.commit(&[IoSlice::new(sealed.as_bytes())])?))),
        Contender::new("dockgate (library, batch)", |world: &mut World| {
            timed(|| {
                let mut batch = Batch::new(None);
                workload::append(&mut batch, &ChainName::docker_user(), &rule, workload::CONTEXT);
                world.commit(batch)
            })
        }),
        Contender::new("dockgate (library, as the command)", |world| timed(|| command(world, &rule))),
        Contender::new("rustables, as it comes", |_| timed(|| Ok(peers::rustables::encode(&address)?.send()?))),
        Contender::new("nftnl with mnl, as they come", |_| timed(|| Ok(peers::nftnl::send(&peers::nftnl::encode(&address))?))),
        Contender::new(REPLAY_PROCESS, |_| programs.run(&programs.replay, [files.bytes()])),
        Contender::idle("`true`", |_| programs.run("true", [""; 0])),
    ];
    contenders.extend(processes(programs, words("-A")));
    let ours = || std::iter::once("iptables".to_owned()).chain(words("-A"));
    contenders.push(Contender::new("`dockgate iptables`, after a boot", move |_| programs.run(&programs.booted, ours())));
    if let Some(glibc) = &programs.glibc {
        contenders.push(Contender::new("`dockgate iptables`, with glibc", move |_| programs.run(glibc, ours())));
    }
    if let Some(iptables) = &programs.iptables {
        contenders.push(Contender::new("`iptables`, just installed", move |_| programs.run(iptables, words("-A"))));
    }
    if is_there("nft") {
        let text = format!("add rule ip filter {DOCKER_USER} ip saddr {} counter drop", workload::address(ONE));
        let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        contenders.push(Contender::new("`nft`", move |_| programs.run("nft", &args)));
    }
    Experiment {
        title: format!("add one rule to {len}"),
        rounds,
        patience: Duration::MAX,
        turn: Duration::ZERO,
        // The chain grows by a rule with each run; only from the empty one would that be seen.
        prepare: Box::new(|world: &mut World| {
            if len == 0 {
                world.empty()?;
            }
            before.set(world.count()?);
            Ok(())
        }),
        verify: Box::new(|world, _| match world.count()? {
            count if count == before.get() + 1 => Ok(()),
            _ => Err("no rule came".into()),
        }),
        contenders,
        columns: vec![Column { heading: "replay", baselines: &[REPLAY, REPLAY_PROCESS] }, AGAINST_IPTABLES],
    }
    .run(world)
}

fn command(world: &mut World, rule: &Rule) -> Result<plan::Plan> {
    let chain = ChainName::docker_user();
    Ok(transact(&mut world.netlink, Options::default(), |netlink| {
        let observed = Ruleset::read(netlink, Family::Ip, Which::None)?;
        Ok(plan::append(&observed, &chain, vec![rule.clone()], Counters::default())?)
    })?)
}

/// Looks for the last of `len` rules.
///
/// # Errors
/// As [`Experiment::run`].
pub fn check(world: &mut World, programs: &Programs, len: usize, rounds: usize) -> Result<Outcome> {
    fill_with_one(world, len)?;
    let rule = [one()];
    let mut contenders = vec![
        Contender::new(DUMP, |world: &mut World| timed(|| world.dump())),
        Contender::new("dockgate (library)", |world: &mut World| {
            timed(|| {
                let chain = ChainName::docker_user();
                let observed = Ruleset::read(&mut world.netlink, Family::Ip, Which::Like(&chain, &rule))?;
                plan::check(&observed, &chain, &rule)?;
                Ok(observed)
            })
        }),
    ];
    contenders.extend(processes(programs, words("-C")));
    Experiment {
        title: format!("look for the last of {len} rules"),
        rounds,
        patience: Duration::MAX,
        turn: Duration::ZERO,
        prepare: Box::new(|_| Ok(())),
        verify: still(len),
        contenders,
        columns: vec![Column { heading: "dump", baselines: &[DUMP] }, AGAINST_IPTABLES],
    }
    .run(world)
}

/// Deletes the last of `len` rules by its words.
///
/// # Errors
/// As [`Experiment::run`].
pub fn delete(world: &mut World, programs: &Programs, len: usize, rounds: usize) -> Result<Outcome> {
    fill_with_one(world, len)?;
    let rule = [one()];
    let again: SealedBatch = world::batch(&rule);
    let mut contenders = vec![Contender::new("dockgate (library)", |world: &mut World| {
        timed(|| {
            let chain = ChainName::docker_user();
            Ok(transact(&mut world.netlink, Options::default(), |netlink| {
                let observed = Ruleset::read(netlink, Family::Ip, Which::Like(&chain, &rule))?;
                Ok(plan::delete_rule(&observed, &chain, &rule)?)
            })?)
        })
    })];
    contenders.extend(processes(programs, words("-D")));
    Experiment {
        title: format!("delete the last of {len} rules"),
        rounds,
        patience: Duration::MAX,
        turn: Duration::ZERO,
        prepare: Box::new(move |world: &mut World| {
            if world.count()? < len {
                world.replay(&again)?;
            }
            world.settle()
        }),
        verify: still(len - 1),
        contenders,
        columns: vec![AGAINST_IPTABLES],
    }
    .run(world)
}

/// Prints all of `len` rules.
///
/// # Errors
/// As [`Experiment::run`].
pub fn list(world: &mut World, programs: &Programs, len: usize, rounds: usize) -> Result<Outcome> {
    world.fill(&workload::rules(0..len))?;
    let mut contenders = vec![
        Contender::new(DUMP, |world: &mut World| timed(|| world.dump())),
        Contender::new("dockgate (library)", |world: &mut World| {
            timed(|| {
                let chain = ChainName::docker_user();
                let observed = Ruleset::read(&mut world.netlink, Family::Ip, Which::Of(&chain))?;
                let mut text = String::new();
                save_lines(&mut text, &observed, Some(&chain), None, false)?;
                Ok((observed, text))
            })
        }),
        Contender::new("rustables (does not print)", move |_| {
            timed(|| match peers::rustables::list()? {
                count if count == len => Ok(()),
                count => Err(format!("{count} rules were read").into()),
            })
        }),
    ];
    contenders.extend(processes(programs, vec!["-S".to_owned(), DOCKER_USER.to_owned()]));
    if is_there("nft") {
        let args = ["-n", "list", "chain", "ip", "filter", DOCKER_USER];
        contenders.push(Contender::new("`nft list chain`", move |_| programs.run("nft", args)));
    }
    Experiment {
        title: format!("print {len} rules"),
        rounds,
        patience: Duration::MAX,
        turn: Duration::ZERO,
        prepare: Box::new(|_| Ok(())),
        verify: still(len),
        contenders,
        columns: vec![Column { heading: "dump", baselines: &[DUMP] }, AGAINST_IPTABLES],
    }
    .run(world)
}

/// `len` rules, the last of which is the one.
fn fill_with_one(world: &mut World, len: usize) -> Result<()> {
    let mut rules = workload::rules(0..len - 1);
    rules.push(one());
    world.fill(&rules)
}

/// Looks whether so many rules are there.
fn still(len: usize) -> Verify<'static, World> {
    Box::new(move |world, _| match world.count()? {
        count if count == len => Ok(()),
        count => Err(format!("{count} of {len} rules are there").into()),
    })
}
