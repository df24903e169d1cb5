//! The whole language, by real packets in namespaces.

use std::fs;

use dockgate::{
    compile,
    model::{Family, Protocol},
    policy::{File, Policy},
};

use super::world::{
    Exchange,
    Fate::{self, Drop, Pass, Reject},
    To, Who, World, compiled,
};
use crate::support::{in_netns, need};

const ONE: Who = Who::Client(1);
const WEB: To = To::Host(8080);

/// A policy and what becomes of packets.
type Case = (&'static str, &'static [(Who, To, Fate)]);

/// Who may come: sources of each form, with the addresses at their ends and those beside them.
const SOURCES: &[Case] = &[
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = 'any'\nfrom = [@1]",
        &[
            (ONE, WEB, Pass),
            (Who::Client(2), WEB, Drop),
            (Who::Far, WEB, Drop),
            (Who::Container, To::Client, Pass),
            (Who::Container, To::Lan, Pass),
        ],
    ),
    (
        "external = 'ext0'\ndefault = 'reject'\n[[rule]]\nallow = 'any'\nfrom = [@44-50]",
        &[
            (Who::Client(43), WEB, Reject),
            (Who::Client(44), WEB, Pass),
            (Who::Client(47), WEB, Pass),
            (Who::Client(50), WEB, Pass),
            (Who::Client(51), WEB, Reject),
        ],
    ),
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = 'any'\nfrom = [@44/30]",
        &[(Who::Client(43), WEB, Drop), (Who::Client(44), WEB, Pass), (Who::Client(47), WEB, Pass), (Who::Client(48), WEB, Drop)],
    ),
    // Several groups and addresses together; what a rule before them decides is decided.
    (
        "external = 'ext0'\ndefault = 'drop'\n[groups]\noffice = [@44/30, @50]\nfar = ['198.51.100.0/24', '2001:db8::/32']\n\
         [[rule]]\nreject = 'any'\nfrom = [@45]\n[[rule]]\nallow = 'any'\nfrom = ['office', 'far', @60]",
        &[
            (Who::Client(44), WEB, Pass),
            (Who::Client(45), WEB, Reject),
            (Who::Client(50), WEB, Pass),
            (Who::Client(60), WEB, Pass),
            (Who::Far, WEB, Pass),
            (Who::Client(43), WEB, Drop),
        ],
    ),
    // Everybody but some.
    (
        "external = 'ext0'\ndefault = 'allow'\n[[rule]]\ndrop = 'any'\nfrom = ['0.0.0.0-198.51.100.6', '198.51.100.8-255.255.255.255', '::-2001:db8::6', '2001:db8::8-ffff::']",
        &[(Who::Far, WEB, Pass), (ONE, WEB, Drop), (Who::Client(51), WEB, Drop)],
    ),
];

/// Which ports: as the client asked for them.
const PORTS: &[Case] = &[
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = ['443/tcp', '443/udp']",
        &[(ONE, To::Host(443), Pass), (ONE, WEB, Drop), (ONE, To::Container, Drop), (Who::Lan, WEB, Pass)],
    ),
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = ['8010-8020/tcp', '8010-8020/udp', '8030/tcp', '8030/udp']",
        &[
            (ONE, To::Host(8009), Drop),
            (ONE, To::Host(8010), Pass),
            (ONE, To::Host(8020), Pass),
            (ONE, To::Host(8021), Drop),
            (ONE, To::Host(8030), Pass),
            (ONE, To::Host(8031), Drop),
        ],
    ),
    // The first that decides wins, whatever stands behind it.
    (
        "external = 'ext0'\ndefault = 'allow'\n[[rule]]\nallow = ['8080/tcp', '8080/udp']\nfrom = [@1]\n\
         [[rule]]\nreject = ['8080/tcp', '8080/udp']\nfrom = [@1-2]\n[[rule]]\ndrop = ['8080-8081/tcp', '8080-8081/udp']",
        &[
            (ONE, WEB, Pass),
            (Who::Client(2), WEB, Reject),
            (Who::Far, WEB, Drop),
            (ONE, To::Host(8081), Drop),
            (Who::Far, To::Host(8082), Pass),
            // A container's own connection to such a port is none of that.
            (Who::Container, To::Client, Pass),
        ],
    ),
    // Nothing is known of the container's address or its port, and nothing needs to be.
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = ['8080/tcp', '8080/udp']",
        &[(ONE, WEB, Pass), (ONE, To::Container, Drop), (Who::Lan, To::Container, Pass)],
    ),
    // What is not published Docker does not know, allowed or not: nobody answers on the host itself.
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = 'any'",
        &[(ONE, To::Host(7000), Reject), (ONE, WEB, Pass), (ONE, To::Lan, Drop)],
    ),
    // The address that the client asked for.
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = ['8080/tcp', '8080/udp']\nto = ['10.9.0.1', 'fd00:9::1']\n\
         [[rule]]\nreject = 'any'\nto = ['10.9.0.0/24', 'fd00:9::/64']",
        &[(ONE, To::Other(8080), Pass), (ONE, WEB, Drop), (ONE, To::Other(8081), Reject)],
    ),
];

/// By which interface.
const INTERFACES: &[Case] = &[
    // Two that face the outside.
    (
        "external = ['ext0', 'eth1']\ndefault = 'drop'\n[[rule]]\nallow = 'any'\nfrom = [@1, '10.9.0.0/24', 'fd00:9::/64']",
        &[(ONE, WEB, Pass), (Who::Client(2), WEB, Drop), (Who::Lan, WEB, Pass)],
    ),
    ("external = ['ext0', 'eth1']\ndefault = 'drop'\n[[rule]]\nallow = 'any'\nfrom = [@1]", &[(ONE, WEB, Pass), (Who::Lan, WEB, Drop)]),
    (
        "external = 'e+'\ndefault = 'reject'",
        &[(ONE, WEB, Reject), (Who::Lan, WEB, Reject), (Who::Container, To::Client, Pass), (Who::Container, To::Lan, Pass)],
    ),
    // A rule for another interface, and one for where packets go.
    (
        "external = 'ext0'\ndefault = 'allow'\n[[rule]]\nreject = 'any'\nin = 'eth+'\nout = 'docker0'\n[[rule]]\ndrop = 'any'\nin = 'docker0'\nout = ['ext0', 'ext1']",
        &[(ONE, WEB, Pass), (Who::Lan, WEB, Reject), (Who::Container, To::Client, Drop), (Who::Container, To::Lan, Pass)],
    ),
    // An interface in one of the two lists and in both.
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nreject = ['8080/tcp', '8080/udp']\nin = 'e+'\n[[rule]]\nallow = ['8081/tcp', '8081/udp']\nin = ['ext0', 'eth1']",
        &[
            (ONE, WEB, Reject),
            (Who::Lan, WEB, Reject),
            (ONE, To::Host(8081), Pass),
            (Who::Lan, To::Host(8082), Pass),
            (ONE, To::Host(8082), Drop),
        ],
    ),
    // A router, past Docker's policy DROP: there and back, and no other way.
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\naccept = { in = 'ext0', out = 'eth1' }\nfrom = [@1]",
        &[(ONE, To::Lan, Pass), (Who::Client(2), To::Lan, Drop), (Who::Lan, To::Client, Drop), (ONE, WEB, Drop)],
    ),
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\naccept = 'any'\nfrom = [@1]",
        &[(ONE, To::Lan, Pass), (ONE, WEB, Pass), (Who::Client(2), To::Lan, Drop)],
    ),
    // The same in iptables' words.
    (
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\niptables = '-i eth1 -o ext0 -j ACCEPT'",
        &[(Who::Lan, To::Client, Pass), (ONE, To::Lan, Drop)],
    ),
    (
        "external = 'ext0'\ndefault = 'allow'\n[[rule]]\niptables = '-i ext0 -p tcp --dport 80 -m conntrack --ctorigdstport 8081 -j REJECT'\n\
         [[rule]]\niptables = '-i ext0 -p udp --dport 80 -m conntrack --ctorigdstport 8081 -j REJECT'",
        &[(ONE, WEB, Pass), (ONE, To::Host(8081), Reject), (Who::Lan, To::Host(8081), Pass)],
    ),
];

/// What is known already.
const ESTABLISHED: &[Case] = &[
    ("external = 'ext0'\ndefault = 'drop'", &[(Who::Container, To::Client, Pass), (Who::Container, To::Lan, Pass), (ONE, WEB, Drop)]),
    // Without that, answers to containers come from outside as everything does …
    (
        "external = 'ext0'\ndefault = 'drop'\nestablished = false\n[[rule]]\nallow = ['8080/tcp', '8080/udp']",
        &[(Who::Container, To::Client, Drop), (Who::Container, To::Lan, Pass), (ONE, WEB, Pass)],
    ),
    // … but are no connections to a port of ours, whose number they have.
    (
        "external = 'ext0'\ndefault = 'allow'\nestablished = false\n[[rule]]\ndrop = ['8080/tcp', '8080/udp']",
        &[(Who::Container, To::Client, Pass), (ONE, WEB, Drop)],
    ),
    ("external = 'ext0'\ndefault = 'allow'", &[(ONE, WEB, Pass), (Who::Client(2), To::Container, Pass), (ONE, To::Lan, Drop)]),
];

/// Many sources for many ports, which are chains of their own: what comes behind goes on, for who is
/// in them and who isn't.
fn many(action: &str, behind: &str) -> String {
    let from: Vec<String> = (44..64).map(|last| format!("@{last}")).collect();
    let ports: Vec<String> = (0..4).flat_map(|port| [format!("'{}/tcp'", 8100 + 2 * port), format!("'{}/udp'", 8100 + 2 * port)]).collect();
    format!(
        "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nname = 'many'\n{action} = [{}]\nfrom = [{}]\n{behind}\n[[rule]]\nallow = 'any'\nfrom = [@2]",
        ports.join(", "),
        from.join(", ")
    )
}

fn all(test: &str, cases: &[Case]) {
    in_netns(test, || {
        if !need(test, "iptables") {
            return;
        }
        let mut world = World::build("language", CLIENTS);
        for (policy, exchanges) in cases {
            world.apply(policy);
            world.check(policy, exchanges);
        }
    });
}

const CLIENTS: [u8; 10] = [43, 44, 45, 47, 48, 50, 51, 60, 63, 64];

#[test]
fn who_may_come() {
    all("meaning::language::who_may_come", SOURCES);
}

#[test]
fn to_which_ports() {
    all("meaning::language::to_which_ports", PORTS);
}

#[test]
fn by_which_interfaces() {
    all("meaning::language::by_which_interfaces", INTERFACES);
}

#[test]
fn what_is_known_already() {
    all("meaning::language::what_is_known_already", ESTABLISHED);
}

#[test]
fn many_sources_for_many_ports() {
    let test = "meaning::language::many_sources_for_many_ports";
    in_netns(test, || {
        if !need(test, "iptables") {
            return;
        }
        let mut world = World::build("many", CLIENTS);
        let policy = many("allow", "[[rule]]\nreject = ['8100-8200/tcp', '8100-8200/udp']");
        // Not in a row: by ways between chains.
        assert!(compiled(&policy).chains(Family::Ip).len() > 3);
        world.apply(&policy);
        let first = [
            (Who::Client(44), To::Host(8100), Pass),
            (Who::Client(63), To::Host(8106), Pass),
            (Who::Client(44), To::Host(8101), Reject),
            (Who::Client(43), To::Host(8100), Reject),
            (Who::Client(64), To::Host(8104), Reject),
            (Who::Client(2), To::Host(8102), Reject),
            (Who::Client(2), WEB, Pass),
            (Who::Client(44), WEB, Drop),
            (Who::Container, To::Client, Pass),
        ];
        world.check(&policy, &first);
        let policy = many("reject", "");
        world.apply(&policy);
        let second = [
            (Who::Client(44), To::Host(8100), Reject),
            (Who::Client(63), To::Host(8106), Reject),
            (Who::Client(44), To::Host(8101), Drop),
            (Who::Client(2), To::Host(8102), Pass),
            (Who::Client(43), To::Host(8100), Drop),
        ];
        world.check(&policy, &second);
        // Docker is handed what is allowed, and before it come others' rules, behind our jump.
        let others = [(Family::Ip, "192.168.1.50"), (Family::Ip6, "fd00:1::32")];
        others.iter().for_each(|(family, from)| drop(world.iptables(*family, "", &format!("-A DOCKER-USER -s {from} -j REJECT"), "").ok()));
        let policy = many("allow", "");
        world.apply(&policy);
        let third = [
            (Who::Client(50), To::Host(8100), Reject),
            (Who::Client(51), To::Host(8100), Pass),
            (Who::Client(50), To::Host(8101), Drop),
            (Who::Client(43), To::Host(8100), Drop),
        ];
        world.check(&policy, &third);
        for (family, from) in others {
            let rules = world.iptables(family, "", "-S DOCKER-USER", "").ok();
            let rules: Vec<&str> = rules.lines().collect();
            assert!(rules[1].ends_with("-j DOCKGATE") && rules[2].contains(from) && rules.len() == 3, "{rules:?}");
        }
        world.gate.remove().unwrap();
        world.check("removed", &[(Who::Client(50), WEB, Reject), (Who::Client(43), WEB, Pass)]);
        for (family, _) in others {
            assert!(!world.iptables(family, "-save", "", "").ok().contains("DOCKGATE"));
        }
    });
}

#[test]
fn what_is_logged_is_counted_and_goes_on() {
    let test = "meaning::language::what_is_logged_is_counted_and_goes_on";
    in_netns(test, || {
        if !need(test, "iptables") {
            return;
        }
        let mut world = World::build("logged", CLIENTS);
        let policy = "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nlog = 'seen \"it\" '\n[[rule]]\nallow = '8080/udp'\nfrom = [@1]\nlog = 'in '\n\
                      [[rule]]\nreject = 'any'\nlog = 'no '\nfrom = [@44-50]";
        world.apply(policy);
        let udp = |from, fate| Exchange { from, to: WEB, protocol: Protocol::UDP, fate };
        world.check_each(policy, &[udp(ONE, Pass), udp(Who::Client(44), Reject), udp(Who::Client(43), Drop), udp(Who::Far, Drop)]);
        for &family in world.topology.families() {
            let counted = world.counted(family, "DOCKGATE-OUTSIDE");
            let packets: Vec<u64> = counted.iter().map(|(_, packets)| *packets).collect();
            assert_eq!(packets, [4, 1, 1, 1, 1, 2], "{counted:#?}");
            assert!(counted[0].0.ends_with("-j LOG --log-prefix \"seen \\\"it\\\" \""), "{counted:?}");
        }
    });
}

#[test]
fn a_group_may_stand_in_a_file() {
    let test = "meaning::language::a_group_may_stand_in_a_file";
    in_netns(test, || {
        if !need(test, "iptables") {
            return;
        }
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("group-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("partners.txt"),
            "# ours\n192.168.1.44 # one\n\n  192.168.1.47-192.168.1.50\nfd00:1::2c/127\nfd00:1::2f-fd00:1::32\n",
        )
        .unwrap();
        let policy = "external = 'ext0'\ndefault = 'drop'\n[groups]\npartners = { file = 'partners.txt' }\n[[rule]]\nallow = 'any'\nfrom = 'partners'";
        fs::write(folder.join("10-policy.toml"), policy).unwrap();
        let mut world = World::build("group", CLIENTS);
        let read = Policy::load(std::slice::from_ref(&folder)).unwrap();
        assert!(read.is_sound(), "{:?}", read.problems);
        let compiled = compile::docker_user(&read.policy, "policy", None);
        world.gate.apply(&compiled).unwrap();
        world.read_by_iptables(&compiled);
        let exchanges = [
            (Who::Client(43), WEB, Drop),
            (Who::Client(44), WEB, Pass),
            (Who::Client(47), WEB, Pass),
            (Who::Client(50), WEB, Pass),
            (Who::Client(51), WEB, Drop),
        ];
        world.check(policy, &exchanges);
        fs::remove_dir_all(&folder).unwrap();
    });
}

#[test]
fn iptables_reads_every_form() {
    let test = "meaning::language::iptables_reads_every_form";
    in_netns(test, || {
        if !need(test, "iptables") {
            return;
        }
        let mut world = World::build("forms", []);
        let groups: Vec<String> = (0..100).map(|n| format!("'10.0.{n}.1', '2001:db8:{n}::1'")).collect();
        for policy in [
            // This kernel may know no SCTP; the rules are the same.
            "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = ['5000/sctp', '5001-5003/sctp', 'any/udp']\n[[rule]]\nreject = 'any/sctp'".to_owned(),
            "external = '+'\ndefault = 'drop'\n[[rule]]\nallow = '1-65535/tcp'\nto = ['0.0.0.0/0', '::/0']\nfrom = ['0.0.0.0/0', '::/0']".to_owned(),
            "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = '80/tcp'\nto = ['10.9.0.1-10.9.0.6', 'fd00::1-fd00::6']\ncomment = 'a \"b\" \\ ü'".to_owned(),
            // What the rule says is longer than a comment.
            format!("external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = ['80/tcp', '81/tcp', '82/udp']\nfrom = [{}]", groups.join(", ")),
            // Two rules of one name.
            ["web", "web", "others"].iter().fold("external = 'ext0'\ndefault = 'drop'".to_owned(), |text, name| {
                let nth = text.len();
                text + &format!("\n[[rule]]\nname = '{name}'\nallow = ['{nth}/tcp', '{nth}/udp']\nfrom = [{}]", groups.join(", "))
            }),
        ] {
            world.apply(&policy);
        }
    });
}

#[test]
fn what_a_rule_of_iptables_cannot_have_is_refused() {
    for rule in ["comment = '!'", "name = '!'", "log = '!'", "in = '!'"] {
        let text = format!("external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = '80/tcp'\n{rule}");
        let read = Policy::parse(vec![File::new("policy.toml", text)]);
        assert!(!read.is_sound(), "{rule}");
    }
}
