use super::{
    Fate::{Drop, Pass, Reject},
    From, Host, Scenario, To,
};
use crate::support::{in_netns, need};

const USER: &str = "DOCKER-USER";
const MINE: &str = "mine";

/// What each verdict does with packets.
const VERDICTS: &[Scenario] = &[
    // Nothing: Docker lets in what is published, and keeps the host from routing.
    Scenario {
        rules: &[],
        exchanges: &[
            (From::Friend, To::Container, Pass),
            (From::Stranger, To::Published, Pass),
            (From::Outsider, To::Published, Pass),
            (From::Container, To::Friend, Pass),
            (From::Friend, To::Lan, Drop),
            (From::Lan, To::Friend, Drop),
        ],
    },
    Scenario {
        rules: &[(USER, "-i ext0 -s STRANGER -j DROP", 2), (USER, "-i ext0", 1)],
        exchanges: &[(From::Stranger, To::Container, Drop), (From::Stranger, To::Published, Drop), (From::Friend, To::Container, Pass)],
    },
    Scenario {
        rules: &[(USER, "-i ext0 -s STRANGER -j REJECT", 2), (USER, "-i ext0", 1)],
        exchanges: &[(From::Stranger, To::Container, Reject), (From::Stranger, To::Published, Reject), (From::Friend, To::Container, Pass)],
    },
    // ACCEPT is final: also where Docker's policy would drop. The answer needs its own.
    Scenario {
        rules: &[(USER, "-i ext0 -s FRIEND -j ACCEPT", 2), (USER, "-i eth1 -d FRIEND -j ACCEPT", 1), (USER, "-i ext0 -j DROP", 2)],
        exchanges: &[
            (From::Friend, To::Lan, Pass),
            (From::Friend, To::Container, Pass),
            (From::Stranger, To::Lan, Drop),
            (From::Stranger, To::Container, Drop),
        ],
    },
    // RETURN is not: Docker decides.
    Scenario {
        rules: &[(USER, "-i ext0 -s FRIEND -j RETURN", 2), (USER, "-i ext0 -j DROP", 2)],
        exchanges: &[
            (From::Friend, To::Container, Pass),
            (From::Friend, To::Lan, Drop),
            (From::Stranger, To::Container, Drop),
            (From::Stranger, To::Lan, Drop),
        ],
    },
    // Who returns from a chain that was jumped to goes on behind the jump …
    Scenario {
        rules: &[
            (USER, "-i ext0 -j mine", 3),
            (USER, "-i ext0 -s FRIEND -j REJECT", 1),
            (USER, "-i ext0", 1),
            (MINE, "-s STRANGER -j DROP", 1),
            (MINE, "-s FRIEND -j RETURN", 1),
        ],
        exchanges: &[(From::Friend, To::Container, Reject), (From::Stranger, To::Container, Drop), (From::Outsider, To::Container, Pass)],
    },
    // … and from one that was gone to, behind the jump to DOCKER-USER.
    Scenario {
        rules: &[
            (USER, "-i ext0 -g mine", 3),
            (USER, "-i ext0 -s FRIEND -j REJECT", 0),
            (USER, "-i ext0", 0),
            (MINE, "-s STRANGER -j DROP", 1),
            (MINE, "-s FRIEND -j RETURN", 1),
        ],
        exchanges: &[(From::Friend, To::Container, Pass), (From::Stranger, To::Container, Drop), (From::Outsider, To::Container, Pass)],
    },
];

/// The examples of Docker's manual, "Packet filtering and firewalls".
const MANUAL: &[Scenario] = &[
    // One address may come in. Without a rule for replies, the others' are dropped as well.
    Scenario {
        rules: &[(USER, "-i ext0 ! -s FRIEND -j DROP", 4), (USER, "-i ext0", 2)],
        exchanges: &[
            (From::Friend, To::Container, Pass),
            (From::Stranger, To::Container, Drop),
            (From::Stranger, To::Published, Drop),
            (From::Outsider, To::Container, Drop),
            (From::Container, To::Friend, Pass),
            (From::Container, To::Stranger, Drop),
        ],
    },
    // With it, the container reaches everybody.
    Scenario {
        rules: &[
            (USER, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", 4),
            (USER, "-i ext0 ! -s FRIEND -j DROP", 2),
            (USER, "-i ext0 -s FRIEND", 2),
        ],
        exchanges: &[
            (From::Friend, To::Container, Pass),
            (From::Friend, To::Published, Pass),
            (From::Stranger, To::Container, Drop),
            (From::Outsider, To::Published, Drop),
            (From::Container, To::Friend, Pass),
            (From::Container, To::Stranger, Pass),
        ],
    },
    // A network.
    Scenario {
        rules: &[(USER, "-i ext0 ! -s NETWORK -j DROP", 2), (USER, "-i ext0", 2)],
        exchanges: &[
            (From::Friend, To::Container, Pass),
            (From::Stranger, To::Published, Pass),
            (From::Outsider, To::Container, Drop),
            (From::Outsider, To::Published, Drop),
        ],
    },
    // A range.
    Scenario {
        rules: &[(USER, "-m iprange -i ext0 ! --src-range FRIEND-STRANGER -j DROP", 1), (USER, "-i ext0", 2)],
        exchanges: &[(From::Friend, To::Container, Pass), (From::Stranger, To::Container, Pass), (From::Outsider, To::Container, Drop)],
    },
    Scenario {
        rules: &[(USER, "-m iprange -i ext0 ! --src-range FRIEND-FRIEND -j DROP", 2), (USER, "-i ext0", 1)],
        exchanges: &[(From::Friend, To::Container, Pass), (From::Stranger, To::Container, Drop), (From::Outsider, To::Container, Drop)],
    },
    // Source and destination together.
    Scenario {
        rules: &[(USER, "-i ext0 -s STRANGER -d CONTAINER -j DROP", 2), (USER, "-i ext0 -s NETWORK", 1)],
        exchanges: &[
            (From::Friend, To::Container, Pass),
            (From::Stranger, To::Container, Drop),
            (From::Stranger, To::Published, Drop),
            (From::Outsider, To::Container, Pass),
        ],
    },
    // The port as it was published, before Docker rewrote it; what is asked for directly is another.
    // Replies to the container's own requests to such a port are none of it …
    Scenario {
        rules: &[
            (USER, "-i ext0 -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP", 0),
            (USER, "-i ext0 -p udp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP", 1),
            (USER, "-i ext0", 2),
        ],
        exchanges: &[(From::Friend, To::Published, Drop), (From::Friend, To::Container, Pass), (From::Container, To::Friend, Pass)],
    },
    // … but only because of the direction.
    Scenario {
        rules: &[
            (USER, "-i ext0 -p tcp -m conntrack --ctorigdstport 8080 -j DROP", 0),
            (USER, "-i ext0 -p udp -m conntrack --ctorigdstport 8080 -j DROP", 2),
            (USER, "-i ext0", 1),
        ],
        exchanges: &[(From::Friend, To::Published, Drop), (From::Friend, To::Container, Pass), (From::Container, To::Friend, Drop)],
    },
    // Docker on a router.
    Scenario {
        rules: &[(USER, "-i ext0 -o eth1 -j ACCEPT", 2), (USER, "-i eth1 -o ext0 -j ACCEPT", 2), (USER, "", 2)],
        exchanges: &[(From::Friend, To::Lan, Pass), (From::Lan, To::Friend, Pass), (From::Friend, To::Container, Pass)],
    },
];

/// Targets that decide something, and all that let the next rule be tried.
const TARGETS: &[Scenario] = &[
    // Nobody listens at these queues. To pass one is to be accepted: nothing behind it is tried.
    Scenario {
        rules: &[
            (USER, "-i ext0 -s STRANGER -j NFQUEUE --queue-num 9", 1),
            (USER, "-i ext0 -s FRIEND -j NFQUEUE --queue-balance 9:12 --queue-bypass", 1),
            (USER, "-i ext0 -j DROP", 0),
        ],
        exchanges: &[(From::Stranger, To::Container, Drop), (From::Friend, To::Container, Pass)],
    },
    Scenario {
        rules: &[
            (USER, "-i ext0 -s STRANGER -j HMARK --hmark-tuple src,dst --hmark-mod 1 --hmark-offset 7 --hmark-rnd 1", 1),
            (USER, "-i ext0 -s STRANGER -j SET --add-set SEEN src", 1),
            (USER, "-i ext0 -j AUDIT --type drop", 2),
            (USER, "-i ext0 -j TRACE", 2),
            (USER, "-i ext0 -j CLASSIFY --set-class 1:2", 2),
            (USER, "-i ext0 -j IDLETIMER --timeout 60 --label dockgate-packets", 2),
            (USER, "-i ext0 -j RATEEST --rateest-name ext0 --rateest-interval 1s --rateest-ewmalog 8s", 2),
            (USER, "-i ext0 -j TEE --gateway FRIEND", 2),
            (USER, "-i ext0 -m mark --mark 7", 1),
            (USER, "-i ext0 -m set --match-set SEEN src -j DROP", 1),
        ],
        exchanges: &[(From::Stranger, To::Container, Drop), (From::Friend, To::Container, Pass)],
    },
    // Once taken out, nobody is in the set.
    Scenario {
        rules: &[(USER, "-i ext0 -j SET --del-set SEEN src", 2), (USER, "-i ext0 -m set --match-set SEEN src -j DROP", 0)],
        exchanges: &[(From::Stranger, To::Container, Pass), (From::Friend, To::Container, Pass)],
    },
];

fn all(test: &str, scenarios: &[Scenario]) {
    in_netns(test, || {
        if ["nft", "ipset", "iptables", "ip6tables"].iter().any(|program| !need(test, program)) {
            return;
        }
        let host = Host::build();
        for &family in host.topology.families() {
            scenarios.iter().for_each(|scenario| host.run(family, scenario));
        }
    });
}

#[test]
fn each_verdict_does_with_packets_what_it_says() {
    all("packets::scenarios::each_verdict_does_with_packets_what_it_says", VERDICTS);
}

#[test]
fn the_examples_of_dockers_manual_do_what_they_are_for() {
    all("packets::scenarios::the_examples_of_dockers_manual_do_what_they_are_for", MANUAL);
}

#[test]
fn the_other_targets_do_what_they_say() {
    all("packets::scenarios::the_other_targets_do_what_they_say", TARGETS);
}
