//! What a benchmark was asked for, and what it found: experiments are printed and kept for
//! `cargo bench --bench report`.

use super::{
    experiment::{Experiment, Outcome},
    process,
    records::{Numbers, Record, Records},
    world::Result,
};

/// One run of a benchmark program.
#[derive(Debug)]
pub struct Session {
    program: &'static str,
    /// `--test` or `--quick`: does all of it work? A few seconds, and nothing is kept.
    pub quick: bool,
    /// Which cases, and which contenders beside the first.
    filters: [Option<String>; 2],
    records: Records,
    failed: bool,
}

impl Session {
    /// Reads the command line.
    pub fn open(program: &'static str) -> Self {
        let (options, words): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|arg| arg.starts_with('-'));
        let quick = options.iter().any(|option| option == "--test" || option == "--quick");
        let mut words = words.into_iter();
        Self { program, quick, filters: [words.next(), words.next()], records: Records::open(program), failed: false }
    }

    /// Is this asked for, as `CASE/SIZE` or as how the case begins?
    pub fn wants(&self, case: &str, size: usize) -> bool {
        self.filters[0].as_deref().is_none_or(|filter| match filter.rsplit_once('/') {
            Some((wanted, number)) => wanted == case && number == size.to_string(),
            None => case.starts_with(filter),
        })
    }

    /// Is a contender of that name asked for? The first always is.
    pub fn includes(&self, name: &str) -> bool {
        self.filters[1].as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }

    /// Runs an experiment on so many rules or addresses; its first contender is the one that the
    /// others are compared with.
    ///
    /// # Errors
    /// As [`Experiment::run`].
    pub fn run<W>(&mut self, world: &mut W, size: usize, mut experiment: Experiment<'_, W>) -> Result<()> {
        let case = experiment.title.clone();
        experiment.title = format!("{case}/{size}");
        if self.quick {
            experiment.rounds = 1;
        }
        let Outcome { title, runs, .. } = experiment.run(world)?;
        println!("\n{title:<45} {:>10} {:>10} {:>10} {:>10}   × the first", "p50 µs", "p90", "p99", "max");
        for one in &runs {
            if let Some(error) = &one.failure {
                println!("  FAILED {}: {error}", one.name);
                self.failed = true;
                continue;
            }
            let Some(found) = runs.first().and_then(|first| one.latency(first)) else { continue };
            let [p50, p90, p99, max] = [found.p50, found.p90, found.p99, found.max].map(|ns| ns / 1e3);
            println!(
                "  {:<43} {p50:>10.1} {p90:>10.1} {p99:>10.1} {max:>10.1}   {:.3} [{:.3} to {:.3}], {} runs in {} rounds",
                one.name, found.ratio, found.low, found.high, found.runs, found.rounds
            );
            self.note(&one.name, &case, size, found);
        }
        Ok(())
    }

    /// Keeps a result.
    pub fn note<N: Numbers>(&mut self, series: &str, case: &str, size: usize, found: N) {
        if self.quick {
            return;
        }
        let text = |text: &str| text.to_owned();
        let record = Record { group: text(self.program), family: text("ip"), series: text(series), case: text(case), size, found };
        self.records.note(format!("{case}/{size}/{series}"), &record);
    }

    /// Notes that something went wrong; the rest goes on.
    pub fn fail(&mut self, error: &str) {
        println!("  FAILED {error}");
        self.failed = true;
    }
}

/// Ends the program; with 1 if anything failed.
pub fn finish(sessions: &[Session]) -> ! {
    // Not everybody keeps a state; what stays in the temporary directory is of no harm.
    let _ = std::fs::remove_dir_all(process::folder());
    std::process::exit(i32::from(sessions.iter().any(|session| session.failed)))
}
