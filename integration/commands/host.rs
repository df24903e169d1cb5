//! What the program makes of the host that it runs on.

use std::{os::unix::process::CommandExt as _, process::Command};

use dockgate::model::Family;

use super::{iptables, nft, nft_text, ours, ruleset, state};
use crate::{
    iptables::Installed,
    support::{Done, call, dockgate, finish, golden, in_netns, need, skip},
};

/// Runs dockgate without CAP_NET_ADMIN.
pub fn unprivileged(words: &[&str], input: &str) -> Done {
    const CAP_NET_ADMIN: libc::c_ulong = 12;
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
    command.args(words);
    // SAFETY: one system call, without pointers; allocates nothing. What is not in the bounding set
    // is not gained by exec, not by root either.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, CAP_NET_ADMIN, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    finish(command, input)
}

#[test]
fn without_permission_one_sentence_says_so() {
    const NAME: &str = "commands::host::without_permission_one_sentence_says_so";
    in_netns(NAME, || {
        let line = ["iptables", "-A", "DOCKER-USER", "-j", "DROP"];
        let done = unprivileged(&line, "");
        golden("errors/no-permission.txt", &format!("$ dockgate {}\n{}exit code {}\n", line.join(" "), done.err, done.code));
        let text = "*filter\n-A DOCKER-USER -j DROP\nCOMMIT\n";
        for words in [
            &line[..],
            &["ip6tables", "-S"],
            &["iptables", "-L", "DOCKER-USER"],
            &["iptables", "-C", "DOCKER-USER", "-j", "DROP"],
            &["list"],
            &["save"],
            &["restore"],
            &["--dry-run", "restore"],
        ] {
            assert_eq!(unprivileged(words, text), done, "{words:?}");
        }
        assert_eq!(done.code, 4);
        // Words are checked without any.
        assert_eq!(unprivileged(&["iptables", "-A", "DOCKER-USER", "-j", "DRAP", "-j", "DROP"], "").code, 2);
        assert_eq!(unprivileged(&["iptables", "--help"], "").code, 0);
        assert_eq!(unprivileged(&["--help"], "").code, 0);
    });
}

#[test]
fn where_legacy_iptables_filters_nothing_is_written() {
    const NAME: &str = "commands::host::where_legacy_iptables_filters_nothing_is_written";
    in_netns(NAME, || {
        if !need(NAME, "iptables-legacy") || !need(NAME, "nft") {
            return;
        }
        // Looking makes the table.
        let asked = call("iptables-legacy", "-t filter -S", "");
        let names = std::fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
        if asked.code != 0 || !names.contains("filter") {
            return skip(NAME, "iptables-legacy", &format!("this kernel has no legacy iptables: {}", asked.err.trim()));
        }
        let line = "iptables -A DOCKER-USER -i eth0 -j DROP";
        let done = dockgate(line, "");
        golden("errors/legacy-iptables.txt", &format!("$ dockgate {line}\n{}exit code {}\n", done.err, done.code));
        assert_eq!(done.code, 3);
        for words in ["iptables -N DOCKER-USER", "iptables -I DOCKER-USER -j DROP", "--dry-run iptables -A DOCKER-USER -j DROP", "restore"]
        {
            let done = dockgate(words, "*filter\n:DOCKER-USER - [0:0]\nCOMMIT\n");
            assert_eq!((done.code, done.out.as_str()), (3, ""), "{words}");
        }
        let policy = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("legacy.toml");
        std::fs::write(&policy, "external = \"lo\"\ndefault = \"drop\"\n").unwrap();
        for words in [format!("apply {}", policy.display()), format!("apply {} --confirm 60s", policy.display()), "remove".to_owned()] {
            let done = dockgate(&words, "");
            assert!(done.code == 3 && done.err.contains("legacy iptables"), "{words}: {done:?}");
        }
        assert_eq!(ruleset(), "");
        // The other family is another table, and looking is free.
        assert_eq!(ours(Family::Ip6, "-A DOCKER-USER -i eth0 -j DROP").code, 0);
        assert_eq!(ours(Family::Ip, "-S").code, 0);
        let plan = dockgate(&format!("plan {}", policy.display()), "");
        assert!(plan.code == 3 && plan.err.contains("legacy iptables filters on this host"), "{plan:?}");
        let list = dockgate("list", "");
        assert!(list.code == 3 && list.err.contains("legacy iptables filters on this host"), "{list:?}");
    });
}

#[test]
fn dockers_nftables_backend_is_noted() {
    const NAME: &str = "commands::host::dockers_nftables_backend_is_noted";
    in_netns(NAME, || {
        if !need(NAME, "nft") {
            return;
        }
        const NOTE: &str = "note: Docker uses its nftables backend here";
        for family in Family::BOTH {
            state(family, "");
            let says = |line: &str, input: &str| dockgate(line, input).err.contains(NOTE);
            let append = format!("{} -A DOCKER-USER -i eth0 -j DROP", family.command());
            let text = "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN\nCOMMIT\n";
            let restore = if family == Family::Ip { "-4 restore" } else { "-6 restore" };
            assert!(!says(&append, "") && !says("list", "") && !says(restore, text));
            nft_text(&format!("add table {family} docker-bridges"));
            assert!(says(&append, "") && says("list", "") && says(restore, text));
        }
        // Once, also where both families are changed.
        let once = |line: &str, input: &str| {
            let done = dockgate(line, input);
            assert_eq!(done.err.matches(NOTE).count(), 1, "{line}: {done:?}");
        };
        let both = "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j DROP\nCOMMIT\n";
        once("restore", &format!("# ip6tables-save\n{both}# iptables-save\n{both}"));
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("backend-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let policy = folder.join("web.toml");
        std::fs::write(&policy, "external = \"lo\"\ndefault = \"drop\"\n").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
        command.arg("apply").arg(&policy).env("DOCKGATE_STATE", folder.join("state"));
        let done = finish(command, "");
        assert!(done.code == 0 && done.err.matches(NOTE).count() == 1, "{done:?}");
    });
}

#[test]
fn a_dry_run_changes_nothing_and_shows_what_would() {
    const NAME: &str = "commands::host::a_dry_run_changes_nothing_and_shows_what_would";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let made = "nft add table ip filter\n\
            nft add chain ip filter FORWARD { type filter hook forward priority 0; policy accept; }\n\
            iptables -N DOCKER-USER\niptables -I FORWARD -j DOCKER-USER\niptables -A DOCKER-USER -i eth0 -j DROP\n";
        state(Family::Ip, "");
        let done = dockgate("--dry-run iptables -A DOCKER-USER -i eth0 -j DROP", "");
        assert_eq!((done.code, done.out.as_str(), ruleset().as_str()), (0, made, ""), "{}", done.err);
        state(
            Family::Ip,
            "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n:mine - [0:0]\n-A FORWARD -j DOCKER-USER\n[1:2] -A DOCKER-USER -i a -j DROP\nCOMMIT\n",
        );
        let before = ruleset();
        let handle = before.lines().find(|line| line.contains("\"a\"")).unwrap().rsplit(' ').next().unwrap();
        for (words, shown) in [
            ("-A DOCKER-USER -i b -j DROP", "iptables -A DOCKER-USER -i b -j DROP\n".to_owned()),
            ("-I DOCKER-USER -i b -j DROP", "iptables -I DOCKER-USER -i b -j DROP\n".to_owned()),
            ("-I DOCKER-USER -c 3 4 -i b -j DROP", "iptables -I DOCKER-USER -c 3 4 -i b -j DROP\n".to_owned()),
            ("-R DOCKER-USER 1 -i b -j DROP", format!("iptables -R DOCKER-USER --handle {handle} -i b -j DROP\n")),
            ("-D DOCKER-USER 1", format!("iptables -D DOCKER-USER --handle {handle}\n")),
            ("-D DOCKER-USER -i a -j DROP", format!("iptables -D DOCKER-USER --handle {handle}\n")),
            ("-F DOCKER-USER", "iptables -F DOCKER-USER\n".to_owned()),
            ("-Z DOCKER-USER", format!("iptables -Z DOCKER-USER --handle {handle}\n")),
            ("-N new", "iptables -N new\n".to_owned()),
            ("-X mine", "iptables -X mine\n".to_owned()),
            ("-E mine yours", "iptables -E mine yours\n".to_owned()),
        ] {
            let done = dockgate(&format!("--dry-run iptables {words}"), "");
            assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, shown.as_str(), ""), "{words}");
            assert_eq!(ruleset(), before, "{words}");
        }
        for (words, code) in [("-A DOCKER-USER -j nowhere", 2), ("-X DOCKER-USER", 4), ("-D DOCKER-USER 2", 1)] {
            let done = dockgate(&format!("--dry-run iptables {words}"), "");
            assert_eq!((done.code, done.out.as_str()), (code, ""), "{words}: {}", done.err);
            assert_eq!(ruleset(), before, "{words}");
        }
    });
}

#[test]
fn json_is_json_and_its_keys_stay() {
    const NAME: &str = "commands::host::json_is_json_and_its_keys_stay";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let text = "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n:mine - [0:0]\n-A FORWARD -i a\n-A FORWARD -j DOCKER-USER\n\
            [1:2] -A DOCKER-USER -m comment --comment \"the \\\"office\\\"\" -g mine\nCOMMIT\n";
        state(Family::Ip, text);
        let parse = |line: &str| -> serde_json::Value { serde_json::from_str(&dockgate(line, "").ok()).unwrap() };
        let list = parse("--json list");
        let table = &list["tables"][0];
        assert_eq!((&table["family"], &table["jump"]), (&"ip".into(), &2.into()));
        assert_eq!(list["tables"][1]["jump"], serde_json::Value::Null);
        let names = |value: &serde_json::Value| -> Vec<String> {
            value["chains"].as_array().unwrap().iter().map(|chain| chain["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(table), ["DOCKER-USER", "mine"]);
        let rule = &table["chains"][0]["rules"][0];
        let keys: Vec<&str> = rule.as_object().unwrap().keys().map(String::as_str).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["bytes", "comment", "foreign", "handle", "number", "packets", "rule"]);
        assert_eq!((&rule["packets"], &rule["bytes"], &rule["number"]), (&1.into(), &2.into(), &1.into()));
        assert_eq!(rule["comment"], "the \"office\"");
        assert_eq!(rule["rule"], "-m comment --comment \"the \\\"office\\\"\" -g mine");
        let shown = nft("-a list chain ip filter DOCKER-USER").ok();
        assert!(shown.contains(&format!("goto mine # handle {}", rule["handle"])), "{shown}");
        for line in ["--json iptables -S", "iptables --json -L"] {
            assert_eq!(names(&parse(line)), ["FORWARD", "DOCKER-USER", "mine"], "{line}");
        }
        assert_eq!(names(&parse("--json iptables -S mine")), ["mine"]);
    });
}

#[test]
fn sets_are_named_as_ipset_names_them() {
    const NAME: &str = "commands::host::sets_are_named_as_ipset_names_them";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() || !need(NAME, "ipset") {
            return;
        }
        for (family, inet) in [(Family::Ip, "inet"), (Family::Ip6, "inet6")] {
            state(family, "");
            call("ipset", "restore", &format!("create first hash:ip\ncreate office{inet} hash:net family {inet}\ncreate last hash:ip\n"))
                .ok();
            let rule = format!("-m set --match-set office{inet} src -j ACCEPT");
            assert_eq!(ours(family, &format!("-A DOCKER-USER {rule}")).err, "");
            assert_eq!(ours(family, &format!("-I DOCKER-USER -m set ! --match-set office{inet} dst -j DROP")).code, 0);
            let expected = format!("-N DOCKER-USER\n-A DOCKER-USER -m set ! --match-set office{inet} dst -j DROP\n-A DOCKER-USER {rule}\n");
            assert_eq!(iptables(family, "", "-S DOCKER-USER", "").ok(), expected);
            assert_eq!(ours(family, "-S DOCKER-USER").ok(), expected);
            assert_eq!(ours(family, &format!("-C DOCKER-USER {rule}")).code, 0);
            let missing = ours(family, "-A DOCKER-USER -m set --match-set nowhere src -j DROP");
            assert!(missing.code == 2 && missing.err.contains("there is no ipset called `nowhere`"), "{missing:?}");
            assert!(ours(family, "-C DOCKER-USER -m set --match-set nowhere src -j DROP").code == 1);
            // A set keeps its number when its content is exchanged, and the rule its set.
            call("ipset", "restore", &format!("create next hash:net family {inet}\nswap next office{inet}\n")).ok();
            assert_eq!(ours(family, "-S DOCKER-USER").ok(), iptables(family, "", "-S DOCKER-USER", "").ok());
            assert_eq!(ours(family, &format!("-D DOCKER-USER {rule}")).code, 0);
            assert_eq!(ours(family, "-F DOCKER-USER").code, 0);
            assert_eq!(call("ipset", "destroy", "").code, 0);
        }
    });
}
