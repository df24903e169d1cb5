//! Many senders: found by the digits of their address, as a tree of chains, 16 ways at each step.
//!
//! A packet is in one of the intervals that the rules' sources cut the addresses into, and in each
//! of them the same rules can match: those for everybody, and those for its sources, in order. So
//! the tree leads to that list, where no source is tested any more; most lists are one verdict. All
//! ways are gotos, and every chain ends with the way to the list of those whom no rule names.
//!
//! A step tests 8 digits on average, 4 ns each; jumps never nest, and the tree with its lists is no deeper
//! than the kernel follows.

use std::{collections::HashMap, ops::Range, rc::Rc};

use super::{
    Origin,
    chains::{Builder, End, Item, goto, or_back},
    cuts::{Cuts, Part},
    names::{self, ROOT},
    ports::{Behind, Filled, Place},
    rules::{Head, prefixes},
};
use crate::{
    model::{Address, ChainName, Family, Test},
    policy::Block,
    rule::{Base, Rule},
    targets::Target,
};

/// What lists have where nobody says more: marks may take seven chains before them.
const LISTS: usize = 4;
/// So many senders are tested in a row.
const ROW: usize = 10;
/// A group of so many in a longer chain gets no chain of its own.
const FEW: usize = 2;
/// So many chains follow each other at least, where there are as many senders.
const STEPS: usize = 4;

pub(super) struct Tree<'b, 'p> {
    pub(super) builder: &'b mut Builder<'p>,
    pub(super) mark: char,
    pub(super) items: &'b [Item<'p>],
    /// Those that are for everybody, up to the first that decides everything.
    pub(super) everybody: Vec<usize>,
    pub(super) end: Option<&'b End>,
    /// The rule at the end of every chain: for senders whom no rule names.
    pub(super) others: Option<End>,
    /// What becomes of a packet in each list.
    lists: Vec<End>,
    /// So many chains can follow each other from a list's on.
    room: usize,
    /// So many do, at most: in lists, and in that of those whom no rule names.
    deep: [usize; 2],
}

/// Senders, and the items that can match them, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Senders {
    pub(super) block: Block,
    pub(super) list: Rc<[usize]>,
}

/// A prefix in the tree: its first address, its length, and the rule that it leads to.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    first: u128,
    bits: u8,
    prefix: Address,
    /// The index of its list.
    list: usize,
}

impl<'b, 'p> Tree<'b, 'p> {
    pub(super) fn new(builder: &'b mut Builder<'p>, mark: char, items: &'b [Item<'p>], end: Option<&'b End>) -> Self {
        Self { builder, mark, items, everybody: Vec::new(), end, others: None, lists: Vec::new(), room: LISTS, deep: [0; 2] }
    }

    /// Fills the chain; so many can follow each other from it on.
    pub(super) fn build(mut self, chain: usize, left: usize) {
        // Rules for everybody in front are asked before the tree.
        let front = (0..self.items.len()).take_while(|&index| !self.is_sourced(index)).count();
        let head = self.mark.to_string();
        let items: Vec<&Item<'_>> = self.items[..front].iter().collect();
        let Filled { chain, height } = self.builder.fill(&items, Place { chain, left, head: &head }, Behind::More(STEPS + 2));
        let left = left + 1 - height;
        self.room = left - STEPS;
        self.items = &self.items[front..];
        self.everybody = self.order((0..self.items.len()).filter(|&index| !self.is_sourced(index)).collect());
        self.others = self.others();
        let mut known: HashMap<Rc<[usize]>, usize> = HashMap::new();
        let senders = self.senders(0..self.items.len(), &self.everybody);
        let mut leaves = Vec::with_capacity(senders.len());
        for Senders { block, list } in senders {
            let list = match known.get(&list) {
                Some(&index) => index,
                None => {
                    let end = self.list(&list);
                    self.lists.push(end);
                    known.insert(list, self.lists.len() - 1);
                    self.lists.len() - 1
                }
            };
            leaves.extend(prefixes(&block).map(|prefix| Leaf::new(prefix, list)));
        }
        self.node(chain, &leaves, 0, left - self.deep.iter().max().unwrap_or(&0));
    }

    pub(super) fn is_sourced(&self, index: usize) -> bool {
        self.items[index].rule.from.is_some()
    }

    pub(super) fn others(&mut self) -> Option<End> {
        let everybody = self.everybody.clone();
        if everybody.is_empty() {
            return self.end.cloned();
        }
        let name = super::chain(&format!("{ROOT}-{}.others", self.mark));
        let chain = self.builder.chain(name.clone());
        let head = self.mark.to_string();
        self.deep[1] = self.rows(Place { chain, left: self.room - 1, head: &head }, &everybody);
        Some(goto(name))
    }

    /// The addresses, cut where the list of those of these items changes that can match; those whom no
    /// rule names are left out.
    pub(super) fn senders(&self, items: Range<usize>, everybody: &[usize]) -> Vec<Senders> {
        let family = self.builder.family;
        let blocks = |index: usize| self.items[index].rule.from.as_ref().map_or(&[][..], |from| from.addresses.of(family));
        let mut cuts = Cuts::with_room(items.clone().map(|index| blocks(index).len()).sum());
        for index in items {
            cuts.add(index, blocks(index).iter().map(|block| (block.first, block.last)));
        }
        let list = |of: &[usize]| self.order(of.iter().chain(everybody).copied().collect()).into();
        let senders = |Part { first, last, list }| Senders { block: Block { family, first, last }, list };
        cuts.parts(Block::all(family).last, list).into_iter().map(senders).collect()
    }

    /// In order, up to the first that decides everything.
    pub(super) fn order(&self, mut list: Vec<usize>) -> Vec<usize> {
        list.sort_unstable();
        self.cut(list)
    }

    /// Up to the first that decides everything.
    pub(super) fn cut(&self, mut list: Vec<usize>) -> Vec<usize> {
        if let Some(at) = list.iter().position(|&index| self.items[index].decides()) {
            list.truncate(at + 1);
        }
        list
    }

    /// The rule for senders with this list: its verdict, if that is all it is, else the way to it.
    pub(super) fn list(&mut self, list: &[usize]) -> End {
        let family = self.builder.family;
        if list.is_empty() {
            // No rule is left.
            return or_back(self.end);
        }
        let named = list.iter().copied().find(|&index| self.is_sourced(index)).unwrap_or(list[0]);
        let item = &self.items[named];
        let (origin, title) = (Origin::Rule(item.index), item.rule.title());
        if let ([_], Some(verdict)) = (list, self.builder.verdict(item)) {
            return verdict;
        }
        let name = self.builder.names.of(item.rule);
        let goto = Head::default().rule(family, None, &title, &format!("-g {name}"));
        let chain = self.builder.chain(name.clone());
        let place = Place { chain, left: self.room, head: names::end(&name) };
        // Where it ends as that of the others does, it goes on there.
        let own = list.iter().rposition(|&index| self.is_sourced(index)).map_or(0, |last| last + 1);
        if list[own..] == self.everybody[..] && !self.everybody.is_empty() {
            let height = self.fill(place, &list[..own], Behind::End(self.others.clone().as_ref(), self.deep[1]));
            self.deep[0] = self.deep[0].max(height + self.deep[1]);
        } else {
            self.deep[0] = self.deep[0].max(self.rows(place, list));
        }
        (origin, goto)
    }

    /// A list with its end. Returns how many chains follow each other.
    fn rows(&mut self, place: Place<'_>, list: &[usize]) -> usize {
        let end = if list.last().is_some_and(|&last| self.items[last].decides()) { None } else { self.end };
        self.fill(place, list, Behind::End(end, 0))
    }

    fn fill(&mut self, place: Place<'_>, list: &[usize], behind: Behind<'_>) -> usize {
        let items: Vec<&Item<'_>> = list.iter().map(|&index| &self.items[index]).collect();
        self.builder.fill(&items, place, behind).height
    }

    /// Fills a chain: its senders have `digits` in common, and so many of the tree can follow each other from
    /// it on; behind the last all stand in a row.
    fn node(&mut self, chain: usize, leaves: &[Leaf], digits: usize, left: usize) {
        let family = self.builder.family;
        let width = if family == Family::Ip { 8 } else { 32 };
        let common = leaves.first().zip(leaves.last()).map_or(0, |(first, last)| common_digits(first, last, width)).max(digits);
        self.builder.expect(chain, leaves.len().min(16) + 1);
        let row = leaves.len() <= ROW || left <= 1;
        let mut rest = leaves;
        while let Some(first) = rest.first() {
            let goes_on = |leaf: &Leaf| !row && leaf.digits() > common;
            let same = |leaf: &&Leaf| goes_on(leaf) && goes_on(first) && leaf.digit(common, width) == first.digit(common, width);
            let (group, behind) = rest.split_at(rest.iter().take_while(same).count().max(1));
            rest = behind;
            if group.len() <= FEW {
                for leaf in group {
                    let (origin, mut rule) = self.lists[leaf.list].clone();
                    rule.base.source = (leaf.bits > 0).then_some(Test::is(leaf.prefix));
                    self.builder.push(chain, origin, rule);
                }
                continue;
            }
            // The way to their own chain, as far down as they go together.
            let together = common_digits(first, &group[group.len() - 1], width);
            let name = self.builder.names.of_prefix(self.mark, &first.text(together, width));
            let way = first.way(together, width, family, name.clone());
            self.builder.push(chain, Origin::Way, way);
            let own = self.builder.chain(name);
            self.node(own, group, together, left - 1);
        }
        self.builder.end(chain, self.others.as_ref());
    }
}

impl Leaf {
    fn new(prefix: Address, list: usize) -> Self {
        let bits = prefix.prefix_len().expect("prefixes are made of prefixes");
        let first = match prefix {
            Address::V4 { addr, .. } => addr.to_bits().into(),
            Address::V6 { addr, .. } => addr.to_bits(),
        };
        Self { first, bits, prefix, list }
    }

    /// How many of its hexadecimal digits are the same for all of it.
    fn digits(&self) -> usize {
        usize::from(self.bits / 4)
    }

    fn digit(&self, at: usize, width: usize) -> u128 {
        (self.first >> (4 * (width - 1 - at))) & 0xf
    }

    fn text(&self, digits: usize, width: usize) -> String {
        (0..digits).filter_map(|at| char::from_digit(self.digit(at, width) as u32, 16)).collect()
    }

    /// A rule for all that have these digits.
    fn way(&self, digits: usize, width: usize, family: Family, to: ChainName) -> Rule {
        let prefix = Block::around(family, self.first, 4 * (width - digits) as u32).prefix();
        Rule { base: Base { source: prefix.map(Test::is), ..Base::default() }, matches: Vec::new(), target: Some(Target::Goto(to)) }
    }
}

/// How many digits two prefixes have in common.
fn common_digits(a: &Leaf, b: &Leaf, width: usize) -> usize {
    let most = a.digits().min(b.digits());
    (0..most).take_while(|&at| a.digit(at, width) == b.digit(at, width)).count()
}
