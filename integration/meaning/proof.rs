//! Compiling keeps a policy's meaning: random policies, and a million packets at their edges.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use dockgate::{
    model::Family,
    policy::{Action, Policy, Strategy, Verdict},
};

use super::{
    agree::{AS_COMPILED, Both, Change, Counts, shrunk},
    aim::Aim,
    dice::Dice,
    packet::Packet,
    random::{EVERYDAY, Size, Universe},
    text,
    walk::DEEPEST,
};
use crate::support::show;

/// Policies of one kind.
pub struct Kind {
    name: &'static str,
    pub policies: usize,
    /// Of each policy in each family.
    pub packets: usize,
    pub draw: fn(&mut Dice) -> Policy,
}

pub const KINDS: [Kind; 6] = [
    Kind { name: "everyday", policies: 300, packets: 700, draw: |dice| Universe::lab().policy(dice, &EVERYDAY) },
    Kind { name: "many senders", policies: 90, packets: 4000, draw: senders },
    Kind { name: "many ports", policies: 60, packets: 1500, draw: ports },
    Kind { name: "lists of senders alone", policies: 40, packets: 4000, draw: lists },
    Kind { name: "published ports", policies: 90, packets: 1500, draw: published },
    Kind { name: "many rules", policies: 60, packets: 3000, draw: rules },
];

fn senders(dice: &mut Dice) -> Policy {
    let count = 20 + dice.below(300);
    Universe::wild(dice, count).policy(dice, &Size { rules: 1..=6, sources: 1..=count, ports: 0..=2, wide: 10 })
}

/// Others are let through: their packets need not come to the chains.
fn lists(dice: &mut Dice) -> Policy {
    let mut policy = Policy { default: Verdict::Allow, strategy: Strategy::Set, ..senders(dice) };
    policy.rules.retain(|rule| rule.from.is_some() && matches!(rule.action, Action::Decide(_)));
    policy.rules.iter_mut().for_each(|rule| rule.inward.clear());
    policy
}

fn ports(dice: &mut Dice) -> Policy {
    let universe = Universe { ports: (1000..1400).step_by(7).collect(), ..Universe::wild(dice, 12) };
    universe.policy(dice, &Size { rules: 1..=6, sources: 1..=5, ports: 1..=30, wide: 20 })
}

/// Ports side by side and ranges across them, most of them for everybody, in rules for chains alone.
fn published(dice: &mut Dice) -> Policy {
    let universe = Universe { ports: (8000..8100).step_by(1 + dice.below(3)).collect(), ..Universe::wild(dice, 12) };
    let mut policy = universe.policy(dice, &Size { rules: 2..=20, sources: 1..=5, ports: 1..=12, wide: 5 });
    policy.strategy = Strategy::Tree;
    policy.rules.iter_mut().filter(|rule| !rule.ports.is_empty() && dice.percent(70)).for_each(|rule| rule.from = None);
    policy
}

fn rules(dice: &mut Dice) -> Policy {
    Universe::wild(dice, 40).policy(dice, &Size { rules: 20..=60, sources: 1..=3, ports: 0..=2, wide: 4 })
}

/// A policy, and a packet that its chains are wrong for.
pub struct Wrong {
    pub policy: Box<Policy>,
    pub packet: Packet,
}

/// Tries packets on a policy.
pub fn try_policy(
    policy: &Policy,
    change: Change,
    counts: &mut Counts,
    mut packets: impl FnMut(&Both<'_>, &mut Counts) -> Result<(), Packet>,
) -> Result<(), Wrong> {
    let tried = catch_unwind(AssertUnwindSafe(|| {
        // Any packet shows what is wrong before one comes.
        let both = Both::new(policy, change).map_err(|_| Packet::PLAIN)?;
        packets(&both, counts)?;
        both.count(counts);
        Ok(())
    }));
    tried.unwrap_or(Err(Packet::PLAIN)).map_err(|packet| Wrong { policy: Box::new(policy.clone()), packet })
}

/// Tries policies of a kind, those whose number is `first`, `first + step` and so on.
pub fn try_kind(kind: &Kind, seed: u64, (first, step): (usize, usize), change: Change) -> Result<Counts, Wrong> {
    let mut counts = Counts::default();
    for number in (first..kind.policies).step_by(step) {
        let mut dice = Dice::new(seed.wrapping_add(number as u64));
        let policy = (kind.draw)(&mut dice);
        text::assert_is_read_as_it_is(&policy);
        try_policy(&policy, change, &mut counts, |both, counts| {
            Family::BOTH.into_iter().try_for_each(|family| {
                let aim = Aim::new(both, family);
                both.agree(aim.packets(&mut dice, kind.packets), counts)
            })
        })?;
    }
    Ok(counts)
}

/// Another in each run, or `MEANING_SEED`.
pub fn seed() -> u64 {
    env::var("MEANING_SEED").map_or_else(|_| Dice::seed(), |seed| seed.parse().expect("a number"))
}

/// As many threads as there are processors, each with its part; what is wrong is made small and said.
pub fn in_parts(seed: u64, part: impl Fn((usize, usize)) -> Result<Counts, Wrong> + Sync) -> Counts {
    let step = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<Result<Counts, Wrong>> = thread::scope(|scope| {
        let part = &part;
        let all: Vec<_> = (0..step).map(|first| scope.spawn(move || part((first, step)))).collect();
        all.into_iter().map(|one| one.join().unwrap_or_else(|_| panic!("MEANING_SEED={seed}"))).collect()
    });
    results.into_iter().fold(Counts::default(), |mut counts, result| {
        match result {
            Ok(more) => counts += more,
            Err(wrong) => panic!("MEANING_SEED={seed}\n{}", shrunk(&wrong.policy, &wrong.packet, AS_COMPILED).1),
        }
        counts
    })
}

#[test]
fn the_chains_do_what_the_policy_says() {
    let seed = seed();
    let mut all = Counts::default();
    for kind in &KINDS {
        let counts = in_parts(seed, |part| try_kind(kind, seed, part, AS_COMPILED));
        assert!(counts.lines.1 >= counts.lines.0 / 8, "{}: {counts:?}", kind.name);
        show(&format!("{}: {counts:?}", kind.name));
        all += counts;
    }
    all.assert_at_least(500, [60, 120], 1_000_000);
    assert!(all.unvisited >= 20, "{all:?}");
    assert!(all.stepped >= 100, "{all:?}");
    assert_eq!(all.depth, DEEPEST, "no tree is as deep as the kernel follows");
}
