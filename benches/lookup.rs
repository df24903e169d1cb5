//! Looking rules up in `DOCKER-USER`, by the number of rules in it: is one there (`-C`), which one is
//! to be deleted (`-D` by its words), what are they all (`-S`, and the whole dump). dockgate by an
//! open socket and as a process, iptables and nft as processes, in turn, in a network namespace of
//! its own. The first of each is the floor: the kernel's dump, read by nobody.
//!
//! `cargo bench --bench lookup`, or a part of it: `-- check/1000`; with `--test` or `--quick` small
//! sizes alone. Other crates do the same in `benches/peers`.

#[expect(dead_code, reason = "each benchmark takes a part of it")]
mod support;

use std::time::Duration;

use dockgate::{
    apply::{Options, transact},
    model::{ChainName, DOCKER_USER, Family},
    plan,
    ruleset::{Ruleset, Which},
    save::save_lines,
};
use support::{
    experiment::{Contender, Experiment, timed},
    process::{self, DOCKGATE},
    samples::Sample,
    session::{Session, finish},
    workload,
    world::{self, Result, World},
};

const FLOOR: &str = "dump that nobody reads";
const LIBRARY: &str = "dockgate (library)";

type One<'a> = Contender<'a, World>;

fn main() -> Result<()> {
    let mut session = Session::open("lookup");
    let mut world = match World::enter() {
        Ok(world) => world,
        Err(error) => {
            println!("SKIPPED look-up: {error}");
            return Ok(());
        }
    };
    let tools: Vec<&str> = [DOCKGATE, "iptables", "nft"].into_iter().filter(|tool| process::has(tool, "look-up by it")).collect();
    let sizes: &[usize] = if session.quick { &[10, 100] } else { &[10, 100, 1000, 10_000] };
    for &size in sizes {
        world.fill(&workload::rules(0..size))?;
        for (case, contenders) in
            [("check", check(size, &tools)), ("list", list(&tools)), ("dump", dump(&tools)), ("delete", delete(size, &tools))]
        {
            if session.wants(case, size) {
                session.run(&mut world, size, experiment(case, size, contenders))?;
            }
        }
    }
    finish(&[session])
}

/// Before each run all rules are there; what deletes one takes the last.
fn experiment<'a>(case: &str, size: usize, contenders: Vec<One<'a>>) -> Experiment<'a, World> {
    let last = world::batch(&workload::rules(size - 1..size));
    let deletes = case == "delete";
    let left = move |world: &mut World| world.count().map(|count| count + 1 == size);
    Experiment {
        title: case.to_owned(),
        rounds: 40,
        patience: Duration::from_secs(12),
        turn: Duration::from_millis(5),
        prepare: Box::new(move |world| {
            if deletes && left(world)? {
                world.replay(&last)?;
                world.settle()?;
            }
            Ok(())
        }),
        verify: Box::new(move |world, _| match world.count()? {
            count if count + usize::from(deletes) == size => Ok(()),
            count => Err(format!("{count} rules are there").into()),
        }),
        contenders,
        columns: Vec::new(),
    }
}

fn floor<'a>() -> One<'a> {
    Contender::new(FLOOR, |world: &mut World| timed(|| world.dump()))
}

/// A program with these arguments.
fn program<'a>(name: &str, words: Vec<String>) -> One<'a> {
    Contender::new(name, move |_: &mut World| Ok(process::output(&words, "")?.0.into()))
}

/// dockgate, and iptables if it is there, with the same words.
fn same_words<'a>(tools: &[&str], words: &str) -> Vec<One<'a>> {
    let of = |tool: &str, called: &str| {
        let line = format!("{called} {words}").split_whitespace().map(str::to_owned).collect();
        tools.contains(&tool).then(|| program(&format!("`{called}`"), line))
    };
    [of(DOCKGATE, "dockgate iptables"), of("iptables", "iptables")].into_iter().flatten().collect()
}

/// Is the last rule there?
fn check<'a>(size: usize, tools: &[&str]) -> Vec<One<'a>> {
    let rules = workload::rules(size - 1..size);
    let library = Contender::new(LIBRARY, move |world: &mut World| {
        timed(|| {
            let chain = ChainName::docker_user();
            let observed = Ruleset::read(&mut world.netlink, Family::Ip, Which::Like(&chain, &rules))?;
            Ok(plan::check(&observed, &chain, &rules)?)
        })
    });
    let mut contenders = vec![floor(), library];
    contenders.extend(same_words(tools, &format!("-C {DOCKER_USER} {}", workload::words(size - 1))));
    contenders
}

/// The last rule, by its words.
fn delete<'a>(size: usize, tools: &[&str]) -> Vec<One<'a>> {
    let rules = workload::rules(size - 1..size);
    let library = Contender::new(LIBRARY, move |world: &mut World| {
        timed(|| {
            let chain = ChainName::docker_user();
            Ok(transact(&mut world.netlink, Options::default(), |netlink| {
                let observed = Ruleset::read(netlink, Family::Ip, Which::Like(&chain, &rules))?;
                Ok(plan::delete_rule(&observed, &chain, &rules)?)
            })?)
        })
    });
    let mut contenders = vec![library];
    contenders.extend(same_words(tools, &format!("-D {DOCKER_USER} {}", workload::words(size - 1))));
    if tools.contains(&"nft") {
        let address = workload::address(size - 1).to_string();
        contenders.push(Contender::new("`nft -a list`, then `nft delete`", move |_: &mut World| by_handle(&address)));
    }
    contenders
}

/// nft deletes by handle, which it prints.
fn by_handle(address: &str) -> Result<Sample> {
    let (listed, text) = process::output(&["nft", "-n", "-a", "list", "chain", "ip", "filter", DOCKER_USER], "")?;
    let line = text.lines().find(|line| line.contains(&format!("saddr {address} "))).ok_or("nft does not list the rule")?;
    let (_, handle) = line.rsplit_once(' ').ok_or("nft prints no handle")?;
    let (deleted, _) = process::output(&["nft", "delete", "rule", "ip", "filter", DOCKER_USER, "handle", handle], "")?;
    Ok((listed + deleted).into())
}

/// All rules as text.
fn list<'a>(tools: &[&str]) -> Vec<One<'a>> {
    let library = Contender::new(LIBRARY, |world: &mut World| {
        timed(|| {
            let chain = ChainName::docker_user();
            let observed = Ruleset::read(&mut world.netlink, Family::Ip, Which::Of(&chain))?;
            let mut text = String::new();
            save_lines(&mut text, &observed, Some(&chain), None, false)?;
            Ok((observed, text))
        })
    });
    let mut contenders = vec![floor(), library];
    contenders.extend(same_words(tools, &format!("-S {DOCKER_USER}")));
    if tools.contains(&"nft") {
        let words = ["nft", "-n", "list", "chain", "ip", "filter", DOCKER_USER].map(str::to_owned);
        contenders.push(program("`nft list chain`", words.to_vec()));
    }
    contenders
}

/// All that is in the table, for programs.
fn dump<'a>(tools: &[&str]) -> Vec<One<'a>> {
    let library = Contender::new(LIBRARY, |world: &mut World| timed(|| Ok(Ruleset::read(&mut world.netlink, Family::Ip, Which::All)?)));
    let mut contenders = vec![floor(), library];
    if tools.contains(&DOCKGATE) {
        contenders.push(program("`dockgate save`", ["dockgate", "save"].map(str::to_owned).to_vec()));
    }
    if tools.contains(&"iptables") {
        contenders.push(program("`iptables-save`", vec!["iptables-save".to_owned()]));
    }
    if tools.contains(&"nft") {
        let words = ["nft", "-j", "-n", "list", "table", "ip", "filter"].map(str::to_owned);
        contenders.push(program("`nft -j list table`", words.to_vec()));
    }
    contenders
}
