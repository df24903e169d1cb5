//! Many ports: found by steps, as a tree of chains.
//!
//! Items that test ports and stand side by side cut the ports into segments, for each protocol: within one
//! the same items can match, in order. One rule for each protocol leads to its segments (`-p tcp -g …`; what is
//! behind it need not test the protocol any more), and steps by ranges of ports lead to the segment, where its
//! item's verdict stands, or the way to what is left to be tested. Ports that no item names go on to the rest
//! of the list. All ways are gotos.
//!
//! `--ctorigdstport` takes 60 ns and a goto 25, so that a step of few ways is best. The last way needs no test,
//! as every chain ends with the way for all other ports: of 4 ways 2¼ are tested on average, of 2 one, and
//! that takes for each bit of the way
//!
//! ```text
//! 2 ways: 60 + 25         = 85 ns
//! 3 ways: (5/3·60 + 25)/1.58 = 79 ns
//! 4 ways: (9/4·60 + 25)/2 = 80 ns     and half as many chains behind each other as of 2
//! 8 ways: (35/8·60 + 25)/3 = 96 ns
//! ```
//!
//! At the end 8 in a row take little more than two chains of 4 (4½ tests; or 1, a goto, and 2½).
//!
//! Steps are cut near their middle where the port is the roundest number. Another port does not move that, as
//! it would the middle: it changes the row where it belongs, and seldom a chain's range.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use super::{
    Origin,
    chains::{Builder, End, Item, goto},
    cost,
    cuts::{Cuts, Part},
    rules::{Head, asked},
};
use crate::{
    model::{ChainName, Protocol, Test},
    policy::{Action, PortRange},
    rule::Rule,
};

/// So many segments are tested in a row, and so many ports of one protocol in a list.
pub(super) const ROW: usize = 8;
/// So many times the rows of a list its tree has at most.
const GROWTH: usize = 4;

/// A chain that items go to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'n> {
    pub(super) chain: usize,
    /// So many chains can follow each other from it on, itself the first.
    pub(super) left: usize,
    /// What the names of those behind it begin with.
    pub(super) head: &'n str,
}

/// What comes behind the items of a list, and how many chains follow each other there at most.
#[derive(Debug, Clone, Copy)]
pub(super) enum Behind<'e> {
    /// One rule, or the way back.
    End(Option<&'e End>, usize),
    /// More rules, in the chain where the list has its end.
    More(usize),
}

/// Where a list has its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    /// In that chain.
    pub(super) chain: usize,
    /// So many follow each other to there, or on another way of the list, if that is longer.
    pub(super) height: usize,
}

/// Items side by side that are worth a tree.
struct Run<'i, 'p> {
    front: &'i [&'i Item<'p>],
    items: &'i [&'i Item<'p>],
    behind: &'i [&'i Item<'p>],
    ways: Vec<Way>,
}

/// The segments of one protocol.
struct Way {
    protocol: Protocol,
    /// What can match all its packets.
    base: Rc<[usize]>,
    /// The ports that others can match, too, in order.
    named: Vec<Part>,
}

impl<'p> Builder<'p> {
    /// Adds items to a chain, and what comes behind them if that is one rule; where many test ports, as a tree.
    pub(super) fn fill(&mut self, items: &[&Item<'p>], place: Place<'_>, behind: Behind<'_>) -> Filled {
        let (Behind::End(_, levels) | Behind::More(levels)) = behind;
        let (mut chain, mut height, mut rest) = (place.chain, 1, items);
        while let Some(run) = self.run(rest) {
            // What is behind the run may need a chain of its own.
            let room = place.left.saturating_sub(height + 1 + levels);
            if room < 2 {
                break;
            }
            run.front.iter().for_each(|item| self.rows(chain, item));
            let verdict = run.behind.first().and_then(|item| self.verdict(item));
            let (end, goes_on) = match behind {
                _ if verdict.is_some() => (verdict, None),
                Behind::End(end, _) if run.behind.is_empty() => (end.cloned(), None),
                _ => {
                    let name = self.names.of_part(place.head, "rest");
                    (Some(goto(name.clone())), Some(self.chain(name)))
                }
            };
            let mut steps = Steps { builder: self, items: run.items, head: place.head, end: end.as_ref(), leaves: HashMap::new() };
            let used = run.ways.iter().map(|way| steps.protocol(chain, way, room)).max().unwrap_or_default();
            self.end(chain, end.as_ref());
            height += used;
            let Some(next) = goes_on else { return Filled { chain, height } };
            (chain, height, rest) = (next, height + 1, run.behind);
        }
        rest.iter().for_each(|item| self.rows(chain, item));
        if let Behind::End(end, _) = behind {
            self.end(chain, end);
        }
        Filled { chain, height }
    }

    /// The first items in a list that are worth a tree.
    fn run<'i>(&self, items: &'i [&'i Item<'p>]) -> Option<Run<'i, 'p>> {
        let mut at = 0;
        items.chunk_by(|a, b| tests_ports(a) == tests_ports(b)).find_map(|run| {
            let (front, behind) = (&items[..at], &items[at + run.len()..]);
            at += run.len();
            let ways = self.segments(run)?;
            Some(Run { front, items: run, behind, ways })
        })
    }

    /// The segments of items that all test ports, if that is worth it.
    fn segments(&self, items: &[&Item<'p>]) -> Option<Vec<Way>> {
        let family = self.family;
        // What a packet of each protocol pays for them in a row: where senders are tested, most pay for that alone.
        let mut prices: BTreeMap<Protocol, usize> = BTreeMap::new();
        for item in items {
            let each = if item.from.is_some() { cost::ADDRESS } else { cost::PORT };
            let price = item.for_port(None).rows(family) * each;
            for ports in item.ports {
                *prices.entry(ports.protocol).or_default() += if ports.range.is_some() { price } else { 0 };
            }
        }
        if prices.values().all(|&price| price <= ROW * cost::PORT) {
            return None;
        }
        let ways: Vec<Way> = prices.into_keys().map(|protocol| segments(items, protocol)).collect();
        let lists: HashSet<&[usize]> = ways.iter().flat_map(|way| &way.named).map(|part| &*part.list).collect();
        let left: usize = lists.into_iter().flatten().map(|&index| items[index].for_port(None).rows(family)).sum();
        let rows: usize = items.iter().map(|item| item.rows(family)).sum();
        let named: usize = ways.iter().map(|way| way.named.len()).sum();
        (left + named <= GROWTH * rows).then_some(ways)
    }
}

fn tests_ports(item: &Item<'_>) -> bool {
    !item.ports.is_empty() && !matches!(item.rule.action, Action::Raw(_))
}

/// The ports of a protocol, cut where it changes which of the items can match.
fn segments(items: &[&Item<'_>], protocol: Protocol) -> Way {
    let ranges = |index: usize| items[index].ports.iter().filter(|ports| ports.protocol == protocol).map(|ports| ports.range);
    // Up to the first that decides everything.
    let list = |of: &mut dyn Iterator<Item = usize>| {
        let mut list: Vec<usize> = of.collect();
        list.sort_unstable();
        list.dedup();
        let decides = list.iter().position(|&index| items[index].for_port(None).decides());
        list.truncate(decides.map_or(list.len(), |at| at + 1));
        Rc::<[usize]>::from(list)
    };
    let base = list(&mut (0..items.len()).filter(|&index| ranges(index).any(|range| range.is_none())));
    let mut cuts = Cuts::with_room(items.len());
    for index in 0..items.len() {
        let mut numbers: Vec<(u128, u128)> = ranges(index).flatten().map(|range| (range.first.into(), range.last.into())).collect();
        numbers.sort_unstable();
        cuts.add(index, numbers.into_iter());
    }
    let mut named = cuts.parts(u16::MAX.into(), |of| list(&mut of.iter().chain(&*base).copied()));
    named.retain(|part| part.list != base);
    Way { protocol, base, named }
}

/// Makes the chains of a run.
struct Steps<'s, 'p> {
    builder: &'s mut Builder<'p>,
    items: &'s [&'s Item<'p>],
    head: &'s str,
    /// What comes behind the run.
    end: Option<&'s End>,
    /// The chains of what is left to be tested.
    leaves: HashMap<Rc<[usize]>, ChainName>,
}

impl Steps<'_, '_> {
    /// All packets of a protocol. Returns how many chains follow each other, `room` at most.
    fn protocol(&mut self, chain: usize, way: &Way, room: usize) -> usize {
        let Way { protocol, base, named } = way;
        let letter = protocol.to_string().chars().next().expect("it has a name or a number");
        // What becomes of packets whose port nothing names.
        let (others, behind) = match &**base {
            [] => (self.end.cloned(), 0),
            [first, ..] => match self.builder.verdict(&self.items[*first].for_port(None)) {
                Some(verdict) => (Some(verdict), 0),
                None => (Some(goto(self.left(base, &format!("{letter}-rest")))), 1),
            },
        };
        if named.is_empty() {
            others.into_iter().for_each(|(origin, rule)| self.builder.push(chain, origin, of(*protocol, rule)));
            return behind;
        }
        let name = self.builder.names.of_part(self.head, &format!("{protocol:.4}"));
        let (origin, rule) = goto(name.clone());
        self.builder.push(chain, origin, of(*protocol, rule));
        let own = self.builder.chain(name);
        let last = range(&named[named.len() - 1]).last;
        self.step(own, letter, (named, last), room, (others.as_ref(), behind))
    }

    /// Fills a chain for these segments, up to that port; `others` is what becomes of all other ports, and how
    /// many chains that takes.
    fn step(&mut self, chain: usize, letter: char, (named, last): (&[Part], u16), room: usize, others: (Option<&End>, usize)) -> usize {
        if named.len() <= ROW || room <= 2 {
            let behind = named.iter().map(|part| self.segment(chain, letter, part)).max().unwrap_or_default();
            self.builder.end(chain, others.0);
            return 1 + behind.max(others.1);
        }
        let groups = groups(named);
        let mut behind = 0;
        for (number, group) in groups.iter().enumerate() {
            // To where the next begins, so that another port in the gap does not move it.
            let last = groups.get(number + 1).map_or(last, |next| range(&next[0]).first - 1);
            let span = PortRange { first: range(&group[0]).first, last };
            let name = self.builder.names.of_part(self.head, &format!("{letter}{span}"));
            let test = if number + 1 < groups.len() { asked(None, Some(span)) } else { String::new() };
            self.builder.words(chain, Origin::Way, &format!("{test} -g {name}"));
            let own = self.builder.chain(name);
            behind = behind.max(self.step(own, letter, (group, last), room - 1, others));
        }
        1 + behind
    }

    /// The row of a segment: all that is said of it, or the way to its chain. Returns how many chains are
    /// behind it.
    fn segment(&mut self, chain: usize, letter: char, part: &Part) -> usize {
        let (family, range, first) = (self.builder.family, range(part), self.items[part.list[0]]);
        if part.list.len() == 1 && first.for_port(None).rows(family) == 1 {
            self.builder.rows(chain, &first.for_port(Some(range)));
            return 0;
        }
        let name = match self.leaves.get(&part.list) {
            Some(name) => name.clone(),
            None => self.left(&part.list, &format!("{letter}{range}")),
        };
        let rule = Head { range: Some(range), ..Head::default() }.rule(family, None, &first.rule.title(), &format!("-g {name}"));
        self.builder.push(chain, Origin::Rule(first.index), rule);
        1
    }

    /// A chain for what is left to be tested of these items, as their ports match.
    fn left(&mut self, list: &Rc<[usize]>, part: &str) -> ChainName {
        let name = self.builder.names.of_part(self.head, part);
        let chain = self.builder.chain(name.clone());
        let items: Vec<Item<'_>> = list.iter().map(|&index| self.items[index].for_port(None)).collect();
        items.iter().for_each(|item| self.builder.rows(chain, item));
        if !items.last().is_some_and(Item::decides) {
            self.builder.end(chain, self.end);
        }
        self.leaves.insert(list.clone(), name.clone());
        name
    }
}

/// The same rule, for packets of that protocol.
fn of(protocol: Protocol, mut rule: Rule) -> Rule {
    rule.base.protocol = Some(Test::is(protocol));
    rule
}

/// The ports of a segment.
fn range(part: &Part) -> PortRange {
    let port = |number: u128| u16::try_from(number).expect("a port");
    PortRange { first: port(part.first), last: port(part.last) }
}

/// Two to four groups of about the same size, as long as there are more than a row has.
fn groups(named: &[Part]) -> Vec<&[Part]> {
    let again = |half| if <[Part]>::len(half) > ROW { Vec::from(halves(half)) } else { vec![half] };
    halves(named).into_iter().flat_map(again).collect()
}

/// Cut in the middle third where the port is the roundest number.
fn halves(named: &[Part]) -> [&[Part]; 2] {
    let third = named.len() / 3;
    let roundest = (third..named.len() - third).min_by_key(|&at| range(&named[at]).first.reverse_bits());
    let (low, high) = named.split_at(roundest.unwrap_or(third));
    [low, high]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ROW;
    use crate::{
        compile::{Compiled, docker_user},
        model::Family,
        policy::{File, Policy, Strategy},
    };

    fn compiled(ports: &BTreeSet<u16>) -> Compiled {
        let rules: String = ports.iter().map(|port| format!("[[rule]]\nallow = '{port}/tcp'\n")).collect();
        let text = format!("external = 'eth0'\ndefault = 'drop'\n{rules}");
        docker_user(&Policy::parse(vec![File::new("ports.toml", text)]).policy, "ports", Some(Strategy::Tree))
    }

    /// Each with the name of its chain.
    fn rows(compiled: &Compiled) -> BTreeSet<String> {
        let chains = compiled.chains(Family::Ip).iter();
        chains.flat_map(|chain| chain.rules.iter().map(move |saved| format!("{} {}", chain.name, saved.rule))).collect()
    }

    /// How many tests of ports a packet for this one meets.
    fn tests(compiled: &Compiled, port: u16) -> usize {
        let (mut chain, mut tests) = ("DOCKGATE-OUTSIDE".to_owned(), 0);
        loop {
            let rules = &compiled.chains(Family::Ip).iter().find(|one| one.name.as_str() == chain).unwrap().rules;
            let matching = rules.iter().map(|saved| saved.rule.to_string()).find(|row| {
                let Some((_, behind)) = row.split_once("--ctorigdstport ") else { return true };
                tests += 1;
                let range = behind.split(' ').next().unwrap();
                let (first, last) = range.split_once(':').unwrap_or((range, range));
                (first.parse().unwrap()..=last.parse().unwrap()).contains(&port)
            });
            match matching.unwrap().split_once("-g ") {
                Some((_, next)) => chain = next.to_owned(),
                None => return tests,
            }
        }
    }

    /// Side by side, and without order, the same in each run.
    fn lists() -> [BTreeSet<u16>; 2] {
        let mixed = |number: u32| u16::try_from(number.wrapping_mul(2_654_435_769) >> 16).unwrap().max(1);
        [(8000..8100).collect(), (1..=100).map(mixed).collect()]
    }

    #[test]
    fn few_tests_find_a_port() {
        for ports in lists() {
            let compiled = compiled(&ports);
            let all: Vec<usize> = ports.iter().map(|&port| tests(&compiled, port)).collect();
            let (most, sum) = (all.iter().max().unwrap(), all.iter().sum::<usize>());
            assert!(*most <= 3 * ROW && sum <= 10 * ports.len(), "{most} at most, {sum} for all of {}", ports.len());
        }
    }

    #[test]
    fn another_port_changes_few_rows() {
        for ports in lists() {
            let before = rows(&compiled(&ports));
            let mut changed = Vec::new();
            for at in 0..50 {
                let other = ports.first().unwrap() + (ports.last().unwrap() - ports.first().unwrap()) / 50 * at + 1;
                let mut more = ports.clone();
                if !more.insert(other) {
                    more.remove(&other);
                }
                changed.push(rows(&compiled(&more)).symmetric_difference(&before).count());
            }
            changed.sort_unstable();
            // Its own row; where a full chain becomes two, their rows, out and in; seldom a step is cut elsewhere.
            assert!(changed[10] == 1 && changed[25] <= 3 * ROW && changed[49] <= before.len() / 2, "{changed:?} of {}", before.len());
        }
    }
}
