//! Many senders, or many ports: looked up in our own table, which gives the packet the id of its list
//! as a mark. The rows test only that: `-m mark --mark ID/MASK`.
//!
//! Where a list has several rules for ports, the table looks up the port as well (`--ctorigdstport`
//! takes as long as twenty addresses), and each port has the list of what is left to be tested.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest as _, Sha256};

use super::{
    Origin,
    chains::{Builder, End, Item, goto, or_back},
    names::ROOT,
    rules::{also, ends, parse},
    tree::Tree,
};
use crate::{
    marks::{Class, Marks},
    model::Protocol,
    policy::{Action, PolicyRule, PortRange, Ports},
    rule::Rule,
    targets::Target,
};

/// From so many ports on they are looked up.
const PORTS: usize = 3;
/// A rule for more ports than this is tested by itself.
const RANGE: usize = 1024;
/// So many ids are tested in a row.
pub(super) const ROW: usize = 6;
/// So many verdicts are found before the interface is looked at, if that is all of them.
const EARLY: usize = 4;
/// Each class is a look-up or two: more of them are not worth it.
const CLASSES: usize = 32;

/// Which lists there are, and whose they are.
#[derive(Debug)]
pub(super) struct Found {
    /// So many items are asked before anything is looked up.
    front: usize,
    pub(super) marks: Marks,
    /// What the ids mean.
    pub(super) lists: BTreeMap<u32, Meaning>,
    /// What is left for everybody else.
    pub(super) rest: Vec<usize>,
}

/// A list of items; or what several lists with the same verdict have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Meaning {
    List(Vec<usize>),
    Verdict(String, usize),
}

/// The id of each list, and what each id means.
type Ids = (HashMap<Vec<usize>, u32>, BTreeMap<u32, Meaning>);

/// What is left of a list for each protocol and port that it names, and for all others.
type ByPort = (BTreeMap<(Protocol, u16), Vec<usize>>, Vec<usize>);

/// The items for known senders, and behind them the same without their ports, as it is known that they match.
pub(super) fn doubled<'p>(items: &[Item<'p>]) -> Vec<Item<'p>> {
    let items = items.iter().map(Item::for_sender);
    items.clone().chain(items.map(|item| item.for_port(None))).collect()
}

/// Can its ports be looked up?
fn is_looked_up(item: &Item<'_>) -> bool {
    let ports: Option<usize> = item.ports.iter().map(|ports| ports.range.map(|range| usize::from(range.last - range.first) + 1)).sum();
    !item.ports.is_empty() && !matches!(item.rule.action, Action::Raw(_)) && ports.is_some_and(|ports| ports <= RANGE)
}

fn has(ports: &[Ports], protocol: Protocol, port: u16) -> bool {
    let within = |range: PortRange| (range.first..=range.last).contains(&port);
    ports.iter().any(|ports| ports.protocol == protocol && ports.range.is_some_and(within))
}

impl<'p> Tree<'_, 'p> {
    /// Finds out who belongs where; `None` if that is nothing that marks can say. The items are
    /// [`doubled`].
    pub(super) fn find(&self, mask: u32, established: bool) -> Option<Found> {
        let own = self.items.len() / 2;
        let everybody: Vec<usize> = (0..own).filter(|&index| !self.is_sourced(index)).collect();
        let resolves = self.port_rows(&everybody) >= PORTS;
        let front = (0..own).take_while(|&index| !(self.is_sourced(index) || resolves && is_looked_up(&self.items[index]))).count();
        let behind = |list: Vec<usize>| self.order(list.into_iter().filter(|&index| index >= front).collect());
        let everybody = behind(everybody);
        // Classes by their lists: another address does not change their order.
        let senders = self.senders(front..own, &everybody);
        let mut classes: BTreeMap<&[usize], u32> = BTreeMap::new();
        senders.iter().filter(|senders| *senders.list != *everybody).for_each(|senders| {
            classes.insert(&senders.list, 0);
        });
        (1..).zip(classes.values_mut()).for_each(|(number, class)| *class = number);
        if classes.len() > CLASSES {
            return None;
        }
        let resolved: Vec<ByPort> =
            std::iter::once(everybody.as_slice()).chain(classes.keys().copied()).map(|list| self.by_port(list)).collect();
        let rest = resolved[0].1.clone();
        let (ids, lists) =
            self.ids(resolved.iter().flat_map(|(ports, left)| ports.values().chain([left])).filter(|list| **list != rest), mask)?;
        let id = |list: &Vec<usize>| ids.get(list).copied().unwrap_or_default();
        let lists_of = std::iter::once(None).chain(classes.keys().copied().map(Some));
        let rule = |list: &[usize]| list.iter().find(|&&index| self.is_sourced(index)).map(|&index| self.items[index].index);
        let class = |((ports, left), list): (&ByPort, Option<&[usize]>)| Class {
            ports: ports.iter().filter(|(_, list)| *list != left).map(|(&(protocol, port), list)| (protocol, port, id(list))).collect(),
            id: id(left),
            rule: list.and_then(rule),
        };
        let classes_of = resolved.iter().zip(lists_of).map(class).collect();
        let senders = senders.iter().filter_map(|one| Some((one.block, *classes.get(&*one.list)?))).collect();
        let marks = Marks { family: self.builder.family, mask, established, senders, classes: classes_of };
        let useful = !marks.senders.is_empty() || !marks.classes[0].ports.is_empty();
        useful.then_some(Found { front, marks, lists, rest })
    }

    /// How many tests of ports are in a list.
    fn port_rows(&self, list: &[usize]) -> usize {
        list.iter().map(|&index| &self.items[index]).filter(|item| is_looked_up(item)).map(|item| item.ports.len()).sum()
    }

    /// What is left of a list for each port that it names, and for all others.
    fn by_port(&self, list: &[usize]) -> ByPort {
        if self.port_rows(list) < PORTS {
            return (BTreeMap::new(), list.to_vec());
        }
        let own = self.items.len() / 2;
        let looked_up = |index: usize| is_looked_up(&self.items[index]);
        let ranges = list.iter().filter(|&&index| looked_up(index)).flat_map(|&index| self.items[index].ports);
        let each = |ports: &Ports| {
            let protocol = ports.protocol;
            ports.range.into_iter().flat_map(move |range| (range.first..=range.last).map(move |port| (protocol, port)))
        };
        let left = |protocol, port| {
            let known = |&index: &usize| match looked_up(index) {
                true => has(self.items[index].ports, protocol, port).then_some(index + own),
                false => Some(index),
            };
            self.cut(list.iter().filter_map(known).collect())
        };
        let ports = ranges.flat_map(each).map(|(protocol, port)| ((protocol, port), left(protocol, port))).collect();
        (ports, list.iter().copied().filter(|&index| !looked_up(index)).collect())
    }

    /// An id for each list. Where there are too many, those that are nothing but a verdict share one.
    fn ids<'l>(&self, lists: impl Iterator<Item = &'l Vec<usize>>, mask: u32) -> Option<Ids> {
        let lists: BTreeSet<&Vec<usize>> = lists.collect();
        let each = |list: &Vec<usize>| Meaning::List(list.clone());
        let same = |end: &String| lists.iter().filter(|list| self.verdict(list).as_ref() == Some(end)).count();
        let shared = |list: &Vec<usize>| self.verdict(list).map_or_else(|| each(list), |end| Meaning::Verdict(end.clone(), same(&end)));
        self.number(&lists, &each, mask).or_else(|| self.number(&lists, &shared, mask))
    }

    /// What becomes of all packets of a list, if it says no more.
    fn verdict(&self, list: &[usize]) -> Option<String> {
        let &[index] = list else { return None };
        let item = &self.items[index];
        let mut ends = ends(item.rule);
        (item.decides() && ends.len() == 1).then(|| ends.swap_remove(0))
    }

    /// The id comes from what the list says, so that the same number does not mean another thing after a
    /// change: a packet that has its mark already when the rows change is still judged by the same list.
    fn number(&self, lists: &BTreeSet<&Vec<usize>>, meaning: &dyn Fn(&Vec<usize>) -> Meaning, mask: u32) -> Option<Ids> {
        let room = Marks::room(mask);
        if room == 0 {
            return None;
        }
        let (mut ids, mut taken) = (HashMap::new(), BTreeMap::<u32, Meaning>::new());
        for list in lists {
            let meaning = meaning(list);
            let mut id = u32::try_from(self.hash(&meaning) % room as u64).expect("it is below 2^32") + 1;
            while taken.get(&id).is_some_and(|other| *other != meaning) {
                if taken.len() == room {
                    return None;
                }
                id = id % room as u32 + 1;
            }
            taken.insert(id, meaning);
            ids.insert((*list).clone(), id);
        }
        Some((ids, taken))
    }

    fn hash(&self, meaning: &Meaning) -> u64 {
        let own = self.items.len() / 2;
        let mut hash = Sha256::new();
        match meaning {
            Meaning::Verdict(end, _) => hash.update(end),
            Meaning::List(list) => list.iter().for_each(|&index| {
                // All but whom it is for: who that is changes often.
                let PolicyRule { name, comment, action, ports, to, inward, outward, log, .. } = self.items[index].rule;
                let to = to.as_ref().map(|to| &to.words);
                hash.update(format!("{} {name:?}{comment:?}{action:?}{ports:?}{to:?}{inward:?}{outward:?}{log:?}\n", index < own));
            }),
        }
        let hash = hash.finalize();
        u64::from_be_bytes(hash[..8].try_into().expect("it has 32 bytes"))
    }

    /// Fills the chain; verdicts that hold wherever a packet comes in go to `early`, which is asked before.
    pub(super) fn rows_by_mark(mut self, chain: usize, early: Option<usize>, found: Found) -> Marks {
        let Found { front, marks, lists, rest } = found;
        for item in &self.items[..front] {
            self.builder.rows(chain, item);
        }
        self.everybody = rest;
        self.others = self.others();
        let mut rules: Vec<(u32, End)> = Vec::with_capacity(lists.len());
        for (id, meaning) in lists {
            let end = match meaning {
                Meaning::List(list) => self.list(&list),
                Meaning::Verdict(end, count) => {
                    let comment = format!("{count} rules");
                    (Origin::Default, parse(&format!("-m comment --comment \"{comment}\" {end}"), marks.family))
                }
            };
            rules.push((id, end));
        }
        // More of them would be asked by all packets that none of them is for.
        let returns = |rule: &Rule| rule.target == Some(Target::Return);
        let early = early.filter(|_| front == 0 && rules.iter().filter(|(_, (_, rule))| returns(rule)).count() <= EARLY);
        let mut late: Vec<(u32, End)> = Vec::new();
        for one in rules {
            match (early, one) {
                (Some(root), (id, (origin, rule))) if returns(&rule) => {
                    self.builder.push(root, origin, tested(&marks, id, marks.mask, rule));
                }
                (_, one) => late.push(one),
            }
        }
        if late.len() > ROW {
            // Most packets have no mark.
            let (origin, rule) = or_back(self.others.as_ref());
            self.builder.push(chain, origin, tested(&marks, 0, marks.mask, rule));
        }
        rows(self.builder, self.mark, &marks, chain, &late, marks.mask.count_ones(), self.others.as_ref());
        self.builder.end(chain, self.others.as_ref());
        marks
    }
}

/// Rows for ids that differ in their lowest `bits` alone: 16 ways at each step.
fn rows(builder: &mut Builder<'_>, mark: char, marks: &Marks, chain: usize, ids: &[(u32, End)], bits: u32, others: Option<&End>) {
    let step = bits.saturating_sub(1) / 4 * 4;
    let together = |a: &(u32, End), b: &(u32, End)| ids.len() > ROW && step > 0 && a.0 >> step == b.0 >> step;
    for group in ids.chunk_by(together) {
        let first = group[0].0;
        if let [(id, (origin, rule))] = group {
            builder.push(chain, *origin, tested(marks, *id, marks.mask, rule.clone()));
        } else if group.len() == ids.len() {
            rows(builder, mark, marks, chain, group, step, others);
        } else {
            let name = super::chain(&format!("{ROOT}-{mark}.mark-{:x}.{step}", first >> step));
            let (origin, rule) = goto(name.clone());
            let high = marks.mask & u32::MAX << (step + marks.mask.trailing_zeros());
            builder.push(chain, origin, tested(marks, first >> step << step, high, rule));
            let own = builder.chain(name);
            rows(builder, mark, marks, own, group, step, others);
            builder.end(own, others);
        }
    }
}

/// The same rule, for packets with that id in these bits.
fn tested(marks: &Marks, id: u32, mask: u32, rule: Rule) -> Rule {
    also(&format!("-m mark --mark {:#x}/{mask:#x}", marks.value(id)), marks.family, rule)
}
