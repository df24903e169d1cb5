//! Many senders: found by the digits of their address, as a tree of chains, 16 ways at each step.
//!
//! A packet is in one of the intervals that the rules' sources cut the addresses into, and in each
//! of them the same rules can match: those for everybody, and those for its sources, in order. So
//! the tree leads to that list, where no source is tested any more; most lists are one verdict. All
//! ways are gotos, and every chain ends with the way to the list of those whom no rule names.
//!
//! A step tests 8 digits on average, 4 ns each; jumps never nest, and the tree is no deeper than the
//! kernel follows (16 levels, four of them before it).

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    rc::Rc,
};

use super::{
    Origin,
    chains::{Builder, End, Item},
    names::ROOT,
    rules::{Head, ends, parse, prefixes},
};
use crate::{
    model::{Address, ChainName, Family, Test},
    policy::Block,
    rule::{Base, Rule},
    targets::Target,
};

/// So many senders are tested in a row.
const ROW: usize = 10;
/// A group of so many in a longer chain gets no chain of its own.
const FEW: usize = 2;
/// The deepest chain of the tree, in hexadecimal digits; behind it all stand in a row.
const DEEPEST: usize = 9;

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
        Self { builder, mark, items, everybody: Vec::new(), end, others: None, lists: Vec::new() }
    }

    pub(super) fn build(mut self, chain: usize) {
        // Rules for everybody in front are asked before the tree.
        let front = (0..self.items.len()).take_while(|&index| !self.is_sourced(index)).count();
        for item in &self.items[..front] {
            self.builder.rows(chain, item, &[None]);
        }
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
        self.node(chain, &leaves, 0, 0);
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
        let goto = Rule { target: Some(Target::Goto(name.clone())), ..Rule::default() };
        let chain = self.builder.chain(name);
        self.rows(chain, &everybody);
        Some((Origin::Way, goto))
    }

    /// The addresses, cut where the list of those of these items changes that can match; those whom no
    /// rule names are left out.
    pub(super) fn senders(&self, items: Range<usize>, everybody: &[usize]) -> Vec<Senders> {
        let family = self.builder.family;
        // Where an item's addresses begin and where they end.
        let blocks = |index: usize| self.items[index].rule.from.as_ref().map_or(&[][..], |from| from.addresses.of(family));
        let mut cuts: Vec<(u128, usize, bool)> = Vec::with_capacity(items.clone().map(|index| 2 * blocks(index).len()).sum());
        for index in items {
            for block in merged(blocks(index)) {
                cuts.push((block.first, index, true));
                cuts.extend(block.last.checked_add(1).map(|behind| (behind, index, false)));
            }
        }
        // Those of one item are in order.
        cuts.sort();
        let mut all: Vec<Senders> = Vec::with_capacity(cuts.len());
        let mut active: BTreeSet<usize> = BTreeSet::new();
        // Mostly the list is that of the senders before.
        let (mut of, mut list): (Vec<usize>, Rc<[usize]>) = Default::default();
        for (at, &(first, index, begins)) in cuts.iter().enumerate() {
            match begins {
                true => active.insert(index),
                false => active.remove(&index),
            };
            let next = cuts.get(at + 1).map(|(next, ..)| *next);
            if active.is_empty() || next == Some(first) {
                continue;
            }
            let last = next.map_or(Block::all(family).last, |next| next - 1);
            if !active.iter().eq(&of) {
                of = active.iter().copied().collect();
                list = self.order(of.iter().chain(everybody).copied().collect()).into();
            }
            match all.last_mut() {
                Some(before) if before.list == list && before.block.last + 1 == first => before.block.last = last,
                _ => all.push(Senders { block: Block { family, first, last }, list: list.clone() }),
            }
        }
        all
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
            return self.end.cloned().unwrap_or_else(|| (Origin::Way, parse("-j RETURN", family)));
        }
        let named = list.iter().copied().find(|&index| self.is_sourced(index)).unwrap_or(list[0]);
        let item = &self.items[named];
        let (origin, title) = (Origin::Rule(item.index), item.rule.title());
        if let ([_], [end]) = (list, ends(item.rule).as_slice())
            && item.decides()
        {
            return (origin, Head::default().rule(family, None, &title, end));
        }
        let name = self.builder.names.of(item.rule);
        let goto = Head::default().rule(family, None, &title, &format!("-g {name}"));
        let chain = self.builder.chain(name);
        // Where it ends as that of the others does, it goes on there.
        let own = list.iter().rposition(|&index| self.is_sourced(index)).map_or(0, |last| last + 1);
        if list[own..] == self.everybody[..] && !self.everybody.is_empty() {
            for &index in &list[..own] {
                self.builder.rows(chain, &self.items[index], &[None]);
            }
            self.builder.end(chain, self.others.as_ref());
        } else {
            self.rows(chain, list);
        }
        (origin, goto)
    }

    /// A list with its end.
    fn rows(&mut self, chain: usize, list: &[usize]) {
        for &index in list {
            self.builder.rows(chain, &self.items[index], &[None]);
        }
        if !list.last().is_some_and(|&last| self.items[last].decides()) {
            self.builder.end(chain, self.end);
        }
    }

    /// Fills a chain: its senders have `digits` in common.
    fn node(&mut self, chain: usize, leaves: &[Leaf], digits: usize, depth: usize) {
        let family = self.builder.family;
        let width = if family == Family::Ip { 8 } else { 32 };
        let common = leaves.first().zip(leaves.last()).map_or(0, |(first, last)| common_digits(first, last, width)).max(digits);
        self.builder.expect(chain, leaves.len().min(16) + 1);
        let row = leaves.len() <= ROW || depth >= DEEPEST;
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
            self.node(own, group, together, depth + 1);
        }
        self.builder.end(chain, self.others.as_ref());
    }
}

/// Blocks in order that have nothing in common and a gap between them.
fn merged(blocks: &[Block]) -> Vec<Block> {
    let mut all: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks {
        match all.last_mut() {
            Some(last) if last.last == u128::MAX || block.first <= last.last + 1 => last.last = last.last.max(block.last),
            _ => all.push(*block),
        }
    }
    all
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
