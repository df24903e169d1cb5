//! [`Policy::verdict`] beside the reference: random policies, and packets at their edges.

use std::net::{Ipv4Addr, Ipv6Addr};

use dockgate::{
    model::{Family, Interface},
    policy::{self, By, Fate, Meaning, Policy, State, Unknown},
};

use super::{
    agree::{AS_COMPILED, Both},
    aim::Aim,
    dice::Dice,
    packet::{self, Known, Packet},
    proof::{KINDS, seed},
    reference, text,
};
use crate::support::show;

/// The packet as [`Policy::verdict`] takes it; of those that belong to others, and of those that conntrack can't
/// place, it says nothing.
fn described(packet: &Packet) -> Option<policy::Packet> {
    let state = match packet.known {
        Known::New => State::New,
        Known::Established => State::Established,
        Known::Reply => State::Reply,
        Known::Related | Known::Invalid => return None,
    };
    let address = |number: u128| match packet.family {
        Family::Ip => Ipv4Addr::from_bits(number as u32).into(),
        Family::Ip6 => Ipv6Addr::from_bits(number).into(),
    };
    let name = |link: packet::Link| Interface::new(link.name()).unwrap();
    Some(policy::Packet {
        inward: name(packet.inward),
        outward: Some(name(packet.outward)),
        from: address(packet.source),
        to: Some(address(packet.asked)),
        protocol: Some(packet.protocol),
        port: Some(packet.port),
        state,
    })
}

/// The same with less said.
fn less(packet: policy::Packet, dice: &mut Dice) -> policy::Packet {
    let outward = packet.outward.filter(|_| dice.percent(60));
    let to = packet.to.filter(|_| dice.percent(60));
    let port = packet.port.filter(|_| dice.percent(60));
    let protocol = packet.protocol.filter(|_| port.is_some() || dice.percent(60));
    policy::Packet { outward, to, port, protocol, ..packet }
}

/// What decides, and how.
type Decision = (By, Fate);

fn expected(policy: &reference::Reference<'_>, packet: &Packet) -> Decision {
    let (decision, by) = policy.decide(packet);
    let fate = match decision.fate {
        packet::Fate::Docker => Fate::Allow,
        packet::Fate::Accept => Fate::Accept,
        packet::Fate::Drop => Fate::Drop,
        packet::Fate::Reject => Fate::Reject,
    };
    match by {
        // Whether they pass Docker's rules or go past them is not said of known connections.
        reference::By::Replies => (By::Known, Fate::Allow),
        reference::By::Rule(index) => (By::Rule(index), fate),
        reference::By::Default => (By::Default, fate),
        reference::By::Nothing => (By::Nothing, fate),
    }
}

/// Can it be so, by what is said of the packet?
fn allows(meaning: &Meaning, (by, fate): Decision) -> bool {
    let one = |unless: &policy::Unless| By::Rule(unless.rule) == by && unless.verdict.is_none_or(|verdict| verdict == fate);
    (meaning.decided_by, meaning.verdict) == (by, fate) || meaning.unless.iter().any(one)
}

#[test]
fn a_policys_values_mean_what_the_reference_says() {
    let seed = seed();
    let (mut all, mut certain, mut partly, mut certain_partly) = (0, 0, 0, 0);
    let mut of_lines = 0;
    for kind in &KINDS {
        for number in 0..kind.policies / 2 {
            let mut dice = Dice::new(seed.wrapping_add(number as u64));
            let policy: Policy = (kind.draw)(&mut dice);
            let both = Both::new(&policy, AS_COMPILED).unwrap();
            for family in Family::BOTH {
                let packets: Vec<Packet> = Aim::new(&both, family).packets(&mut dice, 200).collect();
                for packet in packets {
                    let Some(whole) = described(&packet) else { continue };
                    let expected = expected(&both.reference, &packet);
                    let meaning = policy.verdict(&whole);
                    let words = || format!("MEANING_SEED={seed}\n{}\n{packet}\n{expected:?}\n{meaning:?}", text::policy(&policy));
                    assert!(allows(&meaning, expected), "{}", words());
                    // Of a whole packet all is known but what lines of iptables test.
                    assert!(meaning.unless.iter().all(|unless| unless.because == Unknown::Line), "{}", words());
                    if meaning.unless.is_empty() {
                        assert_eq!((meaning.decided_by, meaning.verdict), expected, "{}", words());
                        certain += 1;
                    } else {
                        of_lines += 1;
                    }
                    all += 1;
                    let less = less(whole, &mut dice);
                    let meaning = policy.verdict(&less);
                    assert!(allows(&meaning, expected), "{less:?}\n{meaning:?}\n{}", words());
                    partly += 1;
                    certain_partly += usize::from(meaning.unless.is_empty());
                }
            }
        }
    }
    show(&format!("{all} packets, {certain} of them certain; {partly} that say less, {certain_partly} of them certain"));
    assert!(all >= 50_000 && certain >= all * 3 / 4 && of_lines > 100 && certain_partly > partly / 10, "{all} {certain} {of_lines}");
}
