//! What rules cost in the kernel, and dockgate above it: in a network namespace of its own, each
//! measurement in turn with its floor (the same bytes sent again, a dump that nobody reads), and
//! the ratio of the two beside criterion's own figures.
//!
//! `cargo bench --bench kernel`; with `--test` or `--quick` small sizes alone.

#[expect(dead_code, reason = "each benchmark takes a part of it")]
mod support;

use std::{cell::RefCell, time::Duration};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use dockgate::{
    apply::{Options, transact},
    message::Batch,
    model::{ChainName, Counters, Family},
    plan::{self, Plan},
    rule::Rule,
    ruleset::{Ruleset, Which},
};
use support::{
    experiment::took,
    workload,
    world::{self, Result, World},
};

/// What is measured and its floor, how long each took.
type Pair = (Duration, Duration);

fn main() {
    let mut world = match World::enter() {
        Ok(world) => world,
        Err(error) => return println!("SKIPPED the kernel: {error}"),
    };
    let quick = std::env::args().any(|arg| arg == "--test" || arg == "--quick");
    let sizes: &[usize] = if quick { &[1, 100, 1000] } else { &[1, 100, 1000, 10_000, 100_000] };
    let mut criterion = Criterion::default().configure_from_args().sample_size(10).warm_up_time(Duration::from_millis(100));
    for &size in sizes {
        let rules = workload::rules(0..size);
        let replay = world::batch(&rules);
        paired(&mut criterion, "commit", size, size, || {
            let floor = empty_then(&mut world, |world| world.replay(&replay))?;
            let own = rules.clone();
            let taken = empty_then(&mut world, |world| append(world, own))?;
            check(world.count()? == size)?;
            Ok((taken, floor))
        });
    }
    for &size in [0].iter().chain(sizes) {
        let one = workload::rules(size..size + 1);
        let replay = world::batch(&one);
        let rules = workload::rules(0..size);
        paired(&mut criterion, "append", size, 1, || {
            let before = shorten(&mut world, &rules)?;
            let floor = took(|| world.replay(&replay))?;
            let taken = took(|| batch(&mut world, &one))?;
            check(world.count()? == before + 2)?;
            Ok((taken, floor))
        });
        paired(&mut criterion, "append as the command", size, 1, || {
            shorten(&mut world, &rules)?;
            let floor = took(|| world.replay(&replay))?;
            let taken = took(|| append(&mut world, one.clone()))?;
            Ok((taken, floor))
        });
    }
    for &size in sizes {
        let rules = workload::rules(0..size);
        let filled = world.fill(&rules).and_then(|()| check(world.holds(&rules)?));
        filled.unwrap_or_else(|error| panic!("{size} rules: {error}"));
        paired(&mut criterion, "dump", size, size, || {
            let floor = took(|| world.dump())?;
            let taken = took(|| read(&mut world))?;
            Ok((taken, floor))
        });
        paired(&mut criterion, "check", size, size, || {
            let floor = took(|| world.dump())?;
            let taken = took(|| Ok(plan::check(&read(&mut world)?, &ChainName::docker_user(), &rules[size - 1..])?))?;
            Ok((taken, floor))
        });
    }
    criterion.final_summary();
}

/// Lets criterion measure the first of the pair, and prints its ratio to the second.
fn paired(criterion: &mut Criterion, name: &str, size: usize, elements: usize, mut work: impl FnMut() -> Result<Pair>) {
    let ratios = RefCell::new(Vec::new());
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(elements as u64));
    group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let (taken, floor) = work().unwrap_or_else(|error| panic!("{name} {size}: {error}"));
                ratios.borrow_mut().push(taken.as_secs_f64() / floor.as_secs_f64());
                total += taken;
            }
            total
        });
    });
    group.finish();
    let mut ratios = ratios.into_inner();
    ratios.sort_by(f64::total_cmp);
    if let (Some(min), Some(max)) = (ratios.first(), ratios.last()) {
        println!("{name}/{size}: × its floor {:.3} [{min:.3}-{max:.3}], {} pairs", ratios[ratios.len() / 2], ratios.len());
    }
}

fn empty_then<T>(world: &mut World, work: impl FnOnce(&mut World) -> Result<T>) -> Result<Duration> {
    world.empty()?;
    took(|| work(world))
}

/// Makes the chain have these rules again when it has grown by a hundred; how many it has.
fn shorten(world: &mut World, rules: &[Rule]) -> Result<usize> {
    let count = world.count()?;
    if (rules.len()..rules.len() + 100).contains(&count) {
        return Ok(count);
    }
    world.fill(rules)?;
    Ok(rules.len())
}

fn check(right: bool) -> Result<()> {
    if right { Ok(()) } else { Err("the kernel has other rules".into()) }
}

/// One transaction on the connection, encoded anew.
fn batch(world: &mut World, rules: &[Rule]) -> Result<()> {
    let mut batch = Batch::new(None);
    rules.iter().for_each(|rule| workload::append(&mut batch, &ChainName::docker_user(), rule, workload::CONTEXT));
    world.commit(batch)
}

/// From what is there, by a plan, to the proof of its commit.
fn append(world: &mut World, rules: Vec<Rule>) -> Result<Plan> {
    let mut rules = Some(rules);
    Ok(transact(&mut world.netlink, Options::default(), |netlink| {
        let observed = Ruleset::read(netlink, Family::Ip, Which::None)?;
        Ok(plan::append(&observed, &ChainName::docker_user(), rules.take().unwrap_or_default(), Counters::default())?)
    })?)
}

fn read(world: &mut World) -> Result<Ruleset> {
    Ok(Ruleset::read(&mut world.netlink, Family::Ip, Which::Of(&ChainName::docker_user()))?)
}
