//! From marks to the table that gives them.

use super::{Chain, Class, Element, Kind, Marks, Set, Table, element::chain as chain_of, expressions::Rule};
use crate::{
    model::{ChainName, Protocol},
    policy::Block,
};

/// So many addresses are looked up one by one at most, if that is all of them: one look-up less than
/// with intervals.
const SINGLE: u128 = 65_536;
/// A block of so many is never an interval.
const SMALL: u128 = 16;
/// The base chain.
pub(super) const FORWARD: &str = "forward";

impl Marks {
    /// What an id is in the mark.
    pub fn value(&self, id: u32) -> u32 {
        id << self.mask.trailing_zeros()
    }

    /// How many ids there can be.
    pub fn room(mask: u32) -> usize {
        (mask >> mask.trailing_zeros().min(31)) as usize
    }

    /// The table.
    pub fn table(&self) -> Table {
        let mut sets = self.sets();
        let mut forward = Vec::new();
        if self.established {
            forward.push(Rule::default().known().accept().finish());
        }
        for Set { kind, .. } in &sets {
            let (Kind::Hosts(_, number) | Kind::Networks(_, number)) = *kind else { continue };
            let class = &self.classes[number as usize];
            let found = Rule::default().source(self.family).within(*kind);
            forward.push(
                match class.is_one_mark() {
                    true => self.give(class.id, found).accept(),
                    false => found.goto(&class_chain(number)),
                }
                .finish(),
            );
        }
        forward.extend(self.end(0, &self.classes[0]));
        let mut chains = self.chains();
        chains.push(Chain { name: chain(FORWARD), base: true, rules: forward });
        sets.extend((0..).zip(&self.classes).flat_map(ports));
        sets.sort_by_key(|set| set.kind);
        let mut table = Table { chains, sets, strange: false };
        let hash = vec![table.hash()];
        table.sets.push(Set { kind: Kind::Hash, size: room(Kind::Hash, &hash), elements: hash });
        table
    }

    /// The senders of each class: addresses that are looked up one by one, and intervals.
    fn sets(&self) -> Vec<Set> {
        let len = |block: &Block| (block.last - block.first).saturating_add(1);
        let all = self.senders.iter().fold(0u128, |sum, (block, _)| sum.saturating_add(len(block)));
        let small = if all <= SINGLE { SINGLE } else { SMALL };
        let mut sets: Vec<[Vec<Element>; 2]> = vec![Default::default(); self.classes.len()];
        let element = |key, end| Element { key, end, id: 0 };
        for (block, class) in &self.senders {
            let [hosts, networks] = &mut sets[*class as usize];
            if len(block) <= small {
                hosts.extend((block.first..=block.last).map(|key| element(key, false)));
                continue;
            }
            networks.push(element(block.first, false));
            if block.last < Block::all(self.family).last {
                networks.push(element(block.last + 1, true));
            }
        }
        let both = |(class, [hosts, networks]): (u32, [Vec<Element>; 2])| {
            [(Kind::Hosts(self.family, class), hosts), (Kind::Networks(self.family, class), networks)]
        };
        let sets = (0..).zip(sets).flat_map(both).filter(|(_, elements)| !elements.is_empty());
        sets.map(|(kind, elements)| Set { kind, size: room(kind, &elements), elements }).collect()
    }

    /// All but the base chain.
    fn chains(&self) -> Vec<Chain> {
        let mut ids: Vec<u32> = self.classes.iter().flat_map(|class| class.ports.iter().map(|(.., id)| *id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let mark = |id: u32| (chain_of(id), vec![self.give(id, Rule::default()).finish()]);
        let class = |(number, class): (u32, &Class)| (class_chain(number), self.end(number, class));
        let classes = (1..).zip(&self.classes[1..]).filter(|(_, class)| !class.is_one_mark());
        let all = ids.into_iter().map(mark).chain(classes.map(class));
        all.map(|(name, rules)| Chain { name: chain(&name), base: false, rules }).collect()
    }

    /// What is done with the packets of a class.
    fn end(&self, number: u32, class: &Class) -> Vec<Box<[u8]>> {
        let mut rules = Vec::new();
        for protocol in class.protocols() {
            let rule = if self.established { Rule::default() } else { Rule::default().original() };
            rules.push(rule.port(protocol).vmap(Kind::Ports(protocol, number)).finish());
        }
        rules.push(self.give(class.id, Rule::default()).finish());
        rules
    }

    /// Makes an id a packet's mark.
    fn give(&self, id: u32, rule: Rule) -> Rule {
        if id == 0 { rule.clear(self.mask) } else { rule.give(self.mask, self.value(id)) }
    }
}

impl Class {
    /// Is nothing asked of its packets any more?
    fn is_one_mark(&self) -> bool {
        self.ports.is_empty() && self.id > 0
    }

    /// Those that have ports here, in order.
    fn protocols(&self) -> Vec<Protocol> {
        let mut all: Vec<Protocol> = self.ports.iter().map(|(protocol, ..)| *protocol).collect();
        all.dedup();
        all
    }
}

fn ports((number, class): (u32, &Class)) -> Vec<Set> {
    let set = |of: Protocol| {
        let own = class.ports.iter().filter(|(protocol, ..)| *protocol == of);
        let elements: Vec<Element> = own.map(|&(_, port, id)| Element { key: port.into(), end: false, id }).collect();
        let kind = Kind::Ports(of, number);
        Set { kind, size: room(kind, &elements), elements }
    };
    class.protocols().into_iter().map(set).collect()
}

/// With a size the kernel takes a hash of fixed size, which is faster (`nft_hash_select_ops`,
/// `nft_set_hash.c`). More elements than that are refused, so some room is left.
pub(super) fn room(kind: Kind, elements: &[Element]) -> u32 {
    if matches!(kind, Kind::Networks(..)) {
        return 0;
    }
    (elements.len() + elements.len() / 4 + 64) as u32
}

const CLASS: &str = "class-";

fn class_chain(number: u32) -> String {
    format!("{CLASS}{number}")
}

/// The class whose chain that is.
pub(super) fn class_of(chain: &str) -> Option<u32> {
    chain.strip_prefix(CLASS)?.parse().ok()
}

pub(super) fn chain(name: &str) -> ChainName {
    ChainName::from_kernel(name).expect("our names are plain and short")
}
