//! The same with the kernel: what it says afterwards, by dockgate and by iptables.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use dockgate::{
    compile::Compiled,
    live::{History, Host},
    model::{ChainName, Counters, DOCKER_USER, Family, Handle},
    netlink::Netlink,
    plan::ours::ChangeKind,
    rule::Rule,
    ruleset::{Ruleset, Which},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use super::{
    folder,
    policies::{compiled, text},
};
use crate::{
    iptables::Installed,
    support::{Stop, call, in_netns, run},
};

const OTHERS: &[&str] = &["-s 192.0.2.1/32 -j DROP", "-i eth7 -p tcp -m tcp --dport 22 -j RETURN", "-s 192.0.2.2/32 -j DROP"];

fn command(family: Family, line: &str) -> String {
    call(family.command(), line, "").ok()
}

/// `iptables -S` of what is ours, in the order of the chains' names; DOCKER-USER is all of it.
fn listed(family: Family) -> BTreeMap<String, Vec<String>> {
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in command(family, "-S").lines() {
        if let Some(name) = line.strip_prefix("-N ") {
            chains.entry(name.to_owned()).or_default();
        }
        if let Some((chain, rule)) = line.strip_prefix("-A ").map(|rest| rest.split_once(' ').unwrap_or((rest, ""))) {
            chains.entry(chain.to_owned()).or_default().push(rule.to_owned());
        }
    }
    chains.remove("FORWARD");
    chains
}

fn expected(family: Family, compiled: Option<&Compiled>, others: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut user: Vec<String> = compiled.iter().map(|compiled| compiled.jump(family).to_string()).collect();
    let of_others = others.iter().filter(|rule| family == Family::Ip || !rule.contains("192.0.2"));
    user.extend(of_others.map(|rule| (*rule).to_owned()));
    let chains = compiled.into_iter().flat_map(|compiled| compiled.chains(family));
    let rules = |chain: &dockgate::save::SavedChain| chain.rules.iter().map(|saved| saved.rule.to_string()).collect();
    chains.map(|chain| (chain.name.to_string(), rules(chain))).chain([(DOCKER_USER.to_owned(), user)]).collect()
}

type Standing = BTreeMap<(String, Handle), (Rule, Counters)>;

fn standing(netlink: &mut Netlink, family: Family) -> (u32, Standing) {
    let all = Ruleset::read(netlink, family, Which::All).unwrap();
    let rules = all.chains.iter().flat_map(|chain| chain.rules().iter().map(move |entry| (chain, entry)));
    let rules =
        rules.map(|(chain, entry)| ((chain.name.to_string(), entry.handle), (entry.rule().unwrap().clone(), entry.counters.unwrap())));
    (all.generation.0, rules.collect())
}

fn add_others() {
    for family in Family::BOTH {
        for words in ["-N DOCKER-USER", "-I FORWARD -j DOCKER-USER"] {
            command(family, words);
        }
        for rule in OTHERS.iter().filter(|rule| family == Family::Ip || !rule.contains("192.0.2")) {
            command(family, &format!("-A DOCKER-USER -c 3 4 {rule}"));
        }
    }
}

fn host(name: &str) -> Host {
    Host::new(Netlink::open().unwrap(), History::at(&folder(name)).unwrap())
}

#[test]
fn the_kernel_and_iptables_have_what_was_wanted() {
    const NAME: &str = "reconcile::kernel::the_kernel_and_iptables_have_what_was_wanted";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let mut host = host("kernel");
        let mut random = TestRunner::deterministic();
        let mut next = || compiled(&text().new_tree(&mut random).unwrap().current());
        for round in 0..12 {
            run("nft", "flush ruleset");
            let others = if round % 2 == 0 { &[][..] } else { OTHERS };
            if !others.is_empty() {
                add_others();
            }
            let [a, b] = [next(), next()];
            let generation = |host: &mut Host| standing(host.netlink(), Family::Ip).0;
            let assert_stands = |compiled: Option<&Compiled>| {
                for family in Family::BOTH {
                    assert_eq!(listed(family), expected(family, compiled, others), "round {round}");
                }
            };
            // Both families in one transaction, each time.
            let first = generation(&mut host);
            host.apply(&a).unwrap();
            assert_stands(Some(&a));
            assert_eq!(generation(&mut host), first + 1);
            // Our own rules count, too.
            let before = Family::BOTH.map(|family| standing(host.netlink(), family).1);
            let outcome = host.apply(&b).unwrap();
            assert_stands(Some(&b));
            let committed = u32::from(!outcome.plan.is_empty());
            assert_eq!(generation(&mut host), first + 1 + committed);
            let flushed = outcome.plan.to_string().contains(" -F DOCKGATE");
            for (before, family) in before.iter().zip(Family::BOTH) {
                let after = standing(host.netlink(), family).1;
                let stays =
                    before.iter().filter(|(place, rule)| place.0.starts_with("DOCKGATE") && after.get(*place) == Some(*rule)).count();
                let told = outcome.of(ChangeKind::Kept).filter(|change| change.family == family && change.chain.as_str() != DOCKER_USER);
                assert!(flushed || stays == told.count(), "round {round}");
                let others = |rules: &Standing| {
                    rules
                        .iter()
                        .filter(|(_, (rule, _))| OTHERS.contains(&rule.to_string().as_str()))
                        .map(|(place, rule)| (place.clone(), rule.clone()))
                        .collect::<Vec<_>>()
                };
                assert_eq!(others(before), others(&after));
            }
            // Nothing to do: nothing is committed.
            let stood = generation(&mut host);
            assert!(host.apply(&b).unwrap().plan.is_empty() && host.plan(&b).unwrap().plan.is_empty());
            host.status().unwrap();
            assert_eq!(generation(&mut host), stood);
            if committed > 0 {
                host.rollback(1).unwrap();
                assert_eq!(generation(&mut host), stood + 1);
            }
            assert_stands(Some(if committed > 0 { &a } else { &b }));
            host.remove().unwrap();
            assert_stands(None);
            assert!(host.remove().unwrap().plan.is_empty());
            // Taking that back brings the policy back, and the step before it nothing.
            host.rollback(1).unwrap();
            assert_stands(Some(if committed > 0 { &a } else { &b }));
            host.rollback(1).unwrap();
            assert_stands(None);
        }
    });
}

#[test]
fn others_lose_nothing_while_policies_come_and_go() {
    const NAME: &str = "reconcile::kernel::others_lose_nothing_while_policies_come_and_go";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let mut host = host("beside");
        let policy = |port| {
            compiled(&format!(
                "external = \"eth0\"\ndefault = \"drop\"\n[[rule]]\nallow = \"{port}/tcp\"\nfrom = [\"192.168.1.0/24\", \"2001:db8::/64\"]\n"
            ))
        };
        let both = [policy(443), policy(80)];
        add_others();
        let stop = AtomicBool::new(false);
        let written = thread::scope(|scope| {
            let stopped = Stop(&stop);
            let writer = scope.spawn(|| {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    written += 1;
                    // Every third one goes again.
                    let rule = format!("DOCKER-USER -s 198.51.100.{}/32 -m comment --comment beside-{written} -j DROP", written % 250);
                    let front = if written % 2 == 0 { "-A" } else { "-I" };
                    command(Family::Ip, &format!("{front} {rule}"));
                    if written % 3 == 0 {
                        command(Family::Ip, &format!("-D {rule}"));
                    }
                }
                written
            });
            for round in 0..50 {
                host.apply(&both[round % 2]).unwrap();
            }
            drop(stopped);
            writer.join().unwrap()
        });
        assert!(written > 3, "{written} rules were written meanwhile");
        host.apply(&both[1]).unwrap();
        let found = listed(Family::Ip);
        let user = &found[DOCKER_USER];
        for number in (1..=written).filter(|number| number % 3 > 0) {
            let name = format!("beside-{number} ");
            assert_eq!(user.iter().filter(|rule| rule.contains(&name)).count(), 1, "rule {number} of {written}\n{user:#?}");
        }
        assert_eq!(user.iter().filter(|rule| rule.contains("beside-")).count(), written - written / 3);
        assert!(OTHERS.iter().all(|rule| user.iter().any(|found| found == rule)));
        assert_eq!(user[0], both[1].jump(Family::Ip).to_string());
        assert_eq!(user.iter().filter(|rule| rule.contains("DOCKGATE")).count(), 1);
        for family in Family::BOTH {
            let chains = both[1].chains(family).iter().map(|chain| &chain.name);
            let ours: Vec<ChainName> = chains.cloned().collect();
            let (listed, expected) = (listed(family), expected(family, Some(&both[1]), &[]));
            assert!(ours.iter().all(|name| listed[name.as_str()] == expected[name.as_str()]));
        }
    });
}
