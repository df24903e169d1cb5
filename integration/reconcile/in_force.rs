//! What keeps a policy from being in force is said by every command that would otherwise say that all is
//! well, also without a Docker that could be asked. What real packets then do: `docker::open`.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::folder;
use crate::{
    iptables::Installed,
    support::{Done, call, finish, in_netns, need},
};

/// A host with a policy file, in the calling thread's network namespace, which has only `lo`.
struct Place {
    folder: std::path::PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let place = Self { folder: folder(name) };
        place.write("lo");
        place
    }

    fn write(&self, external: &str) {
        let text = format!("external = \"{external}\"\ndefault = \"drop\"\n[[rule]]\nallow = \"443/tcp\"\n");
        fs::write(self.folder.join("web.toml"), text).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
        command.args(line.split(' ')).current_dir(&self.folder).env("DOCKGATE_STATE", "state");
        command
    }

    fn run(&self, line: &str) -> Done {
        finish(self.command(line), "")
    }

    #[track_caller]
    fn ends(&self, line: &str, code: i32) -> Done {
        let done = self.run(line);
        assert_eq!(done.code, code, "{line}: {done:?}");
        done
    }

    /// What `status` finds, with its family.
    fn faults(&self) -> Vec<(String, String)> {
        let done = self.run("--json status");
        let value: Value = serde_json::from_str(&done.out).unwrap();
        let families = value["families"].as_array().unwrap().iter();
        let faults: Vec<&Value> = families.flat_map(|one| one["faults"].as_array().unwrap()).collect();
        assert_eq!(done.code, if faults.is_empty() { 0 } else { 5 }, "{done:?}");
        let word = |fault: &Value, key: &str| fault[key].as_str().unwrap().to_owned();
        faults.into_iter().map(|fault| (word(fault, "family"), word(fault, "fault"))).collect()
    }
}

fn both(fault: &str) -> Vec<(String, String)> {
    ["ip", "ip6"].map(|family| (family.to_owned(), fault.to_owned())).to_vec()
}

fn here(test: &str, name: &str, body: impl FnOnce(Place)) {
    in_netns(test, || {
        if Installed::find(test).is_some() && need(test, "nft") {
            body(Place::new(name));
        }
    });
}

#[test]
fn a_table_that_sleeps_is_said() {
    here("reconcile::in_force::a_table_that_sleeps_is_said", "asleep", |place| {
        place.ends("apply web.toml", 0);
        assert_eq!(place.faults(), []);
        call("nft", "-f -", "add table ip filter { flags dormant; }\n").ok();
        assert_eq!(place.faults(), [("ip".to_owned(), "asleep".to_owned())]);
        let done = place.ends("plan web.toml", 7);
        assert!(done.out.contains("nothing to do") && done.err.contains("sleeps"), "{done:?}");
        assert!(place.ends("apply web.toml", 7).err.contains("warning: the policy is written, but it is not in force for IPv4: "));
        call("nft", "add table ip filter", "").ok();
        place.ends("apply web.toml", 0);
        assert_eq!(place.faults(), []);
    });
}

#[test]
fn legacy_iptables_beside_a_policy_is_said() {
    const NAME: &str = "reconcile::in_force::legacy_iptables_beside_a_policy_is_said";
    here(NAME, "legacy", |place| {
        if !need(NAME, "iptables-legacy") {
            return;
        }
        place.ends("apply web.toml", 0);
        assert_eq!(place.faults(), []);
        // Looking makes the table.
        call("iptables-legacy", "-t filter -S", "").ok();
        assert_eq!(place.faults(), [("ip".to_owned(), "legacy".to_owned())]);
        for line in ["plan web.toml", "apply web.toml", "list"] {
            place.ends(line, 3);
        }
        // The same for rules by hand.
        call("iptables", "-F DOCKER-USER", "").ok();
        call("iptables", "-A DOCKER-USER -i lo -j DROP", "").ok();
        assert!(place.faults().contains(&("ip".to_owned(), "legacy".to_owned())));
    });
}

#[test]
fn an_external_interface_that_is_not_there_is_said() {
    here("reconcile::in_force::an_external_interface_that_is_not_there_is_said", "external", |place| {
        place.ends("apply web.toml", 0);
        place.write("l0");
        assert!(place.ends("plan web.toml", 5).err.contains("no interface `l0`"));
        assert!(place.ends("apply --dry-run web.toml", 7).err.contains("would not be in force for IPv4 and IPv6: "));
        assert_eq!(place.faults(), []);
        let done = place.ends("--json apply web.toml", 7);
        let value: Value = serde_json::from_str(&done.out).unwrap();
        assert_eq!((&value["faults"][0]["fault"], &value["faults"][1]["family"]), (&"no-interface".into(), &"ip6".into()));
        assert_eq!(place.faults(), both("no-interface"));
        place.ends("apply web.toml", 7);
        place.ends("plan web.toml", 7);
        // Back to where it was, and back here.
        place.ends("rollback", 0);
        assert_eq!(place.faults(), []);
        place.ends("apply web.toml", 7);
        place.write("lo");
        place.ends("apply web.toml", 0);
        place.ends("rollback", 7);
        place.ends("remove", 0);
        assert_eq!(place.faults(), []);
    });
}

#[test]
fn a_policy_that_somebody_flushed_is_missed() {
    here("reconcile::in_force::a_policy_that_somebody_flushed_is_missed", "gone", |place| {
        assert_eq!(place.faults(), []);
        place.ends("apply web.toml", 0);
        call("nft", "flush ruleset", "").ok();
        assert_eq!(place.faults(), both("gone"));
        place.ends("apply web.toml", 0);
        // Removed and rolled back to nothing there is nothing to be missed.
        place.ends("remove", 0);
        assert_eq!(place.faults(), []);
        place.ends("rollback", 0);
        call("nft", "flush ruleset", "").ok();
        assert_eq!(place.faults(), both("gone"));
        // Without its history nobody knows.
        let state = fs::read_dir(place.folder.join("state")).unwrap().next().unwrap().unwrap().path();
        remove_records(&state);
        assert_eq!(place.faults(), []);
    });
}

fn remove_records(state: &Path) {
    for entry in fs::read_dir(state).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

#[test]
fn a_trial_and_its_confirmation_put_the_jump_back() {
    here("reconcile::in_force::a_trial_and_its_confirmation_put_the_jump_back", "trial-heals", |place| {
        place.ends("apply web.toml", 0);
        for (family, rule) in [("iptables", "-D FORWARD -j DOCKER-USER"), ("ip6tables", "-I FORWARD -i lo -j ACCEPT")] {
            call(family, rule, "").ok();
        }
        fs::write(place.folder.join("next.toml"), "external = \"lo\"\ndefault = \"reject\"\n").unwrap();
        assert!(place.ends("apply --dry-run --confirm 60s next.toml", 0).out.contains("the jump from FORWARD to DOCKER-USER"));
        let mut trial = place.command("apply next.toml --confirm 60s").stdout(std::process::Stdio::null()).spawn().unwrap();
        let first = |family: &str| call(family, "-S FORWARD 1", "").out;
        while !place.run("status").out.contains("on trial for another") {
            assert_eq!(trial.try_wait().unwrap(), None);
        }
        assert_eq!([first("iptables"), first("ip6tables")], ["-A FORWARD -j DOCKER-USER\n"; 2]);
        assert_eq!(place.faults(), []);
        call("iptables", "-D FORWARD -j DOCKER-USER", "").ok();
        place.ends("confirm --here", 0);
        assert_eq!([first("iptables"), first("ip6tables")], ["-A FORWARD -j DOCKER-USER\n"; 2]);
        assert_eq!(place.faults(), []);
        assert!(trial.wait().unwrap().success());
        assert_eq!(call("ip6tables", "-S FORWARD 2", "").out, "-A FORWARD -i lo -j ACCEPT\n");
    });
}

#[test]
fn a_jump_that_somebody_else_wrote_stays() {
    let test = "reconcile::in_force::a_jump_that_somebody_else_wrote_stays";
    here(test, "in-force-theirs", |place| {
        place.ends("apply web.toml", 0);
        const THEIRS: &str = "-A FORWARD -m comment --comment \"ops: keep\" -j DOCKER-USER";
        for docker in [true, false] {
            call("iptables", "-F FORWARD", "").ok();
            call("iptables", "-A FORWARD -j ACCEPT", "").ok();
            call("iptables", THEIRS, "").ok();
            if docker {
                call("iptables", "-A FORWARD -j DOCKER-USER", "").ok();
            }
            assert_eq!(place.faults(), [("ip".to_owned(), "late".to_owned())]);
            place.ends("apply web.toml", 0);
            let listed = call("iptables", "-S FORWARD", "").ok();
            let rules: Vec<&str> = listed.lines().skip(1).collect();
            assert_eq!(rules, ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j ACCEPT", THEIRS], "{docker}");
            assert!(place.faults().is_empty());
        }
    });
}
