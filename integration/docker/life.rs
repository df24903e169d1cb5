//! What Docker does in its life leaves dockgate's rules and the jump to them in place, and what
//! dockgate does leaves Docker's chains as they are.

use super::{
    engine::{Engine, FRIEND, HOST, STRANGER, Version},
    on_each_engine,
};
use std::fs;

on_each_engine!(rules_and_jump_outlive_what_docker_does, dockers_own_stays_byte_for_byte, a_chain_made_before_docker_is_taken_over);

/// The rules that guard `web`, as iptables prints them, in their order.
const RULES: [&str; 2] = ["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN", "! -s 192.168.1.1/32 -i ext0 -j DROP"];

/// The rules are there once each, in their order and before any other, the jump to them stands
/// first, and they hold.
fn assert_holds(engine: &Engine, after: &str) {
    // Docker 20.10 closes the chain with a rule of its own.
    let last = (engine.version == Version::Installed).then_some("-j RETURN");
    assert_eq!(engine.rules("DOCKER-USER"), RULES.into_iter().chain(last).collect::<Vec<_>>(), "after {after}");
    let forward = engine.rules("FORWARD");
    assert_eq!(forward.first().map(String::as_str), Some("-j DOCKER-USER"), "after {after}: {forward:?}");
    assert_eq!(forward.iter().filter(|rule| rule.contains("DOCKER-USER")).count(), 1, "after {after}: {forward:?}");
    for rule in RULES {
        engine.gate(&format!("iptables -C DOCKER-USER {rule}"));
    }
    let url = format!("http://{HOST}:8080/");
    assert_eq!(engine.all_http(&[(FRIEND, &url), (STRANGER, &url)]), [Some("web".into()), None], "after {after}");
}

fn rules_and_jump_outlive_what_docker_does(version: Version) {
    let Some(mut engine) = Engine::running(version, "") else { return };
    engine.publish("web", 8080, 80, "");
    for (index, rule) in RULES.iter().enumerate() {
        engine.gate(&format!("iptables -I DOCKER-USER {} {rule}", index + 1));
    }
    assert_holds(&engine, "the rules were made");

    engine.restart();
    engine.docker("start web");
    engine.serves("web", 8080);
    assert_holds(&engine, "a restart of dockerd");

    engine.crash();
    engine.start();
    engine.docker("start web");
    engine.serves("web", 8080);
    assert_holds(&engine, "a crash of dockerd");

    engine.docker("network create other");
    assert_holds(&engine, "a network was made");

    engine.docker("rm --force web");
    engine.publish("web", 8080, 80, "");
    assert_holds(&engine, "the container was made anew");

    engine.docker("rm --force web");
    engine.publish("web", 8080, 3000, "--network other");
    assert_holds(&engine, "the container was moved to another network and port");

    engine.docker("network disconnect other web");
    engine.docker("rm --force web");
    engine.docker("network rm other");
    engine.publish("web", 8080, 80, "");
    assert_holds(&engine, "the network was removed");
}

fn dockers_own_stays_byte_for_byte(version: Version) {
    let Some(engine) = Engine::running(version, "") else { return };
    engine.docker("network create other");
    engine.publish("web", 8080, 80, "");
    engine.publish("shop", 8081, 80, "--network other");
    let (theirs, rules) = (engine.others(), engine.rules("DOCKER-USER"));
    for words in [
        "-I DOCKER-USER -i ext0 -s 192.168.1.2 -j DROP",
        "-A DOCKER-USER -i ext0 -p tcp --dport 80 -j DROP",
        "-I DOCKER-USER 2 -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
        "-R DOCKER-USER 1 -i ext0 ! -s 192.168.1.1 -j REJECT",
        "-C DOCKER-USER -i ext0 ! -s 192.168.1.1 -j REJECT",
        "-D DOCKER-USER 2",
        "-D DOCKER-USER -i ext0 ! -s 192.168.1.1 -j REJECT",
        "-D DOCKER-USER -i ext0 -p tcp --dport 80 -j DROP",
    ] {
        engine.gate(&format!("iptables {words}"));
        assert_eq!(engine.others(), theirs, "after {words}");
    }
    assert_eq!(engine.rules("DOCKER-USER"), rules);

    let file = engine.path("run/rules");
    let restore = format!("restore {}", file.display());
    fs::write(&file, format!("*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER {}\n-A DOCKER-USER {}\nCOMMIT\n", RULES[0], RULES[1])).unwrap();
    engine.gate(&restore);
    assert_eq!(engine.others(), theirs, "after restore");
    let rules = engine.rules("DOCKER-USER");
    assert!(RULES.iter().all(|rule| rules.iter().filter(|one| one == rule).count() == 1), "{rules:?}");
    fs::write(&file, engine.gate("save")).unwrap();
    engine.gate(&restore);
    assert_eq!(engine.others(), theirs, "after what was saved was restored");
    assert_eq!(engine.rules("DOCKER-USER"), rules);

    engine.gate("iptables -F DOCKER-USER");
    assert_eq!(engine.others(), theirs, "after -F");
}

fn a_chain_made_before_docker_is_taken_over(version: Version) {
    let Some(mut engine) = Engine::host(version, "") else { return };
    engine.gate("iptables -N DOCKER-USER");
    for rule in RULES {
        engine.gate(&format!("iptables -A DOCKER-USER {rule}"));
    }
    assert_eq!(engine.rules("DOCKER-USER"), RULES);
    engine.start();
    engine.import();
    engine.publish("web", 8080, 80, "");
    assert_holds(&engine, "the first start");
    engine.restart();
    engine.docker("start web");
    engine.serves("web", 8080);
    assert_holds(&engine, "the second start");
}
