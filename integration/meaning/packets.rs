//! Random policies in the kernel: it does with packets what the policy says.

use dockgate::{
    compile,
    lab::Party,
    model::{Family, Protocol},
};

use super::{
    dice::Dice,
    packet::{self, Known, Link, Packet},
    random::{EVERYDAY, Universe, number},
    reference::Reference,
    text,
    world::{Exchange, Fate, To, Who, World, compiled},
};
use crate::support::{call, in_netns, need, show};

/// How many policies.
const POLICIES: usize = 20;

/// Who asks whom.
const PAIRS: &[(Who, To)] = &[
    (Who::Client(20), To::Host(8001)),
    (Who::Client(23), To::Host(8004)),
    (Who::Client(24), To::Host(8005)),
    (Who::Client(26), To::Host(8008)),
    (Who::Client(31), To::Host(8012)),
    (Who::Client(35), To::Other(8003)),
    (Who::Far, To::Host(8002)),
    (Who::Client(20), To::Container),
    (Who::Client(24), To::Lan),
    (Who::Lan, To::Host(8006)),
    (Who::Lan, To::Client),
    (Who::Container, To::Client),
    (Who::Container, To::Lan),
];

/// What becomes of it: also the answer, and with TCP what comes then, must pass.
fn expected(policy: &Reference<'_>, family: Family, from: Who, to: To, protocol: Protocol) -> Fate {
    let inward = match from {
        Who::Client(_) | Who::Far => "ext0",
        Who::Container => "docker0",
        Who::Lan => "eth1",
    };
    let outward = match to {
        To::Host(_) | To::Other(_) | To::Container => "docker0",
        To::Client => "ext0",
        To::Lan => "eth1",
    };
    let asked = to.address(family);
    let source = number(from.address(family));
    let [inward, outward] = [inward, outward].map(Link::named);
    let asked = (number(asked.ip()), asked.port());
    let first = Packet { family, inward, outward, source, protocol, asked: asked.0, port: asked.1, known: Known::New, mark: 0 };
    let answerer = if outward == Link::named("docker0") { number(Party::Container.address(family)) } else { first.asked };
    let reply = Packet { inward: outward, outward: inward, source: answerer, known: Known::Reply, ..first };
    let later = Packet { known: Known::Established, ..first };
    // Docker lets nobody route but its containers.
    let docker = [inward, outward].contains(&Link::named("docker0"));
    let passes = |packet: &Packet| match policy.decide(packet).0.fate {
        packet::Fate::Accept => true,
        packet::Fate::Docker => docker,
        packet::Fate::Drop | packet::Fate::Reject => false,
    };
    match policy.decide(&first).0.fate {
        packet::Fate::Reject => Fate::Reject,
        _ if passes(&first) && passes(&reply) && passes(&later) => Fate::Pass,
        _ => Fate::Drop,
    }
}

#[test]
fn the_kernel_does_what_random_policies_say() {
    let test = "meaning::packets::the_kernel_does_what_random_policies_say";
    in_netns(test, || {
        if !need(test, "iptables") || !need(test, "conntrack") {
            return;
        }
        let mut world = World::build("random", 20..36);
        let mut dice = Dice::new(1);
        let (mut counts, mut marked) = ([0; 3], 0);
        for _ in 0..POLICIES {
            let policy = Universe::lab().policy(&mut dice, &EVERYDAY);
            let reference = Reference::new(&policy).unwrap();
            let compiled = compile::docker_user(&policy, "random", None);
            world.gate.apply(&compiled).unwrap();
            world.forget_connections();
            world.read_by_iptables(&compiled);
            for &family in world.topology.families() {
                marked += usize::from(compiled.table(family).is_some());
                let with = |&(from, to): &(Who, To)| {
                    [Protocol::TCP, Protocol::UDP].map(|protocol| {
                        let fate = expected(&reference, family, from, to, protocol);
                        Exchange { from, to, protocol, fate }
                    })
                };
                let exchanges: Vec<Exchange> = PAIRS.iter().flat_map(with).collect();
                exchanges.iter().for_each(|one| counts[one.fate as usize] += 1);
                world.check_in(family, &(text::policy(&policy) + &text::chains(compiled.chains(family), family)), &exchanges);
            }
        }
        assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
        assert!(marked > 5, "{marked}");
        show(&format!("{} connections passed, {} dropped, {} refused; {marked} tables of marks", counts[0], counts[1], counts[2]));
    });
}

#[test]
fn no_packet_is_asked_about_comments() {
    let test = "meaning::packets::no_packet_is_asked_about_comments";
    in_netns(test, || {
        if !need(test, "iptables") || !need(test, "nft") {
            return;
        }
        let mut world = World::build("comments", []);
        // As long as one can be, and one byte less.
        let text = |comment: &str| format!("external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = '443/tcp'\ncomment = '{comment}'\n");
        for comment in ["portal".to_owned(), "x".repeat(200)] {
            world.gate.apply(&compiled(&text(&comment))).unwrap();
            for family in Family::BOTH {
                let listed = world.topology.host.run(|| call("nft", &format!("list table {family} filter"), "").ok()).unwrap();
                assert!(listed.contains(&format!("comment \"{comment}\"")) && listed.contains("comment \"dockgate: policy "), "{listed}");
                assert!(!listed.contains("xt match \"comment\""), "{listed}");
                let words = format!("-p tcp -m conntrack --ctorigdstport 443 --ctdir ORIGINAL -m comment --comment {comment} -j RETURN");
                world.iptables(family, "", &format!("-C DOCKGATE-OUTSIDE {words}"), "").ok();
                world.iptables(family, "", &format!("-D DOCKGATE-OUTSIDE {words}"), "").ok();
            }
        }
    });
}
