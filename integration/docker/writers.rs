//! Several writers at once: nobody's rule is lost or doubled.

use super::{
    engine::{Engine, Version, printed},
    on_each_engine,
};
use crate::support::show;
use std::thread;

on_each_engine!(nobodys_rule_is_lost_or_doubled);

/// What each of dockgate and iptables changes. What Docker changes comes on top: 60 rules for each
/// container with ten ports.
const CHANGES: usize = 500;

/// The words of a writer's changes: two rules in three stay.
fn changes(net: u8) -> (Vec<String>, Vec<String>) {
    let rule = |number: usize| format!("-s 10.{net}.{}.{}/32 -p tcp -m tcp --dport {number} -j DROP", number / 256, number % 256);
    let mut words = Vec::new();
    let mut stay = Vec::new();
    for number in 1.. {
        let verb = if number % 2 == 0 { "-I" } else { "-A" };
        words.push(format!("{verb} DOCKER-USER {}", rule(number)));
        if number % 3 == 0 {
            words.push(format!("-D DOCKER-USER {}", rule(number)));
        } else {
            stay.push(rule(number));
        }
        if words.len() >= CHANGES {
            break;
        }
    }
    stay.sort();
    (words, stay)
}

/// Everything but `DOCKER-USER`, without counters and the order of things.
fn others(engine: &Engine) -> Vec<String> {
    let all = printed(engine.own("iptables-save").args(["-t", "filter"])) + &printed(engine.own("iptables-save").args(["-t", "nat"]));
    let theirs = |line: &&str| !line.starts_with('#') && !line.starts_with("-A DOCKER-USER ");
    let uncounted = |line: &str| line.split(" [").next().unwrap_or_default().to_owned();
    let mut lines: Vec<_> = all.lines().filter(theirs).map(uncounted).collect();
    lines.sort();
    lines
}

fn nobodys_rule_is_lost_or_doubled(version: Version) {
    let Some(engine) = Engine::running(version, "") else { return };
    let (mine, mine_stay) = changes(1);
    let (theirs, theirs_stay) = changes(2);
    let before = others(&engine);
    let containers = thread::scope(|scope| {
        let dockgate = scope.spawn(|| mine.iter().for_each(|words| drop(engine.gate(&format!("iptables {words}")))));
        let iptables = scope.spawn(|| theirs.iter().for_each(|words| drop(engine.iptables(words))));
        let mut containers = 0;
        while containers < 3 || !dockgate.is_finished() || !iptables.is_finished() {
            engine.docker("run --detach --stop-signal KILL --name many --publish 9000-9009:9000-9009 bb:1 /bin/busybox tail -f /dev/null");
            engine.docker("rm --force many");
            containers += 1;
        }
        containers
    });
    assert_eq!(others(&engine), before);
    let rules = engine.rules("DOCKER-USER");
    let of = |net: &str| {
        let mut rules: Vec<_> = rules.iter().filter(|rule| rule.starts_with(net)).cloned().collect();
        rules.sort();
        rules
    };
    assert_eq!(of("-s 10.1."), mine_stay);
    assert_eq!(of("-s 10.2."), theirs_stay);
    let rest = if version == Version::Installed { 1 } else { 0 };
    assert_eq!(rules.len(), mine_stay.len() + theirs_stay.len() + rest);
    show(&format!(
        "{} changes by dockgate, {} by iptables, {} containers with ten ports each come and gone",
        mine.len(),
        theirs.len(),
        containers
    ));
}
