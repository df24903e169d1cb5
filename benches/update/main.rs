//! What it takes to change a list of addresses that are dropped, by its size: one rule more, one
//! address instead of another, a hundred, and the whole list; dockgate by an open socket and as a
//! process, iptables, nft and ipset as processes. Each has a host of its own, and they take turns.
//!
//! And the same while packets come all the time, of which each has one right verdict, before the
//! change as after it: how many met another one.
//!
//! `cargo bench --bench update`, or a part of it: `-- "one address/1000"`, `-- traffic`; with
//! `--test` or `--quick` small sizes alone. A second word names those who are beside the library:
//! `-- "whole list/1000" ipset`.

mod hands;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "each benchmark takes a part of it")]
mod support;
mod tools;
mod traffic;

use std::time::Duration;

use dockgate::{
    lab::{self, Userns},
    measure::Path,
    model::Family,
};
use hands::Hands;
use support::{
    experiment::{Contender, Experiment},
    process,
    session::{Session, finish},
    shapes::List,
    world::Result,
};
use tools::{Case, Change, TOOLS, Tool};

const FAMILY: Family = Family::Ip;
/// Where packets come in.
const INWARD: &str = "eth0";

fn main() -> Result<()> {
    let (mut session, mut traffic) = (Session::open("update"), Session::open("traffic"));
    if let Err(error) = lab::enter(Userns::WhenNeeded).map_err(Into::into).and_then(|()| Path::build("update", INWARD)) {
        println!("SKIPPED updates: {error}");
        return Ok(());
    }
    let wanted = TOOLS.iter().enumerate().filter(|(index, tool)| *index == 0 || session.includes(tool.name));
    let tools: Vec<&Tool> =
        wanted.map(|(_, tool)| tool).filter(|tool| tool.needs.is_none_or(|program| process::has(program, tool.name))).collect();
    let sizes: &[usize] = if session.quick { &[100] } else { &[10, 100, 1000, 10_000, 100_000] };
    for &size in sizes {
        for case in [Case::Rule, Case::One, Case::Hundred, Case::Whole] {
            // Of a shorter list that is more than all.
            if session.wants(case.name(), size) && (case != Case::Hundred || size >= 100) {
                compare(&mut session, case, size, &tools)?;
            }
        }
    }
    let sizes: &[usize] = if session.quick { &[100] } else { &[1000, 10_000] };
    for &size in sizes {
        for case in [Case::One, Case::Whole] {
            if traffic.wants(&format!("traffic, {}", case.name()), size) {
                traffic::run(&mut traffic, case, size, &tools)?;
            }
        }
    }
    finish(&[session, traffic])
}

/// The same change by all of them in turn.
fn compare(session: &mut Session, case: Case, size: usize, tools: &[&Tool]) -> Result<()> {
    let pair = lists(size, case.count(size));
    let mut contenders = Vec::new();
    for tool in tools.iter().filter(|tool| tool.cases.contains(&case)) {
        let mut path = Path::build(tool.name, INWARD)?;
        (tool.hold)(&mut path, &pair[0])?;
        let (mut hands, mut at, pair) = (Hands::new(path)?, 0, &pair);
        contenders.push(Contender::new(tool.name, move |_: &mut ()| {
            let (from, to) = (&pair[at], &pair[1 - at]);
            let count = case.count(size);
            let change = Change { case, to, removed: &from.members[..count], added: &to.members[..count] };
            let taken = match case {
                Case::Rule => {
                    let taken = (tool.change)(&mut hands, &Change { removed: &[], ..change })?;
                    tools::edit(&mut hands, change.added, &[])?;
                    taken
                }
                _ => {
                    at = 1 - at;
                    (tool.change)(&mut hands, &change)?
                }
            };
            hands.settle()?;
            Ok(taken.into())
        }));
    }
    let experiment = Experiment::plain(case.name(), Duration::from_secs(10), contenders);
    session.run(&mut (), size, experiment)
}

/// Two lists of that size, of which the first so many differ.
fn lists(size: usize, count: usize) -> [List; 2] {
    let mut all = List::new(FAMILY, size + count);
    let more = all.members.split_off(size);
    let mut other = all.clone();
    other.members[..count].clone_from_slice(&more);
    [all, other]
}
