//! Hosts to compare, and the proof that the packets took the way they are said to.

use std::{cell::OnceCell, collections::HashMap, time::Duration};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use dockgate::{
    lab::Packet,
    measure::{Cost, Pairing, Path},
    model::{Counters, Family},
};

use crate::support::records::{Record, Records};

pub use crate::support::world::Result;

/// Where packets come in.
pub const INWARD: &str = "eth0";

/// What becomes of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    Passes,
    Dropped,
}

/// Packets that all have the same fate.
#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    pub packets: Vec<Packet>,
    pub fate: Fate,
    /// The number of the rule in `DOCKER-USER` that takes them all, counted from 0, where one does.
    pub rule: Option<usize>,
}

/// What is measured: `GROUP/FAMILY/SERIES/CASE/SIZE` is its id.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub group: &'a str,
    pub family: Family,
    /// One line in a plot.
    pub series: &'a str,
    /// Rules, or addresses.
    pub size: usize,
}

/// How long a case is measured.
const TIME: Duration = Duration::from_millis(300);
/// So many times the fastest empty path that there was is slow.
const SLOW: f64 = 1.15;
/// So many times a case is measured again at most.
const AGAIN: usize = 6;

/// The hosts without rules, and what was found.
pub struct Stage {
    criterion: Criterion,
    /// The fastest empty path that there was, by what goes through it.
    fastest: HashMap<(Family, Fate, usize), f64>,
    accepts: Path,
    drops: Path,
    records: Records,
}

impl Stage {
    pub fn build(criterion: Criterion) -> Result<Self> {
        let mut drops = Path::build("drops", INWARD)?;
        drops.set_policy(false)?;
        Ok(Self { criterion, fastest: HashMap::new(), accepts: Path::build("accepts", INWARD)?, drops, records: Records::open("packets") })
    }

    /// Why packets don't go by TUN devices, if they don't.
    pub fn no_tun(&self) -> Option<&dockgate::lab::Error> {
        self.accepts.router().no_tun()
    }

    /// Measures a host that `build` has given its rules, with the packets of every case.
    pub fn measure(&mut self, subject: Subject<'_>, build: impl Fn(&mut Path) -> Result<()>, cases: &[Case]) {
        let Subject { group, family, series, size } = subject;
        let name = format!("{group}/{}/{series}", if family == Family::Ip { "v4" } else { "v6" });
        let built = OnceCell::new();
        let new = || {
            let mut path = Path::build("tested", INWARD).expect("a host like the floor's");
            build(&mut path).unwrap_or_else(|error| panic!("{name}: {error}"));
            path
        };
        let mut criterion_group = self.criterion.benchmark_group(&name);
        criterion_group.sampling_mode(SamplingMode::Flat).sample_size(10).nresamples(1001);
        criterion_group.warm_up_time(Duration::from_millis(50)).measurement_time(TIME);
        for case in cases {
            let floor = if case.fate == Fate::Passes { &self.accepts } else { &self.drops };
            let mut pairing = None;
            criterion_group.bench_function(BenchmarkId::new(case.name, size), |bencher| {
                let tested: &Path = built.get_or_init(new);
                let pairing = pairing.get_or_insert_with(|| {
                    prove(tested, case, family, size);
                    Pairing::new(floor, tested, &case.packets).expect("packets can be sent")
                });
                bencher.iter_custom(|packets| pairing.run(packets).expect("packets can be sent"));
            });
            // One pair is what `--test` has.
            let Some(mut pairing) = pairing else { continue };
            let Some(cost) = pairing.cost().filter(|cost| cost.pairs > 1) else { continue };
            let fastest = self.fastest.entry((family, case.fate, case.packets.len())).or_insert(cost.floor);
            let cost = undisturbed(&mut pairing, cost, fastest);
            if let Some(tested) = built.get() {
                prove(tested, case, family, size);
            }
            println!(
                "{name}/{}/{size}: {:+.1} ns [{:+.1} to {:+.1}] over {:.0} ns, {} pairs of {} packets",
                case.name, cost.added, cost.low, cost.high, cost.floor, cost.pairs, cost.packets
            );
            let text = |text: &str| text.to_owned();
            let record =
                Record { group: text(group), family: family.to_string(), series: text(series), case: text(case.name), size, found: cost };
            self.records.note(format!("{name}/{}/{size}", case.name), &record);
        }
        criterion_group.finish();
    }

    pub fn finish(&self) {
        self.criterion.final_summary();
    }
}

/// A machine that others use, too, has slow times, which the empty path shows: then it is measured again,
/// some times, and what was found with the fastest empty path counts.
fn undisturbed(pairing: &mut Pairing<'_>, mut cost: Cost, fastest: &mut f64) -> Cost {
    for _ in 0..AGAIN {
        *fastest = fastest.min(cost.floor);
        if cost.floor <= SLOW * *fastest {
            break;
        }
        let next = pairing.run_for(TIME).expect("packets can be sent");
        cost = if next.floor < cost.floor { next } else { cost };
    }
    cost
}

/// Packets do what is said of them, or nothing of it is true.
fn prove(path: &Path, case: &Case, family: Family, size: usize) {
    // A dump of more takes longer than what is measured.
    let rule = case.rule.filter(|_| size <= 10_000);
    let before = rule.map(|_| counts(path, family));
    let sample = case.packets.len().min(32);
    for packet in &case.packets[..sample] {
        let passes = path.passes(packet).expect("packets can be sent");
        assert_eq!(passes, case.fate == Fate::Passes, "{}: {packet:?}", case.name);
    }
    if let (Some(rule), Some(before)) = (rule, before) {
        let after = counts(path, family);
        let taken: Vec<(usize, u64)> =
            after.iter().zip(&before).map(|(after, before)| after - before).enumerate().filter(|(_, count)| *count > 0).collect();
        assert_eq!(taken, [(rule, sample as u64)], "{}: the rules that took them", case.name);
    }
}

/// How many packets each rule of `DOCKER-USER` took.
fn counts(path: &Path, family: Family) -> Vec<u64> {
    path.rules(family).expect("rules can be read").iter().map(|entry| entry.counters.unwrap_or(Counters::default()).packets).collect()
}
