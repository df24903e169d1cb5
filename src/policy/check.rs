//! Rules that can't be meant: for no family, or behind rules that leave them nothing.
//!
//! Where the policy's own words make a rule so, that is an error. Where it takes what groups hold at the moment,
//! it is a warning: a list that changes must not keep the policy from being applied, or who gets himself into a
//! list of banned addresses keeps all that come later out of it.

use std::{collections::BTreeSet, ops::Range};

use super::{
    Action, Policy, PolicyRule, Problem,
    reach::{Asked, hidden},
};

/// For so many rules it is said on which line of which list the address stands.
const LOOKED_UP: usize = 5;

/// Looks at every rule that has a span: of the others something is wrong already.
pub(super) fn rules(policy: &Policy, spans: &[Option<Range<usize>>], is_group: &dyn Fn(&str) -> bool, problems: &mut Vec<Problem>) {
    let is_checked = |&index: &usize| {
        let rule = &policy.rules[index];
        spans[index].is_some() && !matches!(rule.action, Action::Raw(_)) && !is_for_nobody(rule)
    };
    let checked: Vec<usize> = (0..policy.rules.len()).filter(is_checked).collect();
    let now: Vec<Asked> = policy.rules.iter().map(Asked::now).collect();
    let hidden_now = hidden(policy, &checked, &now, &now);
    if hidden_now.is_empty() {
        return;
    }
    // Whatever the groups hold: a rule may be for anybody in them, and decides for nobody in them.
    let most: Vec<Asked> = policy.rules.iter().map(|rule| Asked::at_most(rule, is_group)).collect();
    let least: Vec<Asked> = policy.rules.iter().map(|rule| Asked::at_least(rule, is_group)).collect();
    let hidden_ever = hidden(policy, &checked, &most, &least);
    let mut look_ups = 0..LOOKED_UP;
    for (index, by) in hidden_now {
        let span = spans[index].clone().unwrap_or_default();
        problems.push(match hidden_ever.get(&index) {
            Some(by) => error(policy, index, span, by),
            None => warning(policy, index, span, &by, look_ups.next().is_some()),
        });
    }
}

/// By the policy's own words no packet reaches this rule.
fn error(policy: &Policy, index: usize, span: Range<usize>, by: &BTreeSet<usize>) -> Problem {
    let problem = |message: String| Problem::new(policy.rules[index].place.file, span.clone(), message);
    match *by.iter().collect::<Vec<_>>() {
        [] => problem("`from` and `to` have no family in common, so no packet can match".to_owned())
            .hint("write addresses of one family, or both families in both"),
        [&one] => problem(format!("no packet reaches this rule: `{}` decides before", policy.rules[one].short()))
            .hint(format!("that is at {}; put this one before it, or take it out", places(policy, by))),
        _ => problem(format!("no packet reaches this rule: {} rules together decide before", by.len()))
            .hint(format!("they are at {}; put this one before them, or take it out", places(policy, by))),
    }
}

/// The same by what groups hold now.
fn warning(policy: &Policy, index: usize, span: Range<usize>, by: &BTreeSet<usize>, look_up: bool) -> Problem {
    let problem = Problem { warning: true, ..error(policy, index, span, by) };
    if by.is_empty() {
        return problem.hint("it matches again when the groups hold addresses of one family");
    }
    let (are, them) = if by.len() == 1 { ("that is", "it") } else { ("they are", "them") };
    let listed = by.iter().filter(|_| look_up).find_map(|&before| {
        let block = policy.rules[index].from.as_ref()?.addresses.into_iter().next()?;
        Some(format!("; {block} is in {}", policy.listed(policy.rules[before].from.as_ref()?, block)?))
    });
    problem.hint(format!(
        "{are} at {}, by what the groups hold now{}; put this one before {them} if it is to hold all the same",
        places(policy, by),
        listed.unwrap_or_default()
    ))
}

fn places(policy: &Policy, rules: &BTreeSet<usize>) -> String {
    let places: Vec<String> = rules.iter().take(5).map(|&index| policy.at(policy.rules[index].place)).collect();
    format!("{}{}", places.join(", "), if rules.len() > 5 { ", …" } else { "" })
}

/// Has it an empty list of addresses? That is said of the list.
fn is_for_nobody(rule: &PolicyRule) -> bool {
    [&rule.from, &rule.to].into_iter().flatten().any(|sources| sources.addresses.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::File;

    /// What is said of the rules, each a line: action, ports and the rest.
    fn said(rules: &str) -> Vec<(usize, String)> {
        read("", rules).0
    }

    /// The same, and which of it is a warning, of rules that may name these groups.
    fn read(groups: &str, rules: &str) -> (Vec<(usize, String)>, Vec<bool>) {
        let rules: String = rules.split('\n').map(|line| format!("[[rule]]\n{}\n", line.replace("; ", "\n"))).collect();
        let read = Policy::parse(vec![File::new("p", format!("external = \"e0\"\ndefault = \"drop\"\n{groups}{rules}"))]);
        let line = |problem: &Problem| read.policy.files[0].text[..problem.span.start].lines().count() + 1;
        let rule = |problem: &Problem| read.policy.rules.iter().filter(|rule| rule.place.line <= line(problem)).count();
        let said = read.problems.iter().map(|problem| (rule(problem), problem.message.clone())).collect();
        (said, read.problems.iter().map(|problem| problem.warning).collect())
    }

    #[test]
    fn rules_behind_wider_ones_are_found() {
        for (rules, hidden) in [
            ("allow = \"any\"\ndrop = \"1/tcp\"", true),
            ("log = \"x\"\ndrop = \"1/tcp\"", false),
            ("allow = \"any/tcp\"\ndrop = \"any\"", false),
            ("allow = \"1-9/tcp\"\ndrop = [\"1/tcp\", \"5/tcp\"]", true),
            ("allow = \"1-9/tcp\"\ndrop = [\"1/tcp\", \"5/udp\"]", false),
            // Families.
            ("drop = \"any\"; from = \"0.0.0.0/0\"\ndrop = \"any\"", false),
            ("drop = \"any\"; from = [\"0.0.0.0/0\", \"::/0\"]\ndrop = \"1/tcp\"", true),
            ("drop = \"any\"; from = \"0.0.0.0/0\"\nallow = \"any\"; to = \"10.0.0.1\"", true),
            ("drop = \"any\"; from = \"0.0.0.0/0\"\nallow = \"any\"; to = \"::1\"", false),
            // Sources that are covered together, by rules that are not alike.
            (
                "drop = \"any\"; from = \"10.0.0.0-10.0.0.4\"\ndrop = \"1/tcp\"; from = \"10.0.0.3-10.0.0.9\"\nallow = \"1/tcp\"; from = \"10.0.0.1-10.0.0.9\"",
                true,
            ),
            (
                "drop = \"any\"; from = \"10.0.0.0-10.0.0.4\"\ndrop = \"1/tcp\"; from = \"10.0.0.6-10.0.0.9\"\nallow = \"1/tcp\"; from = \"10.0.0.1-10.0.0.9\"",
                false,
            ),
            // Interfaces.
            ("drop = \"any\"; in = \"e+\"\nallow = \"1/tcp\"", true),
            ("drop = \"any\"; in = \"e1\"\nallow = \"1/tcp\"", false),
            ("drop = \"any\"\nallow = \"1/tcp\"; in = [\"e0\", \"e1\"]", false),
            ("drop = \"any\"; out = \"b0\"\nallow = \"1/tcp\"", false),
            ("drop = \"any\"\nallow = \"1/tcp\"; out = \"b0\"", true),
            // A line of iptables may mean anything.
            ("iptables = \"-j DROP\"\nallow = \"1/tcp\"", false),
            ("drop = \"any\"\niptables = \"-j DROP\"", false),
        ] {
            let said = said(rules);
            assert_eq!(said.len(), usize::from(hidden), "{rules}: {said:?}");
            assert!(
                said.iter().all(|(rule, message)| *rule == rules.split('\n').count() && message.starts_with("no packet reaches")),
                "{said:?}"
            );
        }
    }

    #[test]
    fn what_groups_decide_is_a_warning() {
        const GROUPS: &str = "[groups]\na = \"10.0.0.1\"\nb = \"10.0.0.0/8\"\nc = \"::1\"\n";
        const USES: &str = "allow = \"any\"; in = \"x\"; from = [\"a\", \"b\", \"c\"]";
        for (rules, warning) in [
            // The words of one rule hide all who may ever be in a group.
            ("drop = \"any\"\nallow = \"1/tcp\"; from = \"a\"", false),
            ("drop = \"any\"\nallow = \"1/tcp\"; to = \"a\"", false),
            // They hide those who are in it now.
            ("drop = \"any\"; from = \"10.0.0.0/9\"\nallow = \"1/tcp\"; from = \"a\"", true),
            ("drop = \"any\"; to = \"10.0.0.0/9\"\nallow = \"1/tcp\"; to = \"a\"", true),
            ("drop = \"any\"; from = \"10.0.0.0/9\"\nallow = \"1/tcp\"; from = [\"a\", \"10.0.0.2\"]", true),
            // A group hides words, and another group.
            ("drop = \"any\"; from = \"b\"\nallow = \"1/tcp\"; from = \"10.0.0.66\"", true),
            ("drop = \"any\"; to = \"b\"\nallow = \"1/tcp\"; to = \"10.0.0.66\"", true),
            ("drop = \"any\"; from = \"b\"\nallow = \"1/tcp\"; from = \"a\"", true),
            ("drop = \"any\"; from = [\"a\", \"10.0.0.64/26\"]\nallow = \"1/tcp\"; from = [\"10.0.0.1\", \"10.0.0.66\"]", true),
            // The words beside a group hide it, whoever is in the group.
            ("drop = \"any\"; from = [\"a\", \"10.0.0.64/26\"]\nallow = \"1/tcp\"; from = \"10.0.0.66\"", false),
            // A rule that a group hides now hides another by its words.
            (
                "drop = \"any\"; from = \"b\"; in = \"e+\"\nallow = \"any\"; from = \"10.1.0.0/16\"\nallow = \"1/tcp\"; from = \"10.1.0.1\"",
                false,
            ),
            // No family in common.
            ("allow = \"any\"; from = \"a\"; to = \"::1\"", true),
            ("allow = \"any\"; from = \"a\"; to = \"c\"", true),
            ("allow = \"any\"; from = \"10.0.0.1\"; to = \"::1\"", false),
        ] {
            let (said, warnings) = read(GROUPS, &format!("{rules}\n{USES}"));
            assert!(said.iter().any(|(rule, _)| *rule == rules.split('\n').count()), "{rules}: {said:?}");
            assert_eq!(*warnings.last().unwrap(), warning, "{rules}: {said:?}");
        }
    }

    #[test]
    fn what_comes_of_another_mistake_is_not_said() {
        let said = said("drop = \"443\"\nallow = \"1/tcp\"; from = \"nobody\"");
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said.iter().all(|(_, message)| !message.starts_with("no packet")), "{said:?}");
    }

    #[test]
    fn long_lists_are_not_compared_for_ever() {
        // Every rule is alone with its ports, and none is hidden.
        let rules: Vec<String> = (1..=5000).map(|port| format!("allow = \"{port}/tcp\"")).collect();
        assert_eq!(said(&rules.join("\n")), []);
    }
}
