//! Policies on a host with a real dockerd.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Output, Stdio},
};

use crate::docker::{
    engine::{Engine, FAR, FRIEND, HOST, STRANGER, Version},
    on_each_engine,
};

on_each_engine!(a_policy_outlives_what_docker_does, so_do_its_sets, a_trial_is_over_when_all_are_killed);

/// What a new user writes for two published ports.
const POLICY: &str = r#"external = "ext0"
default  = "drop"

[[rule]]
allow   = "8080/tcp"
comment = "the web site"

[[rule]]
allow   = "8081/tcp"
from    = ["192.168.1.1"]
comment = "the shop, for a friend"
"#;

/// One that locks the friend out.
const WRONG: &str = "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = 'any'\nfrom = '192.168.1.2'\n";

fn gate(engine: &Engine, words: &[&str]) -> Command {
    let mut command = engine.in_host(env!("CARGO_BIN_EXE_dockgate"));
    command.args(words).env("DOCKGATE_STATE", engine.path("run/dockgate"));
    command
}

/// Runs dockgate; it must end with that code.
#[track_caller]
fn run(engine: &Engine, words: &[&str], code: i32) -> String {
    ended(gate(engine, words).output().unwrap(), code)
}

#[track_caller]
fn ended(output: Output, code: i32) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn policy(engine: &Engine, name: &str, text: &str) -> String {
    let path = engine.path("run").join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// On IPv4 alone: over IPv6 docker-proxy would let everybody in, past the policy.
fn publish(engine: &Engine, name: &str, host_port: u16, container_port: u16, options: &str) {
    engine.publish_on("0.0.0.0:", name, host_port, container_port, options);
}

/// Who reaches the web site, and who the shop: friend, stranger, and who comes from far.
#[track_caller]
fn reach(engine: &Engine, web: [bool; 3], shop: [bool; 3], when: &str) {
    let urls = [8080, 8081].map(|port| format!("http://{HOST}:{port}/"));
    let asked: Vec<(&str, &str)> = urls.iter().flat_map(|url| [FRIEND, STRANGER, FAR].map(|from| (from, url.as_str()))).collect();
    let answers: Vec<bool> = engine.all_http(&asked).iter().map(Option::is_some).collect();
    assert_eq!(answers, [web, shop].concat(), "{when}: {:#?}", engine.saved());
}

/// The policy holds, nothing is to be done, and the jump to it is first.
#[track_caller]
fn holds(engine: &Engine, file: &str, when: &str) {
    reach(engine, [true; 3], [true, false, false], when);
    let said = run(engine, &["plan", file], 0);
    assert!(said.contains("nothing to do"), "{when}: {said}");
    run(engine, &["status"], 0);
    let rules = engine.rules("DOCKER-USER");
    assert!(rules[0].ends_with("-j DOCKGATE"), "{when}: {rules:?}");
    assert_eq!(rules.iter().filter(|rule| rule.contains("DOCKGATE")).count(), 1, "{when}: {rules:?}");
}

fn a_policy_outlives_what_docker_does(version: Version) {
    outlives(version, POLICY);
}

/// Sender and port are looked up in our own table, which Docker knows nothing of.
fn so_do_its_sets(version: Version) {
    outlives(version, &format!("strategy = 'set'\n{}", POLICY.replace("\"8080/tcp\"", "[\"8080/tcp\", \"8090/tcp\", \"8091/tcp\"]")));
}

fn outlives(version: Version, text: &str) {
    let Some(mut engine) = Engine::running(version, "") else { return };
    // Something has the address that the container would get later.
    publish(&engine, "web", 8080, 80, "");
    publish(&engine, "shop", 8081, 80, "");
    let before = engine.saved();
    reach(&engine, [true; 3], [true; 3], "without a policy");
    let file = policy(&engine, "web.toml", text);
    run(&engine, &["check", &file], 0);
    run(&engine, &["plan", &file], 5);
    assert_eq!(engine.saved(), before);
    run(&engine, &["apply", &file], 0);
    assert_eq!(engine.saved().iter().any(|line| line.contains("-m mark --mark")), text.contains("set"));
    holds(&engine, &file, "applied");

    // Containers reach each other, and the outside, also by port numbers that are published here.
    let page = |from: &str, address: &str, port: u16| {
        let request = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | /bin/busybox nc -w 3 {address} {port} | /bin/busybox tail -n 1");
        let output = engine.client().args(["exec", from, "/bin/busybox", "sh", "-c", &request]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let address = |name: &str| engine.docker(&format!("inspect --format {{{{.NetworkSettings.IPAddress}}}} {name}"));
    let (web, shop) = (address("web"), address("shop"));
    assert_eq!(page("web", &shop, 80), "shop");
    assert_eq!(page("web", STRANGER, 8000), "internet");
    // The container's own address is nobody's business outside.
    let direct = format!("http://{shop}:80/");
    assert_eq!(engine.all_http(&[(STRANGER, &direct), (FRIEND, &direct)]), [None, None]);

    // Made anew, each has the other's address.
    engine.docker("rm --force web shop");
    publish(&engine, "shop", 8081, 80, "");
    publish(&engine, "web", 8080, 3000, "");
    assert_eq!((address("web"), address("shop")), (shop, web));
    holds(&engine, &file, "the containers were made anew");

    engine.docker("network create other");
    holds(&engine, &file, "a network was made");
    engine.docker("rm --force shop");
    publish(&engine, "shop", 8081, 80, "--network other");
    holds(&engine, &file, "a container was moved to another network");

    engine.restart();
    for (name, port) in [("web", 8080), ("shop", 8081)] {
        engine.docker(&format!("start {name}"));
        engine.serves(name, port);
    }
    holds(&engine, &file, "dockerd was started again");
    engine.crash();
    engine.start();
    for (name, port) in [("web", 8080), ("shop", 8081)] {
        engine.docker(&format!("start {name}"));
        engine.serves(name, port);
    }
    holds(&engine, &file, "dockerd crashed");

    engine.docker("rm --force web shop");
    engine.docker("network rm other");
    publish(&engine, "web", 8080, 80, "");
    publish(&engine, "shop", 8081, 80, "");
    run(&engine, &["remove"], 0);
    reach(&engine, [true; 3], [true; 3], "removed");
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(sorted(engine.saved()), sorted(before));
}

/// Begins a trial in a session of its own.
fn begin(engine: &Engine, file: &str, length: &str) -> Child {
    let mut command = gate(engine, &["apply", file, "--confirm", length]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    in_new_session(&mut command).spawn().unwrap()
}

fn in_new_session(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only one system call is made, without memory.
    unsafe {
        command.pre_exec(|| match libc::setsid() {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        })
    }
}

fn on_trial(engine: &Engine) -> bool {
    engine.saved().iter().any(|line| line.contains("-g DOCKTRIAL"))
}

fn a_trial_is_over_when_all_are_killed(version: Version) {
    let Some(engine) = Engine::running(version, "") else { return };
    publish(&engine, "web", 8080, 80, "");
    publish(&engine, "shop", 8081, 80, "");
    let file = policy(&engine, "web.toml", POLICY);
    run(&engine, &["apply", &file], 0);
    holds(&engine, &file, "applied");

    let wrong = policy(&engine, "wrong.toml", WRONG);
    let mut trial = begin(&engine, &wrong, "15s");
    engine.until("the trial begins", on_trial);
    let group = trial.id().cast_signed();
    // SAFETY: no pointers; the group is that of a child that was not waited for.
    assert_eq!(unsafe { libc::kill(-group, libc::SIGKILL) }, 0);
    trial.wait().unwrap();
    reach(&engine, [false, true, false], [false, true, false], "on trial");
    let url = format!("http://{HOST}:8080/");
    engine.until("the kernel goes back", |engine| engine.http(FRIEND, &url).is_some());
    reach(&engine, [true; 3], [true, false, false], "after the trial");
    // The chains of the trial are still there; nothing leads to them, and the next change takes them.
    run(&engine, &["apply", &file], 0);
    holds(&engine, &file, "applied again");

    let trial = begin(&engine, &wrong, "60s");
    engine.until("the trial begins", on_trial);
    reach(&engine, [false, true, false], [false, true, false], "on trial again");
    ended(in_new_session(&mut gate(&engine, &["confirm"])).output().unwrap(), 0);
    ended(trial.wait_with_output().unwrap(), 0);
    reach(&engine, [false, true, false], [false, true, false], "confirmed");
    assert!(!on_trial(&engine));
    run(&engine, &["plan", &wrong], 0);
    run(&engine, &["rollback"], 0);
    holds(&engine, &file, "rolled back");
}
