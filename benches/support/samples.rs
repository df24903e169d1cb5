//! What came out of the rounds: medians, and ratios that are taken round by round.

use std::{fmt, time::Duration};

use super::records::Latency;

/// One run of one contender.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// How long it took.
    pub wall: Duration,
    /// What else is known of a process.
    pub process: Option<Process>,
}

/// What the kernel counts for a process.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// How long a processor worked for it, in the kernel too.
    pub cpu: Duration,
    /// Its largest resident set in KiB.
    pub resident: u64,
}

impl From<Duration> for Sample {
    fn from(wall: Duration) -> Self {
        Self { wall, process: None }
    }
}

/// The least, the middle and the most of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one, or between the two in the middle.
    pub median: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of these values; `None` of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len().is_multiple_of(2) { (values[half - 1] + values[half]) / 2.0 } else { values[half] };
        Some(Self { min, median, max })
    }
}

/// A contender's runs.
#[derive(Debug, Clone)]
pub struct Runs {
    /// What it is called.
    pub name: String,
    /// Its runs, up to the one that failed.
    pub samples: Vec<Sample>,
    /// Those of each round: their median, in seconds.
    rounds: Vec<f64>,
    /// Why it did not go on.
    pub failure: Option<String>,
}

impl Runs {
    /// None yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), samples: Vec::new(), rounds: Vec::new(), failure: None }
    }

    /// Adds those of one round.
    pub fn add(&mut self, samples: Vec<Sample>) {
        self.rounds.extend(Spread::of(samples.iter().map(|sample| sample.wall.as_secs_f64())).map(|spread| spread.median));
        self.samples.extend(samples);
    }

    /// How long it took, in ms.
    pub fn wall(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.wall.as_secs_f64() * 1e3))
    }

    /// Are these runs of a process?
    pub fn are_of_a_process(&self) -> bool {
        self.processes().next().is_some()
    }

    fn processes(&self) -> impl Iterator<Item = Process> {
        self.samples.iter().filter_map(|sample| sample.process)
    }

    /// The largest of its resident sets, in MB (2^20).
    pub fn resident(&self) -> Option<f64> {
        self.processes().map(|process| process.resident).max().map(|kib| kib as f64 / 1024.0)
    }

    /// How long a processor worked for it, in ms: the middle of all runs.
    pub fn cpu(&self) -> Option<f64> {
        Spread::of(self.processes().map(|process| process.cpu.as_secs_f64() * 1e3)).map(|spread| spread.median)
    }

    /// How long it took beside `other` in the same round.
    pub fn ratio(&self, other: &Self) -> Option<Spread> {
        Spread::of(self.ratios(other))
    }

    fn ratios(&self, other: &Self) -> impl Iterator<Item = f64> {
        self.rounds.iter().zip(&other.rounds).map(|(own, other)| own / other)
    }

    /// All that is said of them in the report, beside the floor or whoever they are compared with.
    pub fn latency(&self, beside: &Self) -> Option<Latency> {
        let mut ns: Vec<f64> = self.samples.iter().map(|sample| sample.wall.as_nanos() as f64).collect();
        let mut ratios: Vec<f64> = self.ratios(beside).collect();
        ns.sort_by(f64::total_cmp);
        ratios.sort_by(f64::total_cmp);
        Some(Latency {
            p50: part(&ns, 0.5)?,
            p90: part(&ns, 0.9)?,
            p99: part(&ns, 0.99)?,
            max: part(&ns, 1.0)?,
            ratio: part(&ratios, 0.5)?,
            low: part(&ratios, 0.25)?,
            high: part(&ratios, 0.75)?,
            runs: ns.len() as f64,
            rounds: ratios.len() as f64,
        })
    }
}

/// The one of these sorted values that this part of them does not exceed.
fn part(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Three digits that count: `0.0421`, `1.23`, `107`.
#[derive(Debug, Clone, Copy)]
pub struct Digits(pub f64);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = match self.0.abs() {
            value if value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            value if value >= 0.995 => 2,
            value if value >= 0.0995 => 3,
            _ => 4,
        };
        write!(f, "{:.decimals$}", self.0)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}-{}]", Digits(self.median), Digits(self.min), Digits(self.max))
    }
}
