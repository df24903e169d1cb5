//! `compare`: dockgate beside iptables, nft and other netfilter crates. All do the same work, in
//! turns, in a network namespace that nobody else is in, and after each run the kernel is asked
//! whether the work was done.
//!
//! Other machines, and this one at another time, give other milliseconds: look at the ratios.

mod bulk;
mod peers;
mod programs;
#[path = "../../support/raw.rs"]
mod raw;
mod report;
mod single;
#[path = "../../support/mod.rs"]
#[expect(dead_code, reason = "each benchmark takes a part of it")]
mod support;

use clap::Parser;

use programs::Programs;
use support::{
    experiment::Outcome,
    world::{Result, World},
};

/// dockgate beside iptables, nft and other netfilter crates: the same work, in turns, as ratios.
#[derive(Debug, Parser)]
struct Options {
    /// How many rules to load, and the lengths of chains to add one to (0 is always among them)
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 10_000, 100_000])]
    sizes: Vec<usize>,
    /// Rounds; of single rules three times as many
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// A few seconds: does all of it work? (as --sizes 300 --runs 1)
    #[arg(long)]
    quick: bool,
    /// Only these
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [What::Load, What::Add, What::Check, What::Delete, What::List])]
    only: Vec<What>,
    /// Load many rules by dockgate, iptables and replay alone: who is named in what must be reached
    #[arg(long)]
    few: bool,
    /// Measure this dockgate [default: it is built, with musl if rustup has that target]
    #[arg(long, value_name = "PATH")]
    dockgate: Option<std::path::PathBuf>,
    /// Write tables for a README
    #[arg(long)]
    markdown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Many rules at once
    Load,
    /// One rule into chains of all sizes
    Add,
    /// `-C` of the last rule
    Check,
    /// `-D` of the last rule
    Delete,
    /// `-S`
    List,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.quick {
        (options.sizes, options.runs) = (vec![300], 1);
    }
    let programs = Programs::build(options.dockgate.as_deref())?;
    println!("dockgate: {}", programs.measured);
    // Whatever runs from here on is in the namespace.
    let mut world = World::enter()?;
    let outcomes = measure(&options, &programs, &mut world)?;
    print!("{}", report::targets(&outcomes));
    Ok(())
}

fn measure(options: &Options, programs: &Programs, world: &mut World) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    let many = options.runs * 3;
    let mut done = |outcome: Outcome| {
        print!("{}", report::table(&outcome, options.markdown));
        outcomes.push(outcome);
    };
    // Sizes of chains that are looked into: one is enough.
    let looked = *options.sizes.iter().filter(|&&size| size <= 10_000).max().or(options.sizes.iter().min()).ok_or("no sizes")?;
    for what in &options.only {
        match what {
            What::Load => {
                for &size in &options.sizes {
                    done(bulk::load(world, programs, size, options.runs, !options.few)?);
                }
            }
            What::Add => {
                for size in std::iter::once(0).chain(options.sizes.iter().copied()) {
                    done(single::append(world, programs, size, many)?);
                }
            }
            What::Check => done(single::check(world, programs, looked, many)?),
            What::Delete => done(single::delete(world, programs, looked, options.runs)?),
            What::List => done(single::list(world, programs, looked, options.runs)?),
        }
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::support::samples::{Digits, Runs, Spread};

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median), Some(2.5));
    }

    #[test]
    fn parts_are_values_that_were_measured_and_ratios_those_of_rounds() {
        let (mut one, mut other) = (Runs::new("one"), Runs::new("other"));
        assert_eq!(one.latency(&other), None);
        for round in 0..20 {
            one.add((1..=5).map(|run| Duration::from_nanos(5 * round + run).into()).collect());
            other.add(vec![Duration::from_nanos((5 * round + 3) * 2).into()]);
        }
        let found = one.latency(&other).unwrap();
        assert_eq!([found.p50, found.p90, found.p99, found.max], [50.0, 90.0, 99.0, 100.0]);
        assert_eq!([found.low, found.ratio, found.high], [0.5; 3]);
        assert_eq!([found.runs, found.rounds], [100.0, 20.0]);
    }

    #[test]
    fn three_digits_count() {
        let text: Vec<_> = [1234.5, 107.4, 21.55, 1.234, 0.5, 0.0421].map(|value| Digits(value).to_string()).into();
        assert_eq!(text, ["1234", "107", "21.6", "1.23", "0.500", "0.0421"]);
    }
}
