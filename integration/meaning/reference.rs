//! What a policy says about a packet, straight from its values: its rules in order, the first that
//! decides wins, every list from its beginning to its end.

use std::collections::HashMap;

use dockgate::{
    model::{Family, Interface, Test},
    policy::{Action, Block, Policy, PolicyRule, Ports, Sources, Verdict},
    rule::Rule,
    targets::Target,
};

use super::{
    packet::{Decision, Fate, Packet},
    walk::{Line, Then, log},
};

/// A policy to be asked.
pub struct Reference<'p> {
    pub policy: &'p Policy,
    pub rules: Vec<Read<'p>>,
}

/// A rule with its addresses and its lines read, by family.
pub struct Read<'p> {
    pub rule: &'p PolicyRule,
    pub from: Option<[Vec<Block>; 2]>,
    pub to: Option<[Vec<Block>; 2]>,
    pub lines: [Vec<Line>; 2],
}

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It belongs to a connection that is known.
    Replies,
    /// The rule with that index.
    Rule(usize),
    /// No rule, and it comes from outside.
    Default,
    /// No rule, and it comes from elsewhere.
    Nothing,
}

impl From<Verdict> for Fate {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allow => Self::Docker,
            Verdict::Drop => Self::Drop,
            Verdict::Reject => Self::Reject,
        }
    }
}

impl<'p> Reference<'p> {
    /// Of a policy that names addresses, not groups.
    pub fn new(policy: &'p Policy) -> Result<Self, String> {
        let rules = policy.rules.iter().map(Read::new).collect::<Result<_, String>>()?;
        Ok(Self { policy, rules })
    }

    /// What the policy says, and why.
    pub fn decide(&self, packet: &Packet) -> (Decision<'_>, By) {
        let policy = self.policy;
        if policy.established && packet.known.is_of_known_connections() {
            // What was accepted once goes on past Docker's rules, both ways.
            let accepted = policy.rules.iter().any(|rule| routes(policy, rule, packet));
            return (Decision { fate: if accepted { Fate::Accept } else { Fate::Docker }, logged: Vec::new() }, By::Replies);
        }
        let mut logged = Vec::new();
        let outside = passes(&policy.external, packet.inward.name());
        for (index, rule) in self.rules.iter().enumerate() {
            if let Some(fate) = rule.fate(outside, packet, &mut logged) {
                return (Decision { fate, logged }, By::Rule(index));
            }
        }
        match outside {
            true => (Decision { fate: policy.default.into(), logged }, By::Default),
            false => (Decision { fate: Fate::Docker, logged }, By::Nothing),
        }
    }
}

impl<'p> Read<'p> {
    fn new(rule: &'p PolicyRule) -> Result<Self, String> {
        let mut lines = [Vec::new(), Vec::new()];
        if let Action::Raw(rules) = &rule.action {
            for (family, rule) in rules {
                lines[*family as usize].push(Line::parse(&rule.to_string(), &HashMap::new())?);
            }
        }
        let addresses = |sources: &Option<Sources>| sources.as_ref().map(addresses).transpose();
        Ok(Self { rule, from: addresses(&rule.from)?, to: addresses(&rule.to)?, lines })
    }

    fn fate<'t>(&'t self, outside: bool, packet: &Packet, logged: &mut Vec<&'t str>) -> Option<Fate> {
        for line in &self.lines[packet.family as usize] {
            if line.matches(packet) {
                line.log.iter().for_each(|prefix| log(logged, prefix));
                if let Then::End(fate) = line.then {
                    return Some(fate);
                }
            }
        }
        if matches!(self.rule.action, Action::Raw(_)) || !self.matches(outside, packet) {
            return None;
        }
        self.rule.log.iter().for_each(|prefix| log(logged, prefix));
        match &self.rule.action {
            Action::Decide(verdict) => Some((*verdict).into()),
            Action::Accept => Some(Fate::Accept),
            Action::Log | Action::Raw(_) => None,
        }
    }

    fn matches(&self, outside: bool, packet: &Packet) -> bool {
        let rule = self.rule;
        let inward = if rule.inward.is_empty() { outside } else { passes(&rule.inward, packet.inward.name()) };
        let ports = |ports: &Ports| {
            ports.protocol == packet.protocol
                && ports.range.is_none_or(|range| packet.known.is_original() && range.first <= packet.port && packet.port <= range.last)
        };
        let contains = |blocks: &[Vec<Block>; 2], address| {
            // Debug builds are slow at iterators, and lists are long.
            for block in &blocks[packet.family as usize] {
                if block.first <= address && address <= block.last {
                    return true;
                }
            }
            false
        };
        inward
            && (rule.outward.is_empty() || passes(&rule.outward, packet.outward.name()))
            && (rule.ports.is_empty() || rule.ports.iter().any(ports))
            && self.to.as_ref().is_none_or(|to| packet.known.is_original() && contains(to, packet.asked))
            && self.from.as_ref().is_none_or(|from| contains(from, packet.source))
    }
}

/// The addresses as they are written.
fn addresses(sources: &Sources) -> Result<[Vec<Block>; 2], String> {
    let mut blocks = [Vec::new(), Vec::new()];
    for word in &sources.words {
        let block = Block::parse(word).map_err(|(error, _)| error)?;
        blocks[block.family as usize].push(block);
    }
    Ok(blocks)
}

/// Does the rule accept connections that go the packet's way, or come by it?
fn routes(policy: &Policy, rule: &PolicyRule, packet: &Packet) -> bool {
    let ends = match &rule.action {
        Action::Accept => {
            let lacks = |sources: &Option<Sources>| sources.as_ref().is_some_and(|some| some.addresses.of(packet.family).is_empty());
            if lacks(&rule.from) || lacks(&rule.to) {
                return false;
            }
            let inward = if rule.inward.is_empty() { &policy.external } else { &rule.inward };
            vec![(inward.clone(), rule.outward.clone())]
        }
        Action::Raw(rules) => {
            let accepts = |(family, rule): &&(Family, Rule)| *family == packet.family && rule.target == Some(Target::Accept);
            let names = |test: Option<Test<Interface>>| test.filter(|test| !test.negated).map(|test| test.value).into_iter().collect();
            rules.iter().filter(accepts).map(|(_, rule)| (names(rule.base.in_interface), names(rule.base.out_interface))).collect()
        }
        _ => return false,
    };
    let meets = |names: &[Interface], name| names.is_empty() || passes(names, name);
    let (inward, outward) = (packet.inward.name(), packet.outward.name());
    ends.iter().any(|(from, to): &(Vec<Interface>, Vec<Interface>)| {
        (meets(from, inward) && meets(to, outward)) || (meets(to, inward) && meets(from, outward))
    })
}

/// Is the interface one of these?
pub fn passes(names: &[Interface], name: &str) -> bool {
    let is = |one: &Interface| match one.is_prefix() {
        true => name.as_bytes().starts_with(one.as_bytes()),
        false => name.as_bytes() == one.as_bytes(),
    };
    names.iter().any(is)
}
