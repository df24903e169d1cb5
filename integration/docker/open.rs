//! Every state in which a stranger gets in although a policy, or a rule by hand, forbids it: `status` says so
//! with exit code 5, and what it names as the cure cures. And every healthy state is called sound.

use super::{
    engine::{Engine, FRIEND, HOST, STRANGER, Version, printed},
    on_each_engine,
};
use serde_json::Value;
use std::fs;

on_each_engine!(every_open_state_is_said_and_cured, without_dnat_docker_proxy_is_said, healthy_states_are_sound, the_same_holds_for_ipv6);

const POLICY: &str = "external = 'ext0'\ndefault = 'reject'\n[[rule]]\nallow = 'any'\nfrom = ['192.168.1.1', 'fd00:1::1']\n";
const WEB: &str = "http://192.168.1.10:8080/";

/// What a shell command on the host is run with.
enum Run {
    /// The engine's own iptables.
    Iptables(&'static str),
    /// nft.
    Nft(&'static str),
    Dockgate(&'static str),
}

use Run::{Dockgate, Iptables, Nft};

/// How the host is opened, what is then said, how it is closed as the program says, and what has to be
/// cleaned up afterwards, if nobody else's rule is touched by the cure.
struct State {
    opened: &'static [Run],
    fault: &'static str,
    harm: Option<&'static str>,
    cure: &'static [Run],
    left: &'static [Run],
}

const APPLY: &[Run] = &[Dockgate("apply POLICY")];
const BY_HAND: &[Run] = &[Iptables("-D FORWARD -j DOCKER-USER"), Iptables("-I FORWARD -j DOCKER-USER")];

/// With a policy.
const STATES: &[State] = &[
    State { opened: &[Iptables("-D FORWARD -j DOCKER-USER")], fault: "unreached", harm: Some("not-reached"), cure: APPLY, left: &[] },
    State {
        opened: &[Iptables("-D FORWARD -j DOCKER-USER")],
        fault: "unreached",
        harm: Some("not-reached"),
        cure: &[Iptables("-I FORWARD -j DOCKER-USER")],
        left: &[],
    },
    State {
        opened: &[Iptables("-I FORWARD -i ext0 -j ACCEPT")],
        fault: "late",
        harm: Some("accepts-before"),
        cure: APPLY,
        left: &[Iptables("-D FORWARD -i ext0 -j ACCEPT")],
    },
    State {
        opened: &[Iptables("-I FORWARD -i ext0 -j ACCEPT")],
        fault: "late",
        harm: Some("accepts-before"),
        cure: BY_HAND,
        left: &[Iptables("-D FORWARD -i ext0 -j ACCEPT")],
    },
    State {
        opened: &[Iptables("-N other"), Iptables("-A other -p tcp -j ACCEPT"), Iptables("-I FORWARD -j other")],
        fault: "late",
        harm: Some("accepts-before"),
        cure: APPLY,
        left: &[Iptables("-D FORWARD -j other"), Iptables("-F other"), Iptables("-X other")],
    },
    State {
        opened: &[Nft("insert rule ip filter FORWARD ip saddr { 192.168.1.2, 192.168.1.3 } accept")],
        fault: "late",
        harm: Some("accepts-before"),
        cure: APPLY,
        // iptables reads a rule without the set, and finds it.
        left: &[Iptables("-D FORWARD 2")],
    },
    // As after a flush, `apply`, and a restart of an engine up to 26 with live-restore.
    State {
        opened: &[Iptables("-D FORWARD -j DOCKER-USER"), Iptables("-A FORWARD -j DOCKER-USER")],
        fault: "late",
        harm: Some("accepts-before"),
        cure: APPLY,
        left: &[],
    },
    State {
        opened: &[Nft("insert rule ip filter DOCKGATE-OUTSIDE ct state new counter accept")],
        fault: "foreign",
        harm: Some("refused"),
        cure: APPLY,
        left: &[],
    },
    State {
        opened: &[Iptables("-I DOCKER-USER -i ext0 -j RETURN")],
        fault: "not-first",
        harm: None,
        cure: APPLY,
        left: &[Iptables("-D DOCKER-USER -i ext0 -j RETURN")],
    },
    State { opened: &[Iptables("-F DOCKER-USER")], fault: "no-jump", harm: None, cure: APPLY, left: &[] },
    State { opened: &[Iptables("-F DOCKGATE-OUTSIDE")], fault: "changed", harm: None, cure: APPLY, left: &[] },
];

/// With a rule by hand and no policy.
const HAND: &[State] = &[
    State {
        opened: &[Iptables("-D FORWARD -j DOCKER-USER")],
        fault: "unreached",
        harm: Some("not-reached"),
        cure: &[Iptables("-I FORWARD -j DOCKER-USER")],
        left: &[],
    },
    State {
        opened: &[Iptables("-I FORWARD -i ext0 -j ACCEPT")],
        fault: "late",
        harm: Some("accepts-before"),
        cure: BY_HAND,
        left: &[Iptables("-D FORWARD -i ext0 -j ACCEPT")],
    },
];

/// Writes a policy for the engine's host, and gives its path.
fn policy(engine: &Engine, text: &str) -> String {
    let file = engine.path("run/policy.toml");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn run(engine: &Engine, commands: &[Run]) {
    let file = engine.path("run/policy.toml").display().to_string();
    for command in commands {
        match command {
            Iptables(words) => drop(engine.iptables(words)),
            Nft(words) => drop(printed(engine.in_host("nft").arg(words))),
            Dockgate(words) => drop(engine.gate(&words.replace("POLICY", &file))),
        }
    }
}

/// The exit code of a command that prints JSON, and what it printed.
fn asked(engine: &Engine, words: &str) -> (i32, Value) {
    let done = engine.dockgate(&format!("--json {words}"));
    let code = done.status.code().unwrap();
    (code, serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{words}: {error}: {done:?}")))
}

/// The exit code of `status`, and what it finds in that family.
fn status(engine: &Engine, family: &str) -> (i32, Vec<String>) {
    let (code, value) = asked(engine, "status");
    let families = value["families"].as_array().unwrap().iter().filter(|one| one["family"] == family);
    let faults = families.flat_map(|one| one["faults"].as_array().unwrap());
    (code, faults.map(|fault| fault["fault"].as_str().unwrap().to_owned()).collect())
}

fn harms(engine: &Engine) -> Vec<String> {
    let (_, value) = asked(engine, "-4 audit");
    let findings = value["tables"][0]["findings"].as_array().unwrap().iter();
    findings.flat_map(|one| one["harms"].as_array().unwrap()).map(|harm| harm["harm"].as_str().unwrap().to_owned()).collect()
}

fn plan(engine: &Engine) -> i32 {
    let file = engine.path("run/policy.toml").display().to_string();
    engine.dockgate(&format!("plan {file}")).status.code().unwrap()
}

fn stranger(engine: &Engine) -> Option<String> {
    engine.http(STRANGER, WEB)
}

#[track_caller]
fn assert_sound(engine: &Engine, after: &str) {
    let done = engine.dockgate("status");
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.code() == Some(0) && text.contains("sound"), "{after}: {text}");
    assert_eq!(status(engine, "ip"), (0, vec![]), "{after}");
    assert_eq!(engine.dockgate("list").status.code(), Some(0), "{after}");
    assert_eq!(engine.all_http(&[(FRIEND, WEB), (STRANGER, WEB)]), [Some("web".into()), None], "{after}");
}

#[track_caller]
fn assert_open(engine: &Engine, fault: &str, after: &str) {
    assert_eq!(stranger(engine).as_deref(), Some("web"), "{after}");
    let (code, faults) = status(engine, "ip");
    assert!(code == 5 && faults.contains(&fault.to_owned()), "{after}: {code} {faults:?}");
}

fn names(commands: &[Run]) -> String {
    let name = |one: &Run| match one {
        Iptables(words) => format!("iptables {words}"),
        Nft(words) => format!("nft {words}"),
        Dockgate(words) => format!("dockgate {words}"),
    };
    commands.iter().map(name).collect::<Vec<_>>().join("; ")
}

fn walk(engine: &Engine, states: &[State], by_policy: bool) {
    for State { opened, fault, harm, cure, left } in states {
        let what = names(opened);
        run(engine, opened);
        assert_open(engine, fault, &what);
        if by_policy {
            assert_eq!(plan(engine), 5, "{what}");
        }
        if matches!(*fault, "late" | "unreached") {
            assert_eq!(engine.dockgate("list").status.code(), Some(5), "{what}");
        }
        if let Some(harm) = harm {
            let found = harms(engine);
            assert!(found.contains(&(*harm).to_owned()), "{what}: {found:?}");
        }
        let others = others(engine);
        run(engine, cure);
        assert_eq!(self::others(engine), others, "{what}: nobody else's rule is moved or removed");
        assert_sound(engine, &format!("{what}; {}", names(cure)));
        if by_policy {
            assert_eq!(plan(engine), 0, "{what}");
        }
        run(engine, left);
        assert_sound(engine, &names(left));
    }
}

/// The rules of FORWARD but for the jump, as nft lists them: of which nothing is too strange for it.
fn others(engine: &Engine) -> Vec<String> {
    let listed = printed(engine.in_host("nft").args(["--stateless", "--handle", "list", "chain", "ip", "filter", "FORWARD"]));
    let rules = listed.lines().filter(|line| line.contains("handle") && !line.contains("chain FORWARD") && !line.contains("DOCKER-USER"));
    rules.map(|line| line.trim().to_owned()).collect()
}

fn every_open_state_is_said_and_cured(version: Version) {
    let Some(engine) = Engine::running(version, "") else { return };
    engine.publish_on("0.0.0.0:", "web", 8080, 80, "");
    let file = policy(&engine, POLICY);
    assert_eq!(plan(&engine), 5);
    engine.gate(&format!("apply {file}"));
    assert_sound(&engine, "the first apply");
    walk(&engine, STATES, true);

    // An interface that is misspelt: written, and said with a code of its own.
    policy(&engine, &POLICY.replace("ext0", "etx0"));
    assert_eq!(engine.dockgate(&format!("apply {file}")).status.code(), Some(7));
    assert_open(&engine, "no-interface", "external = 'etx0'");
    assert_eq!(plan(&engine), 7);
    let said = String::from_utf8(engine.dockgate("status").stdout).unwrap();
    assert!(said.contains("did you mean `ext0`?"), "{said}");
    policy(&engine, POLICY);
    engine.gate(&format!("apply {file}"));
    assert_sound(&engine, "external = 'ext0'");

    // A port that is published on IPv6 as well, to a container without it.
    engine.publish("six", 8081, 80, "");
    assert_eq!(engine.http("fd00:1::2", "http://[fd00:1::10]:8081/").as_deref(), Some("six"));
    assert_eq!(status(&engine, "ip6"), (5, vec!["proxied".into()]));
    assert_eq!(plan(&engine), 7);
    let (code, value) = asked(&engine, &format!("apply {file}"));
    assert_eq!((code, &value["faults"][0]["fault"], &value["faults"][0]["family"]), (7, &"proxied".into(), &"ip6".into()));
    engine.docker("rm --force six");
    engine.publish_on("0.0.0.0:", "six", 8081, 80, "");
    assert_eq!(engine.http("fd00:1::2", "http://[fd00:1::10]:8081/"), None);
    assert_sound(&engine, "published on 0.0.0.0");

    // One that everybody may reach: nobody gets past anything.
    engine.publish("all", 8083, 80, "");
    for strategy in ["", "strategy = 'set'\n"] {
        policy(&engine, &format!("{strategy}{POLICY}[[rule]]\nallow = '8083/tcp'\n"));
        engine.gate(&format!("apply {file}"));
        assert_eq!(engine.http("fd00:1::2", "http://[fd00:1::10]:8083/").as_deref(), Some("all"));
        assert_sound(&engine, "8083/tcp is for everybody");
    }
    policy(&engine, &format!("{POLICY}[[rule]]\nallow = '8083/udp'\n"));
    assert_eq!(plan(&engine), 5);
    assert_eq!(engine.dockgate(&format!("apply {file}")).status.code(), Some(7));
    assert_eq!(status(&engine, "ip6"), (5, vec!["proxied".into()]));
    engine.docker("rm --force all");

    // Rules by hand alone; and none at all.
    engine.gate("remove");
    assert_eq!(status(&engine, "ip"), (0, vec![]));
    run(&engine, &[Iptables("-D FORWARD -j DOCKER-USER")]);
    assert_eq!(status(&engine, "ip"), (0, vec![]), "nothing is to be stopped");
    run(&engine, &[Iptables("-I FORWARD -j DOCKER-USER"), Iptables("-I DOCKER-USER -i ext0 ! -s 192.168.1.1 -j REJECT")]);
    assert_sound(&engine, "a rule by hand");
    walk(&engine, HAND, false);
}

fn without_dnat_docker_proxy_is_said(version: Version) {
    let Some(mut engine) = Engine::running(version, "") else { return };
    engine.publish_on("0.0.0.0:", "web", 8080, 80, "");
    let file = policy(&engine, POLICY);
    engine.gate(&format!("apply {file}"));
    assert_sound(&engine, "the first apply");

    run(&engine, &[Nft("flush ruleset")]);
    assert_open(&engine, "gone", "nft flush ruleset");
    assert_eq!(plan(&engine), 5);
    // What is written is not in force before Docker's own rules are back.
    assert_eq!(engine.dockgate(&format!("apply {file}")).status.code(), Some(7));
    assert_open(&engine, "proxied", "nft flush ruleset; apply");
    assert_eq!(plan(&engine), 7);
    engine.restart();
    engine.docker("start web");
    engine.serves("web", 8080);
    assert_sound(&engine, "nft flush ruleset; apply; restart");

    engine.restart_with("--iptables=false");
    engine.docker("start web");
    engine.serves("web", 8080);
    assert_open(&engine, "proxied", "--iptables=false");
    engine.restart_with("");
    engine.docker("start web");
    engine.serves("web", 8080);
    assert_sound(&engine, "without --iptables=false");

    // Without the proxy there is nothing that serves.
    engine.restart_with("--userland-proxy=false");
    engine.docker("start web");
    engine.until("web serves", |engine| engine.http(FRIEND, WEB).is_some());
    assert_sound(&engine, "--userland-proxy=false");
    // dockerd holds the port and answers nothing.
    run(&engine, &[Nft("flush table ip nat")]);
    assert_eq!(status(&engine, "ip"), (0, vec![]), "nothing is open");
}

fn healthy_states_are_sound(version: Version) {
    let Some(mut engine) = Engine::running(version, "--live-restore") else { return };
    engine.publish_on("0.0.0.0:", "web", 8080, 80, "");
    let file = policy(&engine, POLICY);
    engine.gate(&format!("apply {file}"));
    assert_sound(&engine, "fresh");
    engine.restart();
    assert_sound(&engine, "restart with live-restore");
    engine.crash();
    engine.start();
    assert_sound(&engine, "crash with live-restore");
    engine.docker("network create other");
    assert_sound(&engine, "network create");
    // Other firewalls in front: what they only drop, log, or pass for others.
    run(
        &engine,
        &[
            Iptables("-N ufw-before-forward"),
            Iptables("-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
            Iptables("-A ufw-before-forward -m conntrack --ctstate INVALID -j DROP"),
            Iptables("-N LIBVIRT_FWO"),
            Iptables("-A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT"),
            Iptables("-A LIBVIRT_FWO -i virbr0 -j REJECT"),
            Iptables("-I FORWARD -j LIBVIRT_FWO"),
            Iptables("-I FORWARD -j ufw-before-forward"),
            Iptables("-I FORWARD -m limit --limit 3/min -j LOG"),
            Nft("insert rule ip filter FORWARD ct state established,related accept"),
        ],
    );
    assert_sound(&engine, "other firewalls in front");
    assert_eq!(plan(&engine), 0);
    assert_eq!(engine.http(FRIEND, &format!("http://{HOST}:8080/")).as_deref(), Some("web"));
}

fn the_same_holds_for_ipv6(version: Version) {
    let arguments = match version {
        Version::Installed | Version::Iptables187 => "--experimental --ip6tables --ipv6 --fixed-cidr-v6 fd00:d::/64",
        Version::Docker28 => "--ipv6 --fixed-cidr-v6 fd00:d::/64",
    };
    let Some(mut engine) = Engine::running(version, arguments) else { return };
    engine.publish("web", 8080, 80, "");
    let url = "http://[fd00:1::10]:8080/";
    let (friend, stranger) = (("fd00:1::1", url), ("fd00:1::2", url));
    let web = || Some("web".to_owned());
    // Docker 20.10 does not wait until the container's address may be used.
    engine.until("web serves over IPv6", |engine| engine.http(friend.0, friend.1).is_some());
    let file = policy(&engine, POLICY);
    engine.gate(&format!("apply {file}"));
    let is_sound = |engine: &Engine, after: &str| {
        assert_eq!(status(engine, "ip6"), (0, vec![]), "{after}");
        assert_eq!(engine.all_http(&[friend, stranger]), [web(), None], "{after}");
    };
    is_sound(&engine, "applied");
    let ip6tables = |engine: &Engine, words: &str| drop(printed(engine.own("ip6tables").args(words.split(' '))));
    for (words, fault) in [
        ("-D FORWARD -j DOCKER-USER", "unreached"),
        ("-I FORWARD -p tcp -j ACCEPT", "late"),
        ("-I FORWARD -p tcp -m conntrack --ctstate NEW -j ACCEPT", "late"),
    ] {
        ip6tables(&engine, words);
        assert_eq!(engine.all_http(&[stranger]), [web()], "{words}");
        assert_eq!(status(&engine, "ip6"), (5, vec![fault.into()]), "{words}");
        engine.gate(&format!("apply {file}"));
        is_sound(&engine, words);
    }
    engine.restart();
    engine.docker("start web");
    engine.serves("web", 8080);
    engine.until("web serves over IPv6", |engine| engine.http(friend.0, friend.1).is_some());
    if version == Version::Installed {
        // Docker 20.10 knows of no DOCKER-USER for IPv6, and puts its own rules on top.
        assert_eq!(engine.all_http(&[stranger]), [web()]);
        assert_eq!(status(&engine, "ip6"), (5, vec!["late".into()]));
        engine.gate(&format!("apply {file}"));
    }
    is_sound(&engine, "a restart");
}
