//! What the audit says of Docker's next start is what dockerd does then.

use super::{
    engine::{Engine, Version, printed},
    on_each_engine,
};

on_each_engine!(the_jump_is_lost_where_it_says_so, a_second_jump_comes_where_it_says_so);

const JUMP: &str = "jump DOCKER-USER";

/// Rules of `DOCKER-USER` in nft's words, and whether the audit warns of the jump.
const RULES: [(&str, bool); 5] = [
    ("ip saddr { 10.0.0.1, 10.0.0.2 } counter drop", false),
    ("icmp type != echo-request counter drop", false),
    ("ct state invalid counter drop", true),
    ("log prefix \"x\" counter", true),
    ("meta length 1400 counter drop", true),
];

fn nft(engine: &Engine, words: &str) -> String {
    printed(engine.in_host("nft").args(words.split(' ')))
}

/// The harms that `dockgate audit` names; its exit code tells whether there are any.
fn harms(engine: &Engine) -> Vec<String> {
    let done = engine.dockgate("-4 --json audit");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let findings = report["tables"][0]["findings"].as_array().unwrap();
    assert_eq!(done.status.code(), Some(i32::from(!findings.is_empty())));
    let names = findings.iter().flat_map(|finding| finding["harms"].as_array().unwrap());
    names.map(|harm| harm["harm"].as_str().unwrap().to_owned()).collect()
}

/// The rules of FORWARD as nft lists them, of which nothing is too strange for it.
fn forward(engine: &Engine) -> Vec<String> {
    let listed = nft(engine, "list chain ip filter FORWARD");
    let rules = listed.lines().map(str::trim).filter(|line| line.contains("counter") || line.contains("jump"));
    rules.map(str::to_owned).collect()
}

fn the_jump_is_lost_where_it_says_so(version: Version) {
    let Some(mut engine) = Engine::running(version, "") else { return };
    // Docker's own table has nothing that is found.
    assert_eq!(harms(&engine), [""; 0]);
    for (rule, lost) in RULES {
        nft(&engine, "flush chain ip filter DOCKER-USER");
        nft(&engine, &format!("add rule ip filter DOCKER-USER {rule}"));
        assert_eq!(harms(&engine).contains(&"jump-lost".to_owned()), lost, "{rule}");
        engine.restart();
        let rules = forward(&engine);
        assert_eq!(!rules[0].contains(JUMP), lost, "{rule}: {rules:?}");
    }
}

fn a_second_jump_comes_where_it_says_so(version: Version) {
    let Some(mut engine) = Engine::running(version, "") else { return };
    nft(&engine, "insert rule ip filter FORWARD ct state invalid counter drop");
    assert!(harms(&engine).contains(&"jump-again".to_owned()));
    engine.restart();
    let jumps = |rules: &[String]| rules.iter().filter(|rule| rule.contains(JUMP)).count();
    assert_eq!(jumps(&forward(&engine)), 2);
    // Now there is one before that rule, and Docker finds it.
    assert!(!harms(&engine).contains(&"jump-again".to_owned()));
    engine.restart();
    assert_eq!(jumps(&forward(&engine)), 2);
}
