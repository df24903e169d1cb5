//! Rules that can't be meant: for no family, or behind rules that leave them nothing.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

use super::{Action, Addresses, Block, Policy, PolicyRule, Ports, Problem};
use crate::model::{Family, Interface};

/// Looks at every rule that has a span: of the others something is wrong already.
pub(super) fn rules(policy: &Policy, spans: &[Option<Range<usize>>], problems: &mut Vec<Problem>) {
    let mut decided = Decided { left: Cell::new(PATIENCE), ..Decided::default() };
    let everybody: Addresses = Family::BOTH.into_iter().map(Block::all).collect();
    for (index, rule) in policy.rules.iter().enumerate() {
        let Some(span) = spans[index].clone().filter(|_| !matches!(rule.action, Action::Raw(_))) else { continue };
        let mut error = |message: String, hint: String| problems.push(Problem::new(rule.place.file, span.clone(), message).hint(hint));
        let families = families(rule);
        if families.is_empty() {
            let message = "`from` and `to` have no family in common, so no packet can match".to_owned();
            error(message, "write addresses of one family, or both families in both".to_owned());
            continue;
        }
        let head = Head::of(rule, &policy.external);
        let from = rule.from.as_ref().map_or(&everybody, |from| &from.addresses);
        if let Some(before) = decided.by(head, &families, from) {
            let places: Vec<String> = before.iter().take(5).map(|&index| policy.at(policy.rules[index].place)).collect();
            let more = if before.len() > 5 { ", …" } else { "" };
            match *before.iter().collect::<Vec<_>>() {
                [&one] => error(
                    format!("no packet reaches this rule: `{}` decides before", policy.rules[one].short()),
                    format!("that is at {}; put this one before it, or take it out", places[0]),
                ),
                _ => error(
                    format!("no packet reaches this rule: {} rules together decide before", before.len()),
                    format!("they are at {}{more}; put this one before them, or take it out", places.join(", ")),
                ),
            }
        } else if rule.action != Action::Log {
            decided.add(head, &families, from, index);
        }
    }
}

/// The families whose packets a rule can match.
fn families(rule: &PolicyRule) -> Vec<Family> {
    Family::BOTH.into_iter().filter(|&family| rule.is_for(family)).collect()
}

/// How many steps are taken before no more rules are compared: some 10 ms. Lists that are longer
/// are written by programs.
const PATIENCE: usize = 1_000_000;

/// What rules decide, so far.
#[derive(Debug, Default)]
struct Decided<'p> {
    alike: Vec<Alike<'p>>,
    known: HashMap<Head<'p>, usize>,
    left: Cell<usize>,
}

/// All that a rule tests but the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Head<'p> {
    ports: &'p [Ports],
    to: Option<&'p Addresses>,
    inward: &'p [Interface],
    outward: &'p [Interface],
}

/// Rules of one head: the sources that they decide, by the first of each block, with its last and
/// the index of the rule. No two overlap.
#[derive(Debug)]
struct Alike<'p> {
    head: Head<'p>,
    blocks: BTreeMap<(Family, u128), (u128, usize)>,
}

impl<'p> Head<'p> {
    fn of(rule: &'p PolicyRule, external: &'p [Interface]) -> Self {
        let inward = if rule.inward.is_empty() { external } else { &rule.inward };
        Self { ports: &rule.ports, to: rule.to.as_ref().map(|to| &to.addresses), inward, outward: &rule.outward }
    }

    /// What it takes to say whether it covers the other.
    fn steps(&self, other: &Self) -> usize {
        1 + self.ports.len() * other.ports.len() + other.to.map_or(0, |to| to.into_iter().len())
    }

    /// Does it match all packets of these families that the other matches?
    fn covers(&self, other: &Self, families: &[Family]) -> bool {
        let to = |wide: &Addresses| match other.to {
            None => families.iter().all(|&family| wide.has(&Block::all(family))),
            Some(narrow) => families.iter().all(|&family| narrow.of(family).iter().all(|block| wide.has(block))),
        };
        ports_cover(self.ports, other.ports)
            && interfaces_cover(self.inward, other.inward)
            && (self.outward.is_empty() || interfaces_cover(self.outward, other.outward))
            && self.to.is_none_or(to)
    }
}

fn ports_cover(wide: &[Ports], narrow: &[Ports]) -> bool {
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|one| wide.iter().any(|other| other.covers(one))))
}

fn interfaces_cover(wide: &[Interface], narrow: &[Interface]) -> bool {
    !narrow.is_empty() && narrow.iter().all(|one| wide.iter().any(|other| other.covers(one)))
}

impl Alike<'_> {
    /// The block that has this address.
    fn at(&self, family: Family, address: u128) -> Option<(u128, usize)> {
        let (&(of, _), &found) = self.blocks.range(..=(family, address)).next_back()?;
        (of == family && address <= found.0).then_some(found)
    }
}

impl<'p> Decided<'p> {
    /// The rules that together decide all of it; `None` if there is something left, or if that is too
    /// much work to say.
    fn by(&self, head: Head<'p>, families: &[Family], from: &Addresses) -> Option<BTreeSet<usize>> {
        let mut wide = Vec::new();
        for other in &self.alike {
            self.spend(other.head.steps(&head))?;
            if other.head.covers(&head, families) {
                wide.push(other);
            }
        }
        let mut rules = BTreeSet::new();
        for block in families.iter().flat_map(|&family| from.of(family)) {
            let mut next = block.first;
            loop {
                self.spend(wide.len())?;
                let (last, rule) = wide.iter().filter_map(|alike| alike.at(block.family, next)).max()?;
                rules.insert(rule);
                if last >= block.last {
                    break;
                }
                next = last + 1;
            }
        }
        Some(rules)
    }

    /// Adds what a rule decides and none before it does; as much as there is patience for.
    fn add(&mut self, head: Head<'p>, families: &[Family], from: &Addresses, rule: usize) -> Option<()> {
        self.spend(1)?;
        let blocks = families.iter().flat_map(|&family| from.of(family));
        let index = *self.known.entry(head).or_insert(self.alike.len());
        if index == self.alike.len() {
            self.spend(blocks.clone().count())?;
            self.alike.push(Alike { head, blocks: apart(blocks, rule) });
            return Some(());
        }
        for block in blocks {
            let mut next = Some(block.first);
            while let Some(first) = next.filter(|&first| first <= block.last) {
                self.spend(1)?;
                let known = &mut self.alike[index];
                let last = known.at(block.family, first).map(|(last, _)| last).unwrap_or_else(|| {
                    let behind = known.blocks.range((block.family, first)..=(block.family, block.last)).next();
                    let last = behind.map_or(block.last, |(&(_, start), _)| start - 1);
                    known.blocks.insert((block.family, first), (last, rule));
                    last
                });
                next = last.checked_add(1);
            }
        }
        Some(())
    }

    fn spend(&self, steps: usize) -> Option<()> {
        let left = self.left.get().checked_sub(steps);
        self.left.set(left.unwrap_or_default());
        left.map(|_| ())
    }
}

/// The blocks, in order, each from where those before it end.
fn apart<'b>(blocks: impl Iterator<Item = &'b Block>, rule: usize) -> BTreeMap<(Family, u128), (u128, usize)> {
    let mut behind = (Family::Ip, 0);
    let one = |block: &Block| {
        let first = if block.family == behind.0 { block.first.max(behind.1) } else { block.first };
        behind = (block.family, block.last.saturating_add(1));
        ((block.family, first), (block.last, rule))
    };
    blocks.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::File;

    /// What is said of the rules, each a line: action, ports and the rest.
    fn said(rules: &str) -> Vec<(usize, String)> {
        let rules: String = rules.split('\n').map(|line| format!("[[rule]]\n{}\n", line.replace("; ", "\n"))).collect();
        let read = Policy::parse(vec![File::new("p", format!("external = \"e0\"\ndefault = \"drop\"\n{rules}"))]);
        let line = |problem: &Problem| read.policy.files[0].text[..problem.span.start].lines().count() + 1;
        let rule = |problem: &Problem| read.policy.rules.iter().filter(|rule| rule.place.line <= line(problem)).count();
        read.problems.iter().map(|problem| (rule(problem), problem.message.clone())).collect()
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
