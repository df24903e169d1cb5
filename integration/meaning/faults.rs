//! The proof can fail: chains that are wrong are found, and what is said of them is short.

use std::mem;

use dockgate::{
    model::Family,
    rule::{Parser, Rule},
    save::{SavedChain, SavedRule},
    syntax::split,
    targets::Target,
};

use super::{
    agree::{Change, is_of_ports, shrunk},
    proof::{KINDS, Wrong, seed, try_kind},
    text,
};
use crate::support::show;

/// What makes chains wrong.
const FAULTS: &[(&str, Change)] = &[
    ("the default is lost", |_, chains| lose(chains, "default: ")),
    ("nothing is logged", |_, chains| lose(chains, "-j LOG")),
    ("replies are asked the rules", |_, chains| lose(chains, "--comment replies")),
    ("ports are tested both ways", |family, chains| reword(family, chains, " --ctdir ORIGINAL", "")),
    ("a port is the next", |family, chains| reword(family, chains, "--ctorigdstport 8001 ", "--ctorigdstport 8002 ")),
    ("a prefix is half of it", |family, chains| reword(family, chains, "/30 ", "/31 ")),
    ("only packets with a mark come", |family, chains| {
        reword(family, chains, "-j DOCKGATE", "-m mark ! --mark 0x0/0xff000000 -j DOCKGATE");
    }),
    ("gotos come back", |family, chains| reword(family, chains, "-g ", "-j ")),
];

/// The same, where there are too many senders for a row.
const FAULTS_OF_TREES: &[(&str, Change)] = &[
    ("a chain of the tree is lost", |_, chains| of_trees(chains, |rules| lose_first(rules, is_way))),
    ("a sender of the tree is lost", |_, chains| of_trees(chains, |rules| lose_first(rules, is_sender))),
    ("two ways of the tree are exchanged", |_, chains| of_trees(chains, |rules| exchange(rules))),
    ("the end of the tree's chains is lost", |_, chains| of_trees(chains, |rules| drop(rules.pop()))),
];

/// The same, where there are too many ports for a row.
const FAULTS_OF_PORTS: &[(&str, Change)] = &[
    ("a row of a port is lost", |_, chains| of_ports(chains, |rules| lose_first(rules, is_verdict))),
    ("two ways by ports are exchanged", |_, chains| of_ports(chains, |rules| exchange(rules))),
    ("the end of the ports' chains is lost", |_, chains| of_ports(chains, |rules| drop(rules.pop()))),
    ("a step begins behind its first port", |family, chains| of_ports(chains, |rules| begin_late(family, rules))),
    ("a protocol goes the way of another", |family, chains| reword(family, chains, "-p udp -g", "-p tcp -g")),
];

fn says(saved: &SavedRule, words: &str) -> bool {
    saved.rule.to_string().contains(words)
}

/// All rules with these words are gone.
fn lose(chains: &mut [SavedChain], words: &str) {
    chains.iter_mut().for_each(|chain| chain.rules.retain(|saved| !says(saved, words)));
}

/// Other words for these in all rules.
fn reword(family: Family, chains: &mut [SavedChain], from: &str, to: &str) {
    for saved in chains.iter_mut().flat_map(|chain| &mut chain.rules).filter(|saved| says(saved, from)) {
        saved.rule = parse(family, &saved.rule.to_string().replace(from, to));
    }
}

fn parse(family: Family, text: &str) -> Rule {
    let mut words = Vec::new();
    split(text, &mut words).unwrap();
    Parser::parse(&words, family).unwrap().rules.remove(0)
}

/// A change of the chains that are found by the digits of an address.
fn of_trees(chains: &mut [SavedChain], change: impl Fn(&mut Vec<SavedRule>)) {
    let of_senders = |chain: &&mut SavedChain| chain.name.as_str().contains('.') && !is_of_ports(chain);
    chains.iter_mut().filter(of_senders).for_each(|chain| change(&mut chain.rules));
}

/// A change of those that are found by a port.
fn of_ports(chains: &mut [SavedChain], change: impl Fn(&mut Vec<SavedRule>)) {
    chains.iter_mut().filter(|chain| is_of_ports(chain)).for_each(|chain| change(&mut chain.rules));
}

/// Ways for a range of ports are for all of it but the first.
fn begin_late(family: Family, rules: &mut [SavedRule]) {
    for saved in rules.iter_mut().filter(|saved| is_way(&saved.rule)) {
        let text = saved.rule.to_string();
        let range = text.split_once("--ctorigdstport ").and_then(|(_, behind)| behind.split(' ').next()?.split_once(':'));
        if let Some((first, last)) = range {
            let later = first.parse::<u16>().unwrap() + 1;
            let text = text.replace(&format!(" {first}:{last} "), &format!(" {later}:{last} "));
            saved.rule = parse(family, &text);
        }
    }
}

fn is_way(rule: &Rule) -> bool {
    matches!(rule.target, Some(Target::Goto(_)))
}

fn is_verdict(rule: &Rule) -> bool {
    matches!(rule.target, Some(Target::Return | Target::Drop | Target::Reject(_)))
}

fn is_sender(rule: &Rule) -> bool {
    rule.base.source.is_some() && !is_way(rule)
}

/// The first two ways lead to each other's chains.
fn exchange(rules: &mut [SavedRule]) {
    let mut ways = rules.iter_mut().filter(|saved| is_way(&saved.rule));
    if let (Some(one), Some(other)) = (ways.next(), ways.next()) {
        mem::swap(&mut one.rule.target, &mut other.rule.target);
    }
}

/// The first rule like that is gone.
fn lose_first(rules: &mut Vec<SavedRule>, like: impl Fn(&Rule) -> bool) {
    if let Some(at) = rules.iter().position(|saved| like(&saved.rule)) {
        rules.remove(at);
    }
}

/// Each is found, and said in so many lines of a policy's file at most.
fn found_and_shrunk(faults: &[(&str, Change)], enough: usize) {
    let seed = seed();
    for &(name, change) in faults {
        let found = KINDS.iter().find_map(|kind| try_kind(kind, seed, (0, 1), change).err());
        let Wrong { policy, packet } = found.unwrap_or_else(|| panic!("MEANING_SEED={seed}: {name}, and nobody sees it"));
        let (least, words) = shrunk(&policy, &packet, change);
        let text = text::policy(&least);
        let lines = text.lines().count();
        show(&format!("{name}: {} rules, {} of them are enough, {lines} lines", policy.rules.len(), least.rules.len()));
        assert!(lines <= enough && words.contains(&text), "MEANING_SEED={seed}: {name}\n{words}");
        let said = words.contains("the policy says: ") && words.contains("the chains do: ");
        assert!(said || words.contains("whatever the packet: nothing leads to "), "MEANING_SEED={seed}: {name}\n{words}");
    }
}

#[test]
fn wrong_chains_are_found_and_said_in_a_few_lines() {
    found_and_shrunk(FAULTS, 24);
}

#[test]
fn wrong_trees_are_found_and_said_in_a_few_rules() {
    found_and_shrunk(FAULTS_OF_TREES, 50);
}

#[test]
fn wrong_steps_by_ports_are_found_and_said_in_a_few_rules() {
    found_and_shrunk(FAULTS_OF_PORTS, 50);
}
