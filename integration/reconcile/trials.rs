//! A policy on trial in our own table: as it is written, read, listed by nft, ended and confirmed.

use std::time::{Duration, Instant};

use dockgate::{
    compile::{self, Compiled},
    lab::Packet,
    live::{Fault, Host, LiveError},
    marks::{NewTrial, OwnTable, Table},
    measure::{Path, stranger},
    message::Batch,
    model::Family,
    policy::{File, Policy},
};

use super::{
    sessions::in_session,
    sets::{host, wanted},
};
use crate::{
    iptables::Installed,
    support::{call, finish, in_netns, until},
};

/// Whom a policy names, and how they are found.
fn policy(from: &[&str], more: &str) -> Compiled {
    let text = format!("external = 'eth0'\ndefault = 'drop'\n{more}\n[[rule]]\nallow = 'any'\nfrom = {from:?}\n");
    let read = Policy::parse(vec![File::new("trial.toml", text)]);
    assert!(read.is_sound(), "{:?}", read.problems);
    compile::docker_user(&read.policy, "trial", None)
}

const SET: &str = "strategy = 'set'";
const TREE: &str = "strategy = 'tree'";

/// Of both families, one alone and many side by side.
const ONE: [&str; 4] = ["10.0.0.1", "10.7.0.0/16", "2001:db8::1", "2001:db8:7::/48"];
const OTHER: [&str; 4] = ["10.0.0.2", "10.8.0.0/16", "2001:db8::2", "2001:db8:8::/48"];

const LONG: Duration = Duration::from_secs(3600);

fn read(host: &mut Host) -> [OwnTable; 2] {
    Family::BOTH.map(|family| OwnTable::read(host.netlink(), family).unwrap())
}

fn on_trial(tables: &[OwnTable; 2]) -> [Option<Table>; 2] {
    tables.each_ref().map(|own| own.trial.as_ref().unwrap().table.clone())
}

/// Deployed, on trial, and whether sets are used for each.
fn pairs() -> [(Compiled, Compiled); 4] {
    [(TREE, TREE), (TREE, SET), (SET, TREE), (SET, SET)].map(|(first, second)| (policy(&ONE, first), policy(&OTHER, second)))
}

#[test]
fn a_trial_is_read_as_it_was_written_and_leaves_what_is_deployed() {
    in_netns("reconcile::trials::a_trial_is_read_as_it_was_written_and_leaves_what_is_deployed", || {
        for (first, second) in pairs() {
            let mut host = host("trials-read");
            host.apply(&first).unwrap();
            host.try_out(&second, LONG).unwrap();
            let tables = read(&mut host);
            assert_eq!(tables.each_ref().map(|own| own.deployed.clone()), wanted(&first));
            assert_eq!(on_trial(&tables), wanted(&second));
            for status in host.status().unwrap() {
                let trial = status.trial.clone().unwrap();
                assert_eq!((trial.identity.as_ref(), trial.length), (Some(&second.identity), LONG));
                assert!(trial.left <= LONG && trial.left > LONG / 2, "{:?}", trial.left);
                assert!(!status.has_drifted(), "{status:?}");
            }
            // Ended, nothing of it is left, and what was deployed needs no change.
            host.end_trial().unwrap();
            assert_eq!(read(&mut host), wanted(&first).map(|deployed| OwnTable { deployed, trial: None }));
            assert!(host.plan(&first).unwrap().plan.is_empty());
            assert!(matches!(host.end_trial(), Err(LiveError::NoTrial)));
            // Another one on top of a trial, and confirmed: it stands as if it had been applied.
            host.try_out(&policy(&["192.0.2.1"], SET), LONG).unwrap();
            host.try_out(&second, LONG).unwrap();
            host.confirm().unwrap();
            assert_eq!(read(&mut host), wanted(&second).map(|deployed| OwnTable { deployed, trial: None }));
            assert!(host.plan(&second).unwrap().plan.is_empty());
            // An apply ends a trial, and so does what takes all away.
            host.try_out(&first, LONG).unwrap();
            host.apply(&first).unwrap();
            assert_eq!(read(&mut host), wanted(&first).map(|deployed| OwnTable { deployed, trial: None }));
            host.try_out(&second, LONG).unwrap();
            host.remove().unwrap();
            assert_eq!(read(&mut host), [OwnTable::default(), OwnTable::default()]);
        }
    });
}

#[test]
fn iptables_and_nft_read_what_is_on_trial() {
    const NAME: &str = "reconcile::trials::iptables_and_nft_read_what_is_on_trial";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for (first, second) in pairs() {
            let mut host = host("trials-listed");
            host.apply(&first).unwrap();
            host.try_out(&second, LONG).unwrap();
            for family in Family::BOTH {
                let rules = call(family.command(), "-S", "").ok();
                // No clock that somebody can set.
                assert!(rules.contains("-m mark --mark 0x80000000/0x80000000 ") && !rules.contains("-m time"), "{rules}");
                // What nft lists, nft takes, and it is the same.
                let table = format!("{family} dockgate");
                let listed = call("nft", &format!("list table {table}"), "").ok();
                assert!(listed.contains("timeout 1h expires"), "{listed}");
                let before = OwnTable::read(host.netlink(), family).unwrap();
                call("nft", &format!("delete table {table}"), "").ok();
                call("nft", "-f -", &listed).ok();
                let after = OwnTable::read(host.netlink(), family).unwrap();
                let text = |table: &Option<Table>| table.as_ref().map(Table::to_string);
                assert_eq!(text(&after.deployed), text(&before.deployed));
                assert_eq!(text(&after.trial.unwrap().table), text(&before.trial.unwrap().table));
            }
            host.remove().unwrap();
        }
    });
}

#[test]
fn packets_are_judged_by_the_trial_while_it_lasts_and_by_no_clock_again() {
    in_netns("reconcile::trials::packets_are_judged_by_the_trial_while_it_lasts_and_by_no_clock_again", || {
        let [one, other, third] = [1, 2, 3].map(|index| stranger(Family::Ip, index));
        let [one, other] = [one, other].map(|address| address.to_string());
        for (first, second) in [(TREE, TREE), (TREE, SET), (SET, TREE), (SET, SET)] {
            let (first, second) = (policy(&[&one], first), policy(&[&other], second));
            let path = Path::build("trials-packets", "eth0").unwrap();
            let passes = |from: std::net::IpAddr| {
                path.passes(&Packet::udp((from, 40_000).into(), (dockgate::lab::Router::receiver(Family::Ip), 8080).into())).unwrap()
            };
            let both = || [&one, &other].map(|address| passes(address.parse().unwrap()));
            let mut host = path.router().netns().run(|| host("trials-packets")).unwrap();
            host.apply(&first).unwrap();
            assert_eq!(both(), [true, false]);
            host.try_out(&second, Duration::from_secs(4)).unwrap();
            assert_eq!(both(), [false, true]);
            let deadline = Instant::now() + Duration::from_secs(60);
            while both() != [true, false] {
                assert!(Instant::now() < deadline, "the trial does not end");
            }
            let status = host.status().unwrap();
            assert!(status.iter().all(|status| status.trial.as_ref().unwrap().left.is_zero()), "{status:?}");
            assert!(matches!(host.confirm(), Err(LiveError::TooLate)));
            assert!(!passes(third));
            assert_eq!(both(), [true, false]);
            host.end_trial().unwrap();
            assert_eq!(both(), [true, false]);
            assert!(host.plan(&first).unwrap().plan.is_empty());
        }
    });
}

#[test]
fn what_others_do_to_a_trial_ends_it() {
    const NAME: &str = "reconcile::trials::what_others_do_to_a_trial_ends_it";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let (first, second) = (policy(&ONE, SET), policy(&OTHER, SET));
        // Whether it is over by that, or only a part of it is left.
        for (deed, over) in [
            ("flush set ip dockgate trial", true),
            ("flush chain ip dockgate trial", false),
            ("flush chain ip dockgate forward", false),
            ("delete table ip dockgate", false),
            ("flush chain ip filter DOCKGATE", false),
            ("flush chain ip filter DOCKTRIAL", false),
            ("add rule ip filter DOCKTRIAL ct state new counter accept", false),
            ("add element ip dockgate trial-hosts-1 { 203.0.113.9 }", false),
        ] {
            let mut host = host("trials-others");
            host.apply(&first).unwrap();
            host.try_out(&second, LONG).unwrap();
            call("nft", deed, "").ok();
            let status = host.status().unwrap();
            let trial = status[0].trial.clone().unwrap();
            assert_eq!(trial.disturbed, !over, "{deed}");
            assert_eq!(status[0].faults.contains(&Fault::Trial), !over, "{deed}");
            match host.confirm() {
                Err(LiveError::TooLate) if over => {}
                Err(LiveError::Disturbed) if !over => {}
                other => panic!("{deed}: {other:?}"),
            }
            // Taken back is only the trial.
            host.rollback(1).unwrap();
            assert!(host.status().unwrap().iter().all(|status| status.trial.is_none()), "{deed}");
            // And what is deployed can be had again.
            host.apply(&first).unwrap();
            assert_eq!(read(&mut host), wanted(&first).map(|deployed| OwnTable { deployed, trial: None }), "{deed}");
            assert!(host.status().unwrap().iter().all(|status| status.trial.is_none() && !status.has_drifted()), "{deed}");
            host.remove().unwrap();
        }
    });
}

#[test]
fn a_mark_in_the_way_is_refused_and_nothing_is_changed() {
    in_netns("reconcile::trials::a_mark_in_the_way_is_refused_and_nothing_is_changed", || {
        let mut host = host("trials-mark");
        let deployed = policy(&ONE, "strategy = 'set'\nmark = 0x0ff00000");
        host.apply(&deployed).unwrap();
        let wide = policy(&OTHER, "strategy = 'set'\nmark = 0xfff00000");
        let before = read(&mut host);
        assert!(matches!(host.try_out(&wide, LONG), Err(LiveError::OtherMark { deployed: 0x0ff0_0000, desired: 0xfff0_0000 })));
        assert_eq!(read(&mut host), before);
        // Where the two keep out of each other's way it is none.
        for mark in ["0x0ff00000", "0xf0000000", "0x000ff000", "0x07f00000"] {
            let desired = policy(&OTHER, &format!("strategy = 'set'\nmark = {mark}"));
            host.try_out(&desired, LONG).unwrap();
            assert_eq!(on_trial(&read(&mut host)), wanted(&desired), "{mark}");
            host.end_trial().unwrap();
            assert!(host.plan(&deployed).unwrap().plan.is_empty(), "{mark}");
        }
    });
}

#[test]
fn each_message_of_a_trial_is_counted() {
    for (_, compiled) in pairs() {
        for family in Family::BOTH {
            let table = compiled.table(family).cloned();
            let trial = NewTrial { table: table.clone(), bit: 1 << 31, length: LONG };
            let mut batch = Batch::new(None);
            trial.write(family, &mut batch);
            assert_eq!(batch.seal().unwrap().steps() as usize, trial.messages());
        }
    }
}

/// The first process says what is deployed in the end, whoever ended the trial.
#[test]
fn who_waits_says_what_became_of_the_trial() {
    const NAME: &str = "reconcile::trials::who_waits_says_what_became_of_the_trial";
    in_session("trial-ends", NAME, |session| {
        let text = |from: &str| {
            format!("external = 'lo'\ndefault = 'drop'\n{SET}\n[[rule]]\nallow = 'any'\nfrom = ['{from}', '2001:db8::{}']\n", from.len())
        };
        for (name, from) in [("first", "10.0.0.1"), ("second", "10.0.0.22"), ("third", "10.0.0.123")] {
            session.write(&format!("{name}.toml"), &text(from));
        }
        let run = |line: &str| finish(session.command(line), "");
        for (by, code, said) in [
            ("dockgate confirm --here", 0, "confirmed: policy second"),
            ("dockgate rollback", 6, "the trial was ended: policy first"),
            ("dockgate apply first.toml", 6, "the trial was ended: policy first"),
            ("dockgate apply third.toml", 6, "the trial was ended by another change: policy third"),
            ("dockgate remove", 6, "the trial was ended by another change: no policy is deployed now"),
        ] {
            assert_eq!(run("dockgate apply first.toml").code, 0);
            let mut command = session.command("dockgate apply second.toml --confirm 3600s");
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            let trial = command.spawn().unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            while !run("dockgate status").out.contains("on trial for another") {
                assert!(Instant::now() < deadline);
            }
            assert_eq!(run(by).code, 0, "{by}");
            let ended = trial.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(code), "{by}: {text}");
            assert!(text.contains(said), "{by}: {text}");
        }
    });
}

/// What is behind a policy on trial sees the mark that it would see without a trial.
#[test]
fn packets_leave_a_trial_without_its_bit() {
    const NAME: &str = "reconcile::trials::packets_leave_a_trial_without_its_bit";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let sender = stranger(Family::Ip, 1);
        let from = sender.to_string();
        let path = Path::build("trials-mark-behind", "eth0").unwrap();
        let mut host = path.router().netns().run(|| host("trials-behind")).unwrap();
        host.apply(&policy(&[&from], TREE)).unwrap();
        path.router().netns().run(|| call("iptables", "-A DOCKER-USER -m mark --mark 0x0 -j DROP", "").ok()).unwrap();
        let passes = || {
            let to = (dockgate::lab::Router::receiver(Family::Ip), 8080);
            path.passes(&Packet::udp((sender, 40_000).into(), to.into())).unwrap()
        };
        assert!(!passes());
        host.try_out(&policy(&[&from, "203.0.113.9"], TREE), LONG).unwrap();
        assert!(!passes(), "the rule behind saw the bit");
    });
}

/// A line of iptables that may change our bits of the mark, in front of senders: those are found by rules then.
#[test]
fn a_line_that_changes_the_mark_leaves_no_sender_to_sets() {
    let text = |line: &str| {
        format!(
            "external = 'eth0'\ndefault = 'allow'\nstrategy = 'set'\n[[rule]]\niptables = '{line}'\n[[rule]]\ndrop = 'any'\nfrom = {ONE:?}\n"
        )
    };
    for (line, sets) in [
        ("-p udp -j MARK --set-mark 0x1", false),
        ("-p udp -j MARK --set-mark 0x1/0xff", true),
        ("-p udp -j MARK --set-xmark 0x1000000/0x0", false),
        ("-j CONNMARK --restore-mark", false),
        ("-j theirs", false),
        ("-p udp -j LOG", true),
    ] {
        let read = Policy::parse(vec![File::new("mark.toml", text(line))]);
        assert!(read.is_sound(), "{:?}", read.problems);
        let compiled = compile::docker_user(&read.policy, "mark", None);
        assert_eq!(compiled.table(Family::Ip).is_some(), sets, "{line}");
    }
}
/// The jump names a policy by its rules: where only senders differ, both have the same name.
#[test]
fn a_trial_of_other_senders_is_told_from_what_is_deployed() {
    const NAME: &str = "reconcile::trials::a_trial_of_other_senders_is_told_from_what_is_deployed";
    in_session("trial-senders", NAME, |session| {
        let run = |line: &str| finish(session.command(line), "");
        let write = |default: &str, from: &str| {
            let text = format!(
                "external = 'lo'\ndefault = '{default}'\n{SET}\n[[rule]]\nname = 'friends'\nallow = 'any'\nfrom = ['{from}', '2001:db8::1']\n"
            );
            session.write("web.toml", &text);
        };
        for (default, from, others) in [("drop", "10.0.0.2", [true, false]), ("reject", "10.0.0.2", [false, false])] {
            write("drop", "10.0.0.1");
            assert_eq!(run("dockgate apply web.toml").code, 0);
            write(default, from);
            let mut trial = session.command("dockgate apply web.toml --confirm 3600s");
            let mut trial = trial.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
            until("the trial begins", || run("dockgate status").out.contains("on trial for another"));
            let text = run("dockgate status").out;
            let said = text.lines().filter(|line| line.contains("on trial for another")).map(|line| line.contains(" (other senders); "));
            assert_eq!(said.collect::<Vec<_>>(), others, "{text}");
            let json: serde_json::Value = serde_json::from_str(&run("dockgate --json status").out).unwrap();
            for (family, others) in others.into_iter().enumerate() {
                let status = &json["families"][family];
                assert_eq!(status["trial"]["other_senders"], others, "{json}");
                assert!(status["senders_hash"].is_u64(), "{json}");
                let differ = status["trial"]["senders_hash"] != status["senders_hash"];
                // IPv6 has the same in both.
                assert_eq!(differ, family == 0, "{json}");
            }
            assert_eq!(run("dockgate rollback").code, 0);
            assert_eq!(trial.wait().unwrap().code(), Some(6));
        }
    });
}
