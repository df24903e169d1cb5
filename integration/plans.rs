//! Properties of plans, over random chains and random wishes; no kernel. The steps are carried out
//! on a model of a chain.

use std::collections::VecDeque;

use dockgate::{
    model::{ChainName, Counters, Family},
    plan::{self, Plan},
    rule::Rule,
    ruleset::{Entry, Ruleset},
    save::{SavedChain, SavedRule},
};
use proptest::{collection::vec, prelude::*};

use crate::table;

/// What may stand in a chain: by number, a rule of iptables or (`None`) something foreign.
const KINDS: &[Option<&str>] = &[
    Some("-i a -j DROP"),
    Some("-i b -j DROP"),
    Some("-i c -j DROP"),
    Some("-i d -j ACCEPT"),
    Some("-i e -j mine"),
    Some("-p tcp -m multiport --dports 22 -j f2b-sshd"),
    None,
];

/// Those that a text may have.
const WANTED: usize = KINDS.len() - 1;

fn rule(kind: usize) -> Rule {
    table::rule(KINDS[kind].unwrap(), Family::Ip)
}

fn entry(kind: usize, handle: u64) -> Entry {
    table::entry(KINDS[kind].map(|_| rule(kind)), handle, Counters { packets: handle, bytes: 10 * handle })
}

/// `DOCKER-USER` with those entries, and empty chains `mine` and `f2b-sshd`.
fn ruleset(entries: Vec<Entry>) -> Ruleset {
    let empty = ["FORWARD", "mine", "f2b-sshd"].map(|name| table::chain(name, Vec::new()));
    let chains = empty.into_iter().chain([table::chain("DOCKER-USER", entries)]).collect();
    table::ruleset(Family::Ip, chains)
}

fn observed(kinds: &[usize]) -> Vec<Entry> {
    kinds.iter().zip(100..).map(|(&kind, handle)| entry(kind, handle)).collect()
}

fn desired(kinds: &[usize], declared: bool) -> Vec<SavedChain> {
    let rules = kinds.iter().enumerate().map(|(line, &kind)| SavedRule { rule: rule(kind), counters: Counters::default(), line }).collect();
    let chain = |name: &str, declared, rules| SavedChain { name: ChainName::from_kernel(name).unwrap(), declared, rules };
    vec![chain("DOCKER-USER", declared, rules), chain("mine", true, Vec::new())]
}

/// Carries out the steps on `DOCKER-USER` as the kernel would.
fn carry_out(entries: Vec<Entry>, plan: &Plan) -> Vec<Entry> {
    let mut tables = [ruleset(entries)];
    table::carry_out(&mut tables, plan);
    tables[0].chain("DOCKER-USER").unwrap().rules().to_vec()
}

/// Belongs to others as long as the text does not want it: what can't be read, and jumps to a chain
/// that the text doesn't know.
fn of_others(kind: usize, wanted: &[usize]) -> bool {
    KINDS[kind].is_none_or(|text| text.ends_with("f2b-sshd")) && !wanted.contains(&kind)
}

fn restored(there: &[usize], wanted: &[usize], declared: bool, append: bool) -> (Plan, Vec<Entry>) {
    let mut plan = Plan::default();
    plan::restore(&ruleset(observed(there)), desired(wanted, declared), append, &mut plan).unwrap();
    let after = carry_out(observed(there), &plan);
    (plan, after)
}

fn kinds(of: usize) -> impl Strategy<Value = Vec<usize>> {
    // Short ones, where all meets all, and long ones, which are rewritten as a whole.
    prop_oneof![vec(0..of, 0..8), vec(0..of, 0..60)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_chain_is_the_one_that_was_wanted(there in kinds(KINDS.len()), wanted in kinds(WANTED), append: bool) {
        let (_, after) = restored(&there, &wanted, true, append);
        let before = observed(&there);
        let others: Vec<&Entry> = there.iter().zip(&before).filter(|(kind, _)| of_others(**kind, &wanted)).map(|(_, entry)| entry).collect();
        // What is others' is all there, as it was, and in its order.
        let is_others = |entry: &Entry| others.iter().any(|other| other.handle == entry.handle);
        let kept: Vec<&Entry> = after.iter().filter(|entry| is_others(entry)).collect();
        prop_assert_eq!(&kept, &others);
        // The rest is what was wanted.
        let own: Vec<&Rule> = after.iter().filter(|entry| !is_others(entry)).map(|entry| entry.rule().unwrap()).collect();
        let rules: Vec<Rule> = wanted.iter().map(|&kind| rule(kind)).collect();
        prop_assert_eq!(own, rules.iter().collect::<Vec<_>>());
        // What stays is as it was.
        for entry in &after {
            if let Some(old) = before.iter().find(|old| old.handle == entry.handle) {
                prop_assert_eq!(entry, old);
            }
        }
    }

    #[test]
    fn rules_that_stay_in_front_and_behind_keep_their_counters(there in kinds(WANTED), wanted in kinds(WANTED)) {
        // Without rules of others, places in both lists can be compared.
        let there: Vec<usize> = there.into_iter().filter(|kind| !of_others(*kind, &wanted)).collect();
        let (_, after) = restored(&there, &wanted, true, false);
        let counters = |entries: &[Entry]| entries.iter().map(|entry| entry.counters.unwrap()).collect::<Vec<_>>();
        let (before, after) = (counters(&observed(&there)), counters(&after));
        let same = there.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(&after[..same], &before[..same]);
        let room = there.len().min(wanted.len()) - same;
        let same = there.iter().rev().zip(wanted.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(&after[after.len() - same..], &before[before.len() - same..]);
    }

    #[test]
    fn what_is_as_wanted_is_left_alone(there in kinds(KINDS.len()), wanted in kinds(WANTED)) {
        let (_, after) = restored(&there, &wanted, true, false);
        let mut second = Plan::default();
        plan::restore(&ruleset(after), desired(&wanted, true), false, &mut second).unwrap();
        prop_assert_eq!(second.to_string(), "");
        prop_assert!(second.is_empty() && second.messages() == 0);
    }

    #[test]
    fn a_chain_that_is_not_declared_only_grows(there in kinds(KINDS.len()), wanted in kinds(WANTED)) {
        let (_, after) = restored(&there, &wanted, false, true);
        let before = observed(&there);
        prop_assert_eq!(&after[..before.len()], &before[..]);
        let new: Vec<&Rule> = after[before.len()..].iter().map(|entry| entry.rule().unwrap()).collect();
        let rules: Vec<Rule> = wanted.iter().map(|&kind| rule(kind)).collect();
        prop_assert_eq!(new, rules.iter().collect::<Vec<_>>());
    }

    #[test]
    fn deleting_takes_the_first_that_says_the_same(there in kinds(KINDS.len()), wanted in kinds(WANTED)) {
        let user = ChainName::docker_user();
        let rules: Vec<Rule> = wanted.iter().map(|&kind| rule(kind)).collect();
        // One by one, on a list.
        let mut left: VecDeque<(usize, u64)> = there.iter().copied().zip(100..).collect();
        let found = wanted.iter().all(|kind| {
            let index = left.iter().position(|(one, _)| one == kind);
            index.and_then(|index| left.remove(index)).is_some()
        });
        match plan::delete_rule(&ruleset(observed(&there)), &user, &rules) {
            Ok(plan) => {
                prop_assert!(found);
                let after: Vec<u64> = carry_out(observed(&there), &plan).iter().map(|entry| entry.handle.0).collect();
                prop_assert_eq!(after, left.into_iter().map(|(_, handle)| handle).collect::<Vec<_>>());
            }
            Err(_) => prop_assert!(!found),
        }
    }

    #[test]
    fn inserted_rules_come_where_one_by_one_they_would(there in kinds(KINDS.len()), new in vec(0..WANTED, 1..5), number in 1..10usize) {
        let user = ChainName::docker_user();
        let rules: Vec<Rule> = new.iter().map(|&kind| rule(kind)).collect();
        let mut expected: Vec<Option<Rule>> = there.iter().map(|&kind| KINDS[kind].map(|_| rule(kind))).collect();
        match plan::insert(&ruleset(observed(&there)), &user, number, rules.clone(), Counters::default()) {
            Ok(plan) => {
                rules.into_iter().for_each(|rule| expected.insert(number - 1, Some(rule)));
                let after: Vec<Option<Rule>> = carry_out(observed(&there), &plan).iter().map(|entry| entry.rule().cloned()).collect();
                prop_assert_eq!(after, expected);
            }
            Err(_) => prop_assert!(number > there.len() + 1),
        }
    }

    #[test]
    fn flushing_leaves_what_cannot_be_read(there in kinds(KINDS.len())) {
        let (plan, kept) = plan::flush(&ruleset(observed(&there)), &ChainName::docker_user()).unwrap();
        let after = carry_out(observed(&there), &plan);
        let foreign: Vec<Entry> = observed(&there).into_iter().filter(|entry| entry.rule().is_none()).collect();
        prop_assert_eq!(kept, foreign.iter().map(|entry| entry.handle).collect::<Vec<_>>());
        prop_assert_eq!(after, foreign);
    }
}
