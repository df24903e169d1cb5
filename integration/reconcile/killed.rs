//! Killed at any moment of `apply`, dockgate leaves the old policy or the new, and the way back.

use std::{fs, os::unix::process::ExitStatusExt as _};

use super::folder;
use crate::{
    docker::{
        engine::{printed, within},
        need::require,
    },
    killed::{Netns, calls, dockgate, ruleset, traced},
    support::{LIMIT, output_within, show},
};

#[test]
fn killed_at_any_system_call_of_an_apply_it_leaves_the_old_policy_or_the_new() {
    if !require("iptables") {
        return;
    }
    let netns = Netns::new();
    let netns = netns.path();
    let folder = folder("killed-apply");
    let state = folder.join("state");
    let policy = |name: &str, default: &str, from: &str| {
        let file = folder.join(name);
        fs::write(&file, format!("external = \"lo\"\ndefault = \"{default}\"\n[[rule]]\nallow = \"443/tcp\"\nfrom = \"{from}\"\n"))
            .unwrap();
        format!("apply {}", file.display())
    };
    let (apply_old, apply_new) = (policy("old.toml", "drop", "192.168.1.0/24"), policy("new.toml", "reject", "2001:db8::/64"));
    let run = |words: &str| printed(dockgate(&netns, words).env("DOCKGATE_STATE", &state));
    // What Docker makes, somebody else's rule, and the old policy.
    let reset = || {
        printed(within(&netns, "nft").args(["flush", "ruleset"]));
        let _ = fs::remove_dir_all(&state);
        for words in ["-N DOCKER-USER", "-A DOCKER-USER -s 192.0.2.1 -j DROP", "-I FORWARD -j DOCKER-USER"] {
            printed(within(&netns, "iptables").args(words.split(' ')));
        }
        run(&apply_old);
    };
    // Counters of what is swapped go on; no packet comes here.
    let found = || {
        let six = printed(&mut within(&netns, "ip6tables-save"));
        ruleset(&netns) + &six.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    };
    reset();
    let old = found();
    run(&apply_new);
    let new = found();
    assert!(old != new && old.contains("DOCKGATE") && new.contains("DOCKGATE"));
    reset();
    let trace = |options: &[&str]| {
        let mut command = traced(&netns, &apply_new, options);
        command.env("DOCKGATE_STATE", &state);
        command
    };
    let calls = calls(trace(&["--output=/dev/stderr"]));
    let (mut olds, mut news) = (0, 0);
    reset();
    for (call, (name, nth)) in calls.iter().enumerate() {
        let killed = trace(&[&format!("--inject={name}:signal=SIGKILL:when={nth}")]).spawn().unwrap();
        let killed = output_within(killed, LIMIT, "dockgate under strace").status;
        assert_eq!(killed.signal(), Some(9), "at call {call}, {name}: {killed}");
        match found() {
            now if now == old => olds += 1,
            now => {
                assert_eq!(now, new, "killed at call {call}, {name}");
                news += 1;
                // One step back is what stood before; and nobody holds a lock.
                let said = run("rollback");
                assert!(said.starts_with("rolled back: policy old "), "killed at call {call}, {name}: {said}");
                assert_eq!(found(), old, "killed at call {call}, {name}");
            }
        }
    }
    assert!(olds > 0 && news > 0, "killed {olds} times before the change and {news} times after it");
    // The changes that were never made are steps that change nothing; apply works as ever.
    assert!(run("rollback").starts_with("rolled back, and nothing was to be changed for it: policy old "));
    run(&apply_new);
    assert_eq!(found(), new);
    show(&format!("killed at each of {} system calls of an apply: {olds} times the old policy stood, {news} times the new", calls.len()));
}
