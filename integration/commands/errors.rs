//! What is said when something can't be done: `fixtures/errors/*.txt`, one for each kind.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, process::Command};

use dockgate::model::Family;

use super::{nft_text, ruleset, state};
use crate::{
    iptables::Installed,
    support::{Done, call, dockgate, finish, golden, in_netns, need, run, skip},
};

const STATE: &str = "\
*filter
:FORWARD ACCEPT [0:0]
:DOCKER-USER - [0:0]
:DOCKER - [0:0]
:office - [0:0]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -i a -j office
-A DOCKER-USER -i b -j DROP
COMMIT
";

/// The file, and the words behind `dockgate`.
const WORDS: &[(&str, &str)] = &[
    // The line as a whole.
    ("no-command", "iptables -j DROP"),
    ("two-commands", "iptables -L DOCKER-USER -Z DOCKER-USER"),
    ("other-table", "iptables -t nat -A DOCKER-USER -j DROP"),
    ("policy", "iptables -P FORWARD DROP"),
    ("counters-in-one-word", "iptables -A DOCKER-USER -c 2,x -j DROP"),
    ("flush-of-everything", "iptables -F"),
    ("zero-of-everything", "iptables -Z"),
    ("delete-of-all-chains", "iptables -X"),
    ("replace-without-number", "iptables -R DOCKER-USER -i c -j DROP"),
    ("number-is-none", "iptables -D DOCKER-USER one"),
    ("number-and-rule", "iptables -D DOCKER-USER 1 -i b -j DROP"),
    ("rule-with-a-list", "iptables -L DOCKER-USER -i b"),
    ("handle-is-none", "iptables -D DOCKER-USER --handle first"),
    ("handle-elsewhere", "iptables -A DOCKER-USER --handle 1"),
    ("chain-name-too-long", "iptables -N a-chain-with-a-name-that-is-too-long"),
    ("chain-name-of-a-verdict", "iptables -N ACCEPT"),
    ("family-of-the-other", "iptables -6 -A DOCKER-USER -j DROP"),
    // Words of a rule.
    ("unknown-option", "iptables -A DOCKER-USER --dprot 80 -j DROP"),
    ("option-without-its-match", "iptables -A DOCKER-USER -p tcp --ctstate NEW -j DROP"),
    ("option-without-its-protocol", "iptables -A DOCKER-USER --dport 80 -j DROP"),
    ("unknown-letter", "iptables -A DOCKER-USER -q -j DROP"),
    ("unknown-match", "iptables -A DOCKER-USER -m contrack --ctstate NEW -j DROP"),
    ("match-of-the-other-family", "ip6tables -A DOCKER-USER -m icmp -j DROP"),
    ("target-of-another-table", "iptables -A DOCKER-USER -j MASQUERADE"),
    ("target-of-other-tables", "ip6tables -A DOCKER-USER -j SECMARK --selctx system_u:object_r:x"),
    ("target-of-the-other-family", "ip6tables -A DOCKER-USER -j TTL --ttl-set 64"),
    ("target-of-old-kernels", "iptables -A DOCKER-USER -j ULOG"),
    ("value-missing", "iptables -A DOCKER-USER -i"),
    ("word-of-no-option", "iptables -A DOCKER-USER eth0 -j DROP"),
    ("option-twice", "iptables -A DOCKER-USER -i a -i b -j DROP"),
    ("two-targets", "iptables -A DOCKER-USER -j DROP -j ACCEPT"),
    ("bang-twice", "iptables -A DOCKER-USER ! ! -i a -j DROP"),
    ("bang-at-the-end", "iptables -A DOCKER-USER -j DROP !"),
    ("bang-before-a-target", "iptables -A DOCKER-USER ! -j DROP"),
    ("bang-behind", "iptables -A DOCKER-USER -p tcp --dport ! 80 -j DROP"),
    ("not-to-be-negated", "iptables -A DOCKER-USER -m limit ! --limit 5/s -j DROP"),
    ("bad-address", "iptables -A DOCKER-USER -s 192.0.2.256 -j DROP"),
    ("bad-address-in-a-list", "iptables -A DOCKER-USER -s 192.0.2.1,192.0.2.x -j DROP"),
    ("bad-mask", "iptables -A DOCKER-USER -s 192.0.2.0/33 -j DROP"),
    ("name-of-a-host", "iptables -A DOCKER-USER -s example.org -j DROP"),
    ("address-of-the-other-family", "iptables -A DOCKER-USER -s 2001:db8::1 -j DROP"),
    ("list-negated", "iptables -A DOCKER-USER ! -s 192.0.2.1,192.0.2.2 -j DROP"),
    ("nobody-matches", "iptables -A DOCKER-USER ! -s 0.0.0.0/0 -j DROP"),
    ("interface-too-long", "iptables -A DOCKER-USER -i an-interface-of-20 -j DROP"),
    ("unknown-protocol", "iptables -A DOCKER-USER -p tpc -j DROP"),
    ("port-too-high", "iptables -A DOCKER-USER -p tcp --dport 65536 -j DROP"),
    ("range-backwards", "iptables -A DOCKER-USER -p tcp --dport 90:80 -j DROP"),
    ("unknown-service", "iptables -A DOCKER-USER -p tcp --dport htttp -j DROP"),
    ("comment-in-two-words", "iptables -A DOCKER-USER -m comment --comment the office -j DROP"),
    ("wide-characters", "iptables -A DOCKER-USER -m comment --comment \"büro ☃ 本社\" -s nowhere -j DROP"),
    (
        "a-long-line",
        "iptables -A DOCKER-USER -m comment --comment \"this is said at length, so that the line does not fit, \
        and only what is around the mistake is shown; there is more of it still, of which nothing is shown\" -s nowhere -j DROP",
    ),
    // What is there, or not.
    ("no-such-chain", "iptables -A ofice -j DROP"),
    ("no-such-chain-to-list", "iptables -L ofice"),
    ("chain-exists", "iptables -N office"),
    ("rename-to-one-that-exists", "iptables -E office DOCKER-USER"),
    ("chain-of-docker", "iptables -A DOCKER -j DROP"),
    ("chain-of-docker-new", "iptables -N DOCKER-OFFICE"),
    ("chain-built-in", "iptables -A FORWARD -j DROP"),
    ("no-such-number", "iptables -D DOCKER-USER 3"),
    ("no-such-handle", "iptables -D DOCKER-USER --handle 99"),
    ("no-such-rule", "iptables -D DOCKER-USER -i c -j DROP"),
    // What the kernel refuses.
    ("jump-to-nowhere", "iptables -A DOCKER-USER -i c -j nowhere"),
    ("jump-to-a-built-in-chain", "iptables -A DOCKER-USER -i c -j INPUT"),
    ("jump-in-a-loop", "iptables -A office -j DOCKER-USER"),
    ("owner-of-a-forwarded-packet", "iptables -A DOCKER-USER -m owner --uid-owner 0 -j DROP"),
    ("no-such-control-group", "iptables -A DOCKER-USER -m cgroup --path /nowhere -j DROP"),
    ("no-such-account", "iptables -A DOCKER-USER -m nfacct --nfacct-name web -j DROP"),
    ("no-such-estimator", "iptables -A DOCKER-USER -m rateest --rateest RE1 --rateest-lt --rateest-bps 8bit -j DROP"),
    ("no-such-estimators", "iptables -A DOCKER-USER -m rateest --rateest1 RE1 --rateest-eq --rateest-pps --rateest2 RE2 -j DROP"),
    ("bad-bytecode", "iptables -A DOCKER-USER -m bpf --bytecode \"1,5 0 0 1\" -j DROP"),
    ("no-such-program", "iptables -A DOCKER-USER -m bpf --object-pinned /nowhere/program -j DROP"),
    ("chain-in-use", "iptables -X office"),
    ("dry-run-refused", "--dry-run iptables -A DOCKER-USER -i c -g nowhere"),
    // dockgate's own words.
    ("no-such-namespace", "--netns nowhere list"),
    ("no-such-file", "restore /nowhere/rules.v4"),
];

/// The file, and the text that is restored.
const TEXTS: &[(&str, &str)] = &[
    (
        "restore-several-lines",
        "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i a -j DROP\n-A DOCKER-USER -s 192.0.2.300 -j DROP\n-A DOCKER-USER --dport 80 -j DROP\n-X office\n-I DOCKER-USER -j DROP\nfine\nCOMMIT\n",
    ),
    ("restore-without-commit", "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i a -j DROP\n"),
    ("restore-without-table", "-A DOCKER-USER -i a -j DROP\n"),
    ("restore-table-in-table", "*filter\n*nat\nCOMMIT\n"),
    ("restore-quote-open", "*filter\n-A DOCKER-USER -m comment --comment \"the office -j DROP\nCOMMIT\n"),
    ("restore-counters", "*filter\n[1:x] -A DOCKER-USER -j DROP\nCOMMIT\n"),
    ("restore-chain-name", "*filter\n:a-chain-with-a-name-that-is-too-long - [0:0]\nCOMMIT\n"),
    (
        "restore-refused",
        "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i a -j DROP\n-A DOCKER-USER -i b -j nowhere\n-A DOCKER-USER -i c -j FORWARD\nCOMMIT\n",
    ),
    (
        "restore-two-estimators",
        "*filter\n:DOCKER-USER - [0:0]\n\
        -A DOCKER-USER -i a -j RATEEST --rateest-name a --rateest-interval 1s --rateest-ewmalog 8s\n\
        -A DOCKER-USER -i b -j RATEEST --rateest-name a --rateest-interval 2s --rateest-ewmalog 8s\nCOMMIT\n",
    ),
    (
        "restore-two-timers",
        "*filter\n:DOCKER-USER - [0:0]\n\
        -A DOCKER-USER -i a -j IDLETIMER --timeout 5 --label dockgate-errors\n\
        -A DOCKER-USER -i b -j IDLETIMER --timeout 5 --label dockgate-errors --alarm\nCOMMIT\n",
    ),
];

fn show(line: &str, done: &Done) -> String {
    assert_eq!(done.out, "");
    format!("$ dockgate {line}\n{}exit code {}\n", done.err, done.code)
}

#[test]
fn what_is_wrong_is_said_with_the_place_and_the_cure() {
    const NAME: &str = "commands::errors::what_is_wrong_is_said_with_the_place_and_the_cure";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        state(Family::Ip, STATE);
        let before = ruleset();
        for (file, line) in WORDS {
            let done = dockgate(line, "");
            assert!(done.code != 0 && done.err.starts_with("error: "), "{line}: {done:?}");
            golden(&format!("errors/{file}.txt"), &show(line, &done));
        }
        for (file, text) in TEXTS {
            let done = dockgate("restore", text);
            assert!(done.code != 0 && done.err.starts_with("error: "), "{text}: {done:?}");
            golden(&format!("errors/{file}.txt"), &show(&format!("restore <<'END'\n{text}END"), &done));
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
        command.args(["iptables", "-A", "DOCKER-USER", "-i"]).arg(OsStr::from_bytes(b"a\xff"));
        golden("errors/not-utf-8.txt", &show("iptables -A DOCKER-USER -i $'a\\xff'", &finish(command, "")));
        // Nothing at all has changed by all that.
        assert_eq!(ruleset(), before);
    });
}

#[test]
fn what_stands_in_the_way_is_said() {
    const NAME: &str = "commands::errors::what_stands_in_the_way_is_said";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() || !need(NAME, "ipset") {
            return;
        }
        let line = "iptables -A DOCKER-USER -m set --match-set office src -j DROP";
        state(Family::Ip, STATE);
        golden("errors/no-such-set.txt", &show(line, &dockgate(line, "")));

        // It may be an old iptables that has to read it.
        let line = format!("iptables -A DOCKER-USER -j NFLOG --nflog-prefix {}", "x".repeat(64));
        golden("errors/prefix-too-long-for-some.txt", &show(&line, &dockgate(&line, "")));
        assert_eq!(dockgate(&format!("--dialect 1.8.9 {line}"), "").code, 0);
        state(Family::Ip, STATE);

        let line = "iptables -A DOCKER-USER -i c -m ipvs --vport 80 -j DROP";
        let done = dockgate(line, "");
        match done.code {
            0 => skip(NAME, "a kernel without IPVS", "this one has it"),
            _ => golden("errors/no-such-match-in-the-kernel.txt", &show(line, &done)),
        }

        state(Family::Ip, STATE);
        nft_text("add rule ip filter DOCKER-USER ct state new counter drop");
        let line = "iptables -D DOCKER-USER 3";
        golden("errors/foreign-rule.txt", &show(line, &dockgate(line, "")));

        let line = "iptables -A DOCKER-USER -i c -j SET --add-set office src --del-set home src";
        run("ipset", "create office hash:ip");
        golden("errors/no-such-set-of-two.txt", &show(line, &dockgate(line, "")));

        run("iptables", "-A INPUT -j DOCKER-USER");
        let line = "iptables -A DOCKER-USER -i c -j CLASSIFY --set-class 1:2";
        golden("errors/target-of-other-packets.txt", &show(line, &dockgate(line, "")));

        if call("iptables", "-A OUTPUT -j LED --led-trigger-id dockgate", "").code != 0 {
            let line = "iptables -A DOCKER-USER -i c -j LED --led-trigger-id dockgate";
            golden("errors/target-of-other-kernels.txt", &show(line, &dockgate(line, "")));
        }

        state(Family::Ip, "");
        nft_text("add table ip filter; add chain ip filter FORWARD { type filter hook forward priority -5; }");
        let line = "iptables -A DOCKER-USER -j DROP";
        golden("errors/strange-forward.txt", &show(line, &dockgate(line, "")));
    });
}

#[test]
fn every_snapshot_is_some_errors() {
    let own = [
        "not-utf-8",
        "no-such-set",
        "prefix-too-long-for-some",
        "no-such-set-of-two",
        "no-such-match-in-the-kernel",
        "target-of-other-packets",
        "target-of-other-kernels",
        "foreign-rule",
        "strange-forward",
        "no-permission",
        "legacy-iptables",
    ];
    let known: Vec<&str> = WORDS.iter().chain(TEXTS).map(|(file, _)| *file).chain(own).collect();
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/errors");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        assert!(known.contains(&path.file_stem().unwrap().to_str().unwrap()), "nothing makes {}", path.display());
    }
}
