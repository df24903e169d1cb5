//! Each foreign content of `fixtures/iptables-encodings.json`, made with nft; what the audit says of it
//! is what the iptables that is here makes of it.

use dockgate::{
    audit::{self, Finding, Harm, Table},
    model::Family,
    netlink::Netlink,
};

use crate::{
    encodings::fixture,
    iptables::Installed,
    support::{Done, call, docker_wrote, in_netns, run},
};

/// What the audit is to say of a content.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    /// Nothing: iptables prints what it is.
    Nothing,
    /// iptables prints this instead, behind `-A`.
    Prints(&'static str),
    /// iptables refuses the table; Docker loses its jump.
    Refuses,
    /// iptables refuses the table, though not this chain.
    RefusesTable,
    /// iptables ends with an error; Docker loses its jump.
    Fails,
    /// Is gone after save and restore.
    Lost,
}
use Says::*;

/// The fixture's name of it, nft's words for it in `ip filter`, and what comes of it with 1.8.9.
const CONTENTS: &[(&str, &str, Says)] = &[
    ("none", "", Nothing),
    ("named set lookup", "add set ip filter bad { type ipv4_addr; }; RULE ip saddr @bad counter drop", Prints("DOCKER-USER -j DROP")),
    ("anon set lookup", "RULE ip saddr { 10.0.0.1, 10.0.0.2 } counter drop", Prints("DOCKER-USER -j DROP")),
    ("tcp dport anon set", "RULE tcp dport { 80, 443 } counter drop", Prints("DOCKER-USER -p tcp -j DROP")),
    (
        "lookup + iifname",
        "add set ip filter bad { type ipv4_addr; }; RULE iifname eth0 ip saddr @bad counter drop",
        Prints("DOCKER-USER -i eth0 -j DROP"),
    ),
    ("vmap", "RULE ip saddr vmap { 10.0.0.1 : drop, 10.0.0.2 : accept }", Prints("DOCKER-USER")),
    ("iifname vmap jump", "add chain ip filter other; RULE iifname vmap { eth0 : jump other }", Prints("DOCKER-USER")),
    ("native ct state", "RULE ct state new counter drop", Refuses),
    ("native reject", "RULE reject", Refuses),
    ("native log", "RULE log prefix \"x\" counter", Refuses),
    ("native log group", "RULE counter log prefix \"x\" group 5", Nothing),
    ("limit over", "RULE limit rate over 5/second counter drop", Refuses),
    ("limit bytes", "RULE limit rate 10 kbytes/second counter drop", Refuses),
    ("limit pkts", "RULE limit rate 5/second counter drop", Nothing),
    ("named counter", "add counter ip filter c; RULE counter name c drop", Refuses),
    ("meta mark set", "RULE counter meta mark set 1", Fails),
    (
        "dynset update",
        "add set ip filter seen { type ipv4_addr; flags timeout; }; RULE counter update @seen { ip saddr timeout 60s }",
        Refuses,
    ),
    ("fib", "RULE fib daddr type local counter drop", Refuses),
    ("numgen", "RULE numgen random mod 2 0 counter drop", Refuses),
    ("no counter", "RULE ip saddr 10.0.0.1 drop", Nothing),
    ("nft ports", "RULE tcp dport 80 counter drop", Nothing),
    ("nft port range", "RULE tcp dport 80-90 counter drop", Nothing),
    ("nft saddr range", "RULE ip saddr 10.0.0.1-10.0.0.9 counter drop", Prints("DOCKER-USER -s 10.0.0.9/32 -j DROP")),
    ("nft saddr/12", "RULE ip saddr 10.16.0.0/12 counter drop", Nothing),
    ("nft udata comment", "RULE ip saddr 10.0.0.1 counter drop comment \"hi\"", Nothing),
    ("ip protocol native", "RULE ip protocol udp counter drop", Nothing),
    ("meta l4proto native", "RULE meta l4proto udp counter drop", Nothing),
    ("icmp type native", "RULE icmp type echo-request counter drop", Nothing),
    ("icmp type 9 code", "RULE icmp type 3 icmp code 4 counter drop", Nothing),
    ("meta skuid", "RULE meta skuid 33 counter drop", Fails),
    ("ip ttl", "RULE ip ttl 1 counter drop", Nothing),
    ("ip length", "RULE ip length 100 counter drop", Fails),
    ("th dport", "RULE th dport 80 counter drop", Fails),
    (
        "ct in other user chain",
        "add chain ip filter other; add rule ip filter other ct state new counter drop; RULE counter jump other",
        RefusesTable,
    ),
    (
        "lookup in other user chain",
        "add chain ip filter other; add rule ip filter other ip saddr { 10.0.0.1, 10.0.0.2 } counter drop; RULE counter jump other",
        Prints("other -j DROP"),
    ),
    ("basechain own name fwd prio -10", "add chain ip filter mine { type filter hook forward priority -10; }", Lost),
    (
        "basechain own name fwd prio -10 w/ ct",
        "add chain ip filter mine { type filter hook forward priority -10; }; add rule ip filter mine ct state new drop",
        Lost,
    ),
    ("basechain own name fwd prio 0", "add chain ip filter mine { type filter hook forward priority 0; }", Lost),
    ("basechain INPUT prio 5", "add chain ip filter INPUT { type filter hook input priority 5; }", Lost),
    ("basechain ingress-ish prerouting", "add chain ip filter mine { type filter hook prerouting priority -5; }", Lost),
    ("unused named set/map", "add set ip filter bad { type ipv4_addr; }; add map ip filter m { type ipv4_addr : verdict; }", Lost),
    ("unused counter obj", "add counter ip filter c", Lost),
    (
        "own table same hook",
        "add table ip own; add chain ip own f { type filter hook forward priority 0; }; add rule ip own f ct state new drop",
        Nothing,
    ),
    (
        "own inet table",
        "add table inet own; add chain inet own f { type filter hook forward priority 0; }; add rule inet own f ct state new drop",
        Nothing,
    ),
    ("own table named security-like: ip raw", "add table ip raw; add chain ip raw f; add rule ip raw f ct state new drop", Nothing),
    ("table flags owner-like comment", "add table ip filter { comment \"mine\"; }", Nothing),
];

/// More of it, which the fixture has not.
const MORE: &[(&str, &str, Says)] = &[
    ("icmp negated", "RULE icmp type != echo-request counter drop", Prints("DOCKER-USER -p icmp -m icmp --icmp-type 8 -j DROP")),
    ("saddr greater", "RULE ip saddr > 10.0.0.5 counter drop", Prints("DOCKER-USER -s 10.0.0.5/32 -j DROP")),
    ("saddr range, not", "RULE ip saddr != 10.0.0.1-10.0.0.9 counter drop", Fails),
    ("two saddr", "RULE ip saddr != 10.0.0.1 ip saddr != 10.0.0.2 counter drop", Prints("DOCKER-USER ! -s 10.0.0.2/32 -j DROP")),
    ("tcp window", "RULE tcp window 5 counter drop", Prints("DOCKER-USER -p tcp -j DROP")),
    ("two targets", "RULE counter log group 5 drop", Prints("DOCKER-USER -j DROP")),
    (
        "limit first",
        "RULE limit rate 5/second ip saddr 10.0.0.1 counter drop",
        Prints("DOCKER-USER -s 10.0.0.1/32 -m limit --limit 5/sec -j DROP"),
    ),
    ("ether", "RULE ether saddr 00:11:22:33:44:55 counter drop", Fails),
    ("skgid set", "RULE meta skgid { 1, 2 } counter drop", Prints("DOCKER-USER -j DROP")),
    ("mark set, or", "RULE counter meta mark set meta mark | 1", Fails),
    ("quota", "RULE quota over 5 mbytes counter drop", Refuses),
    ("connlimit", "RULE ct count over 10 counter drop", Refuses),
    ("dport lt", "RULE udp dport < 1024 counter drop", Nothing),
    ("pkttype", "RULE meta pkttype broadcast counter drop", Nothing),
    ("continue", "RULE counter continue", Nothing),
    ("route", "add chain ip filter OUTPUT { type route hook output priority 0; }", Lost),
    ("ttl set", "RULE ip ttl set 5", Prints("DOCKER-USER")),
    ("mark from a map", "RULE ip saddr 10.0.0.1 meta mark set ip daddr map { 10.0.0.2 : 5 }", Fails),
    ("set without chains", "add set ip filter alone { type ipv4_addr; }", Lost),
    ("quota object", "add quota ip filter q { 10 mbytes }", Lost),
    ("limit object", "add limit ip filter l { rate 5/second }", Lost),
];

/// `iptables` with these words behind it.
fn iptables(words: &str) -> Done {
    call("iptables", words, "")
}

/// Nothing but a rule that tells which iptables is here.
fn flush() {
    run("nft", "flush ruleset");
    docker_wrote(Family::Ip);
}

/// The same, what Docker leaves behind, and the content.
fn make(content: &str) {
    flush();
    run("iptables", "-N DOCKER-USER");
    run("iptables", "-A FORWARD -j DOCKER-USER");
    call(
        "nft",
        "-f -",
        &content
            .replace("; RULE", "\nadd rule ip filter DOCKER-USER")
            .replace("RULE", "add rule ip filter DOCKER-USER")
            .replace("; add", "\nadd"),
    )
    .ok();
}

fn findings() -> Vec<Finding> {
    let mut netlink = Netlink::open().unwrap();
    audit::audit(&Table::read(&mut netlink, Family::Ip).unwrap())
}

fn harms(finding: &Finding) -> Vec<&Harm> {
    finding.harms.iter().map(|wrong| &wrong.harm).collect()
}

fn has(findings: &[Finding], name: &str) -> bool {
    findings.iter().flat_map(|finding| &finding.harms).any(|wrong| wrong.harm.name() == name)
}

/// All that is there without counters, handles and what changes with them.
fn ruleset() -> String {
    call("nft", "-s list ruleset", "").ok()
}

/// Saves, restores, and says whether that made a difference.
fn restored_as_it_was() -> bool {
    let before = ruleset();
    let saved = call("iptables-save", "", "").ok();
    assert_eq!(call("iptables-restore", "", &saved).code, 0, "{saved}");
    before.replace("\n\n", "\n") == ruleset().replace("\n\n", "\n")
}

/// What the audit says, and whether it is so.
fn verify(name: &str, content: &str, says: Says) {
    make(content);
    let findings = findings();
    let save = call("iptables-save", "-t filter", "");
    let list = |chain: &str| iptables(&format!("-n -L {chain}")).code;
    let lines = || iptables("-S").out;
    // Of whatever the content is, the rest of the findings is what stands in the table for it.
    let of_rules: Vec<&Harm> = findings.iter().filter(|one| one.number.is_some()).flat_map(harms).collect();
    match says {
        Nothing => {
            assert_eq!(findings, [], "{name}");
            assert_eq!((save.code, list("DOCKER-USER")), (0, 0), "{name}");
            assert!(!save.out.contains("incompatible") && save.out.contains(":DOCKER-USER"), "{name}: {}", save.out);
        }
        Prints(line) => {
            let [Harm::PrintedWrong { printed, lost }] = of_rules.as_slice() else { panic!("{name}: {findings:?}") };
            assert!(!lost.is_empty());
            assert_eq!(printed.as_deref(), Some(format!("-A {line}").as_str()), "{name}");
            assert!(lines().lines().any(|one| one == format!("-A {line}")), "{name}: {}", lines());
            assert_eq!(list("DOCKER-USER"), 0, "{name}");
            assert!(!restored_as_it_was(), "{name}");
        }
        Refuses | RefusesTable => {
            assert!(has(&findings, "refused"), "{name}: {findings:?}");
            assert_eq!(has(&findings, "jump-lost"), says == Refuses, "{name}");
            assert_eq!(list("DOCKER-USER") != 0, says == Refuses, "{name}");
            let listed = iptables("-S");
            assert!(listed.code == 1 && listed.err.contains("incompatible"), "{name}: {listed:?}");
            assert!(save.code == 0 && !save.out.contains("-A"), "{name}: {save:?}");
        }
        Fails => {
            let [Harm::Fails { error }, Harm::JumpLost] = of_rules.as_slice() else { panic!("{name}: {findings:?}") };
            let listed = iptables("-n -L DOCKER-USER");
            assert!(listed.code == 3 && listed.err.contains(&format!("Error: {error}")), "{name}: {error}: {listed:?}");
            assert_eq!((save.code, iptables("-S").code), (3, 3), "{name}");
        }
        Lost => {
            assert!(findings.iter().all(|one| harms(one) == [&Harm::LostOnRestore]) && !findings.is_empty(), "{name}: {findings:?}");
            let parts: Vec<&str> = findings.iter().map(|one| one.what.split([' ', '{']).nth(1).unwrap()).collect();
            assert!(!restored_as_it_was(), "{name}");
            let left = ruleset();
            assert!(
                parts.iter().all(|part| *part == "INPUT" || *part == "OUTPUT" || !left.contains(&format!(" {part} {{"))),
                "{name}: {left}"
            );
        }
    }
    assert!(findings.iter().all(|one| !one.what.is_empty() && !one.owner.is_empty() && !one.cure.is_empty()), "{findings:?}");
}

#[test]
fn it_says_of_each_content_what_iptables_makes_of_it() {
    const NAME: &str = "audit::foreign::it_says_of_each_content_what_iptables_makes_of_it";
    in_netns(NAME, || {
        let Some(installed) = Installed::find(NAME) else { return };
        let fixture = fixture();
        let known = fixture["foreign_content"].as_object().unwrap();
        let ours: Vec<&str> = CONTENTS.iter().map(|(name, ..)| *name).collect();
        assert!(known.keys().all(|name| ours.contains(&name.as_str())) && known.len() == ours.len());
        for &(name, content, says) in CONTENTS.iter().chain(MORE) {
            // Since 1.8.10 iptables has words for this.
            let later = name == "meta mark set" && installed.version >= (1, 8, 10);
            verify(name, content, if later { Nothing } else { says });
        }
    });
}

/// Chains that are wrong whatever their rules are.
#[test]
fn it_says_of_chains_what_becomes_of_them() {
    const NAME: &str = "audit::foreign::it_says_of_chains_what_becomes_of_them";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let harms = || {
            findings()
                .into_iter()
                .map(|one| (one.what.clone(), harms(&one).into_iter().cloned().collect()))
                .collect::<Vec<(String, Vec<Harm>)>>()
        };
        let restore = || call("iptables-restore", "", &call("iptables-save", "", "").ok()).code;

        let long = "a-name-of-twenty-nine-letters";
        make(&format!("add chain ip filter {long}"));
        assert_eq!(harms(), [(format!("chain {long}"), vec![Harm::NotRestored])]);
        assert_eq!(restore(), 2);

        make("add chain ip filter DROP; RULE counter jump DROP");
        assert_eq!(harms(), [("chain DROP".to_owned(), vec![Harm::TakenForVerdict, Harm::NotRestored])]);
        assert!(iptables("-S DOCKER-USER").out.contains("-A DOCKER-USER -j DROP\n"));
        assert_eq!(restore(), 2);

        // What Docker does with these two: it jumps to the one, and makes the other.
        let jump = || iptables("-I FORWARD -j DOCKER-USER");
        flush();
        call("nft", "-f -", "add table ip filter\nadd chain ip filter DOCKER-USER { type filter hook forward priority -1; }\n").ok();
        let [(what, found)] = harms().try_into().unwrap();
        assert_eq!(what, "chain DOCKER-USER { type filter hook forward priority -1; policy accept; }");
        assert_eq!(found, [Harm::LostOnRestore, Harm::JumpLost]);
        assert_ne!((jump().code, iptables("-N DOCKER-USER").code), (0, 0));
        assert_ne!(jump().code, 0);

        flush();
        call("nft", "-f -", "add table ip filter\nadd chain ip filter FORWARD { type filter hook forward priority -5; }\n").ok();
        assert_eq!(harms()[0].1, [Harm::LostOnRestore, Harm::NoStart]);
        run("iptables", "-N DOCKER-USER");
        assert_ne!(jump().code, 0);

        make("add table ip filter { flags dormant; }");
        assert_eq!(harms()[0].1, [Harm::Asleep]);
        assert!(iptables("-S").out.contains("-A FORWARD -j DOCKER-USER"));
    });
}

/// In FORWARD a rule that iptables can't read hides the jump behind it from `-C`, by which Docker asks.
#[test]
fn it_says_which_rule_hides_the_jump() {
    const NAME: &str = "audit::foreign::it_says_which_rule_hides_the_jump";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for (place, rule, hidden) in [
            ("insert", "ct state new counter drop", true),
            ("insert", "fib daddr type local counter drop", true),
            ("insert", "meta length 5 counter drop", true),
            // Refused in a list, but no matter to `-C`.
            ("insert", "counter reject", false),
            ("insert", "ip saddr { 10.0.0.1, 10.0.0.2 } counter drop", false),
            ("add", "ct state new counter drop", false),
        ] {
            make(&format!("{place} rule ip filter FORWARD {rule}"));
            assert_eq!(has(&findings(), "jump-again"), hidden, "{rule}");
            assert_eq!(iptables("-C FORWARD -j DOCKER-USER").code != 0, hidden, "{rule}");
        }
    });
}
