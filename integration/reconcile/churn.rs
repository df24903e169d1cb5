//! What is read while others replace it is one state, or an error that says why not; never "No such file".

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use dockgate::{
    apply::{Options, transact},
    audit,
    compile::{self, Compiled},
    live::{Fault, History, Host, Status},
    message::Request,
    model::{ChainName, Counters, Family},
    netlink::{Netlink, NetlinkError},
    plan,
    policy::{File, Policy, Strategy},
    rule::{Parser, Rule},
    ruleset::{Ruleset, Which},
    save,
    syntax::split,
};

use super::folder;
use crate::support::{Stop, finish, in_netns, show};

/// A policy whose table of sets is made anew if another follows: every rule has senders of its own.
fn text(rules: u8) -> String {
    let rule = |number: u8| {
        let logged = if number.is_multiple_of(2) { "log = 'x'\n" } else { "" };
        format!("[[rule]]\nallow = '{}/tcp'\n{logged}from = ['10.{number}.0.0/16', '2001:db8:{number}::/48']\n", 1000 + u16::from(number))
    };
    format!("external = 'lo'\ndefault = 'drop'\n{}", (0..rules).map(rule).collect::<String>())
}

fn compiled(name: &str, rules: u8, strategy: Strategy) -> Compiled {
    let read = Policy::parse(vec![File::new("churn.toml", text(rules))]);
    assert!(read.is_sound(), "{:?}", read.problems);
    compile::docker_user(&read.policy, name, Some(strategy))
}

fn host(name: &str) -> Host {
    Host::new(Netlink::open().unwrap(), History::at(&folder(name)).unwrap())
}

#[test]
fn sets_that_are_replaced_while_they_are_read_are_read_again() {
    const ROUNDS: usize = 150;
    in_netns("reconcile::churn::sets_that_are_replaced_while_they_are_read_are_read_again", || {
        let policies = [compiled("one", 12, Strategy::Set), compiled("other", 20, Strategy::Set)];
        assert!(policies.iter().all(|policy| Family::BOTH.iter().all(|&family| policy.table(family).is_some())));
        let sound = |both: [Status; 2]| {
            for status in both {
                let wrong = status.faults.iter().find(|fault| **fault != Fault::Unreached);
                assert_eq!(wrong, None, "{status:?}");
            }
        };
        for policy in policies.iter().cycle().take(4) {
            let mut host = host("churn-first");
            host.apply(policy).unwrap();
            sound(host.status().unwrap());
        }
        let (stop, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
        let busy = thread::scope(|scope| {
            let stopped = Stop(&stop);
            let reader = scope.spawn(|| {
                let mut host = host("churn-reader");
                let mut busy = 0;
                while !stop.load(Ordering::Relaxed) {
                    looks.fetch_add(1, Ordering::Relaxed);
                    match host.status() {
                        // One state: what the rules say is in the table, and both families have the same policy.
                        Ok(both) => sound(both),
                        Err(NetlinkError::Busy(_)) => busy += 1,
                        Err(error) => panic!("{error}"),
                    }
                    match host.plan(&policies[0]) {
                        Ok(_) => {}
                        Err(error) if error.to_string().contains("kept changing") => busy += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                busy
            });
            let mut host = host("churn-writer");
            for round in 0..ROUNDS {
                // What stands is taken away and made anew, so that every set is another one.
                host.apply(&policies[round % 2]).unwrap();
                // The reader has looked since.
                let seen = looks.load(Ordering::Relaxed);
                while looks.load(Ordering::Relaxed) == seen && !reader.is_finished() {
                    thread::yield_now();
                }
            }
            drop(stopped);
            reader.join().unwrap()
        });
        show(&format!("{} looks at {ROUNDS} policies that followed each other; too busy {busy} times", looks.load(Ordering::Relaxed)));
    });
}

#[test]
fn an_audit_beside_tables_that_come_and_go_is_of_one_of_them() {
    const ROUNDS: usize = 60;
    in_netns("reconcile::churn::an_audit_beside_tables_that_come_and_go_is_of_one_of_them", || {
        let policies = [compiled("one", 12, Strategy::Tree), compiled("other", 20, Strategy::Tree)];
        let (stop, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let stopped = Stop(&stop);
            let writer = scope.spawn(|| {
                let mut host = host("churn-audit");
                while !stop.load(Ordering::Relaxed) {
                    host.apply(&policies[rounds.fetch_add(1, Ordering::Relaxed) % 2]).unwrap();
                    host.remove().unwrap();
                }
            });
            let mut netlink = Netlink::open().unwrap();
            while rounds.load(Ordering::Relaxed) < ROUNDS && !writer.is_finished() {
                let table = match audit::Table::read(&mut netlink, Family::Ip) {
                    Err(NetlinkError::Busy(_)) => continue,
                    read => read.unwrap(),
                };
                let ours = table.ruleset.chains.iter().filter(|chain| chain.name.as_str().starts_with("DOCKGATE"));
                // None of them, or all that one policy has.
                let chains = ours.count();
                let all = policies.each_ref().map(|policy| policy.chains(Family::Ip).len());
                assert!(chains == 0 || all.contains(&chains), "{chains} chains, and a policy has {all:?}");
                assert_eq!(audit::audit(&table), []);
            }
            drop(stopped);
            writer.join().unwrap();
        });
    });
}

#[test]
fn what_is_not_there_is_no_change() {
    in_netns("reconcile::churn::what_is_not_there_is_no_change", || {
        let mut netlink = Netlink::open().unwrap();
        let mut asked = 0;
        let elements = Request::elements(Family::Ip, "dockgate", "nowhere");
        let refused = netlink.snapshot("it", |netlink, _| {
            asked += 1;
            netlink.dump(&elements, |_: &mut (), _| {})
        });
        assert!(matches!(refused, Err(NetlinkError::Refused { errno: libc::ENOENT, .. })), "{refused:?}");
        assert_eq!(asked, 1, "nothing changed meanwhile");
        // Where something changes each time, it is asked again, and not for ever.
        let (mut host, policy) = (host("churn-always"), compiled("one", 1, Strategy::Tree));
        let mut asked = 0;
        let busy = netlink.snapshot("it", |netlink, _| {
            asked += 1;
            if asked % 2 == 1 { host.apply(&policy).map(drop) } else { host.remove().map(drop) }.unwrap();
            netlink.dump(&elements, |_: &mut (), _| {})
        });
        assert!(matches!(&busy, Err(NetlinkError::Busy(what)) if what == "it"), "{busy:?}");
        assert_eq!(asked, 64);
    });
}

#[test]
fn programs_that_apply_and_look_at_once_all_get_an_answer() {
    const ROUNDS: u8 = 8;
    in_netns("reconcile::churn::programs_that_apply_and_look_at_once_all_get_an_answer", || {
        let folder = folder("churn-programs");
        let state = folder.join("state");
        let files: Vec<_> = (0..4).map(|number| folder.join(format!("policy-{number}.toml"))).collect();
        for (file, rules) in files.iter().zip([6, 9, 12, 15]) {
            fs::write(file, text(rules)).unwrap();
        }
        let run = &|words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
            command.args(words).env("DOCKGATE_STATE", &state);
            finish(command, "")
        };
        let applied = &|file: &Path| run(&["apply", file.to_str().unwrap(), "--strategy", "set"]);
        assert_eq!(applied(&files[0]).code, 0);
        for _ in 0..ROUNDS {
            thread::scope(|scope| {
                for file in &files {
                    scope.spawn(move || {
                        let done = applied(file);
                        assert_eq!(done.code, 0, "{done:?}");
                    });
                    scope.spawn(move || {
                        let status = run(&["status"]);
                        assert!(status.code == 0 && status.out.matches("sound").count() == 2, "{status:?}");
                    });
                }
            });
        }
    });
}

#[test]
fn rules_are_all_read_once_beside_transactions_that_are_given_up() {
    const LOOKS: usize = 400;
    in_netns("reconcile::churn::rules_are_all_read_once_beside_transactions_that_are_given_up", || {
        let chain = ChainName::docker_user();
        let rules = |net: u8, count: u8| -> Vec<Rule> {
            let line =
                |number| format!("-s 10.{net}.{number}.0/24 -p tcp -m tcp --dport 80 -m comment --comment \"rule {number}\" -j DROP");
            let parse = |line: String| {
                let mut words = Vec::new();
                split(&line, &mut words).unwrap();
                Parser::parse(&words, Family::Ip).unwrap().rules.remove(0)
            };
            (0..count).map(|number| parse(line(number))).collect()
        };
        // More than one datagram holds.
        let (standing, tried) = (rules(1, 250), rules(2, 40));
        let mut netlink = Netlink::open().unwrap();
        transact(&mut netlink, Options::default(), |netlink| {
            let ruleset = Ruleset::read(netlink, Family::Ip, Which::None)?;
            Ok(plan::append(&ruleset, &chain, standing.clone(), Counters::default())?)
        })
        .unwrap();
        let stop = AtomicBool::new(false);
        let (tries, busy) = thread::scope(|scope| {
            let stopped = Stop(&stop);
            let writer = scope.spawn(|| {
                let (mut netlink, mut tries) = (Netlink::open().unwrap(), 0);
                let dry = Options { dry_run: true, ..Options::default() };
                while !stop.load(Ordering::Relaxed) {
                    transact(&mut netlink, dry, |netlink| {
                        let ruleset = Ruleset::read(netlink, Family::Ip, Which::None)?;
                        Ok(plan::insert(&ruleset, &chain, 1, tried.clone(), Counters::default())?)
                    })
                    .unwrap();
                    tries += 1;
                }
                tries
            });
            let mut busy = 0;
            for look in 0..LOOKS {
                let ruleset = match Ruleset::read(&mut netlink, Family::Ip, Which::Of(&chain)) {
                    Err(NetlinkError::Busy(_)) => {
                        busy += 1;
                        continue;
                    }
                    read => read.unwrap(),
                };
                let read: Vec<_> = ruleset.chain(chain.as_str()).unwrap().rules().iter().map(|entry| entry.rule().unwrap()).collect();
                assert!(read.iter().copied().eq(&standing), "look {look}: {} rules", read.len());
            }
            drop(stopped);
            (writer.join().unwrap(), busy)
        });
        show(&format!("{LOOKS} looks at a chain beside {tries} transactions that were given up; too busy {busy} times"));
    });
}

#[test]
fn senders_are_all_read_once_beside_transactions_that_are_given_up() {
    const LOOKS: usize = 100;
    in_netns("reconcile::churn::senders_are_all_read_once_beside_transactions_that_are_given_up", || {
        let policy = |first: u32| {
            let from: Vec<String> = (0..4000_u32).map(|number| format!("'{}'", Ipv4Addr::from(0x0a00_0000 + first + 2 * number))).collect();
            let text = format!("external = 'lo'\ndefault = 'drop'\n[[rule]]\nallow = '80/tcp'\nfrom = [{}]\n", from.join(", "));
            let read = Policy::parse(vec![File::new("churn.toml", text)]);
            assert!(read.is_sound(), "{:?}", read.problems);
            compile::docker_user(&read.policy, "senders", Some(Strategy::Set))
        };
        let (standing, tried) = (policy(0), policy(1));
        let mut host = host("churn-senders");
        host.apply(&standing).unwrap();
        let stop = AtomicBool::new(false);
        let tries = thread::scope(|scope| {
            let stopped = Stop(&stop);
            let writer = scope.spawn(|| {
                let (mut host, mut tries) = (self::host("churn-senders-dry"), 0);
                host.set_options(Options { dry_run: true, ..Options::default() });
                while !stop.load(Ordering::Relaxed) {
                    assert!(!host.apply(&tried).unwrap().plan.is_empty());
                    tries += 1;
                }
                tries
            });
            let mut looker = self::host("churn-senders-look");
            for look in 0..LOOKS {
                let status = &looker.status().unwrap()[0];
                let wrong = status.faults.iter().find(|fault| **fault != Fault::Unreached);
                assert_eq!((wrong, status.senders), (None, Some(4000)), "look {look}: {status:?}");
            }
            drop(stopped);
            writer.join().unwrap()
        });
        show(&format!("{LOOKS} looks at 4,000 senders beside {tries} transactions that were given up"));
    });
}

#[test]
fn chains_are_all_read_once_beside_transactions_that_are_given_up() {
    const LOOKS: usize = 300;
    in_netns("reconcile::churn::chains_are_all_read_once_beside_transactions_that_are_given_up", || {
        let text = |name: &str, count: u32| {
            let chains: String = (0..count).map(|number| format!(":{name}-{number:04} - [0:0]\n")).collect();
            format!("*filter\n{chains}COMMIT\n")
        };
        let restore = |netlink: &mut Netlink, text: &str, options| {
            transact(netlink, options, |netlink| {
                let mut plan = plan::Plan::default();
                for saved in save::read(text, Some(Family::Ip), false).unwrap() {
                    let ruleset = Ruleset::read(netlink, Family::Ip, Which::None)?;
                    plan::restore(&ruleset, saved.chains, true, &mut plan)?;
                }
                Ok(plan)
            })
            .unwrap()
        };
        let mut netlink = Netlink::open().unwrap();
        restore(&mut netlink, &text("standing", 1500), Options::default());
        let tried = text("tried", 400);
        let stop = AtomicBool::new(false);
        let tries = thread::scope(|scope| {
            let stopped = Stop(&stop);
            let writer = scope.spawn(|| {
                let (mut netlink, mut tries) = (Netlink::open().unwrap(), 0);
                while !stop.load(Ordering::Relaxed) {
                    restore(&mut netlink, &tried, Options { dry_run: true, ..Options::default() });
                    tries += 1;
                }
                tries
            });
            for look in 0..LOOKS {
                let ruleset = Ruleset::read(&mut netlink, Family::Ip, Which::None).unwrap();
                let standing = ruleset.chains.iter().filter(|chain| chain.name.as_str().starts_with("standing-")).count();
                assert_eq!(standing, 1500, "look {look}");
            }
            drop(stopped);
            writer.join().unwrap()
        });
        show(&format!("{LOOKS} looks at 1,500 chains beside {tries} transactions that were given up"));
    });
}
