//! Which iptables the host has: only what it wrote tells, and only where nobody else writes.

use dockgate::{
    apply::host_dialect,
    model::{Dialect, Family},
    netlink::Netlink,
    ruleset::{Evidence, evidence},
};

use super::{Installed, Iptables, append, iptables, known, lines, on_each_iptables, reset, version::root};
use crate::support::{call, docker_wrote, in_netns, run};

on_each_iptables!(
    policies_and_counters_tell_nothing,
    rules_that_it_wrote_tell_which_it_is,
    the_rules_of_the_administrator_tell_nothing,
    one_family_tells_for_both,
);

fn found() -> Evidence {
    evidence(&mut Netlink::open().unwrap()).unwrap()
}

/// What dockerd does first, and all else that gives base chains counters.
fn policies_and_counters_tell_nothing(_: Installed) {
    for family in Family::BOTH {
        reset();
        assert_eq!(found(), Evidence::default(), "nothing is there");
        iptables(family, "", "-P FORWARD DROP", "").ok();
        iptables(family, "", "-t nat -P POSTROUTING ACCEPT", "").ok();
        iptables(family, "", "-Z", "").ok();
        iptables(family, "-restore", "-c", "*filter\n:INPUT DROP [1:60]\n:FORWARD DROP [7:700]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n[3:90] -A FORWARD -j DOCKER-USER\nCOMMIT\n").ok();
        iptables(family, "", "-Z FORWARD", "").ok();
        assert!(call("nft", "list ruleset", "").ok().contains("policy drop"));
        assert_eq!((found(), found().dialect()), (Evidence::default(), Dialect::Portable), "{family}");
    }
}

/// Rules that Docker writes in its own chains, as it writes them.
const TELLING: &[&str] = &[
    "-t filter DOCKER -d NET ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT",
    "-t filter DOCKER -d NET ! -i docker0 -o docker0 -p udp -m udp --dport 53 -j ACCEPT",
    "-t nat DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination TO",
    "-t nat DOCKER -d NET ! -i docker0 -p udp -m udp --dport 53 -j DNAT --to-destination TO",
];

/// Where others write as well, perhaps by an iptables of their own (a container's).
const OTHERS: &[&str] = &[
    "-t nat POSTROUTING -s NET -d NET -p tcp -m tcp --dport 80 -j MASQUERADE",
    "-t filter FORWARD -i eth0 -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT",
    "-t filter INPUT -p udp -m udp --dport 53 -m comment --comment dns -j ACCEPT",
];

/// Adds a rule, of [`TELLING`] for instance: the table, the chain, which is made if need be, and the rest.
fn add(family: Family, rule: &str) {
    let (net, to) = if family == Family::Ip { ("172.17.0.2/32", "172.17.0.2:80") } else { ("fd00::2/128", "[fd00::2]:80") };
    let rule = rule.replace("NET", net).replace("TO", to);
    let (table, rest) = rule.strip_prefix("-t ").unwrap().split_once(' ').unwrap();
    iptables(family, "", &format!("-t {table} -N {}", rest.split(' ').next().unwrap()), "");
    iptables(family, "", &format!("-t {table} -A {rest}"), "").ok();
}

fn rules_that_it_wrote_tell_which_it_is(installed: Installed) {
    for family in Family::BOTH {
        // IPv6's ports all since 1.8.8 write alike, and read each other's; that addresses come before all else tells
        // 1.8.10 and later.
        let expected = |rule: &str| match (family, installed.dialect()) {
            (Family::Ip6, Dialect::D) if !rule.contains("NET") => Dialect::B,
            (_, dialect) => dialect,
        };
        for rule in TELLING {
            reset();
            iptables(family, "", "-P FORWARD DROP", "").ok();
            add(family, rule);
            assert_eq!(found().dialect(), expected(rule), "{family} {rule}");
        }
        // Without a port: addresses come before interfaces since 1.8.10; who wrote it before is not told.
        reset();
        add(family, "-t filter DOCKER -s NET ! -o docker0 -j DROP");
        let late = installed.dialect() == Dialect::D;
        assert_eq!(found().dialect(), if late { Dialect::D } else { Dialect::Portable }, "{family}");
        assert_eq!(found().writers().count(), if late { 1 } else { 2 });
        // All together.
        reset();
        TELLING.iter().for_each(|rule| add(family, rule));
        assert_eq!(found().dialect(), installed.dialect(), "{family}");
        // What others may have written.
        reset();
        OTHERS.iter().for_each(|rule| add(family, rule));
        assert_eq!(found(), Evidence::default());
        // What every iptables writes alike.
        reset();
        for rule in ["FORWARD -j DOCKER-USER", "FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"] {
            add(family, &format!("-t filter {}", rule.replace("DOCKER-USER", "DROP")));
        }
        add(family, "-t nat PREROUTING -m addrtype --dst-type LOCAL -j RETURN");
        add(family, "-t nat DOCKER -i docker0 -j RETURN");
        add(family, "-t filter DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j RETURN");
        assert_eq!(found(), Evidence::default());
    }
}

/// Those of `DOCKER-USER` and of chains of one's own may be dockgate's, in whatever dialect.
fn the_rules_of_the_administrator_tell_nothing(installed: Installed) {
    for family in Family::BOTH {
        reset();
        let mut rules = lines::rules(family);
        rules.retain(|rule| !known::not_forwarded(&rule.to_string()));
        ["OTHER", "mine"].iter().for_each(|chain| drop(iptables(family, "", &format!("-N {chain}"), "").ok()));
        for dialect in [Dialect::A, Dialect::B, Dialect::D] {
            append(family, "DOCKER-USER", &rules, Some(dialect));
            append(family, "mine", &rules, Some(dialect));
        }
        assert_eq!(found(), Evidence::default());
        add(Family::Ip, TELLING[0]);
        assert_eq!(found().dialect(), installed.dialect(), "{family}");
    }
}

fn one_family_tells_for_both(installed: Installed) {
    reset();
    add(Family::Ip, TELLING[2]);
    iptables(Family::Ip6, "", "-P FORWARD DROP", "").ok();
    iptables(Family::Ip6, "", "-N DOCKER-USER", "").ok();
    assert_eq!(host_dialect(&mut Netlink::open().unwrap()).unwrap(), installed.dialect());
    // IPv6's rule goes with two of three, IPv4's with one of these.
    add(Family::Ip6, TELLING[2]);
    assert_eq!(host_dialect(&mut Netlink::open().unwrap()).unwrap(), installed.dialect());
}

/// nft, and who else writes nf_tables, can put into `FORWARD` what looks like iptables' own.
#[test]
fn what_others_wrote_tells_nothing() {
    const NAME: &str = "iptables::told::what_others_wrote_tells_nothing";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for rule in [
            "tcp dport 80 counter accept",
            "ip protocol tcp tcp dport 80 counter accept",
            "ip protocol tcp counter accept",
            "iifname eth0 ip saddr 10.0.0.1 counter drop",
            "ip saddr 10.0.0.1 iifname eth0 counter drop",
            "meta mark 1 counter drop",
            "tcp dport { 80, 443 } counter accept",
            "ct state new tcp dport 80 counter accept comment \"by hand\"",
        ] {
            reset();
            run("iptables", "-P FORWARD DROP");
            run("iptables", "-t nat -P POSTROUTING ACCEPT");
            run("iptables", "-N DOCKER");
            for chain in ["filter FORWARD", "nat POSTROUTING"] {
                let rule =
                    if chain.starts_with("nat") { rule.replace("accept", "masquerade").replace("drop", "masquerade") } else { rule.into() };
                call("nft", "-f -", &format!("add rule ip {chain} {rule}\n")).ok();
            }
            assert_eq!(found(), Evidence::default(), "{rule}");
        }
        // In Docker's own chain nobody writes by hand; a comment in the user data is nobody's but nft's.
        call("nft", "-f -", "add rule ip filter DOCKER tcp dport 80 counter accept comment \"by hand\"\n").ok();
        assert_eq!(found(), Evidence::default());
    });
}

/// Several have written here: the oldest must be able to read.
#[test]
fn the_oldest_of_several_is_taken() {
    const NAME: &str = "iptables::told::the_oldest_of_several_is_taken";
    let roots = [Iptables::Old, Iptables::Sid].map(|which| root(which, NAME));
    let [Some(old), Some(sid)] = roots else { return };
    in_netns(NAME, || {
        if Installed::find(NAME).is_none_or(|installed| installed.dialect() != Dialect::B) {
            return;
        }
        let programs = [
            (Dialect::A, format!("chroot {} iptables", old.display())),
            (Dialect::B, "env iptables".to_owned()),
            (Dialect::D, format!("chroot {} iptables", sid.display())),
        ];
        let add = |program: &str, words: &str| {
            let (program, root) = program.split_once(' ').unwrap();
            call(program, &format!("{root} {words}"), "").ok();
        };
        for (first, one) in &programs {
            for (second, other) in &programs {
                reset();
                add(one, "-P FORWARD DROP");
                add(one, "-t filter -N DOCKER");
                add(one, "-t filter -A DOCKER -d 172.17.0.2 -p tcp -m tcp --dport 80 -j ACCEPT");
                add(other, "-t filter -A DOCKER -d 172.17.0.3 -p tcp -m tcp --dport 81 -j ACCEPT");
                assert_eq!(found().dialect(), *first.min(second), "{first:?} {second:?}");
            }
        }
    });
}

/// A change must not take long because there are many rules: of a long chain only the beginning is read.
#[test]
fn of_long_chains_the_beginning_tells() {
    const NAME: &str = "iptables::told::of_long_chains_the_beginning_tells";
    in_netns(NAME, || {
        let Some(installed) = Installed::find(NAME) else { return };
        let telling = "-A CHAIN -p tcp -m tcp --dport 80 -m comment --comment x -j ACCEPT\n";
        let silent = "-A CHAIN -i eth0 -m comment --comment \"the same by every iptables\" -j ACCEPT\n";
        for (rules, tells) in [
            ([(1, telling), (300, silent)], true),
            ([(15, silent), (300, telling)], true),
            ([(20, silent), (300, telling)], false),
            ([(10, silent), (1, telling)], true),
        ] {
            reset();
            run("iptables", "-N DOCKER");
            for (count, rule) in rules {
                // In a user namespace a message can't be any longer than for some.
                let rule = rule.replace("CHAIN", "DOCKER");
                let text = format!("*filter\n{}COMMIT\n", rule.repeat(if count < 100 { count } else { 50 }));
                for _ in 0..count.div_ceil(100) {
                    iptables(Family::Ip, "-restore", "--noflush", &text).ok();
                }
            }
            let expected = if tells { installed.dialect() } else { Dialect::Portable };
            assert_eq!(found().dialect(), expected, "{rules:?}");
        }
        // A connection of another network namespace than the thread's.
        let mut netlink = Netlink::open().unwrap();
        docker_wrote(Family::Ip);
        std::thread::scope(|scope| {
            let elsewhere =
                scope.spawn(|| dockgate::lab::Netns::new("elsewhere").unwrap().run(|| evidence(&mut netlink).unwrap().dialect()).unwrap());
            assert_eq!(elsewhere.join().unwrap(), installed.dialect(), "what short chains tell");
        });
    });
}
