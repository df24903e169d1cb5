//! Random policies, all of them as a file can say them.

use std::{net::IpAddr, ops::RangeInclusive};

use dockgate::{
    lab::Party,
    model::{Family, Interface, Protocol},
    policy::{Action, Addresses, Block, Place, Policy, PolicyRule, PortRange, Ports, Sources, Strategy, Verdict},
    rule::Parser,
    syntax::split,
};

use super::dice::Dice;

/// What policies speak of.
#[derive(Debug, Clone)]
pub struct Universe {
    /// Of both families, in order.
    pub addresses: [Vec<u128>; 2],
    /// In order.
    pub ports: Vec<u16>,
    pub protocols: &'static [Protocol],
    pub names: &'static [&'static str],
}

/// How much they say.
#[derive(Debug, Clone)]
pub struct Size {
    pub rules: RangeInclusive<usize>,
    /// Of one rule that has any.
    pub sources: RangeInclusive<usize>,
    pub ports: RangeInclusive<usize>,
    /// So many lists of a hundred have blocks that others are in, and may leave little to other rules.
    pub wide: usize,
}

/// Interfaces of policies.
pub const NAMES: &[&str] = &["ext0", "ext1", "ext+", "eth1", "eth+", "docker0", "br-1", "e+", "+"];

pub const PROTOCOLS: &[Protocol] = &[Protocol::TCP, Protocol::UDP, Protocol::SCTP];

const TITLES: &[&str] = &["web", "past web", "web 2", "past-web", "Äöü", "a rule with quite a long title", "-j", "! x", "a\\\"b'", "DROP"];

const PREFIXES: &[&str] = &["one", "two", "three words \"quoted\"", "-j", "! x"];

/// So many lists of a hundred have nobody in them.
const EMPTY: usize = 6;

/// As many as people write.
pub const EVERYDAY: Size = Size { rules: 0..=7, sources: 1..=4, ports: 0..=3, wide: 40 };

impl Universe {
    /// That of the lab: half of the addresses beside each other, from the host's on, the others far
    /// apart.
    pub fn lab() -> Self {
        let addresses = |family| {
            let host = number(Party::Host.address(family));
            let apart = if family == Family::Ip { 0x1_0204 } else { 0x1_0000_0002_0000_0000_0010 };
            (0..32).map(|index| host + index).chain((32..64).map(|index| host + (index - 32) * apart + 32)).collect()
        };
        Self { addresses: Family::BOTH.map(addresses), ports: (8001..=8012).collect(), protocols: PROTOCOLS, names: NAMES }
    }

    /// So many addresses: dense, sparse, in steps, at the ends of the space, so that a tree of their
    /// digits is as deep as can be, or some of each.
    pub fn wild(dice: &mut Dice, count: usize) -> Self {
        let shape = dice.below(6);
        let addresses = |family: Family| {
            let (all, digits) = (Block::all(family).last, if family == Family::Ip { 8 } else { 32 });
            let base = dice.address() & all & !0xffff;
            let step = 1 << dice.below(3 * digits);
            let mut one = |index: u128| match if shape == 5 { dice.below(5) } else { shape } {
                0 => base + dice.address() % (2 * count as u128),
                1 => dice.address() & all,
                2 => base.wrapping_add(index * step) & all,
                3 => {
                    if index.is_multiple_of(2) {
                        index
                    } else {
                        all - index
                    }
                }
                _ => base ^ dice.address() & ((1 << (4 * dice.below(digits))) - 1),
            };
            let mut numbers: Vec<u128> = (0..count as u128).map(&mut one).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        let addresses = Family::BOTH.map(addresses);
        let ports = [1, 2, 79, 80, 81, 443, 8000, 8001, 8002, 8010, 32767, 32768, 65534, 65535];
        Self { addresses, ports: ports.to_vec(), protocols: PROTOCOLS, names: NAMES }
    }

    pub fn policy(&self, dice: &mut Dice, size: &Size) -> Policy {
        let mut policy = Policy {
            external: self.interfaces(dice, 1..=2),
            default: verdict(dice),
            established: dice.percent(80),
            strategy: dice.pick(&[Strategy::Auto, Strategy::Tree, Strategy::Set]),
            mark: dice.pick(&[Policy::MARK, Policy::MARK, 0x7, 0x0ff0, u32::MAX]),
            rules: (0..dice.within(&size.rules)).map(|_| self.rule(dice, size)).collect(),
            ..Policy::default()
        };
        if dice.percent(8) {
            // Without an outside every rule names its own interfaces.
            policy.external.clear();
            policy.default = Verdict::Allow;
            for rule in policy.rules.iter_mut().filter(|rule| rule.inward.is_empty() && !matches!(rule.action, Action::Raw(_))) {
                rule.inward = self.interfaces(dice, 1..=2);
            }
        }
        policy
    }

    fn rule(&self, dice: &mut Dice, size: &Size) -> PolicyRule {
        let text = |dice: &mut Dice, of: &[&str], percent| dice.percent(percent).then(|| dice.pick(of).to_owned());
        let mut rule = PolicyRule {
            place: Place::default(),
            name: text(dice, TITLES, 40),
            comment: text(dice, TITLES, 40),
            action: Action::Log,
            ports: Vec::new(),
            from: None,
            to: None,
            inward: Vec::new(),
            outward: Vec::new(),
            log: text(dice, PREFIXES, 20),
        };
        match dice.below(18) {
            0..=1 => {
                rule.log = None;
                rule.action = raw(&self.line(dice, size));
                return rule;
            }
            2 => rule.log = rule.log.or(Some("only".to_owned())),
            3..=4 => rule.action = Action::Accept,
            _ => rule.action = Action::Decide(verdict(dice)),
        }
        if rule.action != Action::Log {
            let count = dice.within(&size.ports);
            rule.ports = disjoint((0..count).map(|_| self.ports(dice)), Ports::overlaps);
        }
        // Few rules are for everybody and all ports: they would leave the others nothing.
        let sourced = dice.percent(if rule.ports.is_empty() { 100 - size.wide / 2 } else { 60 });
        rule.from = sourced.then(|| self.sources(dice, &size.sources, size.wide));
        rule.to = dice.percent(20).then(|| self.sources(dice, &(1..=3), 30));
        rule.inward = if dice.percent(30) { self.interfaces(dice, 1..=2) } else { Vec::new() };
        rule.outward = if dice.percent(20) { self.interfaces(dice, 1..=2) } else { Vec::new() };
        rule
    }

    /// A line of iptables.
    fn line(&self, dice: &mut Dice, size: &Size) -> String {
        let bang = |dice: &mut Dice| if dice.percent(20) { "! " } else { "" };
        let mut text = String::new();
        if dice.percent(40) {
            text += &format!("{}-i {} ", bang(dice), dice.pick(&self.names[..4]));
        }
        if dice.percent(30) {
            text += &format!("{}-o {} ", bang(dice), dice.pick(&self.names[..4]));
        }
        if dice.percent(30) {
            text += &format!("{}-p {} ", bang(dice), dice.pick(self.protocols));
        }
        if dice.percent(100 - size.wide) {
            let wide = dice.percent(size.wide);
            let block = self.block(dice, wide);
            let bang = bang(dice);
            text += &match block.prefix() {
                // iptables prints no `-s` that all addresses have, and so would not say the family.
                Some(_) if block != Block::all(block.family) => format!("{bang}-s {block} "),
                _ => format!("-m iprange {bang}--src-range {}-{} ", block.ends().0, block.ends().1),
            };
        }
        text + dice.pick(&["-j DROP", "-j REJECT", "-j ACCEPT", "-j RETURN", "-j LOG --log-prefix raw"])
    }

    /// Nobody, few, as people write them, or one by one or behind each other, as programs do.
    fn sources(&self, dice: &mut Dice, count: &RangeInclusive<usize>, wide: usize) -> Sources {
        if dice.percent(EMPTY) {
            return Sources { words: Vec::new(), addresses: Addresses::default() };
        }
        let count = dice.within(count);
        let blocks: Vec<Block> = match dice.below(4) {
            0 => {
                let addresses = self.family(dice);
                (0..count).map(|_| self.one(dice, addresses)).collect()
            }
            1 => self.row(dice, count),
            _ => {
                let wide = dice.percent(wide);
                (0..count).map(|_| self.block(dice, wide)).collect()
            }
        };
        let words = blocks.iter().map(ToString::to_string).collect();
        Sources { words, addresses: blocks.into_iter().collect() }
    }

    /// Blocks without gaps between them, or nearly.
    fn row(&self, dice: &mut Dice, count: usize) -> Vec<Block> {
        let family = self.family(dice);
        let all = Block::all(family).last;
        let most = 1 + dice.below(32);
        let mut first = self.one(dice, family).first;
        let mut blocks = Vec::new();
        while blocks.len() < count {
            let last = first.saturating_add(dice.below(most) as u128).min(all);
            blocks.push(Block { family, first, last });
            let gap = u128::from(dice.percent(20));
            match last.checked_add(1 + gap).filter(|&next| next <= all) {
                Some(next) => first = next,
                None => break,
            }
        }
        blocks
    }

    fn family(&self, dice: &mut Dice) -> Family {
        dice.pick(&Family::BOTH)
    }

    fn one(&self, dice: &mut Dice, family: Family) -> Block {
        let address = dice.pick(&self.addresses[family as usize]);
        Block { family, first: address, last: address }
    }

    /// An address, a range or a prefix; perhaps one that most of the others are in.
    fn block(&self, dice: &mut Dice, wide: bool) -> Block {
        let family = self.family(dice);
        let addresses = &self.addresses[family as usize];
        let at = dice.below(addresses.len());
        let address = addresses[at];
        match dice.below(if wide { 100 } else { 80 }) {
            0..35 => Block { family, first: address, last: address },
            // To the next addresses, or to any.
            35..55 => Block { family, first: address, last: addresses[(at + 1 + dice.below(6)).min(addresses.len() - 1)] },
            55..80 => Block::around(family, address, dice.below(8) as u32),
            80..85 => {
                let other = dice.pick(addresses);
                Block { family, first: address.min(other), last: address.max(other) }
            }
            85..98 => Block::around(family, address, dice.below(if family == Family::Ip { 33 } else { 129 }) as u32),
            _ => Block::all(family),
        }
    }

    fn ports(&self, dice: &mut Dice) -> Ports {
        let at = dice.below(self.ports.len());
        let range = match dice.below(10) {
            0 => None,
            1 => Some(PortRange { first: 1, last: u16::MAX }),
            2..=4 => Some(PortRange { first: self.ports[at], last: self.ports[(at + dice.below(5)).min(self.ports.len() - 1)] }),
            _ => Some(PortRange { first: self.ports[at], last: self.ports[at] }),
        };
        Ports { protocol: dice.pick(self.protocols), range }
    }

    fn interfaces(&self, dice: &mut Dice, count: RangeInclusive<usize>) -> Vec<Interface> {
        let count = dice.within(&count);
        disjoint((0..count).map(|_| Interface::new(dice.pick(self.names)).expect("a name")), Interface::overlaps)
    }
}

/// An address as a number.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Those that have nothing in common with one before.
fn disjoint<T>(all: impl Iterator<Item = T>, overlaps: impl Fn(&T, &T) -> bool) -> Vec<T> {
    all.fold(Vec::new(), |mut kept, one| {
        if !kept.iter().any(|other| overlaps(other, &one)) {
            kept.push(one);
        }
        kept
    })
}

fn verdict(dice: &mut Dice) -> Verdict {
    dice.pick(&[Verdict::Allow, Verdict::Drop, Verdict::Reject])
}

/// The line in each family that can have it.
fn raw(text: &str) -> Action {
    let mut words = Vec::new();
    split(text, &mut words).unwrap();
    let rules = |family| Parser::parse(&words, family).map(|parsed| parsed.rules).unwrap_or_default();
    let rules: Vec<_> = Family::BOTH.into_iter().flat_map(|family| rules(family).into_iter().map(move |rule| (family, rule))).collect();
    assert!(!rules.is_empty(), "{text}");
    Action::Raw(rules)
}
