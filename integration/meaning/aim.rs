//! Packets at the edges of what a policy says.

use dockgate::{
    model::{Family, Protocol},
    policy::{Block, Ports},
};

use super::{
    agree::Both,
    dice::Dice,
    packet::{Known, Link, Packet},
    reference::{Read, Reference, passes},
};

/// What becomes of packets is asked where it changes.
pub struct Aim<'r> {
    reference: &'r Reference<'r>,
    family: Family,
    /// Senders at the edges of blocks, with the rule that the block is of.
    edges: Vec<(Option<usize>, u128)>,
}

/// So often a packet has what its rule asks for, and else what any of them does.
const AIMED: usize = 88;

impl<'r> Aim<'r> {
    /// At the edges of a policy's blocks, and of those that its chains are cut into.
    pub fn new(both: &'r Both<'r>, family: Family) -> Self {
        let of_rules = both.reference.rules.iter().enumerate();
        let of_rules = of_rules.flat_map(|(index, rule)| sources(rule, family).iter().map(move |block| (Some(index), block)));
        let of_chains = both.chains[family as usize].sources().map(|block| (None, block));
        let beside = |block: &Block| [block.first.wrapping_sub(1), block.first, block.last, block.last.wrapping_add(1)];
        let edges = of_rules.chain(of_chains).flat_map(|(rule, block)| beside(block).map(|edge| (rule, edge))).collect();
        Self { reference: &both.reference, family, edges }
    }

    /// So many packets: one for each edge as far as they reach, and others.
    pub fn packets(&self, dice: &mut Dice, count: usize) -> impl Iterator<Item = Packet> {
        let skip = dice.below(self.edges.len().saturating_sub(count) + 1);
        (0..count).map(move |index| {
            let (rule, source) = self.edges.get(index + skip).map_or((None, None), |&(rule, source)| (rule, Some(source)));
            let rule = rule.unwrap_or_else(|| dice.below(self.reference.rules.len().max(1)));
            self.packet(dice, rule, source)
        })
    }

    fn packet(&self, dice: &mut Dice, rule: usize, source: Option<u128>) -> Packet {
        let rules = &self.reference.rules;
        let other = |dice: &mut Dice| rules.get(if dice.percent(AIMED) { rule } else { dice.below(rules.len().max(1)) });
        let all = Block::all(self.family).last;
        let by = other(dice);
        let source = source.unwrap_or_else(|| edge(dice, by.map_or(&[][..], |rule| sources(rule, self.family))));
        let by = other(dice);
        let asked = edge(dice, by.and_then(|rule| rule.to.as_ref()).map_or(&[][..], |to| &to[self.family as usize]));
        let by = other(dice);
        let (protocol, port) = port(dice, by.map_or(&[][..], |rule| &rule.rule.ports));
        let by = other(dice);
        let inward = by.map_or(&[][..], |rule| &rule.rule.inward);
        let inward = if inward.is_empty() { &self.reference.policy.external } else { inward };
        let inward = link(dice, |link| passes(inward, link.name()));
        let by = other(dice);
        let outward = by.map_or(&[][..], |rule| &rule.rule.outward);
        let outward = link(dice, |link| outward.is_empty() || passes(outward, link.name()));
        let known = if dice.percent(80) { Known::New } else { dice.pick(&Known::ALL) };
        let mark = if dice.percent(20) { dice.number() as u32 } else { 0 };
        Packet { family: self.family, inward, outward, source: source & all, protocol, asked: asked & all, port, known, mark }
    }
}

/// The blocks that a rule's senders are in, those of a line as well.
fn sources<'r>(rule: &'r Read<'r>, family: Family) -> &'r [Block] {
    let line = || rule.lines[family as usize].first()?.source.as_ref().map(|(block, _)| std::slice::from_ref(block));
    rule.from.as_ref().map(|from| from[family as usize].as_slice()).or_else(line).unwrap_or_default()
}

/// An address in one of the blocks or beside it; if there are none, any.
fn edge(dice: &mut Dice, blocks: &[Block]) -> u128 {
    if blocks.is_empty() {
        return dice.address();
    }
    let block = dice.pick(blocks);
    match dice.below(8) {
        0 => block.first.wrapping_sub(1),
        1 => block.last.wrapping_add(1),
        2..=3 => block.first,
        4..=5 => block.last,
        _ => block.first + dice.address() % (block.last - block.first).saturating_add(1),
    }
}

fn port(dice: &mut Dice, ports: &[Ports]) -> (Protocol, u16) {
    if ports.is_empty() || dice.percent(4) {
        return (dice.pick(&[Protocol::TCP, Protocol::UDP, Protocol::SCTP, Protocol::ICMP]), dice.number() as u16);
    }
    let Ports { protocol, range } = dice.pick(ports);
    let port = match range {
        None => dice.number() as u16,
        Some(range) => match dice.below(8) {
            0 => range.first.wrapping_sub(1),
            1 => range.last.wrapping_add(1),
            2..=4 => range.first,
            _ => range.last,
        },
    };
    (protocol, port)
}

/// One that passes, if any does; sometimes any.
fn link(dice: &mut Dice, passes: impl Fn(Link) -> bool) -> Link {
    let any = dice.pick(&Link::ALL);
    let mut passing = Link::ALL.into_iter().cycle().skip_while(|&link| link != any).take(Link::ALL.len());
    if dice.percent(10) { any } else { passing.find(|&link| passes(link)).unwrap_or(any) }
}
