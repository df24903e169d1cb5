//! A packet's way through compiled chains, as iptables prints them.

use std::{cell::Cell, collections::HashMap};

use dockgate::{
    model::{DOCKER_USER, Protocol},
    policy::Block,
    save::SavedChain,
    syntax::split,
};

use super::{
    marks::Giver,
    packet::{Decision, Fate, Known, Links, Packet},
};

/// So many chains can follow each other, `DOCKER-USER` the first: the kernel follows 16, a goto as a
/// jump (`net/netfilter/nf_tables_api.c`, `nft_chain_validate`); before it comes `FORWARD`, and on trial
/// there is one more.
pub const DEEPEST: usize = 14;

/// Chains that a packet can walk.
pub struct Chains {
    chains: Vec<Vec<Line>>,
    root: usize,
    /// How many follow each other at most.
    pub depth: usize,
    /// What gives the packets their marks.
    giver: Option<Giver>,
}

/// One rule: what it tests, and what comes then.
#[derive(Debug)]
pub struct Line {
    /// The sender's addresses, and whether it must be none of them.
    pub source: Option<(Block, bool)>,
    inward: Links,
    outward: Links,
    protocol: Option<(Protocol, bool)>,
    asked: Option<Block>,
    ports: Option<(u16, u16)>,
    original: bool,
    states: Option<Vec<Known>>,
    /// Value and mask, and whether it must be another value.
    mark: Option<(u32, u32, bool)>,
    /// The prefix that it logs with.
    pub log: Option<String>,
    pub then: Then,
    /// Has a packet passed all its tests?
    met: Cell<bool>,
}

/// What comes behind a rule that a packet has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Next,
    End(Fate),
    /// To the chain with that index, and back.
    Jump(usize),
    /// Not back.
    Goto(usize),
}

impl Line {
    /// Of the words of a rule, among chains with these names. Options that compiled rules don't have
    /// are not known here.
    pub fn parse(text: &str, names: &HashMap<String, usize>) -> Result<Self, String> {
        let mut words = Vec::new();
        split(text, &mut words).map_err(|error| format!("{text}: {error}"))?;
        let mut words = words.into_iter().map(|word| word.text);
        let mut line = Self {
            source: None,
            inward: Links::ALL,
            outward: Links::ALL,
            protocol: None,
            asked: None,
            ports: None,
            original: false,
            states: None,
            mark: None,
            log: None,
            then: Then::Next,
            met: Cell::new(false),
        };
        while let Some(mut option) = words.next() {
            let negated = option == "!";
            if negated {
                option = words.next().unwrap_or_default();
            }
            let value = words.next().unwrap_or_default();
            if line.option(&option, &value, negated, names).is_none() {
                return Err(format!("`{option} {value}` of {text}"));
            }
        }
        Ok(line)
    }

    fn option(&mut self, option: &str, value: &str, negated: bool, names: &HashMap<String, usize>) -> Option<()> {
        match option {
            "-s" | "--src-range" => self.source = Some((Block::parse(value).ok()?, negated)),
            "-i" => self.inward = links(value, negated),
            "-o" => self.outward = links(value, negated),
            "-p" => self.protocol = Some((Protocol::parse(value).ok()??, negated)),
            "--mark" => {
                let (value, mask) = value.split_once('/').unwrap_or((value, "0xffffffff"));
                self.mark = Some((hexadecimal(value)?, hexadecimal(mask)?, negated));
            }
            _ if negated => return None,
            "--ctorigdst" => self.asked = Some(Block::parse(value).ok()?),
            "--ctorigdstport" => {
                let (first, last) = value.split_once(':').unwrap_or((value, value));
                self.ports = Some((first.parse().ok()?, last.parse().ok()?));
            }
            "--ctdir" => self.original = value == "ORIGINAL",
            "--ctstate" => self.states = Some(value.split(',').map(states).collect::<Option<Vec<_>>>()?.concat()),
            "--log-prefix" => self.log = Some(value.to_owned()),
            "-m" | "--comment" | "--reject-with" => {}
            "-g" => self.then = Then::Goto(*names.get(value)?),
            "-j" => {
                self.then = match value {
                    "RETURN" => Then::End(Fate::Docker),
                    "ACCEPT" => Then::End(Fate::Accept),
                    "DROP" => Then::End(Fate::Drop),
                    "REJECT" => Then::End(Fate::Reject),
                    "LOG" => Then::Next,
                    _ => Then::Jump(*names.get(value)?),
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// As the kernel sees it: without a connection no test of one is passed but that of its state.
    pub fn matches(&self, packet: &Packet) -> bool {
        if let Some((block, negated)) = &self.source
            && within(block, packet.source) == *negated
        {
            return false;
        }
        if let Some((protocol, negated)) = self.protocol
            && (protocol == packet.protocol) == negated
        {
            return false;
        }
        if let Some((first, last)) = self.ports
            && (packet.port < first || packet.port > last)
        {
            return false;
        }
        if !self.inward.has(packet.inward) || !self.outward.has(packet.outward) || (self.original && !packet.known.is_original()) {
            return false;
        }
        let of_connection = self.asked.is_some() || self.ports.is_some() || self.original;
        !(of_connection && packet.known == Known::Invalid)
            && self.asked.is_none_or(|block| within(&block, packet.asked))
            && self.states.as_ref().is_none_or(|states| states.contains(&packet.known))
            && self.mark.is_none_or(|(value, mask, negated)| (packet.mark & mask == value) != negated)
    }
}

fn within(block: &Block, address: u128) -> bool {
    block.first <= address && address <= block.last
}

/// The interfaces with that name, or with a name that begins so; or all others.
fn links(value: &str, negated: bool) -> Links {
    Links::that(|name| value.strip_suffix('+').map_or(name == value, |start| name.starts_with(start)) != negated)
}

fn states(word: &str) -> Option<Vec<Known>> {
    Some(match word {
        "NEW" => vec![Known::New],
        "ESTABLISHED" => vec![Known::Established, Known::Reply],
        "RELATED" => vec![Known::Related],
        "INVALID" => vec![Known::Invalid],
        _ => return None,
    })
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

impl Chains {
    /// # Errors
    /// What is wrong with them before any packet comes.
    pub fn new(saved: &[SavedChain], giver: Option<Giver>) -> Result<Self, String> {
        let names: HashMap<String, usize> = saved.iter().enumerate().map(|(index, chain)| (chain.name.to_string(), index)).collect();
        if names.len() != saved.len() {
            return Err("two chains have one name".to_owned());
        }
        let root = *names.get(DOCKER_USER).ok_or("there is no first chain")?;
        let lines = |chain: &SavedChain| chain.rules.iter().map(|saved| Line::parse(&saved.rule.to_string(), &names)).collect();
        let mut chains = Self { chains: saved.iter().map(lines).collect::<Result<_, String>>()?, root, depth: 0, giver };
        let mut depths = vec![None; saved.len()];
        chains.depth = chains.behind(root, DEEPEST, &mut depths)?;
        match depths.iter().position(Option::is_none) {
            Some(lost) => Err(format!("nothing leads to {}", saved[lost].name)),
            None => Ok(chains),
        }
    }

    /// How many chains follow each other at most, this one the first of them; `left` may. What is
    /// found is kept in `depths`.
    fn behind(&self, chain: usize, left: usize, depths: &mut [Option<usize>]) -> Result<usize, String> {
        if left == 0 || depths[chain].is_some_and(|depth| depth > left) {
            return Err(format!("more than {DEEPEST} chains follow each other"));
        }
        if let Some(depth) = depths[chain] {
            return Ok(depth);
        }
        let mut behind = 0;
        for line in &self.chains[chain] {
            if let Then::Jump(to) | Then::Goto(to) = line.then {
                behind = behind.max(self.behind(to, left - 1, depths)?);
            }
        }
        depths[chain] = Some(behind + 1);
        Ok(behind + 1)
    }

    /// From the jump in `DOCKER-USER` on.
    pub fn walk(&self, packet: &Packet) -> Decision<'_> {
        let packet = &Packet { mark: self.mark(packet), ..*packet };
        let mut logged: Vec<&str> = Vec::new();
        // Where it goes on after the chain that it is in.
        let mut back: Vec<(usize, usize)> = Vec::new();
        let mut at = Some((self.root, 0));
        while let Some((chain, next)) = at {
            let lines = &self.chains[chain];
            let mut index = next;
            while index < lines.len() && !lines[index].matches(packet) {
                index += 1;
            }
            let Some(line) = lines.get(index) else {
                at = back.pop();
                continue;
            };
            line.met.set(true);
            if let Some(prefix) = &line.log {
                log(&mut logged, prefix);
            }
            at = match line.then {
                Then::Next => Some((chain, index + 1)),
                // Back to where the last jump came from; a goto left nothing to come back to.
                Then::End(Fate::Docker) => back.pop(),
                Then::End(fate) => return Decision { fate, logged },
                Then::Goto(to) => Some((to, 0)),
                Then::Jump(to) => {
                    back.push((chain, index + 1));
                    Some((to, 0))
                }
            };
        }
        Decision { fate: Fate::Docker, logged }
    }

    /// What the packet's mark is when it comes to the chains.
    fn mark(&self, packet: &Packet) -> u32 {
        self.giver.as_ref().map_or(packet.mark, |giver| giver.mark(packet))
    }

    /// The senders that rules test.
    pub fn sources(&self) -> impl Iterator<Item = &Block> {
        self.chains.iter().flatten().filter_map(|line| line.source.as_ref().map(|(block, _)| block))
    }

    /// How many rules there are, and how many of them a packet has met so far.
    pub fn met(&self) -> (usize, usize) {
        let lines = || self.chains.iter().flatten();
        (lines().count(), lines().filter(|line| line.met.get()).count())
    }
}

/// Adds a prefix, once: a rule in several rows may log a packet more than once.
pub fn log<'t>(logged: &mut Vec<&'t str>, prefix: &'t str) {
    if !logged.contains(&prefix) {
        logged.push(prefix);
    }
}
