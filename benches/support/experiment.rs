//! The same work by several contenders, in turns: in every round each has its run, and the order
//! changes from round to round.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use super::{
    samples::{Runs, Sample, Spread},
    world::Result,
};

/// What a contender does: its work, and how long that took.
type Work<'a, W> = Box<dyn FnMut(&mut W) -> Result<Sample> + 'a>;

/// Makes the world ready for one run.
pub type Prepare<'a, W> = Box<dyn FnMut(&mut W) -> Result<()> + 'a>;

/// Looks whether a run did the work; closely, if so said.
pub type Verify<'a, W> = Box<dyn FnMut(&mut W, bool) -> Result<()> + 'a>;

/// Somebody who does the work in such a world.
pub struct Contender<'a, W> {
    /// What it is called.
    pub name: String,
    run: Work<'a, W>,
    idle: bool,
}

impl<'a, W> Contender<'a, W> {
    /// `run` does the work and says how long that took.
    pub fn new(name: impl Into<String>, run: impl FnMut(&mut W) -> Result<Sample> + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run), idle: false }
    }

    /// The same for who does nothing, and is there to show what starting a process takes.
    pub fn idle(name: impl Into<String>, run: impl FnMut(&mut W) -> Result<Sample> + 'a) -> Self {
        Self { idle: true, ..Self::new(name, run) }
    }
}

/// A piece of work.
pub struct Experiment<'a, W> {
    /// What it is, in the order of the tables: `load 1000 rules`.
    pub title: String,
    /// How many rounds at most.
    pub rounds: usize,
    /// After that no further round begins, if there were three.
    pub patience: Duration,
    /// In each round everybody works again and again for so long, and once at least.
    pub turn: Duration,
    /// Before each run.
    pub prepare: Prepare<'a, W>,
    /// After each run; the first of each contender is looked at closely.
    pub verify: Verify<'a, W>,
    /// Who does it.
    pub contenders: Vec<Contender<'a, W>>,
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

/// Fewer rounds have no median to speak of.
const FEWEST: usize = 3;

impl<'a> Experiment<'a, ()> {
    /// Contenders who need nothing between their runs, and look after what comes out by themselves.
    pub fn plain(title: &str, patience: Duration, contenders: Vec<Contender<'a, ()>>) -> Self {
        Self {
            title: title.to_owned(),
            rounds: 40,
            patience,
            turn: Duration::from_millis(20),
            prepare: Box::new(|()| Ok(())),
            verify: Box::new(|(), _| Ok(())),
            contenders,
            columns: Vec::new(),
        }
    }
}

impl<W> Experiment<'_, W> {
    /// Runs all rounds, and one before them that does not count.
    ///
    /// # Errors
    /// Only where the world can't be made ready: who fails is out, and the others go on.
    pub fn run(mut self, world: &mut W) -> Result<Outcome> {
        let len = self.contenders.len();
        let mut runs: Vec<Runs> = self.contenders.iter().map(|one| Runs::new(&one.name)).collect();
        let begun = Instant::now();
        for round in 0..=self.rounds {
            if round > FEWEST && begun.elapsed() > self.patience {
                break;
            }
            progress(&format!("{}: round {round} of {}", self.title, self.rounds));
            for turn in 0..len {
                let at = if round.is_multiple_of(2) { (turn + round) % len } else { (2 * len - 1 - turn + round) % len };
                if runs[at].failure.is_none() {
                    self.turn(world, at, round, &mut runs[at])?;
                }
            }
        }
        progress("");
        Ok(Outcome { title: self.title, runs, columns: self.columns })
    }

    /// The turn of one of them.
    fn turn(&mut self, world: &mut W, at: usize, round: usize, runs: &mut Runs) -> Result<()> {
        let begun = Instant::now();
        let mut samples = Vec::new();
        while samples.is_empty() || begun.elapsed() < self.turn {
            (self.prepare)(world)?;
            let Contender { run, idle, .. } = &mut self.contenders[at];
            let verified = match run(world) {
                Ok(sample) if !*idle => (self.verify)(world, round == 0 && samples.is_empty()).map(|()| sample),
                other => other,
            };
            match verified {
                Ok(sample) => samples.push(sample),
                Err(error) => {
                    runs.failure = Some(error.to_string());
                    return Ok(());
                }
            }
        }
        if round > 0 {
            runs.add(samples);
        }
        Ok(())
    }
}

/// Measures `work`.
///
/// # Errors
/// Its own.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<Sample> {
    took(work).map(Into::into)
}

/// How long something takes, without the time to free what it gives.
pub fn took<T>(work: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let begin = Instant::now();
    let done = work()?;
    let taken = begin.elapsed();
    drop(done);
    Ok(taken)
}

/// Says on a terminal, over what was said before, how far it is.
fn progress(text: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // A terminal that is gone is no reason to stop.
        let _ = write!(stderr, "\r\x1b[K{text}");
    }
}
