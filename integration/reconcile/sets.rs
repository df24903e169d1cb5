//! Our own table: what is written is read back, by us and by nft; what others do to it is seen; what they
//! mark stays theirs.

use std::time::Duration;

use dockgate::{
    compile::{self, Compiled},
    lab::{Packet, Router},
    live::{Fault, History, Host},
    marks::{Kind, MOST, OwnTable, Set, Table},
    measure::{Path, stranger},
    message::Batch,
    model::Family,
    netlink::Netlink,
    plan::Step,
    policy::{File, Policy, Strategy},
};

use super::{folder, sessions::in_session};
use crate::{
    iptables::Installed,
    support::{call, in_netns},
};

/// Single addresses, networks, a list by port, one that is logged, rules for everybody; of both families.
const POLICY: &str = r#"external = ["lo"]
default  = "drop"
strategy = "set"

[groups]
office = ["192.168.1.7", "192.168.1.9-192.168.1.11", "10.0.0.0/8", "255.255.255.255", "2001:db8:1::/48", "2001:db8:2::5"]
bad    = ["10.6.6.6", "203.0.113.0/24", "2001:db8:1:6::/64", "ffff::/16"]

[[rule]]
drop = "any"
from = ["bad"]
log  = "bad "
name = "bad"

[[rule]]
allow = ["443/tcp", "8000-8002/tcp", "53/udp"]
from  = ["office"]
name  = "office"

[[rule]]
allow = ["25/tcp", "80/tcp", "81/tcp"]
name  = "everybody"

[[rule]]
allow = "any"
from  = ["198.51.100.7", "2001:db8:9::9"]
to    = ["192.0.2.1", "2001:db8:ff::1"]
name  = "partner"
"#;

fn compiled(text: &str) -> Compiled {
    let read = Policy::parse(vec![File::new("sets.toml", text)]);
    assert!(read.problems.is_empty(), "{:?}", read.problems);
    compile::docker_user(&read.policy, "sets", None)
}

pub fn host(name: &str) -> Host {
    Host::new(Netlink::open().unwrap(), History::at(&folder(name)).unwrap())
}

fn standing(host: &mut Host) -> [Option<Table>; 2] {
    Family::BOTH.map(|family| OwnTable::read(host.netlink(), family).unwrap().deployed)
}

pub fn wanted(compiled: &Compiled) -> [Option<Table>; 2] {
    Family::BOTH.map(|family| compiled.table(family).cloned())
}

#[test]
fn what_people_read() {
    in_session("sets", "reconcile::sets::what_people_read", |mut session| {
        session.write("web.toml", POLICY);
        session.all(&["dockgate plan web.toml", "dockgate apply web.toml", "dockgate status", "iptables -S", "nft list table ip dockgate"]);
        session.write("web.toml", &POLICY.replace("192.168.1.7", "192.168.1.8"));
        session.all(&["dockgate plan web.toml", "dockgate -v apply web.toml", "dockgate plan web.toml", "dockgate rollback"]);
        session.all(&[
            "nft add element ip dockgate hosts-2 { 203.0.113.9 }",
            "dockgate status",
            "dockgate plan web.toml",
            "dockgate apply web.toml",
        ]);
        session.all(&["dockgate apply web.toml --strategy tree", "dockgate status", "nft list tables", "dockgate rollback"]);
        session.all(&["nft delete table ip dockgate", "dockgate status", "dockgate plan web.toml", "dockgate apply web.toml"]);
        session.all(&["dockgate remove", "nft list tables", "dockgate rollback --list"]);
        session.end("sets");
    });
}

#[test]
fn what_is_written_is_read_back() {
    in_netns("reconcile::sets::what_is_written_is_read_back", || {
        let mut host = host("sets-read");
        for text in [
            POLICY.to_owned(),
            POLICY.replace("default  = \"drop\"", "default = \"allow\"\nestablished = false\nmark = 0x3f00"),
            // All addresses, and the last one alone.
            "external = 'lo'\ndefault = 'drop'\nstrategy = 'set'\n[[rule]]\nallow = 'any'\nfrom = ['0.0.0.0/0', '::1-ffff::']\n".to_owned(),
            "external = 'lo'\ndefault = 'allow'\nstrategy = 'set'\n[[rule]]\ndrop = 'any'\nfrom = ['128.0.0.0/1', '::/1', '127.0.0.1']\n"
                .to_owned(),
        ] {
            let compiled = compiled(&text);
            host.apply(&compiled).unwrap();
            let written = wanted(&compiled);
            assert!(written.iter().any(Option::is_some), "{text}");
            assert_eq!(standing(&mut host), written, "{text}");
            assert!(host.apply(&compiled).unwrap().plan.is_empty());
            assert!(host.status().unwrap().iter().all(|status| !status.has_drifted()));
            // As text, for the history.
            for table in written.iter().flatten() {
                assert_eq!(table.to_string().parse::<Table>().as_ref(), Ok(table));
            }
            if Installed::find("reconcile::sets::what_is_written_is_read_back").is_some() {
                for table in
                    ["ip dockgate", "ip6 dockgate"].into_iter().zip(&written).filter_map(|(name, table)| table.as_ref().map(|_| name))
                {
                    let listed = call("nft", &format!("list table {table}"), "").ok();
                    call("nft", &format!("delete table {table}"), "").ok();
                    call("nft", "-f -", &listed).ok();
                }
                // What nft lists is what nft takes, and it is the same.
                let text = |tables: &[Option<Table>; 2]| tables.iter().flatten().map(Table::to_string).collect::<String>();
                same_lines(&text(&standing(&mut host)), &text(&written));
            }
        }
    });
}

/// Line by line, as the whole is long.
fn same_lines(left: &str, right: &str) {
    for (left, right) in left.lines().zip(right.lines()) {
        assert_eq!(left, right);
    }
    assert_eq!(left.lines().count(), right.lines().count());
}

#[test]
fn one_sender_is_one_element() {
    in_netns("reconcile::sets::one_sender_is_one_element", || {
        let mut host = host("sets-one");
        host.apply(&compiled(POLICY)).unwrap();
        let next = compiled(&POLICY.replace("192.168.1.7", "192.168.1.8"));
        let plan = host.apply(&next).unwrap().plan;
        let elements = plan.steps.iter().map(|step| match step {
            Step::Elements(family, difference) => (*family, difference.kind, difference.removed.len(), difference.added.len()),
            _ => panic!("{plan}"),
        });
        // No rule changes; which senders there are, says a hash.
        assert_eq!(elements.collect::<Vec<_>>(), [(Family::Ip, Kind::Hosts(Family::Ip, 2), 1, 1), (Family::Ip, Kind::Hash, 1, 1)]);
        assert_eq!(standing(&mut host), wanted(&next));
        assert!(host.status().unwrap().iter().all(|status| !status.has_drifted()));
    });
}

#[test]
fn what_others_do_to_it_is_seen_and_mended() {
    const NAME: &str = "reconcile::sets::what_others_do_to_it_is_seen_and_mended";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let mut host = host("sets-others");
        let compiled = compiled(POLICY);
        host.apply(&compiled).unwrap();
        for (line, elements_alone) in [
            ("delete element ip dockgate hosts-2 { 192.168.1.7 }", true),
            ("add element ip6 dockgate hosts-2 { 2001:db8:7::7 }", true),
            ("add element ip dockgate tcp-0 { 22 : goto mark-1 }", false),
            ("add element ip dockgate tcp-0 { 80 : drop }", false),
            ("flush set ip dockgate networks-1", true),
            ("flush set ip6 dockgate hash", true),
            ("delete set ip dockgate hash", false),
            ("flush chain ip dockgate forward", false),
            ("insert rule ip dockgate forward ip saddr 1.2.3.4 drop", false),
            ("add set ip dockgate mine { type ipv4_addr; }", false),
            ("add chain ip6 dockgate mine { type filter hook input priority 0; }", false),
            ("add table ip dockgate { flags dormant; }", false),
            ("delete table ip6 dockgate", false),
            ("flush ruleset", false),
        ] {
            let done = call("nft", line, "");
            if done.code != 0 {
                // No chain of that id, no verdict but a goto: nft's own words for why it can't be.
                assert!(line.contains("tcp-0"), "{line}: {done:?}");
                continue;
            }
            let status = host.status().unwrap();
            let seen = line == "flush ruleset"
                || status
                    .iter()
                    .any(|status| status.faults.iter().any(|fault| matches!(fault, Fault::Changed | Fault::Senders | Fault::NoTable)));
            assert!(seen, "{line}: {status:?}");
            let plan = host.apply(&compiled).unwrap().plan;
            assert!(!plan.is_empty(), "{line}");
            let anew = plan.steps.iter().any(|step| matches!(step, Step::NewMarks(..)));
            assert_eq!(anew, !elements_alone, "{line}: {plan}");
            assert_eq!(standing(&mut host), wanted(&compiled), "{line}");
            assert!(host.status().unwrap().iter().all(|status| !status.has_drifted()), "{line}");
        }
        // The same key for something else: it goes and comes in one transaction.
        let listed = call("nft", "list map ip dockgate tcp-2", "").ok();
        let other = listed.split("80 : goto ").nth(1).and_then(|rest| rest.split([',', ' ']).next()).unwrap().to_owned();
        call("nft", "delete element ip dockgate tcp-2 { 443 }", "").ok();
        call("nft", &format!("add element ip dockgate tcp-2 {{ 443 : goto {other} }}"), "").ok();
        let plan = host.apply(&compiled).unwrap().plan;
        assert!(
            matches!(plan.steps.as_slice(), [Step::Elements(Family::Ip, change)] if change.removed.len() == 1 && change.added.len() == 1),
            "{plan}"
        );
        assert_eq!(standing(&mut host), wanted(&compiled));
        host.remove().unwrap();
        assert_eq!(standing(&mut host), [None, None]);
        host.rollback(1).unwrap();
        assert_eq!(standing(&mut host), wanted(&compiled));
    });
}

#[test]
fn others_marks_stay_theirs() {
    const NAME: &str = "reconcile::sets::others_marks_stay_theirs";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let (inside, outside) = (stranger(Family::Ip, 1), stranger(Family::Ip, 2));
        let text = format!("external = 'eth0'\ndefault = 'drop'\nstrategy = 'set'\n[[rule]]\nallow = 'any'\nfrom = ['{inside}']\n");
        let mut path = Path::build("marks", "eth0").unwrap();
        let compiled = compiled(&text);
        path.apply(&compiled).unwrap();
        let id = compiled.marks(Family::Ip).unwrap().classes[1].id;
        // Somebody else marks all packets, with the bits that say that one is allowed, too.
        let nft = |line: &str| path.router().netns().run(|| call("nft", line, "").ok()).unwrap();
        nft("add table ip theirs");
        nft("add chain ip theirs pre { type filter hook prerouting priority -150; }");
        nft("add chain ip theirs post { type filter hook postrouting priority 0; }");
        nft(&format!("add rule ip theirs pre meta mark set {:#x}", id << 24 | 0x0012_3456));
        nft("add rule ip theirs post meta mark & 0x00ffffff == 0x00123456 counter");
        let packet = |from| Packet::udp((from, 40_000).into(), (Router::receiver(Family::Ip), 8080).into());
        assert!(path.passes(&packet(inside)).unwrap());
        assert!(!path.passes(&packet(outside)).unwrap(), "their mark was taken for ours");
        let listed = nft("list chain ip theirs post");
        assert!(listed.contains("counter packets 1 "), "{listed}");
    });
}

#[test]
fn who_is_in_no_list_does_not_come_to_the_chains() {
    in_netns("reconcile::sets::who_is_in_no_list_does_not_come_to_the_chains", || {
        let (listed, other) = (stranger(Family::Ip, 1), stranger(Family::Ip, 2));
        let text = format!("external = 'eth0'\ndefault = 'allow'\nstrategy = 'set'\n[[rule]]\ndrop = 'any'\nfrom = ['{listed}']\n");
        let path = Path::build("unvisited", "eth0").unwrap();
        let passes = |from| path.passes(&Packet::udp((from, 40_000).into(), (Router::receiver(Family::Ip), 8080).into())).unwrap();
        let mut host = path.router().netns().run(|| host("sets-unvisited")).unwrap();
        let compiled = compiled(&text);
        let jump = |path: &Path| path.rules(Family::Ip).unwrap()[0].clone();
        host.apply(&compiled).unwrap();
        assert_eq!((passes(listed), passes(other)), (false, true));
        let words = jump(&path).rule().unwrap().to_string();
        assert!(words.starts_with("-m mark ! --mark 0x0/0xff000000 "), "{words}");
        assert_eq!(jump(&path).counters.unwrap().packets, 1, "{words}");
        // What is on trial is for all packets, though the jump tests the mark.
        let read = Policy::parse(vec![File::new("none.toml", "external = 'eth0'\ndefault = 'drop'\n")]);
        host.try_out(&compile::docker_user(&read.policy, "none", None), Duration::from_secs(60)).unwrap();
        assert_eq!((passes(listed), passes(other)), (false, false));
        assert_eq!(jump(&path).rule().unwrap().to_string(), words);
        host.end_trial().unwrap();
        assert!(host.plan(&compiled).unwrap().plan.is_empty(), "a trial left something behind");
        assert_eq!((passes(listed), passes(other)), (false, true));
        assert!(host.status().unwrap().iter().all(|status| !status.has_drifted()));
        host.apply(&compiled).unwrap();
        assert_eq!(jump(&path).rule().unwrap().to_string(), words);
        assert_eq!((passes(listed), passes(other)), (false, true));
    });
}

#[test]
fn what_is_refused_is_found_by_its_number() {
    let many: Vec<String> = (0..3000).map(|index| format!("'{}'", stranger(Family::Ip, index))).collect();
    let text = POLICY.replace("\"203.0.113.0/24\"", &many.join(","));
    for (family, table) in Family::BOTH.into_iter().zip(wanted(&compiled(&text))) {
        let table = table.unwrap();
        let mut batch = Batch::new(None);
        table.write(family, &mut batch);
        assert_eq!(batch.seal().unwrap().steps() as usize, table.messages());
        let emptied = |set: &Set| Set { elements: Vec::new(), ..set.clone() };
        let empty = Table { sets: table.sets.iter().map(emptied).collect(), ..table.clone() };
        for difference in empty.difference(&table).unwrap() {
            let mut batch = Batch::new(None);
            difference.write(family, &mut batch);
            assert_eq!(batch.seal().unwrap().steps() as usize, difference.messages());
            assert_eq!(difference.messages(), difference.added.len().div_ceil(MOST));
        }
    }
}

#[test]
fn no_table_where_nothing_is_looked_up() {
    for text in [
        "external = 'eth0'\ndefault = 'drop'\nstrategy = 'set'\n",
        "external = 'eth0'\ndefault = 'drop'\nstrategy = 'tree'\n[[rule]]\nallow = 'any'\nfrom = ['10.0.0.1']\n",
        "external = 'eth0'\ndefault = 'drop'\n[[rule]]\nallow = 'any'\nfrom = ['10.0.0.1']\n",
    ] {
        assert_eq!(wanted(&compiled(text)), [None, None], "{text}");
    }
    let many: Vec<String> = (0..2000).map(|index| format!("'{}'", stranger(Family::Ip, index))).collect();
    let text = format!("external = 'eth0'\ndefault = 'drop'\n[[rule]]\nallow = 'any'\nfrom = [{}]\n", many.join(","));
    let compiled_of = |strategy| {
        let read = Policy::parse(vec![File::new("many.toml", text.as_str())]);
        compile::docker_user(&read.policy, "many", Some(strategy))
    };
    assert_eq!(compiled_of(Strategy::Auto).table(Family::Ip).map(Table::senders), Some(2000), "that is what sets are for");
    assert!(compiled_of(Strategy::Tree).table(Family::Ip).is_none());
}
