//! A packet's way through compiled chains, as iptables prints them.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    ops::RangeInclusive,
};

use dockgate::{
    compile::ROOT,
    model::{Family, Protocol},
    policy::Block,
    save::SavedChain,
    syntax::split,
};

use super::reference::{Decision, Fate, Known, Packet};

/// Chains that a packet can walk.
pub struct Chains(HashMap<String, Vec<Line>>);

/// One rule: what it tests, and what comes then.
#[derive(Debug, Default)]
pub struct Line {
    source: Option<Block>,
    /// The name, or what it begins with.
    inward: Option<(String, bool)>,
    outward: Option<(String, bool)>,
    protocol: Option<Protocol>,
    asked: Option<Block>,
    ports: Option<RangeInclusive<u16>>,
    original: bool,
    states: Vec<String>,
    /// The prefix that it logs with.
    pub log: Option<String>,
    /// The verdict that it ends with.
    pub end: Option<Fate>,
    /// The chain that it leads to, and whether the packet comes back.
    to: Option<(String, bool)>,
}

impl Line {
    /// Of the words of a rule. Those that compiled rules don't have are not known here.
    pub fn parse(text: &str) -> Self {
        let mut words = Vec::new();
        split(text, &mut words).unwrap();
        let mut words = words.into_iter().map(|word| word.text.into_owned());
        let mut line = Self::default();
        while let Some(option) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{text}"));
            let interface = || match value.strip_suffix('+') {
                Some(start) => (start.to_owned(), true),
                None => (value.clone(), false),
            };
            match option.as_str() {
                "-s" => line.source = Some(block(&value)),
                "--src-range" => line.source = Some(block(&value)),
                "-i" => line.inward = Some(interface()),
                "-o" => line.outward = Some(interface()),
                "-p" => line.protocol = Protocol::parse(&value).unwrap(),
                "--ctorigdst" => line.asked = Some(block(&value)),
                "--ctorigdstport" => {
                    let (first, last) = value.split_once(':').unwrap_or((&value, &value));
                    line.ports = Some(first.parse().unwrap()..=last.parse().unwrap());
                }
                "--ctdir" => line.original = value == "ORIGINAL",
                "--ctstate" => line.states = value.split(',').map(str::to_owned).collect(),
                "--log-prefix" => line.log = Some(value),
                "-m" | "--comment" | "--reject-with" => {}
                "-g" => line.to = Some((value, false)),
                "-j" => match value.as_str() {
                    "RETURN" => line.end = Some(Fate::Docker),
                    "ACCEPT" => line.end = Some(Fate::Accept),
                    "DROP" => line.end = Some(Fate::Drop),
                    "REJECT" => line.end = Some(Fate::Reject),
                    "LOG" => {}
                    _ => line.to = Some((value, true)),
                },
                _ => panic!("`{option}` of {text}"),
            }
        }
        line
    }

    /// As the kernel sees it: without a connection no test of one is passed but that of its state.
    pub fn matches(&self, packet: &Packet) -> bool {
        let within = |block: &Option<Block>, address| block.is_none_or(|block| (block.first..=block.last).contains(&address));
        let passes = |name: &Option<(String, bool)>, own: &str| {
            name.as_ref().is_none_or(|(name, begins)| if *begins { own.starts_with(name.as_str()) } else { own == name })
        };
        let state = match packet.known {
            Known::New => "NEW",
            Known::Established | Known::Reply => "ESTABLISHED",
            Known::Related => "RELATED",
            Known::Invalid => "INVALID",
        };
        let of_connection = self.asked.is_some() || self.ports.is_some() || self.original;
        within(&self.source, packet.source)
            && passes(&self.inward, packet.inward)
            && passes(&self.outward, packet.outward)
            && self.protocol.is_none_or(|protocol| protocol == packet.protocol)
            && (self.states.is_empty() || self.states.iter().any(|one| one == state))
            && !(of_connection && packet.known == Known::Invalid)
            && within(&self.asked, packet.asked)
            && self.ports.as_ref().is_none_or(|ports| ports.contains(&packet.port))
            && (!self.original || packet.known.is_original())
    }
}

/// An address, a prefix, or a range.
fn block(text: &str) -> Block {
    let ends = |block: Block| {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => (Family::Ip, address.to_bits().into()),
            IpAddr::V6(address) => (Family::Ip6, address.to_bits()),
        };
        let ((family, first), (_, last)) = (bits(block.ends().0), bits(block.ends().1));
        Block { family, first, last }
    };
    ends(Block::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}")))
}

impl Chains {
    pub fn new(chains: &[SavedChain]) -> Self {
        let lines = |chain: &SavedChain| chain.rules.iter().map(|saved| Line::parse(&saved.rule.to_string())).collect();
        let all: HashMap<String, Vec<Line>> = chains.iter().map(|chain| (chain.name.to_string(), lines(chain))).collect();
        assert_eq!(all.len(), chains.len(), "two chains have one name");
        Self(all)
    }

    /// From the jump in `DOCKER-USER` on.
    pub fn walk(&self, packet: &Packet) -> Decision {
        let mut logged = BTreeSet::new();
        // Where it is, and where it goes on after that.
        let mut stack: Vec<(&str, usize)> = vec![(ROOT, 0)];
        while let Some((chain, next)) = stack.pop() {
            let rules = self.0.get(chain).unwrap_or_else(|| panic!("there is no chain {chain}"));
            let Some((index, line)) = rules.iter().enumerate().skip(next).find(|(_, line)| line.matches(packet)) else { continue };
            logged.extend(line.log.clone());
            match (&line.to, line.end) {
                // Back to where the last jump came from; a goto left nothing to come back to.
                (None, Some(Fate::Docker)) => {}
                (None, Some(fate)) => return Decision { fate, logged },
                (None, None) => stack.push((chain, index + 1)),
                (Some((to, comes_back)), _) => {
                    if *comes_back {
                        stack.push((chain, index + 1));
                    }
                    stack.push((to, 0));
                }
            }
            assert!(stack.len() <= 16, "the kernel gives up");
        }
        Decision { fate: Fate::Docker, logged }
    }
}
