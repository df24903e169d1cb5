//! Random policies and random packets: the compiled chains do what the policy says.

use std::{fmt, net::IpAddr, ops::RangeInclusive};

use dockgate::{
    compile,
    lab::Party,
    model::{Family, Interface, Protocol},
    policy::{Action, Addresses, Block, Place, Policy, PolicyRule, PortRange, Ports, Sources, Verdict},
    rule::Parser,
    syntax::split,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    reference::{Known, Packet, decide},
    walk::Chains,
};

/// Packets of each policy.
const PACKETS: usize = 200;

/// The names of interfaces in policies, and those that packets come by.
const NAMES: &[&str] = &["ext0", "ext1", "ext+", "eth1", "eth+", "docker0", "br-1", "e+", "+"];
const LINKS: &[&str] = &["ext0", "ext1", "eth1", "docker0", "br-1", "ext10"];

/// Lines of iptables in policies.
const LINES: &[&str] = &[
    "-i ext0 -s 192.168.1.20 -j DROP",
    "-s fd00:1::1a -j REJECT",
    "-i eth1 -o ext0 -j ACCEPT",
    "-s 192.168.1.24/30 -j ACCEPT",
    "-i ext+ -p udp -j RETURN",
    "-p tcp -j LOG --log-prefix raw",
    "-o br-1 -j DROP",
];

/// How many addresses are in play: half of them beside each other, from that of the lab's host on,
/// the others far apart.
const ADDRESSES: u128 = 64;

/// Ports in play: from 8001 on.
const PORTS: RangeInclusive<u16> = 8001..=8012;

fn address(family: Family, index: u128) -> u128 {
    let host = number(Party::Host.address(family));
    let apart = if family == Family::Ip { 0x1_0204 } else { 0x1_0000_0002_0000_0000_0010 };
    match index.checked_sub(ADDRESSES / 2) {
        None => host + index,
        Some(index) => host + index * apart,
    }
}

/// An address as a number.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn family() -> impl Strategy<Value = Family> {
    select(&Family::BOTH)
}

fn block() -> impl Strategy<Value = Block> {
    let range = |(family, a, b): (Family, u128, u128)| {
        let (a, b) = (address(family, a), address(family, b));
        Block { family, first: a.min(b), last: a.max(b) }
    };
    let one = (family(), 0..ADDRESSES).prop_map(move |(family, one)| range((family, one, one)));
    let some = (family(), 0..ADDRESSES, 0..ADDRESSES).prop_map(range);
    let prefix = (family(), 0..ADDRESSES, prop_oneof![0..5u32, 0..32u32]).prop_map(|(family, index, bits)| {
        let rest = (1 << bits) - 1;
        let first = address(family, index) & !rest;
        Block { family, first, last: first | rest }
    });
    prop_oneof![4 => one, 4 => some, 4 => prefix, 1 => family().prop_map(Block::all)]
}

/// Few, as people write them, or one by one, as programs do.
fn sources() -> impl Strategy<Value = Sources> {
    let listed = (family(), any::<u64>()).prop_map(|(family, bits)| {
        let one = |index: u128| Block { family, first: address(family, index), last: address(family, index) };
        (0..ADDRESSES).filter(|index| bits >> index & 1 == 1 || *index == 0).map(one).collect::<Vec<_>>()
    });
    let blocks = prop_oneof![3 => vec(block(), 1..5), 1 => listed];
    blocks.prop_map(|blocks| Sources { words: vec!["some".to_owned()], addresses: blocks.into_iter().collect::<Addresses>() })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(&[Protocol::TCP, Protocol::UDP, Protocol::SCTP][..])
}

fn ports() -> impl Strategy<Value = Vec<Ports>> {
    let range = prop_oneof![
        4 => PORTS.prop_map(|port| Some(PortRange { first: port, last: port })),
        2 => (PORTS, 0..6u16).prop_map(|(first, more)| Some(PortRange { first, last: first + more })),
        1 => Just(Some(PortRange { first: 1, last: u16::MAX })),
        1 => Just(None),
    ];
    let one = (protocol(), range).prop_map(|(protocol, range)| Ports { protocol, range });
    let listed = (protocol(), any::<u16>()).prop_map(|(protocol, bits)| {
        let ports = PORTS.filter(|port| bits >> (port - PORTS.start()) & 1 == 1);
        ports.map(|port| Ports { protocol, range: Some(PortRange { first: port, last: port }) }).collect()
    });
    prop_oneof![4 => vec(one, 0..4), 1 => listed]
}

fn names() -> impl Strategy<Value = Vec<Interface>> {
    let name = || select(NAMES).prop_map(|name| Interface::new(name).unwrap());
    prop_oneof![6 => Just(Vec::new()), 2 => vec(name(), 1), 1 => vec(name(), 2)]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    select(&[Verdict::Allow, Verdict::Drop, Verdict::Reject][..])
}

fn raw(text: &str) -> Action {
    let mut words = Vec::new();
    split(text, &mut words).unwrap();
    let rules = |family| Parser::parse(&words, family).map(|parsed| parsed.rules).unwrap_or_default();
    Action::Raw(Family::BOTH.into_iter().flat_map(|family| rules(family).into_iter().map(move |rule| (family, rule))).collect())
}

fn rule() -> impl Strategy<Value = PolicyRule> {
    let action = prop_oneof![
        6 => verdict().prop_map(Action::Decide),
        1 => Just(Action::Accept),
        1 => Just(Action::Log),
        1 => select(LINES).prop_map(raw),
    ];
    let log = prop_oneof![4 => Just(None), 1 => select(&["one", "two", "three words \"quoted\"", "-j", "! x"][..]).prop_map(|text| Some(text.to_owned()))];
    let title = || {
        option::of(
            select(&["web", "past web", "web 2", "past-web", "Äöü", "a rule with quite a long title", "-j", "! x", "a\\\"b'"][..])
                .prop_map(str::to_owned),
        )
    };
    let tests = (ports(), option::of(sources()), option::weighted(0.2, sources()), names(), names());
    (action, tests, log, title(), title()).prop_map(|(action, (ports, from, to, inward, outward), log, name, comment)| {
        let log = if action == Action::Log { log.or(Some("only".to_owned())) } else { log };
        match action {
            Action::Raw(_) => PolicyRule {
                place: Place::default(),
                name,
                comment,
                action,
                ports: Vec::new(),
                from: None,
                to: None,
                inward: Vec::new(),
                outward: Vec::new(),
                log: None,
            },
            _ => PolicyRule { place: Place::default(), name, comment, action, ports, from, to, inward, outward, log },
        }
    })
}

pub fn policy() -> impl Strategy<Value = Policy> {
    let external = vec(select(NAMES).prop_map(|name| Interface::new(name).unwrap()), 1..3);
    (external, verdict(), prop::bool::weighted(0.8), vec(rule(), 0..8)).prop_map(|(external, default, established, rules)| Policy {
        external,
        default,
        established,
        rules,
        ..Policy::default()
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let known =
        select(&[Known::New, Known::New, Known::New, Known::New, Known::Established, Known::Reply, Known::Related, Known::Invalid][..]);
    let protocol = prop_oneof![8 => protocol(), 1 => Just(Protocol::ICMP)];
    let port = prop_oneof![8 => 7999..8020u16, 1 => Just(u16::MAX)];
    (family(), select(LINKS), select(LINKS), 0..ADDRESSES + 2, protocol, 0..ADDRESSES + 2, port, known).prop_map(
        |(family, inward, outward, source, protocol, asked, port, known)| Packet {
            family,
            inward,
            outward,
            source: address(family, source) - 1,
            protocol,
            asked: address(family, asked) - 1,
            port,
            known,
        },
    )
}

/// A policy and its chains in words.
pub fn told(policy: &Policy, family: Family) -> String {
    let compiled = compile::docker_user(policy, "random", None);
    let external: Vec<String> = policy.external.iter().map(ToString::to_string).collect();
    let mut text = format!("external {external:?}, default {}, established {}\n", policy.default.word(), policy.established);
    for rule in &policy.rules {
        let addresses = |sources: &Option<Sources>| {
            let list = |some: &Sources| (&some.addresses).into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            sources.as_ref().map_or("all".to_owned(), list)
        };
        text += &format!("{rule} (from {}; to {}; log {:?})\n", addresses(&rule.from), addresses(&rule.to), rule.log);
    }
    for chain in compiled.chains(family) {
        text.extend(chain.rules.iter().map(|saved| format!("-A {} {}\n", chain.name, saved.rule)));
    }
    text
}

/// A policy, and packets to try it with. What is wrong says which of them it is.
#[derive(Clone)]
struct Case {
    policy: Policy,
    packets: Vec<Packet>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rules, {} packets", self.policy.rules.len(), self.packets.len())
    }
}

fn case() -> impl Strategy<Value = Case> {
    (policy(), vec(packet(), PACKETS)).prop_map(|(policy, packets)| Case { policy, packets })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_chains_do_what_the_policy_says(Case { policy, packets } in case()) {
        let compiled = compile::docker_user(&policy, "random", None);
        let chains = Family::BOTH.map(|family| Chains::new(compiled.chains(family)));
        for packet in &packets {
            let walked = chains[packet.family as usize].walk(packet);
            prop_assert_eq!(&walked, &decide(&policy, packet), "\n{}\n{}", packet, told(&policy, packet.family));
        }
    }
}
