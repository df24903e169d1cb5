//! The same work by several contenders, in turns: in every round each has its run, and the order
//! changes from round to round.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

use crate::{
    samples::{Runs, Sample, Spread},
    support::world::{Result, World},
};

/// What a contender does: its work, and how long that took.
type Work<'a> = Box<dyn FnMut(&mut World) -> Result<Sample> + 'a>;

/// Makes the ruleset ready for one run.
pub type Prepare<'a> = Box<dyn FnMut(&mut World) -> Result<()> + 'a>;

/// Looks whether a run did the work; closely, if so said.
pub type Verify<'a> = Box<dyn FnMut(&mut World, bool) -> Result<()> + 'a>;

/// Somebody who does the work.
pub struct Contender<'a> {
    name: String,
    run: Work<'a>,
    idle: bool,
}

impl<'a> Contender<'a> {
    /// `run` does the work and says how long that took.
    pub fn new(name: impl Into<String>, run: impl FnMut(&mut World) -> Result<Sample> + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run), idle: false }
    }

    /// The same for who does nothing, and is there to show what starting a process takes.
    pub fn idle(name: impl Into<String>, run: impl FnMut(&mut World) -> Result<Sample> + 'a) -> Self {
        Self { idle: true, ..Self::new(name, run) }
    }
}

/// A piece of work.
pub struct Experiment<'a> {
    /// What it is, in the order of the tables: `load 1000 rules`.
    pub title: String,
    /// How many rounds.
    pub rounds: usize,
    /// Before each run.
    pub prepare: Prepare<'a>,
    /// After each run; the first of each contender is looked at closely.
    pub verify: Verify<'a>,
    /// Who does it.
    pub contenders: Vec<Contender<'a>>,
    /// With whom all others are compared.
    pub columns: Vec<Column>,
}

/// A column of ratios.
#[derive(Debug, Clone)]
pub struct Column {
    /// `replay`
    pub heading: &'static str,
    /// The contenders that others are compared with: processes with a process, calls of a library
    /// with another.
    pub baselines: &'static [&'static str],
}

/// What came out.
#[derive(Debug)]
pub struct Outcome {
    /// [`Experiment::title`]
    pub title: String,
    /// What each contender did.
    pub runs: Vec<Runs>,
    /// [`Experiment::columns`]
    pub columns: Vec<Column>,
}

impl Outcome {
    /// The runs of the contender of that name.
    pub fn of(&self, name: &str) -> Option<&Runs> {
        self.runs.iter().find(|runs| runs.name == name)
    }

    /// How long one took beside the other, round by round.
    pub fn ratio(&self, name: &str, beside: &str) -> Option<Spread> {
        self.of(name)?.ratio(self.of(beside)?)
    }

    /// How long these took beside the baseline of their kind.
    pub fn against(&self, column: &Column, runs: &Runs) -> Option<Spread> {
        let baselines = column.baselines.iter().flat_map(|name| self.of(name));
        let mut same = baselines.filter(|baseline| baseline.are_of_a_process() == runs.are_of_a_process());
        runs.ratio(same.next()?)
    }
}

impl Experiment<'_> {
    /// Runs all rounds, and one before them that does not count.
    ///
    /// # Errors
    /// Only where the ruleset can't be made ready: who fails is out, and the others go on.
    pub fn run(mut self, world: &mut World) -> Result<Outcome> {
        let len = self.contenders.len();
        let named = |one: &Contender<'_>| Runs { name: one.name.clone(), samples: Vec::new(), failure: None };
        let mut runs: Vec<Runs> = self.contenders.iter().map(named).collect();
        for round in 0..=self.rounds {
            progress(&format!("{}: round {round} of {}", self.title, self.rounds));
            for turn in 0..len {
                let at = if round.is_multiple_of(2) { (turn + round) % len } else { (2 * len - 1 - turn + round) % len };
                if runs[at].failure.is_some() {
                    continue;
                }
                (self.prepare)(world)?;
                let Contender { run, idle, .. } = &mut self.contenders[at];
                let sample = run(world);
                let verified = match sample {
                    Ok(sample) if !*idle => (self.verify)(world, round == 0).map(|()| sample),
                    other => other,
                };
                match verified {
                    Ok(sample) if round > 0 => runs[at].samples.push(sample),
                    Ok(_) => {}
                    Err(error) => runs[at].failure = Some(format!("{error}; {} rules are there", world.count()?)),
                }
            }
        }
        progress("");
        Ok(Outcome { title: self.title, runs, columns: self.columns })
    }
}

/// Measures `work`.
///
/// # Errors
/// Its own.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<Sample> {
    let begin = Instant::now();
    let done = work()?;
    let wall = begin.elapsed();
    drop(done);
    Ok(wall.into())
}

/// Says on a terminal, over what was said before, how far it is.
fn progress(text: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // A terminal that is gone is no reason to stop.
        let _ = write!(stderr, "\r\x1b[K{text}");
    }
}
