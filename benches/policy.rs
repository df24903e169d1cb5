//! Policies without a kernel: read, compile, and the difference to what stands, by the number of
//! addresses in their one group.
//!
//! `cargo bench --bench policy -- compile/100000`

use std::{
    fmt::Write as _,
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dockgate::{
    compile::{self, Compiled},
    model::{ChainName, Family, Generation, Handle},
    plan::{
        Plan,
        ours::{Ours, reconcile},
    },
    policy::{File, Policy},
    rule::Reading,
    ruleset::{Chain, Entry, Ruleset},
    save::SavedRule,
};

const SIZES: [usize; 4] = [100, 1000, 10_000, 100_000];

/// Addresses all over, each once: the multiplier is odd.
fn text(size: usize, family: Family) -> String {
    let mut text =
        String::from("external = 'eth0'\ndefault = 'drop'\n[[rule]]\nallow = ['80/tcp', '443/tcp']\nfrom = 'list'\n[groups]\nlist = [\n");
    for index in 0..size as u32 {
        let bits = index.wrapping_mul(2_654_435_761);
        let address: IpAddr = match family {
            Family::Ip => Ipv4Addr::from_bits(bits).into(),
            Family::Ip6 => Ipv6Addr::from_bits(u128::from(bits) << 88 | u128::from(!bits)).into(),
        };
        writeln!(text, "  '{address}',").expect("a string takes everything");
    }
    text + "]\n"
}

fn read(size: usize, family: Family) -> Policy {
    let read = Policy::parse(vec![File::new("bench.toml", text(size, family))]);
    assert!(read.problems.is_empty());
    read.policy
}

fn desired(compiled: &Compiled, family: Family) -> Ours {
    Ours {
        chains: compiled.chains(family).to_vec(),
        jump: Some(SavedRule { rule: compiled.jump(), counters: Default::default(), line: 0 }),
        marks: None,
    }
}

/// The table once the policy is applied.
fn applied(compiled: &Compiled) -> Ruleset {
    let family = Family::Ip;
    let entry = |(index, saved): (usize, &SavedRule)| Entry {
        handle: Handle(index as u64 + 2),
        counters: Some(saved.counters),
        reading: Reading::Rule(saved.rule.clone()),
        raw: None,
        userdata: None,
    };
    let chain = |name: ChainName, rules: &[SavedRule]| Chain {
        name,
        handle: Handle(1),
        hook: None,
        uses: 1,
        rules: Some(rules.iter().enumerate().map(entry).collect()),
    };
    let ours = desired(compiled, family);
    let mut chains: Vec<Chain> = ours.chains.iter().map(|saved| chain(saved.name.clone(), &saved.rules)).collect();
    chains.push(chain(ChainName::docker_user(), ours.jump.as_slice()));
    Ruleset { family, generation: Generation(1), chains, sets: Default::default() }
}

fn policy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for size in SIZES {
        let text = text(size, Family::Ip);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &text, |bencher, text| {
            bencher.iter(|| black_box(Policy::parse(vec![File::new("bench.toml", text.clone())])));
        });
    }
    group.finish();
    for (name, family) in [("compile", Family::Ip), ("compile-ip6", Family::Ip6)] {
        let mut group = criterion.benchmark_group(name);
        for size in SIZES {
            let policy = read(size, family);
            group.throughput(Throughput::Elements(size as u64));
            group.bench_with_input(BenchmarkId::from_parameter(size), &policy, |bencher, policy| {
                bencher.iter(|| black_box(compile::docker_user(policy, "bench", None)));
            });
        }
        group.finish();
    }
    let mut group = criterion.benchmark_group("nothing-to-do");
    for size in SIZES {
        let compiled = compile::docker_user(&read(size, Family::Ip), "bench", None);
        let (ruleset, ours) = (applied(&compiled), desired(&compiled, Family::Ip));
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                let (mut plan, mut changes) = (Plan::default(), Vec::new());
                reconcile(&ruleset, &ours, &mut plan, &mut changes).expect("it can be planned");
                assert!(plan.is_empty());
                black_box((plan, changes))
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = policy
}
criterion_main!(benches);
