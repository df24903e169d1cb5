//! What a policy says about a packet, straight from its values.

use std::{collections::BTreeSet, fmt};

use dockgate::{
    model::{Family, Interface, Protocol},
    policy::{Action, Addresses, Policy, PolicyRule, Sources, Verdict},
    rule::Rule,
    targets::Target,
};

use super::walk::Line;

/// A packet in FORWARD, and what connection tracking knows of it.
#[derive(Debug, Clone)]
pub struct Packet {
    pub family: Family,
    pub inward: &'static str,
    pub outward: &'static str,
    pub source: u128,
    pub protocol: Protocol,
    /// The address that the connection's first packet was sent to, before DNAT.
    pub asked: u128,
    /// The port, too.
    pub port: u16,
    pub known: Known,
}

/// What connection tracking knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The first of a connection.
    New,
    /// A later one, the same way.
    Established,
    /// One back.
    Reply,
    /// The first of a connection that belongs to another, or an error about one.
    Related,
    /// Nothing.
    Invalid,
}

impl Known {
    pub fn is_of_known_connections(self) -> bool {
        matches!(self, Self::Established | Self::Reply | Self::Related)
    }

    /// Does it go the way of its connection's first packet?
    pub fn is_original(self) -> bool {
        !matches!(self, Self::Reply | Self::Invalid)
    }
}

/// What becomes of a packet in our chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, to others' rules in `DOCKER-USER` and to Docker's.
    Docker,
    Accept,
    Drop,
    Reject,
}

/// What becomes of it, and the prefixes that it is logged with on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub fate: Fate,
    pub logged: BTreeSet<String>,
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

/// What the policy says.
pub fn decide(policy: &Policy, packet: &Packet) -> Decision {
    let mut logged = BTreeSet::new();
    let fate = fate(policy, packet, &mut logged);
    Decision { fate, logged }
}

fn fate(policy: &Policy, packet: &Packet, logged: &mut BTreeSet<String>) -> Fate {
    if policy.established && packet.known.is_of_known_connections() {
        // What was accepted once goes on past Docker's rules, both ways.
        let accepted = policy.rules.iter().any(|rule| routes(policy, rule, packet));
        return if accepted { Fate::Accept } else { Fate::Docker };
    }
    let outside = passes(&policy.external, packet.inward);
    for rule in &policy.rules {
        let end = match &rule.action {
            Action::Raw(rules) => {
                rules.iter().filter(|(family, _)| *family == packet.family).find_map(|(_, rule)| raw(rule, packet, logged))
            }
            _ if !matches(rule, outside, packet) => None,
            action => {
                logged.extend(rule.log.clone());
                match action {
                    Action::Decide(verdict) => Some((*verdict).into()),
                    Action::Accept => Some(Fate::Accept),
                    Action::Log | Action::Raw(_) => None,
                }
            }
        };
        if let Some(fate) = end {
            return fate;
        }
    }
    if outside { policy.default.into() } else { Fate::Docker }
}

fn raw(rule: &Rule, packet: &Packet, logged: &mut BTreeSet<String>) -> Option<Fate> {
    let line = Line::parse(&rule.to_string());
    if !line.matches(packet) {
        return None;
    }
    logged.extend(line.log);
    line.end
}

fn matches(rule: &PolicyRule, outside: bool, packet: &Packet) -> bool {
    let inward = if rule.inward.is_empty() { outside } else { passes(&rule.inward, packet.inward) };
    let ports = |ports: &dockgate::policy::Ports| {
        let within = |range: dockgate::policy::PortRange| packet.known.is_original() && (range.first..=range.last).contains(&packet.port);
        ports.protocol == packet.protocol && ports.range.is_none_or(within)
    };
    let from = |from: &Sources| contains(&from.addresses, packet.family, packet.source);
    let to = |to: &Sources| packet.known.is_original() && contains(&to.addresses, packet.family, packet.asked);
    inward
        && (rule.outward.is_empty() || passes(&rule.outward, packet.outward))
        && (rule.ports.is_empty() || rule.ports.iter().any(ports))
        && rule.from.as_ref().is_none_or(from)
        && rule.to.as_ref().is_none_or(to)
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
            let names = |test: Option<dockgate::model::Test<Interface>>| test.filter(|test| !test.negated).map(|test| test.value);
            let ends = |rule: &Rule| {
                let names = [rule.base.in_interface, rule.base.out_interface].map(|test| names(test).into_iter().collect::<Vec<_>>());
                let [inward, outward] = names;
                (inward, outward)
            };
            rules.iter().filter(accepts).map(|(_, rule)| ends(rule)).collect()
        }
        _ => return false,
    };
    let meets = |names: &[Interface], name| names.is_empty() || passes(names, name);
    ends.iter().any(|(inward, outward)| {
        (meets(inward, packet.inward) && meets(outward, packet.outward)) || (meets(outward, packet.inward) && meets(inward, packet.outward))
    })
}

/// Is the interface one of these?
fn passes(names: &[Interface], name: &str) -> bool {
    let is = |one: &Interface| match one.is_prefix() {
        true => name.as_bytes().starts_with(one.as_bytes()),
        false => name.as_bytes() == one.as_bytes(),
    };
    names.iter().any(is)
}

fn contains(addresses: &Addresses, family: Family, address: u128) -> bool {
    addresses.of(family).iter().any(|block| (block.first..=block.last).contains(&address))
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |number| dockgate::policy::Block { family: self.family, first: number, last: number };
        let (source, asked) = (address(self.source), address(self.asked));
        write!(f, "{:?}: in {} out {} from {source}, ", self.known, self.inward, self.outward)?;
        write!(f, "asked for {asked} port {} {}", self.port, self.protocol)
    }
}
