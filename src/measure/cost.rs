use std::{
    io,
    time::{Duration, Instant},
};

use super::Path;
use crate::lab::{Packet, Router};

/// What rules cost a packet, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The whole way without the rules: the median of all batches.
    pub floor: f64,
    /// How much more it is with them: the median of the differences of two batches, one after the
    /// other.
    pub added: f64,
    /// Half of the differences are between this one …
    pub low: f64,
    /// … and this one.
    pub high: f64,
    /// How many pairs of batches.
    pub pairs: usize,
    /// How many packets each batch has.
    pub packets: usize,
}

/// A batch is to take so long at least: the clock then adds less than a thousandth.
const BATCH: Duration = Duration::from_micros(200);
/// So many packets are sent first: what comes out has a place to wait for 500, and is dropped then.
const BEFORE: usize = 1200;
/// The time for them, where packets are slow.
const PATIENCE: Duration = Duration::from_millis(100);

/// The same packets through two hosts in turn, batch after batch.
#[derive(Debug)]
pub struct Pairing<'a> {
    floor: &'a Router,
    tested: &'a Router,
    packets: &'a [Packet],
    /// The next packet.
    at: usize,
    /// Packets in a batch.
    count: usize,
    floors: Vec<f64>,
    added: Vec<f64>,
}

impl<'a> Pairing<'a> {
    /// Sends the first packets, and finds out how many make a batch. The same must become of the
    /// packets in both hosts, or it is not their rules that are compared.
    ///
    /// # Errors
    /// Those of sending.
    pub fn new(floor: &'a Path, tested: &'a Path, packets: &'a [Packet]) -> io::Result<Self> {
        let (floor, tested) = (floor.router(), tested.router());
        let mut pairing = Self { floor, tested, packets, at: 0, count: 1, floors: Vec::new(), added: Vec::new() };
        let mut slower = 1.0_f64;
        for router in [floor, tested] {
            let begun = Instant::now();
            let mut sent = 0;
            while sent < BEFORE && begun.elapsed() < PATIENCE {
                router.send(&packets[sent % packets.len()])?;
                sent += 1;
            }
            let (_, last) = pairing.batch(router, 0, 1)?;
            slower = slower.max(last.as_nanos() as f64);
        }
        pairing.count = (BATCH.as_nanos() as f64 / slower).ceil().clamp(1.0, 1024.0) as usize;
        Ok(pairing)
    }

    /// Sends so many packets by each; the time that they took with the rules.
    ///
    /// # Errors
    /// Those of sending.
    pub fn run(&mut self, packets: u64) -> io::Result<Duration> {
        let mut left = usize::try_from(packets).unwrap_or(usize::MAX);
        let mut total = Duration::ZERO;
        while left > 0 {
            let count = self.count.min(left);
            total += self.one(count)?;
            left -= count;
        }
        Ok(total)
    }

    /// A pair of batches; the time of the one with the rules.
    fn one(&mut self, count: usize) -> io::Result<Duration> {
        // Neither is always the first: what one leaves in the caches is the other's cost.
        let first = self.added.len().is_multiple_of(2);
        let before = if first { Some(self.batch(self.floor, self.at, count)?) } else { None };
        let (next, with) = self.batch(self.tested, self.at, count)?;
        let (_, without) = match before {
            Some(before) => before,
            None => self.batch(self.floor, self.at, count)?,
        };
        self.at = next;
        // The rest of a run, less than a batch, tells nothing.
        if count == self.count {
            let each = |taken: Duration| taken.as_nanos() as f64 / count as f64;
            self.floors.push(each(without));
            self.added.push(each(with) - each(without));
        }
        Ok(with)
    }

    /// The next `count` packets from `at` on: where it ends, and how long it took.
    fn batch(&self, router: &Router, mut at: usize, count: usize) -> io::Result<(usize, Duration)> {
        let begun = Instant::now();
        for _ in 0..count {
            router.send(&self.packets[at])?;
            at = if at + 1 == self.packets.len() { 0 } else { at + 1 };
        }
        Ok((at, begun.elapsed()))
    }

    /// Forgets what was found, and sends for so long at least.
    ///
    /// # Errors
    /// Those of sending.
    pub fn run_for(&mut self, time: Duration) -> io::Result<Cost> {
        /// Fewer pairs have no median to speak of.
        const FEWEST: usize = 8;
        self.floors.clear();
        self.added.clear();
        let begun = Instant::now();
        loop {
            self.one(self.count)?;
            let enough = self.added.len() >= FEWEST && begun.elapsed() >= time;
            if let (true, Some(cost)) = (enough, self.cost()) {
                return Ok(cost);
            }
        }
    }

    /// What was found; `None` if no batch was complete.
    pub fn cost(&self) -> Option<Cost> {
        let sorted = |all: &[f64]| {
            let mut all = all.to_vec();
            all.sort_by(f64::total_cmp);
            all
        };
        let (floors, added) = (sorted(&self.floors), sorted(&self.added));
        let part = |all: &[f64], quarter: usize| all.get(all.len().checked_sub(1)? * quarter / 4).copied();
        Some(Cost {
            floor: part(&floors, 2)?,
            added: part(&added, 2)?,
            low: part(&added, 1)?,
            high: part(&added, 3)?,
            pairs: added.len(),
            packets: self.count,
        })
    }
}

/// Sends the same packets by `floor` and by `tested` in turn, for so long at least.
///
/// # Errors
/// Those of [`Pairing`].
pub fn pair(floor: &Path, tested: &Path, packets: &[Packet], time: Duration) -> io::Result<Cost> {
    Pairing::new(floor, tested, packets)?.run_for(time)
}
