//! Which rules no packet reaches, as those before them decide it.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use super::{Action, Addresses, Block, Policy, PolicyRule, Ports, Sources};
use crate::model::{Family, Interface};

/// The addresses that a rule tests; `None` for all.
#[derive(Debug)]
pub(super) struct Asked {
    from: Option<Addresses>,
    to: Option<Addresses>,
}

impl Asked {
    /// With what the groups hold now.
    pub(super) fn now(rule: &PolicyRule) -> Self {
        let addresses = |sources: &Option<Sources>| sources.as_ref().map(|sources| sources.addresses.clone());
        Self { from: addresses(&rule.from), to: addresses(&rule.to) }
    }

    /// With everybody in all groups.
    pub(super) fn at_most(rule: &PolicyRule, is_group: &dyn Fn(&str) -> bool) -> Self {
        let fixed = |sources: &Option<Sources>| {
            let fixed = sources.as_ref().filter(|sources| !sources.words.iter().any(|word| is_group(word)));
            fixed.map(|sources| sources.addresses.clone())
        };
        Self { from: fixed(&rule.from), to: fixed(&rule.to) }
    }

    /// With nobody in any group.
    pub(super) fn at_least(rule: &PolicyRule, is_group: &dyn Fn(&str) -> bool) -> Self {
        let fixed = |sources: &Option<Sources>| {
            let words = &sources.as_ref()?.words;
            match words.iter().any(|word| is_group(word)) {
                true => Some(words.iter().filter(|word| !is_group(word)).filter_map(|word| Block::parse(word).ok()).collect()),
                false => sources.as_ref().map(|sources| sources.addresses.clone()),
            }
        };
        Self { from: fixed(&rule.from), to: fixed(&rule.to) }
    }

    /// The families whose packets can match.
    fn families(&self) -> Vec<Family> {
        let has = |family| [&self.from, &self.to].into_iter().flatten().all(|addresses| !addresses.of(family).is_empty());
        Family::BOTH.into_iter().filter(|&family| has(family)).collect()
    }
}

/// The rules that no packet reaches, each with those that decide before; with none of them if no packet can match.
/// A rule is asked for all of `most`, and decides what `least` has.
pub(super) fn hidden(policy: &Policy, checked: &[usize], most: &[Asked], least: &[Asked]) -> BTreeMap<usize, BTreeSet<usize>> {
    let everybody: Addresses = Family::BOTH.into_iter().map(Block::all).collect();
    let mut decided = Decided { left: Cell::new(PATIENCE), ..Decided::default() };
    let mut hidden = BTreeMap::new();
    for &index in checked {
        let rule = &policy.rules[index];
        let (most, least) = (&most[index], &least[index]);
        let head = |asked| Head::of(rule, asked, &policy.external);
        let families = most.families();
        let before = match families.is_empty() {
            true => Some(BTreeSet::new()),
            false => decided.by(head(most), &families, most.from.as_ref().unwrap_or(&everybody)),
        };
        let families = least.families();
        if let Some(before) = before {
            hidden.insert(index, before);
        } else if rule.action != Action::Log && !families.is_empty() {
            decided.add(head(least), &families, least.from.as_ref().unwrap_or(&everybody), index);
        }
    }
    hidden
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
    fn of(rule: &'p PolicyRule, asked: &'p Asked, external: &'p [Interface]) -> Self {
        let inward = if rule.inward.is_empty() { external } else { &rule.inward };
        Self { ports: &rule.ports, to: asked.to.as_ref(), inward, outward: &rule.outward }
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
