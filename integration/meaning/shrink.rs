//! From a policy and a packet that something is wrong with to the least that shows it.

use std::iter;

use dockgate::policy::{Action, Block, Policy, PolicyRule, PortRange, Ports, Sources, Strategy, Verdict};

use super::packet::Packet;

/// So many policies are tried, then what there is must do.
const TRIES: usize = 2000;

/// The least policy and the plainest packet with which it is still wrong.
pub fn shrink(mut policy: Policy, mut packet: Packet, wrong: impl Fn(&Policy, &Packet) -> bool) -> (Policy, Packet) {
    let mut left = TRIES;
    let mut wrong = |policy: &Policy, packet: &Packet| {
        left = left.saturating_sub(1);
        left > 0 && wrong(policy, packet)
    };
    loop {
        let plainer = plainer(&packet).find(|packet| wrong(&policy, packet));
        let less = less(&policy).find(|policy| wrong(policy, &packet));
        packet = plainer.filter(|plainer| less.as_ref().is_none_or(|less| wrong(less, plainer))).unwrap_or(packet);
        match less {
            Some(less) => policy = less,
            None if plainer.is_none() => return (policy, packet),
            None => {}
        }
    }
}

/// The packet with one thing plainer.
fn plainer(packet: &Packet) -> impl Iterator<Item = Packet> {
    let (packet, plain) = (*packet, Packet::PLAIN);
    let plain = [
        Packet { known: plain.known, ..packet },
        Packet { inward: plain.inward, ..packet },
        Packet { outward: plain.outward, ..packet },
        Packet { protocol: plain.protocol, ..packet },
        Packet { port: plain.port, ..packet },
        Packet { asked: plain.asked, ..packet },
        Packet { mark: plain.mark, ..packet },
    ];
    plain.into_iter().filter(move |plain| *plain != packet)
}

/// The policy with one thing less, the largest first.
fn less(policy: &Policy) -> impl Iterator<Item = Policy> {
    let fewer_rules = fewer(&policy.rules, 0).map(|rules| Policy { rules, ..policy.clone() });
    let whole = [
        Policy { external: policy.external.iter().take(1).copied().collect(), ..policy.clone() },
        Policy { default: Verdict::Allow, ..policy.clone() },
        Policy { established: true, ..policy.clone() },
        Policy { strategy: Strategy::Tree, ..policy.clone() },
        Policy { mark: Policy::MARK, ..policy.clone() },
    ];
    let rules = (0..policy.rules.len()).flat_map(move |index| {
        less_of(&policy.rules[index]).map(move |rule| {
            let mut policy = policy.clone();
            policy.rules[index] = rule;
            policy
        })
    });
    fewer_rules.chain(whole.into_iter().filter(move |whole| whole != policy)).chain(rules)
}

fn less_of(rule: &PolicyRule) -> impl Iterator<Item = PolicyRule> {
    let log = if rule.action == Action::Log { rule.log.clone() } else { None };
    let without = [
        PolicyRule { from: None, ..rule.clone() },
        PolicyRule { to: None, ..rule.clone() },
        PolicyRule { name: None, ..rule.clone() },
        PolicyRule { comment: None, ..rule.clone() },
        PolicyRule { log, ..rule.clone() },
    ];
    let from = less_sources(&rule.from).map(|from| PolicyRule { from: Some(from), ..rule.clone() });
    let to = less_sources(&rule.to).map(|to| PolicyRule { to: Some(to), ..rule.clone() });
    let ports = fewer(&rule.ports, 0).chain(narrower(&rule.ports, one_port)).map(|ports| PolicyRule { ports, ..rule.clone() });
    let inward = fewer(&rule.inward, 0).map(|inward| PolicyRule { inward, ..rule.clone() });
    let outward = fewer(&rule.outward, 0).map(|outward| PolicyRule { outward, ..rule.clone() });
    without.into_iter().filter(move |without| without != rule).chain(from).chain(to).chain(ports).chain(inward).chain(outward)
}

fn less_sources(sources: &Option<Sources>) -> impl Iterator<Item = Sources> {
    let words = sources.as_ref().map_or(&[][..], |sources| &sources.words);
    let block = |word: &String| Block::parse(word).expect("it is in a policy");
    let alone = move |word: &String| {
        let block = block(word);
        (block.first != block.last).then(|| [block.first, block.last].map(|one| Block { first: one, last: one, ..block }.to_string()))
    };
    let lists = fewer(words, 1).chain(narrower(words, alone));
    lists.map(move |words| Sources { addresses: words.iter().map(block).collect(), words })
}

fn one_port(ports: &Ports) -> Option<[Ports; 2]> {
    let PortRange { first, last } = ports.range?;
    (first != last).then(|| [first, last].map(|port| Ports { range: Some(PortRange { first: port, last: port }), ..*ports }))
}

/// The list without all, half, a quarter … of it, down to one; at least so many stay.
fn fewer<T: Clone>(all: &[T], least: usize) -> impl Iterator<Item = Vec<T>> {
    let sizes = iter::successors(Some(all.len()), |size| Some(size / 2)).take_while(|size| *size > 0);
    let without = |at: usize, size: usize| [&all[..at], &all[all.len().min(at + size)..]].concat();
    sizes.flat_map(move |size| (0..all.len()).step_by(size).map(move |at| without(at, size))).filter(move |kept| kept.len() >= least)
}

/// The list with one of its members made narrower.
fn narrower<T: Clone>(all: &[T], narrow: impl Fn(&T) -> Option<[T; 2]>) -> impl Iterator<Item = Vec<T>> {
    let with = |at: usize, one: T| [&all[..at], &[one], &all[at + 1..]].concat();
    (0..all.len()).flat_map(move |at| narrow(&all[at]).into_iter().flatten().map(move |one| with(at, one)))
}
