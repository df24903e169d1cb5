//! What holds for all policies.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr},
};

use dockgate::{
    compile,
    model::{Family, Protocol},
    policy::{Action, Addresses, Block, Expected, File, Lines, Policy, Ports, Read, State, Verdict},
};
use proptest::prelude::*;

use super::folder;

fn parse(text: &str) -> Read {
    Policy::parse(vec![File::new("policy.toml", text)])
}

/// Every problem lies within its file, on whole characters of one line; without any, it compiles.
fn holds(read: &Read) -> Result<(), TestCaseError> {
    for problem in &read.problems {
        let text = &read.policy.files[problem.file].text;
        let lines = Lines::new(text);
        let (line, span) = problem.line(&lines);
        prop_assert!(span.start <= span.end && span.end <= lines.text(line).len(), "{problem:?}");
        prop_assert!(text.is_char_boundary(problem.span.start) && lines.text(line).is_char_boundary(span.start), "{problem:?}");
        prop_assert!(!problem.message.is_empty());
    }
    if read.is_sound() {
        compile::docker_user(&read.policy, "policy", None);
    }
    Ok(())
}

/// Words of policies, in any order.
fn soup() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "external",
        "default",
        "established",
        "groups",
        "rule",
        "test",
        "allow",
        "drop",
        "accept",
        "log",
        "iptables",
        "from",
        "to",
        "in",
        "out",
        "name",
        "comment",
        "packet",
        "expect",
        "file",
        "ports",
        " = ",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        ", ",
        "\"",
        "'",
        "\"\"\"",
        "\n",
        "\r\n",
        "\n[[rule]]\n",
        "\n[groups]\n",
        "\n[[test]]\n",
        "\"443/tcp\"",
        "\"any\"",
        "\"10.0.0.0/8\"",
        "\"::1-::9\"",
        "\"eth0\"",
        "\"-s 10.0.0.1 -j DROP\"",
        "büro",
        "☃",
        "\\",
        "\\n",
        "#",
        "1",
        "true",
        "\u{feff}",
        "\t",
        ".",
        "-",
    ];
    prop::collection::vec(prop::sample::select(WORDS), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_text_is_read(text in any::<String>()) {
        holds(&parse(&text))?;
    }

    #[test]
    fn any_words_are_read(text in soup()) {
        holds(&parse(&text))?;
    }

    #[test]
    fn a_policy_with_a_slip_is_read(at in any::<prop::sample::Index>(), length in 0usize..9, slip in soup()) {
        let text = fs::read_to_string(folder().join("all.toml")).unwrap();
        let mut characters: Vec<char> = text.chars().collect();
        let start = at.index(characters.len());
        let end = (start + length).min(characters.len());
        characters.splice(start..end, slip.chars().take(9));
        holds(&parse(&characters.into_iter().collect::<String>()))?;
    }
}

/// A word for a block, and what it says.
fn block() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).to_string()),
        (any::<u32>(), 1u32..=32)
            .prop_map(|(bits, length)| { format!("{}/{length}", Ipv4Addr::from_bits(bits & (u32::MAX << (32 - length)))) }),
        (any::<u32>(), any::<u32>()).prop_map(|(a, b)| format!("{}-{}", Ipv4Addr::from_bits(a.min(b)), Ipv4Addr::from_bits(a.max(b)))),
        // Global addresses, none of which is IPv4 in disguise.
        (any::<u128>(), 3u32..=128).prop_map(|(bits, length)| {
            let first = (bits >> 3 | 1 << 125) & (u128::MAX << (128 - length));
            format!("{}/{length}", std::net::Ipv6Addr::from_bits(first))
        }),
    ]
}

fn port() -> impl Strategy<Value = String> {
    let protocol = || prop::sample::select(vec!["tcp", "udp", "sctp"]);
    prop_oneof![
        (1u16.., protocol()).prop_map(|(port, protocol)| format!("{port}/{protocol}")),
        (1u16.., 1u16.., protocol()).prop_map(|(a, b, protocol)| format!("{}-{}/{protocol}", a.min(b), a.max(b))),
        protocol().prop_map(|protocol| format!("any/{protocol}")),
    ]
}

fn interface() -> impl Strategy<Value = String> {
    "[a-z#;$&()<>|~`?=%,._^][a-z0-9#;$&()<>|~`?=%,._^!-]{0,13}\\+?"
}

/// A rule as its file has it, and as it is printed.
#[derive(Debug, Clone)]
struct Rule {
    verdict: &'static str,
    port: Option<String>,
    from: Vec<String>,
    inward: Option<String>,
    outward: Option<String>,
    comment: Option<String>,
    log: Option<String>,
}

fn rule() -> impl Strategy<Value = Rule> {
    (
        prop::sample::select(vec!["allow", "drop", "reject", "accept"]),
        prop::option::of(port()),
        prop::collection::vec(block(), 0..4),
        prop::option::of(interface()),
        prop::option::of(interface()),
        prop::option::of("[a-zA-Z☃\"'\\\\ü][ -~]{0,40}"),
        // A `!` alone is no text to iptables, and refused.
        prop::option::of("[ -~]{1,29}".prop_filter("text", |text| text != "!")),
    )
        .prop_map(|(verdict, port, from, inward, outward, comment, log)| Rule { verdict, port, from, inward, outward, comment, log })
}

/// As JSON has it, which TOML reads as well.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn file(rule: &Rule) -> String {
    let mut text = format!("[[rule]]\n{} = {}\n", rule.verdict, quoted(rule.port.as_deref().unwrap_or("any")));
    if !rule.from.is_empty() {
        writeln!(text, "from = {:?}", rule.from).unwrap();
    }
    for (key, value) in [("in", &rule.inward), ("out", &rule.outward), ("comment", &rule.comment), ("log", &rule.log)] {
        if let Some(value) = value {
            writeln!(text, "{key} = {}", quoted(value)).unwrap();
        }
    }
    text
}

proptest! {
    #[test]
    fn what_is_written_is_read(rules in prop::collection::vec(rule(), 0..5)) {
        let mut text = "external = [\"outside\"]\ndefault = \"drop\"\n".to_owned();
        rules.iter().for_each(|rule| text += &file(rule));
        let read = parse(&text);
        // Rules by chance may hide each other; nothing else is wrong.
        let other = read.problems.iter().find(|problem| !problem.message.starts_with("no packet reaches"));
        prop_assert!(other.is_none(), "{other:?} in\n{text}");
        compile::docker_user(&read.policy, "policy", None);
        prop_assert_eq!(read.policy.rules.len(), rules.len());
        for (read, rule) in read.policy.rules.iter().zip(&rules) {
            let list = |word: &str, all: &[String]| if all.is_empty() { String::new() } else { format!(" {word} {}", all.join(", ")) };
            let printed = format!(
                "{} {}{}{}{}",
                rule.verdict,
                rule.port.as_deref().unwrap_or("any"),
                list("from", &rule.from),
                list("in", rule.inward.as_slice()),
                list("out", rule.outward.as_slice()),
            );
            // A range of one port is that port.
            let printed = rule.port.as_ref().map_or(printed.clone(), |port| printed.replace(port, &Ports::parse(port).unwrap().to_string()));
            prop_assert_eq!(read.to_string(), printed);
            prop_assert_eq!((&read.comment, &read.log), (&rule.comment, &rule.log));
            let addresses: Option<Addresses> = (!rule.from.is_empty()).then(|| rule.from.iter().map(|word| Block::parse(word).unwrap()).collect());
            prop_assert_eq!(read.from.as_ref().map(|from| &from.addresses), addresses.as_ref());
        }
    }

    #[test]
    fn blocks_print_what_they_are(word in block()) {
        let block = Block::parse(&word).unwrap();
        prop_assert_eq!(Block::parse(&block.to_string()), Ok(block));
    }

    /// Of rules with so few addresses, ports and interfaces, every packet can be tried.
    #[test]
    fn a_rule_is_called_unreachable_just_if_no_packet_reaches_it(
        rules in prop::collection::vec((0u8..4, 0u8..8, 0u8..8, 0u8..3, 0u8..3, 0u8..3), 1..8)
    ) {
        let mut text = "external = \"e0\"\ndefault = \"drop\"\n".to_owned();
        for &(action, a, b, port, inward, to) in &rules {
            let action = ["allow", "drop", "accept", "log"][usize::from(action)];
            text += "[[rule]]\n";
            match action {
                "log" => text += "log = \"x\"\n",
                _ => writeln!(text, "{action} = {}", ["\"any\"", "\"1/tcp\"", "[\"1/tcp\", \"2/tcp\"]"][usize::from(port)]).unwrap(),
            }
            writeln!(text, "from = \"10.0.0.{}-10.0.0.{}\"", a.min(b), a.max(b)).unwrap();
            text += ["", "in = \"e1\"\n", "in = \"e+\"\n"][usize::from(inward)];
            text += ["", "to = \"10.1.0.0\"\n", "to = \"10.1.0.0/31\"\n"][usize::from(to)];
        }
        let read = parse(&text);
        let policy = &read.policy;
        prop_assert_eq!(policy.rules.len(), rules.len());
        let mut reached = vec![false; rules.len()];
        // Of all packets that the policy can tell apart, the rules that each reaches.
        for from in 0..8 {
            for packet in [("e0", 0), ("e0", 1), ("e0", 2), ("e1", 0), ("e1", 1), ("e1", 2)] {
                for port in 1..=3 {
                    for (index, rule) in policy.rules.iter().enumerate() {
                        if matches(policy, rule, from, packet, port) {
                            reached[index] = true;
                            if rule.action != Action::Log {
                                break;
                            }
                        }
                    }
                }
            }
        }
        for (index, rule) in policy.rules.iter().enumerate() {
            let called = read.problems.iter().any(|problem| problem.span.start == position(&text, rule.place.line));
            // What is called unreachable is. What is hidden by rules for one packet each, together,
            // may pass unnoticed: only sources are added up.
            prop_assert!(!(called && reached[index]), "{} in\n{text}", rule);
            let one = policy.rules[..index].iter().any(|before| before.action != Action::Log && covers(policy, before, rule));
            prop_assert!(called || !one, "{} in\n{text}", rule);
        }
    }
}

fn position(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line - 1).map(str::len).sum()
}

fn matches(policy: &Policy, rule: &dockgate::policy::PolicyRule, from: u8, (inward, to): (&str, u8), port: u16) -> bool {
    let has = |sources: &Option<dockgate::policy::Sources>, address: [u8; 4]| {
        let block = Block::parse(&Ipv4Addr::from(address).to_string()).unwrap();
        sources.as_ref().is_none_or(|sources| sources.addresses.has(&block))
    };
    let names = if rule.inward.is_empty() { &policy.external } else { &rule.inward };
    let inward = dockgate::model::Interface::new(inward).unwrap();
    let ports = Ports::parse(&format!("{port}/tcp")).unwrap();
    has(&rule.from, [10, 0, 0, from])
        && has(&rule.to, [10, 1, 0, to])
        && names.iter().any(|name| name.covers(&inward))
        && (rule.ports.is_empty() || rule.ports.iter().any(|own| own.covers(&ports)))
}

/// Does one rule match all that the other does, of the packets above?
fn covers(policy: &Policy, wide: &dockgate::policy::PolicyRule, narrow: &dockgate::policy::PolicyRule) -> bool {
    let names = |rule: &dockgate::policy::PolicyRule| if rule.inward.is_empty() { policy.external.clone() } else { rule.inward.clone() };
    let inward = names(narrow).iter().all(|name| names(wide).iter().any(|other| other.covers(name)));
    let ports = wide.ports.is_empty()
        || (!narrow.ports.is_empty() && narrow.ports.iter().all(|port| wide.ports.iter().any(|other| other.covers(port))));
    let sources = |wide: &Option<dockgate::policy::Sources>, narrow: &Option<dockgate::policy::Sources>| match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => wide.addresses.covers(&narrow.addresses),
    };
    inward && ports && sources(&wide.from, &narrow.from) && sources(&wide.to, &narrow.to)
}

#[test]
fn all_of_the_language_means_what_it_says() {
    let read = Policy::load(&[folder().join("all.toml")]).unwrap();
    assert_eq!(read.problems, []);
    assert_eq!(read.groups, ["office", "one", "partners", "the lab"]);
    let policy = read.policy;
    assert_eq!((policy.default, policy.established), (Verdict::Reject, false));
    let rules: Vec<String> = policy.rules.iter().map(ToString::to_string).collect();
    assert_eq!(
        rules,
        [
            "allow 80/tcp, 443/tcp, 8000-8010/udp, any/sctp from office, 203.0.113.9, the lab to 192.168.1.99, 2001:db8:1::99",
            "allow 22/tcp from one in eth0",
            "drop any from partners in eth1, tun+ out br-0123456789ab",
            "accept 53/udp in eth1 out eth2, eth3",
            "accept any in eth1 out eth2",
            "reject any/tcp from 192.0.2.0/24",
            "log any from 0.0.0.0/0",
            "iptables -i eth0 -m string --string \"evil\" --algo bm -j DROP",
            "iptables -p ipv6-icmp -m icmp6 --icmpv6-type 128 -m comment --comment \"only for IPv6\" -j RETURN",
            "allow any in eth4 out eth5",
        ]
    );
    let portal = &policy.rules[0];
    assert_eq!(portal.title(), "customer portal");
    assert_eq!((portal.name.as_deref(), portal.log.as_deref(), portal.place.line), (Some("portal"), Some("portal "), 12));
    let from = &portal.from.as_ref().unwrap().addresses;
    let printed = |family| from.of(family).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(printed(Family::Ip), ["10.1.2.3-10.1.2.9", "192.168.1.0/24", "198.51.100.64/26", "203.0.113.7", "203.0.113.9"]);
    assert_eq!(printed(Family::Ip6), ["2001:db8:1::/48", "2001:db8:2::1-2001:db8:2::9"]);
    let partners = &policy.rules[2].from.as_ref().unwrap().addresses;
    assert_eq!(partners.into_iter().count(), 4);
    // The first line is for both families, the second for IPv6 alone.
    let families = |index: usize| match &policy.rules[index].action {
        Action::Raw(rules) => rules.iter().map(|(family, _)| *family).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!((families(7), families(8)), (vec![Family::Ip, Family::Ip6], vec![Family::Ip6]));
    let test = &policy.tests[0];
    assert_eq!(test.name, "the office reaches the portal");
    let packet = test.packet;
    assert_eq!((packet.from, packet.to), (IpAddr::from([192, 168, 1, 7]), Some(IpAddr::from([192, 168, 1, 99]))));
    assert_eq!((packet.port, packet.protocol, test.expect), (Some(443), Some(Protocol::TCP), Expected::Pass));
    assert_eq!((packet.outward, packet.state), (None, State::New));
    assert_eq!(policy.tests[1].name, "the test at line 63");
}
