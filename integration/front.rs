//! What stands in front of the jump to `DOCKER-USER`, and what of it matters. Written by real iptables and
//! nft, read from the kernel.

use dockgate::{
    compile,
    docker::{Guarded, Jump, OneRule, Served, external, in_front, jump, known_pass, known_pass_first, lets_everybody},
    model::{Family, Interface},
    netlink::Netlink,
    policy::{File, Policy},
    ruleset::{Ruleset, Which},
};

use crate::{
    iptables::Installed,
    support::{call, in_netns, need},
};

/// Rules of FORWARD before the jump, in iptables' words, and chains that they lead to; and whether packets
/// from `eth0` can be accepted there, and any at all.
const RULES: [(&str, bool, bool); 24] = [
    ("-A FORWARD -j DROP -s 192.0.2.1", false, false),
    ("-A FORWARD -j REJECT -s 192.0.2.1", false, false),
    ("-A FORWARD -j LOG", false, false),
    ("-A FORWARD -j MARK --set-xmark 0x1/0x1", false, false),
    ("-A FORWARD -s 192.0.2.1", false, false),
    ("-A FORWARD -i docker0 -j ACCEPT", false, true),
    ("-A FORWARD -i lo -j ACCEPT", false, false),
    ("-A FORWARD ! -i eth0 -j ACCEPT", false, true),
    ("-A FORWARD ! -i eth+ -j ACCEPT", false, true),
    ("-A FORWARD ! -i eth1 -j ACCEPT", true, true),
    ("-A FORWARD -i eth0 -j ACCEPT", true, true),
    ("-A FORWARD -i eth+ -j ACCEPT", true, true),
    ("-A FORWARD -o docker0 -j ACCEPT", true, true),
    ("-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", false, false),
    ("-A FORWARD -m state --state ESTABLISHED -j ACCEPT", false, false),
    ("-A FORWARD -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", true, true),
    ("-A FORWARD -m conntrack ! --ctstate ESTABLISHED -j ACCEPT", true, true),
    // Its policy decides, which is ACCEPT.
    ("-A FORWARD -s 192.0.2.1 -j RETURN", true, true),
    ("-A FORWARD -s 192.0.2.1 -j NFQUEUE", true, true),
    // Docker's own first chain: stages that drop or return.
    (
        ":A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -i docker0 ! -o docker0 -j B\n-A A -j RETURN\n-A B -o docker0 -j DROP\n-A B -j RETURN",
        false,
        false,
    ),
    (":A - [0:0]\n-A FORWARD -i docker0 -j A\n-A A -j ACCEPT", false, true),
    (":A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -j B\n-A B -s 192.0.2.1 -j ACCEPT", true, true),
    (":A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -g B\n-A A -j ACCEPT\n-A B -j RETURN", false, false),
    (":A - [0:0]\n-A FORWARD -j A\n-A A -j DROP\n-A A -j ACCEPT", false, false),
];

/// The same in the words of nft, which iptables does not read.
const NATIVE: [(&str, bool, bool); 9] = [
    ("ct state established,related accept", false, false),
    ("ct state established accept", false, false),
    ("ct state new accept", true, true),
    ("ct state established,new accept", true, true),
    ("ip saddr { 192.0.2.1, 192.0.2.2 } accept", true, true),
    ("ip saddr { 192.0.2.1, 192.0.2.2 } drop", false, false),
    ("iifname \"docker0\" ct state new accept", false, true),
    ("ct state vmap { established : accept, invalid : drop }", true, true),
    ("ct state new log prefix \"x\"", false, false),
];

/// Loads a table with these rules before the jump, and reads it.
fn load(netlink: &mut Netlink, chains: &str, rules: &str) -> Ruleset {
    let text = format!(
        "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n{chains}\n{rules}\n-A FORWARD -j DOCKER-USER\n\
        -A DOCKER-USER -i eth0 -j DROP\nCOMMIT\n"
    );
    call("iptables-restore", "", &text).ok();
    Ruleset::read(netlink, Family::Ip, Which::All).unwrap()
}

fn assert_found(ruleset: &Ruleset, rule: &str, from_outside: bool, from_anywhere: bool) {
    let eth0 = Guarded::From(vec![Interface::new("eth0").unwrap()]);
    // The one rule of DOCKER-USER says which packets it stops.
    assert_eq!(Guarded::of(ruleset), eth0);
    assert!(known_pass(ruleset));
    for (guarded, expected) in [(eth0, from_outside), (Guarded::Everything, from_anywhere), (Guarded::Nothing, false)] {
        let found = in_front(ruleset, &guarded, true);
        assert_eq!(found.is_some(), expected, "{rule}: {guarded:?}: {found:?}");
    }
}

#[test]
fn what_can_accept_in_front_of_the_jump_is_found_and_nothing_else() {
    let test = "front::what_can_accept_in_front_of_the_jump_is_found_and_nothing_else";
    in_netns(test, || {
        if Installed::find(test).is_none() || !need(test, "nft") {
            return;
        }
        let mut netlink = Netlink::open().unwrap();
        for (text, from_outside, from_anywhere) in RULES {
            let (chains, rules): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with(':'));
            let ruleset = load(&mut netlink, &chains.join("\n"), &rules.join("\n"));
            assert_eq!(jump(&ruleset), Jump::At(2), "{text}");
            assert_found(&ruleset, text, from_outside, from_anywhere);
        }
        for (rule, from_outside, from_anywhere) in NATIVE {
            load(&mut netlink, "", "");
            call("nft", "-f -", &format!("insert rule ip filter FORWARD {rule}\n")).ok();
            let ruleset = Ruleset::read(&mut netlink, Family::Ip, Which::All).unwrap();
            assert_eq!(jump(&ruleset), Jump::At(2), "{rule}");
            assert_found(&ruleset, rule, from_outside, from_anywhere);
        }
        // Known connections matter to a policy that asks its rules about them.
        let ruleset = load(&mut netlink, "", "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT");
        assert!(in_front(&ruleset, &Guarded::Everything, false).is_some());
        // What is dropped before never comes as far.
        let ruleset = load(&mut netlink, "", "-A FORWARD -j DROP\n-A FORWARD -j ACCEPT");
        assert_eq!(in_front(&ruleset, &Guarded::Everything, true), None);
    });
}

#[test]
fn what_docker_user_can_stop_is_told_by_the_interface() {
    let test = "front::what_docker_user_can_stop_is_told_by_the_interface";
    in_netns(test, || {
        if Installed::find(test).is_none() {
            return;
        }
        let mut netlink = Netlink::open().unwrap();
        let from = |names: &[&str]| Guarded::From(names.iter().map(|name| Interface::new(name).unwrap()).collect());
        for (rules, expected) in [
            ("", Guarded::Nothing),
            ("-A DOCKER-USER -j RETURN", Guarded::Nothing),
            ("-A DOCKER-USER -j LOG\n-A DOCKER-USER -s 192.0.2.1 -j ACCEPT", Guarded::Nothing),
            // Behind what decides for all packets nothing is asked.
            ("-A DOCKER-USER -j RETURN\n-A DOCKER-USER -j DROP", Guarded::Nothing),
            ("-A DOCKER-USER -s 192.0.2.1 -j DROP", Guarded::Everything),
            ("-A DOCKER-USER ! -i eth0 -j DROP", Guarded::Everything),
            ("-A DOCKER-USER -i eth0 -j DROP\n-A DOCKER-USER -i wan+ -j REJECT", from(&["eth0", "wan+"])),
            ("-A DOCKER-USER -i eth+ -j mine\n-A mine -i eth1 -j DROP\n-A mine -i lan0 -j DROP", from(&["eth1"])),
            ("-A DOCKER-USER -i eth0 -j mine\n-A mine -j NFQUEUE", from(&["eth0"])),
            ("-A DOCKER-USER -i eth0 -j mine", Guarded::Nothing),
        ] {
            let text = format!("*filter\n:DOCKER-USER - [0:0]\n:mine - [0:0]\n{rules}\nCOMMIT\n");
            call("iptables-restore", "", &text).ok();
            let ruleset = Ruleset::read(&mut netlink, Family::Ip, Which::All).unwrap();
            assert_eq!(Guarded::of(&ruleset), expected, "{rules}");
        }
    });
}

#[test]
fn of_every_form_of_a_policy_the_external_interfaces_and_what_it_guards_are_told() {
    let senders: String = (0..60).map(|number| format!("'10.{number}.0.1',")).collect();
    let bodies = [
        "[[rule]]\nallow = '443/tcp'\nfrom = ['192.0.2.1']\n".to_owned(),
        format!("[[rule]]\nallow = '443/tcp'\nfrom = [{senders}]\n"),
        format!("[[rule]]\ndrop = 'any'\nfrom = [{senders}]\n"),
        "[[rule]]\nallow = ['80/tcp', '81/tcp', '82/tcp', '83/tcp']\n".to_owned(),
        "[[rule]]\ndrop = 'any'\nin = 'wg0'\nfrom = ['10.0.0.1']\n".to_owned(),
    ];
    for (index, body) in bodies.iter().enumerate() {
        for default in ["drop", "reject"] {
            for strategy in ["tree", "set", "auto"] {
                for names in ["'eth0'", "'eth0', 'wan+'"] {
                    for established in [true, false] {
                        let text = format!(
                            "external = [{names}]\ndefault = '{default}'\nstrategy = '{strategy}'\nestablished = {established}\n{body}"
                        );
                        let read = Policy::parse(vec![File::new("web.toml", text.as_str())]);
                        assert!(read.is_sound(), "{text}");
                        let compiled = compile::docker_user(&read.policy, "web", None);
                        let chains = compiled.chains(Family::Ip);
                        let first = chains[0].rules.iter().map(|saved| &saved.rule);
                        assert_eq!(external(first.clone()), read.policy.external, "{text}");
                        assert_eq!(known_pass_first(first), established, "{text}");
                        let Guarded::From(mut guarded) = Guarded::of_chains(chains) else { panic!("{text}") };
                        guarded.retain(|name| name.to_string() != "wg0");
                        guarded.sort_by_key(ToString::to_string);
                        assert_eq!(guarded, read.policy.external, "policy {index}: {text}");
                    }
                }
            }
        }
    }
}

#[test]
fn whether_a_policy_lets_everybody_reach_a_port_is_told() {
    let served = |protocol: &str, port| Served {
        protocol: protocol.to_owned(),
        host: "0.0.0.0".parse().unwrap(),
        port,
        container: "172.17.0.2".parse().unwrap(),
        container_port: 80,
    };
    let all = [("tcp", 443), ("tcp", 8080), ("udp", 443)];
    for (rules, default, expected) in [
        ("[[rule]]\nallow = '443/tcp'\n", "drop", [true, false, false]),
        ("[[rule]]\nallow = '443/tcp'\n", "reject", [true, false, false]),
        ("[[rule]]\nallow = ['443/tcp', '443/udp', '8000-8100/tcp']\n", "drop", [true; 3]),
        ("[[rule]]\nallow = '443/tcp'\nfrom = ['192.0.2.1']\n", "drop", [false; 3]),
        ("[[rule]]\ndrop = 'any'\nfrom = ['192.0.2.1']\n[[rule]]\nallow = '443/tcp'\n", "drop", [false; 3]),
        ("[[rule]]\nallow = '443/tcp'\n[[rule]]\ndrop = 'any'\nfrom = ['192.0.2.1']\n", "drop", [true, false, false]),
        ("[[rule]]\ndrop = '8080/tcp'\n", "allow", [true, false, true]),
        ("[[rule]]\nallow = '443/tcp'\nto = ['192.0.2.1']\n", "drop", [false; 3]),
        ("[[rule]]\nallow = 'any'\nlog = 'x'\n", "drop", [true; 3]),
        ("[[rule]]\naccept = { in = 'eth0', out = 'eth1' }\n", "drop", [false; 3]),
    ] {
        let text = format!("external = ['eth0', 'wan+']\ndefault = '{default}'\n{rules}");
        let read = Policy::parse(vec![File::new("web.toml", text.as_str())]);
        assert!(read.is_sound(), "{text}: {:?}", read.problems);
        let compiled = compile::docker_user(&read.policy, "web", None);
        let chains = compiled.chains(Family::Ip);
        let rules = |name: &str| {
            let chain = chains.iter().find(|chain| chain.name.as_str() == name)?;
            Some(chain.rules.iter().map(|saved| OneRule::Desired(&saved.rule)).collect::<Vec<_>>())
        };
        let guarded = Guarded::of_chains(chains);
        let found = all.map(|(protocol, port)| lets_everybody("DOCKGATE", &served(protocol, port), &guarded, &rules));
        assert_eq!(found, expected, "{text}{chains:#?}");
    }
}
