//! What is read while others replace it is one state, or an error that says why not; never "No such file".

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use dockgate::{
    audit,
    compile::{self, Compiled},
    live::{Fault, History, Host, Status},
    message::Request,
    model::Family,
    netlink::{Netlink, NetlinkError},
    policy::{File, Policy, Strategy},
};

use super::folder;
use crate::support::{Stop, in_netns, show};

/// A policy whose table of sets is made anew if another follows: every rule has senders of its own.
fn compiled(name: &str, rules: u8, strategy: Strategy) -> Compiled {
    let rule = |number: u8| {
        let logged = if number.is_multiple_of(2) { "log = 'x'\n" } else { "" };
        format!("[[rule]]\nallow = '{}/tcp'\n{logged}from = ['10.{number}.0.0/16', '2001:db8:{number}::/48']\n", 1000 + u16::from(number))
    };
    let text = format!("external = 'lo'\ndefault = 'drop'\n{}", (0..rules).map(rule).collect::<String>());
    let read = Policy::parse(vec![File::new("churn.toml", text)]);
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
