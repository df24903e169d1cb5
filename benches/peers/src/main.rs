//! `compare`: dockgate beside iptables, nft and other netfilter crates. All do the same work, in
//! turns, in a network namespace that nobody else is in, and after each run the kernel is asked
//! whether the work was done.
//!
//! Other machines, and this one at another time, give other milliseconds: look at the ratios.

mod bulk;
mod experiment;
mod peers;
mod programs;
#[path = "../../support/raw.rs"]
mod raw;
mod report;
mod samples;
mod single;
#[path = "../../support/mod.rs"]
mod support;

use clap::Parser;

use experiment::Outcome;
use programs::Programs;
use support::world::{Result, World};

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
    /// Measure this dockgate [default: it is built]
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
                    done(bulk::load(world, programs, size, options.runs)?);
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
