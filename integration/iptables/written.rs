//! Ours to iptables.

use std::collections::HashSet;

use dockgate::{model::Family, rule::Rule};

use super::{Installed, append, each, iptables, known, lines, on_each_iptables, printed, reset};
use crate::{combined::sample, support::uncommented};

/// Those of `a` that are not in `b`, which has each at most once.
fn missing<'l>(a: &[&'l str], b: &[&str]) -> Vec<&'l str> {
    a.iter().copied().filter(|line| !b.contains(line)).collect()
}

/// Writes the rules in one dialect after the other, and has iptables do all it can with them.
fn check(installed: Installed, family: Family, mut rules: Vec<Rule>, wrong: &mut Vec<String>) {
    rules.retain(|rule| {
        let text = rule.to_string();
        !known::mistakes(installed, &text) && !known::not_forwarded(&text) && !known::not_read_back(installed, &text)
    });
    let mut looked_at = HashSet::new();
    rules.retain(|rule| looked_at.insert(known::looked_at(rule)));
    let ours: Vec<String> = rules.iter().map(|rule| installed.prints(rule.to_string())).collect();
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    for dialect in [None].into_iter().chain(installed.reads().into_iter().map(Some)) {
        reset();
        iptables(family, "", "-N OTHER", "").ok();
        append(family, "DOCKER-USER", &rules, dialect);
        let mut complain = |what: &str, line: &str, why: &str| {
            wrong.push(format!("{} {dialect:?} {what}: {line}\n  {why}", family.command()));
        };

        let theirs = printed(installed, family);
        assert_eq!(theirs.len(), ours.len());
        ours.iter().zip(&theirs).filter(|(a, b)| a != b).for_each(|(a, b)| complain("is printed otherwise", a, b));
        // With words that only this version prints, as `--to 65535` of 1.8.7.
        for (rule, text) in rules.iter().zip(&theirs) {
            if lines::parse(text, family).rules != [rule.clone()] {
                complain("is not read by us as it is printed", &rule.to_string(), text);
            }
        }
        let saved = uncommented(&iptables(family, "-save", "-t filter", "").ok());

        for (line, why) in each(family, "-C", &ours) {
            if !known::not_found(installed, line) {
                complain("is not found", line, &why);
            }
        }
        // Every other one goes; the others are just those that stay.
        let half = |first: usize| ours.iter().copied().skip(first).step_by(2).collect::<Vec<_>>();
        let mut stay = half(1);
        for (line, why) in each(family, "-D", &half(0)) {
            stay.push(line);
            if !known::not_found(installed, line) {
                complain("is not deleted", line, &why);
            }
        }
        let left = printed(installed, family);
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        missing(&stay, &left).into_iter().for_each(|line| complain("is deleted for another", line, ""));
        missing(&left, &stay).into_iter().for_each(|line| complain("stays, another is deleted", line, ""));

        let restored = iptables(family, "-restore", "", &saved);
        if restored.code != 0 {
            complain("is not restored", "one of them", &restored.err);
            continue;
        }
        let again = uncommented(&iptables(family, "-save", "-t filter", "").ok());
        assert_eq!(again.lines().count(), saved.lines().count());
        saved.lines().zip(again.lines()).filter(|(a, b)| a != b).for_each(|(a, b)| complain("is not restored", a, b));
    }
    println!("{family}: {} rules", ours.len());
}

on_each_iptables!(iptables_prints_finds_keeps_and_deletes_what_we_write, and_so_it_does_with_rules_of_many_parts);

fn iptables_prints_finds_keeps_and_deletes_what_we_write(installed: Installed) {
    let mut wrong = Vec::new();
    Family::BOTH.into_iter().for_each(|family| check(installed, family, lines::rules(family), &mut wrong));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn and_so_it_does_with_rules_of_many_parts(installed: Installed) {
    let mut wrong = Vec::new();
    for family in Family::BOTH {
        let mut rules: Vec<Rule> = Vec::new();
        for rule in sample(family, 400) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        check(installed, family, rules, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
