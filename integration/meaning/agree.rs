//! A policy beside its chains: is the same said of a packet?

use std::{
    ops::AddAssign,
    panic::{AssertUnwindSafe, catch_unwind},
};

use dockgate::{
    compile::{self, Compiled},
    model::{ChainName, Counters, Family},
    policy::{Action, Policy},
    save::{SavedChain, SavedRule},
};

use super::{
    marks::Giver,
    packet::{Decision, Packet},
    reference::{By, Reference},
    shrink::shrink,
    text,
    walk::Chains,
};

/// A change of the chains before they are walked.
pub type Change = fn(Family, &mut Vec<SavedChain>);

/// Changes nothing.
pub const AS_COMPILED: Change = |_, _| {};

/// Up to so many rules are printed.
const FEW: usize = 100;

/// A policy and its chains.
pub struct Both<'p> {
    pub reference: Reference<'p>,
    pub chains: [Chains; 2],
    trees: usize,
    stepped: usize,
    marked: usize,
    unvisited: usize,
}

/// What was tried.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub policies: usize,
    /// Families of policies with a tree.
    pub trees: usize,
    /// Those where ports are found by steps.
    pub stepped: usize,
    /// Families of policies with marks.
    pub marked: usize,
    /// Those of them to whose chains packets without a mark do not come.
    pub unvisited: usize,
    /// So many chains followed each other at most.
    pub depth: usize,
    pub packets: usize,
    /// Packets by their fate.
    pub fates: [usize; 4],
    pub logged: usize,
    /// Packets decided as replies, by the default, by nothing, and by rules with these actions: a
    /// verdict, accept, a line.
    pub by: [usize; 6],
    /// Rules of the policies, and those of them that decided a packet.
    pub rules: (usize, usize),
    /// Rules of the chains, and those of them that a packet met.
    pub lines: (usize, usize),
}

impl<'p> Both<'p> {
    /// # Errors
    /// What is wrong before any packet comes.
    pub fn new(policy: &'p Policy, change: Change) -> Result<Self, String> {
        let compiled = compile::docker_user(policy, "random", None);
        let giver = |family| Some(Giver::new(compiled.marks(family)?, compiled.table(family)?));
        let [ip, ip6] = Family::BOTH.map(|family| Chains::new(&changed(&compiled, family, change), giver(family)));
        let steps = |family: &Family| compiled.chains(*family).iter().any(is_of_ports);
        let others =
            |family| compiled.chains(family).iter().filter(|chain| !is_of_ports(chain) && !chain.name.as_str().ends_with(".rest")).count();
        let stepped = Family::BOTH.iter().filter(|family| steps(family)).count();
        // One chain for what comes from outside, one for the rest; where there are more that are not for
        // ports, and no marks, they are of trees.
        let flat = 1 + usize::from(!policy.external.is_empty());
        let (marked, plain): (Vec<Family>, _) = Family::BOTH.into_iter().partition(|&family| compiled.marks(family).is_some());
        let trees = plain.into_iter().filter(|&family| others(family) > flat).count();
        let unvisited = marked.iter().filter(|&&family| compiled.jump(family) != compiled.identity.jump()).count();
        Ok(Self { reference: Reference::new(policy)?, chains: [ip?, ip6?], trees, stepped, marked: marked.len(), unvisited })
    }

    /// Tries packets; an error is the one that is judged differently.
    pub fn agree(&self, packets: impl Iterator<Item = Packet>, counts: &mut Counts) -> Result<(), Packet> {
        let rules = &self.reference.policy.rules;
        let mut decided = vec![false; rules.len()];
        for packet in packets {
            let (said, by) = self.reference.decide(&packet);
            if said != self.chains[packet.family as usize].walk(&packet) {
                return Err(packet);
            }
            let by = match by {
                By::Replies => 0,
                By::Default => 1,
                By::Nothing => 2,
                By::Rule(index) => {
                    decided[index] = true;
                    match rules[index].action {
                        Action::Decide(_) | Action::Log => 3,
                        Action::Accept => 4,
                        Action::Raw(_) => 5,
                    }
                }
            };
            counts.packets += 1;
            counts.by[by] += 1;
            counts.fates[said.fate as usize] += 1;
            counts.logged += usize::from(!said.logged.is_empty());
        }
        counts.rules.0 += rules.iter().filter(|rule| rule.action != Action::Log).count();
        counts.rules.1 += decided.iter().filter(|decided| **decided).count();
        Ok(())
    }

    /// To be counted once, behind all packets.
    pub fn count(&self, counts: &mut Counts) {
        counts.policies += 1;
        counts.trees += self.trees;
        counts.stepped += self.stepped;
        counts.marked += self.marked;
        counts.unvisited += self.unvisited;
        for chains in &self.chains {
            let (all, met) = chains.met();
            counts.depth = counts.depth.max(chains.depth);
            counts.lines.0 += all;
            counts.lines.1 += met;
        }
    }

    /// What policy and chains say of a packet.
    fn difference(&self, packet: &Packet) -> Option<String> {
        let said = |who, decision: &Decision<'_>| format!("{who}: {:?}, logged {:?}\n", decision.fate, decision.logged);
        let (policy, chains) = (self.reference.decide(packet).0, self.chains[packet.family as usize].walk(packet));
        (policy != chains).then(|| said("the policy says", &policy) + &said("the chains do", &chains))
    }
}

/// Is it one for ports of a protocol?
pub fn is_of_ports(chain: &SavedChain) -> bool {
    chain.name.as_str().split_once('.').is_some_and(|(_, part)| part.starts_with(['t', 'u', 's']))
}

/// The chains, and `DOCKER-USER` with the jump to them.
fn changed(compiled: &Compiled, family: Family, change: Change) -> Vec<SavedChain> {
    let jump = SavedRule { rule: compiled.jump(family), counters: Counters::default(), line: 0 };
    let user = SavedChain { name: ChainName::docker_user(), declared: true, rules: vec![jump] };
    let mut chains = [&[user], compiled.chains(family)].concat();
    change(family, &mut chains);
    chains
}

/// What is wrong with a policy's chains for a packet; a panic is, too.
pub fn wrong(policy: &Policy, packet: &Packet, change: Change) -> Option<String> {
    let found = catch_unwind(AssertUnwindSafe(|| match Both::new(policy, change) {
        Ok(both) => both.difference(packet),
        Err(error) => Some(format!("whatever the packet: {error}\n")),
    }));
    found.unwrap_or_else(|_| Some("whatever the packet: it panics\n".to_owned()))
}

/// The least policy and packet that are wrong, in words.
pub fn shrunk(policy: &Policy, packet: &Packet, change: Change) -> (Policy, String) {
    let (policy, packet) = shrink(policy.clone(), *packet, |policy, packet| wrong(policy, packet, change).is_some());
    let mut words = format!("{}\n{packet}\n{}", text::policy(&policy), wrong(&policy, &packet, change).unwrap_or_default());
    let chains = catch_unwind(AssertUnwindSafe(|| changed(&compile::docker_user(&policy, "random", None), packet.family, change)));
    let chains = chains.unwrap_or_default();
    if chains.iter().map(|chain| chain.rules.len()).sum::<usize>() <= FEW {
        words += &text::chains(&chains, packet.family);
    }
    (policy, words)
}

impl Counts {
    /// So much was tried at least: policies, families with trees and with marks, packets; and of all that can become
    /// of a packet, and of all that can decide it, a share that is not nothing.
    pub fn assert_at_least(&self, policies: usize, [trees, marked]: [usize; 2], packets: usize) {
        assert!(self.policies >= policies && self.trees >= trees && self.marked >= marked && self.packets >= packets, "{self:?}");
        assert!(self.fates.iter().chain(&self.by).chain([&self.logged]).all(|count| *count >= packets / 100), "{self:?}");
        assert!(self.rules.1 >= self.rules.0 / 3, "{self:?}");
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.policies += other.policies;
        self.trees += other.trees;
        self.stepped += other.stepped;
        self.marked += other.marked;
        self.unvisited += other.unvisited;
        self.depth = self.depth.max(other.depth);
        self.packets += other.packets;
        self.logged += other.logged;
        self.fates.iter_mut().zip(other.fates).for_each(|(own, other)| *own += other);
        self.by.iter_mut().zip(other.by).for_each(|(own, other)| *own += other);
        self.rules = (self.rules.0 + other.rules.0, self.rules.1 + other.rules.1);
        self.lines = (self.lines.0 + other.lines.0, self.lines.1 + other.lines.1);
    }
}
