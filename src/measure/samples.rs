//! Packets that a policy is to be measured with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Error, Path};
use crate::{
    lab::{Packet, Router},
    model::{Family, Protocol},
    policy::{Policy, PolicyRule},
};

/// Packets of new connections, and of one that is known, sorted by what becomes of them.
#[derive(Debug, Default)]
pub struct Samples {
    /// The second of a connection that was begun from within, and came through.
    pub known: Vec<Packet>,
    /// The first of a connection, and came through.
    pub passed: Vec<Packet>,
    /// The first of a connection, and did not.
    pub stopped: Vec<Packet>,
}

/// So many rules are asked for, and so many senders whom no rule names.
const MOST: usize = 1024;
/// Where nothing says another port.
const PORT: u16 = 443;

impl Samples {
    /// For every rule (of very many, some from all over the list) a sender that it names and a
    /// port; and strangers to the same ports. `tested` has the rules, and says what becomes of each;
    /// in `floor` and `tested` a connection is then known.
    ///
    /// # Errors
    /// Those of sending.
    pub fn of(policy: &Policy, family: Family, floor: &Path, tested: &Path) -> Result<Self, Error> {
        let mut samples = Self::default();
        let rules = &policy.rules;
        let count = rules.len().min(MOST);
        let chosen: Vec<&PolicyRule> = (0..count).map(|index| &rules[index * rules.len() / count]).collect();
        let each = MOST.checked_div(count).map_or(0, |each| each.clamp(1, 64));
        let named =
            chosen.iter().enumerate().flat_map(|(number, rule)| (0..each).map(move |index| first(family, rule, number * each + index)));
        let strangers = (0..MOST / 4).map(|index| {
            let rule = chosen.get(index % count.max(1)).copied();
            packet(family, rule, stranger(family, index))
        });
        for packet in named.chain(strangers) {
            let list = if tested.passes(&packet)? { &mut samples.passed } else { &mut samples.stopped };
            list.push(packet);
        }
        let (outside, inside) = (SocketAddr::new(stranger(family, MOST), 53), SocketAddr::new(Router::receiver(family), 40_000));
        let (question, answer) = (Packet::udp(inside, outside), Packet::udp(outside, inside));
        for path in [floor, tested] {
            path.router().answer(&question)?;
        }
        if tested.passes(&answer)? {
            samples.known.push(answer);
        }
        Ok(samples)
    }
}

/// The first packet of a connection that the rule is for.
fn first(family: Family, rule: &PolicyRule, index: usize) -> Packet {
    let blocks = rule.from.as_ref().map(|from| from.addresses.of(family)).unwrap_or_default();
    let sender = match blocks.len() {
        0 => stranger(family, index),
        count => blocks[mixed(index as u64) as usize % count].ends().0,
    };
    packet(family, Some(rule), sender)
}

fn packet(family: Family, rule: Option<&PolicyRule>, sender: IpAddr) -> Packet {
    let ports = rule.and_then(|rule| rule.ports.first());
    let port = ports.and_then(|ports| ports.range).map_or(PORT, |range| range.first);
    let make = if ports.is_some_and(|ports| ports.protocol == Protocol::UDP) { Packet::udp } else { Packet::syn };
    make(SocketAddr::new(sender, 40_000), SocketAddr::new(Router::receiver(family), port))
}

/// Somebody on the Internet; the same for the same number.
pub fn stranger(family: Family, index: usize) -> IpAddr {
    let random = mixed(index as u64);
    match family {
        Family::Ip => {
            let [first, rest @ ..] = (random as u32).to_be_bytes();
            // Neither this host, nor a group of receivers.
            let first = match first % 222 + 1 {
                127 => 223,
                first => first,
            };
            Ipv4Addr::new(first, rest[0], rest[1], rest[2]).into()
        }
        Family::Ip6 => Ipv6Addr::from(0x2000_u128 << 112 | u128::from(random >> 3) << 64 | u128::from(mixed(random))).into(),
    }
}

/// splitmix64: numbers without order, the same in every run.
fn mixed(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
