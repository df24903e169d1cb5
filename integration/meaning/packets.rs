//! Random policies in the kernel: it does with packets what the policy says.

use dockgate::{
    compile,
    lab::Party,
    model::{Family, Protocol},
    policy::Policy,
};
use proptest::{strategy::Strategy as _, strategy::ValueTree as _, test_runner::TestRunner};

use super::{
    random::{number, policy, told},
    reference::{self, Known, Packet, decide},
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
fn expected(policy: &Policy, family: Family, from: Who, to: To, protocol: Protocol) -> Fate {
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
    let first = Packet { family, inward, outward, source, protocol, asked: number(asked.ip()), port: asked.port(), known: Known::New };
    let answerer = if outward == "docker0" { number(Party::Container.address(family)) } else { first.asked };
    let reply = Packet { inward: outward, outward: inward, source: answerer, known: Known::Reply, ..first.clone() };
    let later = Packet { known: Known::Established, ..first.clone() };
    // Docker lets nobody route but its containers.
    let docker = inward == "docker0" || outward == "docker0";
    let passes = |packet: &Packet| match decide(policy, packet).fate {
        reference::Fate::Accept => true,
        reference::Fate::Docker => docker,
        reference::Fate::Drop | reference::Fate::Reject => false,
    };
    match decide(policy, &first).fate {
        reference::Fate::Reject => Fate::Reject,
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
        let mut runner = TestRunner::deterministic();
        let mut counts = [0; 3];
        for _ in 0..POLICIES {
            let policy = policy().new_tree(&mut runner).unwrap().current();
            let compiled = compile::docker_user(&policy, "random", None);
            world.gate.apply(&compiled).unwrap();
            world.forget_connections();
            world.read_by_iptables(&compiled);
            for &family in world.topology.families() {
                let with = |&(from, to): &(Who, To)| {
                    [Protocol::TCP, Protocol::UDP].map(|protocol| {
                        let fate = expected(&policy, family, from, to, protocol);
                        Exchange { from, to, protocol, fate }
                    })
                };
                let exchanges: Vec<Exchange> = PAIRS.iter().flat_map(with).collect();
                exchanges.iter().for_each(|one| counts[one.fate as usize] += 1);
                world.check_in(family, &told(&policy, family), &exchanges);
            }
        }
        assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
        show(&format!("{} connections passed, {} dropped, {} refused", counts[0], counts[1], counts[2]));
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
