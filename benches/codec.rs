//! Rules between text, values and bytes, without a kernel: for every extension the rules that its
//! examples show, and the block list that `compare` in `benches/peers` loads.
//!
//! `cargo bench --bench codec -- parse/conntrack`

#[path = "support/workload.rs"]
mod workload;

use std::hint::black_box;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use dockgate::{
    attr::Writer,
    extension::{Context, Listed, Sets},
    matches,
    message::Batch,
    model::{ChainName, Counters, Dialect, Family},
    rule::{Reader, Reading, Rule},
    syntax::Outcome,
    targets,
};

/// Rules of one kind.
struct Kind {
    name: &'static str,
    texts: Vec<(Family, String)>,
    rules: Vec<(Family, Rule)>,
}

/// A kind for every extension, and last the block list of 1,000.
fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    of(matches::ALL, &mut kinds);
    of(targets::ALL, &mut kinds);
    kinds.push(Kind {
        name: "blocklist",
        texts: (0..1000).map(|index| (Family::Ip, workload::words(index))).collect(),
        rules: workload::rules(0..1000).into_iter().map(|rule| (Family::Ip, rule)).collect(),
    });
    kinds
}

fn of<T>(list: &'static [Listed<T>], kinds: &mut Vec<Kind>) {
    for one in list {
        let taken = one.examples.iter().filter_map(|example| match example.outcome {
            Outcome::Saved(saved) => Some((example, saved)),
            Outcome::Refused(_) => None,
        });
        let both = taken.flat_map(|(example, saved)| {
            let families = example.families.iter().filter(|family| one.families.contains(family));
            families.flat_map(move |&family| saved.lines().map(move |line| (family, line.to_owned())))
        });
        kinds.push(Kind::new(one.name, both.collect()));
    }
}

impl Kind {
    fn new(name: &'static str, texts: Vec<(Family, String)>) -> Self {
        let rules = texts.iter().map(|(family, text)| (*family, workload::parse(text, *family))).collect();
        Self { name, texts, rules }
    }

    fn bench(&self, group: &mut BenchmarkGroup<'_, WallTime>, mut work: impl FnMut(&Self)) {
        group.throughput(Throughput::Elements(self.rules.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(self.name), self, |bencher, kind| bencher.iter(|| work(kind)));
    }
}

/// The sets that examples may name.
fn sets() -> Sets {
    Sets::new([(0, "office".into()), (1, "services".into())])
}

fn codec(criterion: &mut Criterion) {
    let kinds = kinds();
    parse(criterion, &kinds);
    print(criterion, &kinds);
    encode(criterion, &kinds);
    decode(criterion, &kinds);
}

/// Words to rules.
fn parse(criterion: &mut Criterion, kinds: &[Kind]) {
    let mut group = criterion.benchmark_group("parse");
    for kind in kinds {
        kind.bench(&mut group, |kind| {
            for (family, text) in &kind.texts {
                black_box(workload::parse(black_box(text), *family));
            }
        });
    }
}

/// Rules to the save form.
fn print(criterion: &mut Criterion, kinds: &[Kind]) {
    let mut group = criterion.benchmark_group("print");
    let mut text = String::new();
    for kind in kinds {
        kind.bench(&mut group, |kind| {
            text.clear();
            for (_, rule) in &kind.rules {
                rule.save(&mut text, None).expect("a string takes everything");
            }
            black_box(&text);
        });
    }
}

/// Rules to a transaction, in a buffer that was used before.
fn encode(criterion: &mut Criterion, kinds: &[Kind]) {
    let mut group = criterion.benchmark_group("encode");
    let (sets, chain) = (sets(), ChainName::docker_user());
    let mut buffer = Vec::new();
    for kind in kinds {
        kind.bench(&mut group, |kind| {
            let mut batch = Batch::with_buffer(None, std::mem::take(&mut buffer));
            for (family, rule) in &kind.rules {
                let context = Context { family: *family, sets: &sets, ..workload::CONTEXT };
                workload::append(&mut batch, &chain, rule, context);
            }
            buffer = black_box(batch.seal().expect("rules are short")).into_buffer();
        });
    }
}

/// Expressions to rules, which is proved by writing each again.
fn decode(criterion: &mut Criterion, kinds: &[Kind]) {
    let mut group = criterion.benchmark_group("decode");
    let sets = sets();
    let mut reader = Reader::default();
    for kind in kinds {
        let lists: Vec<(Context<'_>, Vec<u8>)> = kind.rules.iter().map(|(family, rule)| list(*family, rule, &sets)).collect();
        kind.bench(&mut group, |_| {
            for (context, list) in &lists {
                let (reading, _) = reader.read(black_box(list), None, *context);
                assert_ne!(black_box(reading), Reading::Foreign);
            }
        });
    }
}

/// The expressions of a rule, as the host's iptables 1.8.10 and later writes them.
fn list<'s>(family: Family, rule: &Rule, sets: &'s Sets) -> (Context<'s>, Vec<u8>) {
    let context = Context { family, dialect: Dialect::D, sets };
    let mut list = Vec::new();
    rule.linearize(context, Counters::default(), &mut Writer::new(&mut list)).expect("all sets are there");
    (context, list)
}

criterion_group!(benches, codec);
criterion_main!(benches);
