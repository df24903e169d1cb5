//! Small universes: every packet of them, and policies over them that are big enough for trees.

use dockgate::model::{Family, Protocol};

use super::{
    agree::{AS_COMPILED, Counts},
    dice::Dice,
    packet::{Known, Link, Packet},
    proof::{in_parts, seed, try_policy},
    random::{Size, Universe},
};
use crate::support::show;

/// How many policies.
const POLICIES: usize = 300;

/// Senders: so many at each end of the addresses, and one far from both.
const AT_EACH_END: u128 = 5;
const FAR: u128 = 1 << 20;

const PROTOCOLS: &[Protocol] = &[Protocol::TCP, Protocol::UDP];
/// Those that packets are for; policies name the first three.
const PORTS: [u16; 4] = [1, 2, u16::MAX, 3];
const INWARD: [&str; 3] = ["ext0", "ext1", "docker0"];
const OUTWARD: [&str; 2] = ["docker0", "ext0"];

fn universe() -> Universe {
    let ends = |last: u128| (0..AT_EACH_END).chain(last - AT_EACH_END + 1..=last).collect();
    Universe {
        addresses: [ends(u32::MAX.into()), ends(u128::MAX)],
        ports: PORTS[..3].to_vec(),
        protocols: PROTOCOLS,
        names: &["ext0", "ext1", "ext+", "docker0"],
    }
}

/// Every packet of a family.
fn packets(universe: &Universe, family: Family) -> Vec<Packet> {
    let ends = &universe.addresses[family as usize];
    let sources = [ends.as_slice(), &[FAR]].concat();
    let asked = [ends[0], ends[1], ends[ends.len() - 1], FAR];
    let count = sources.len() * asked.len() * PROTOCOLS.len() * PORTS.len() * INWARD.len() * OUTWARD.len() * Known::ALL.len();
    let packet = |mut number: usize| {
        let mut digit = |of: usize| {
            let digit = number % of;
            number /= of;
            digit
        };
        Packet {
            family,
            inward: Link::named(INWARD[digit(INWARD.len())]),
            outward: Link::named(OUTWARD[digit(OUTWARD.len())]),
            source: sources[digit(sources.len())],
            protocol: PROTOCOLS[digit(PROTOCOLS.len())],
            asked: asked[digit(asked.len())],
            port: PORTS[digit(PORTS.len())],
            known: Known::ALL[digit(Known::ALL.len())],
            mark: 0,
        }
    };
    (0..count).map(packet).collect()
}

#[test]
fn every_packet_of_a_small_universe_is_judged_as_the_policy_says() {
    let seed = seed();
    let universe = universe();
    let packets = Family::BOTH.map(|family| packets(&universe, family));
    let size = Size { rules: 16..=36, sources: 1..=6, ports: 0..=3, wide: 4 };
    let all = in_parts(seed, |(first, step)| {
        let mut counts = Counts::default();
        for number in (first..POLICIES).step_by(step) {
            let policy = universe.policy(&mut Dice::new(seed.wrapping_add(number as u64)), &size);
            try_policy(&policy, AS_COMPILED, &mut counts, |both, counts| both.agree(packets.iter().flatten().copied(), counts))?;
        }
        Ok(counts)
    });
    show(&format!("small universes: {all:?}"));
    all.assert_at_least(POLICIES, [POLICIES / 3; 2], POLICIES * packets.iter().map(Vec::len).sum::<usize>());
}
