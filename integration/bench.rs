//! `dockgate bench`: it runs, leaves nothing, and what it tells is of the right kind. How long
//! anything takes is not asked here.

use dockgate::{
    compile,
    lab::{Packet, Router},
    measure::{Path, Samples, pair},
    model::{Dialect, Family},
    netlink::Netlink,
    policy::{File, Policy},
    rule::Parser,
    syntax::split,
};
use serde_json::Value;
use std::time::Duration;

use crate::support::{dockgate, in_netns, skip};

const POLICY: &str = "external = 'eth0'\ndefault = 'drop'\n[[rule]]\nallow = '443/tcp'\nfrom = ['10.1.0.0/16', 'fd00:a::/32']\n";

/// Two hosts, unless there are no TUN devices here.
fn paths(test: &str) -> Option<(Path, Path)> {
    let floor = Path::build("floor", "eth0").unwrap();
    if let Some(error) = floor.router().no_tun() {
        skip(test, "tun", &error.to_string());
        return None;
    }
    Some((floor, Path::build("tested", "eth0").unwrap()))
}

#[test]
fn it_tells_what_a_policy_costs_and_leaves_nothing() {
    let test = "bench::it_tells_what_a_policy_costs_and_leaves_nothing";
    in_netns(test, || {
        if paths(test).is_none() {
            return;
        }
        let file = std::env::temp_dir().join(format!("dockgate-bench-{}.toml", std::process::id()));
        std::fs::write(&file, POLICY).unwrap();
        let before = Netlink::open().unwrap().generation().unwrap();
        let text = dockgate(&format!("bench --seconds 1 {}", file.display()), "").ok();
        assert!(text.contains("Your policy costs ") && text.contains("(empty chain: "), "{text}");
        for option in ["-4", "-6"] {
            let told: Value =
                serde_json::from_str(&dockgate(&format!("bench {option} --json --seconds 1 {}", file.display()), "").ok()).unwrap();
            assert!(told["empty_ns"].as_f64().unwrap() > 0.0, "{told}");
            let rows = told["linear"].as_array().unwrap();
            assert_eq!(rows.iter().map(|row| row["rules"].as_u64().unwrap()).collect::<Vec<_>>(), [10, 100, 1000, 10_000]);
            for row in rows {
                assert!(row["append_ns"].as_u64().unwrap() > 0 && row["check_ns"].as_u64().unwrap() > 0, "{row}");
                assert!(row["packet"]["low_ns"].as_f64() <= row["packet"]["high_ns"].as_f64(), "{row}");
            }
            for kind in ["known", "passed", "stopped"] {
                assert!(told["policy"][kind]["added_ns"].is_f64(), "{option} {kind}: {told}");
            }
        }
        let told: Value = serde_json::from_str(&dockgate("bench --json --seconds 1", "").ok()).unwrap();
        assert!(told["policy"].is_null(), "{told}");
        let told: Value =
            serde_json::from_str(&dockgate(&format!("bench --json --seconds 1 --only policy {}", file.display()), "").ok()).unwrap();
        assert!(told["linear"].as_array().unwrap().is_empty() && told["policy"]["known"]["added_ns"].is_f64(), "{told}");
        let text = dockgate("bench --seconds 1 --only changes", "").ok();
        assert!(text.starts_with("rules in a row   one rule more ") && text.lines().count() == 5, "{text}");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(Netlink::open().unwrap().generation().unwrap(), before);
        for (line, expected) in [
            ("bench --dry-run", "makes namespaces of its own"),
            ("bench --seconds 0", "--seconds"),
            ("bench /no/such", "/no/such"),
            ("bench --only policy", "needs a policy"),
            ("bench --only nothing", "nothing"),
        ] {
            let done = dockgate(line, "");
            assert!(done.code == 2 && done.err.contains(expected), "{line}: {}", done.err);
        }
    });
}

#[test]
fn samples_take_every_way_that_there_is() {
    let test = "bench::samples_take_every_way_that_there_is";
    in_netns(test, || {
        let Some((floor, mut tested)) = paths(test) else { return };
        let policy = Policy::parse(vec![File::new("web.toml", POLICY)]).policy;
        tested.apply(&compile::docker_user(&policy, "web", None)).unwrap();
        for family in Family::BOTH {
            let Samples { known, passed, stopped } = Samples::of(&policy, family, &floor, &tested).unwrap();
            assert_eq!(known.len(), 1, "{family}");
            assert!(!passed.is_empty() && stopped.len() >= 200, "{family}: {} and {}", passed.len(), stopped.len());
            // Without rules all of it passes.
            assert!(known.iter().chain(&passed).chain(&stopped[..20]).all(|packet| floor.passes(packet).unwrap()));
        }
    });
}

#[test]
fn a_packet_that_takes_no_rule_is_told_from_one_that_does() {
    let test = "bench::a_packet_that_takes_no_rule_is_told_from_one_that_does";
    in_netns(test, || {
        let Some((mut floor, mut tested)) = paths(test) else { return };
        let rule = |words: &str| {
            let mut split_words = Vec::new();
            split(words, &mut split_words).unwrap();
            Parser::parse(&split_words, Family::Ip).unwrap().rules.remove(0)
        };
        tested.fill(Family::Ip, vec![rule("-s 10.0.0.1 -j DROP"), rule("-j RETURN")], Dialect::D).unwrap();
        let packet = |from: &str| Packet::udp(from.parse().unwrap(), (Router::receiver(Family::Ip), 80).into());
        let (dropped, passed) = (packet("10.0.0.1:1000"), packet("10.0.0.2:1000"));
        assert!(floor.passes(&dropped).unwrap() && !tested.passes(&dropped).unwrap() && tested.passes(&passed).unwrap());
        let cost = pair(&floor, &tested, std::slice::from_ref(&passed), Duration::from_millis(20)).unwrap();
        assert!(cost.floor > 0.0 && cost.low <= cost.added && cost.added <= cost.high && cost.pairs >= 8, "{cost:?}");
        let counted: Vec<u64> = tested.rules(Family::Ip).unwrap().iter().map(|entry| entry.counters.unwrap().packets).collect();
        assert!(counted[0] == 1 && counted[1] > cost.pairs as u64 * cost.packets as u64, "{counted:?} {cost:?}");
        floor.set_policy(false).unwrap();
        assert!(!floor.passes(&passed).unwrap());
        floor.set_policy(true).unwrap();
        assert!(floor.passes(&passed).unwrap());
    });
}
