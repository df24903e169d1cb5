//! What people read: whole sessions, as they look on a terminal without colour.
//! `fixtures/sessions/*.txt`

use std::{env, fs, path::Path, process::Command};

use super::folder;
use crate::{
    commands::host::unprivileged,
    iptables::Installed,
    support::{call, finish, golden, in_netns, until},
};

const WEB: &str = r#"external = ["lo"]
default  = "drop"

[groups]
office = ["192.168.1.0/24", "2001:db8:1::/48"]

[[rule]]
allow   = "443/tcp"
from    = ["office", "203.0.113.7"]
comment = "customer portal"

[[rule]]
allow = ["80/tcp", "8000-8010/tcp"]
from  = ["office"]

[[rule]]
drop = "any"
from = ["198.51.100.0/24"]
log  = "bad: "
"#;

/// Commands one after the other, and what they print.
pub struct Session {
    folder: std::path::PathBuf,
    text: String,
}

impl Session {
    pub fn new(name: &str) -> Self {
        let session = Self { folder: folder(name), text: String::new() };
        session.write("web.toml", WEB);
        session
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    pub fn command(&self, line: &str) -> Command {
        let mut words: Vec<&str> = line.split(' ').collect();
        let program = words.remove(0);
        let mut command = Command::new(if program == "dockgate" { env!("CARGO_BIN_EXE_dockgate") } else { program });
        command.args(words).current_dir(&self.folder).env("DOCKGATE_STATE", "state");
        command
    }

    /// Runs a line and notes down all of it.
    fn run(&mut self, line: &str) {
        let done = finish(self.command(line), "");
        let code = if done.code == 0 { String::new() } else { format!("[exit code {}]\n", done.code) };
        self.text += &format!("$ {line}\n{}{}{code}\n", plain(&done.out), plain(&done.err));
    }

    pub fn all(&mut self, lines: &[&str]) {
        lines.iter().for_each(|line| self.run(line));
    }

    pub fn end(self, name: &str) {
        golden(&format!("sessions/{name}.txt"), &self.text);
    }
}

/// The text with `HASH`, `TIME`, `NUMBER` where those stand that differ.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if word == 0 {
            let next = rest.chars().next().unwrap();
            out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        }
        let (this, behind) = rest.split_at(word);
        let hexadecimal = this.len() == 8 && this.chars().all(|c| c.is_ascii_hexdigit());
        let rule_handle = out.ends_with("--after ") || out.ends_with("--handle ") || out.ends_with("netns-");
        let year = this.len() == 4 && this.starts_with("20") && behind.starts_with('-') && rest.get(20..23) == Some("UTC");
        match this {
            _ if year => {
                out.push_str("DATE");
                rest = &rest[23..];
                continue;
            }
            _ if rule_handle => out.push('N'),
            _ if hexadecimal => out.push_str("HASH"),
            _ if this.len() == 10 && this.bytes().all(|byte| byte.is_ascii_digit()) => out.push_str("SECOND"),
            _ => out.push_str(this),
        }
        rest = behind;
    }
    out
}

pub fn in_session(name: &str, test: &str, body: impl FnOnce(Session)) {
    in_netns(test, || {
        if Installed::find(test).is_some() {
            body(Session::new(name));
        }
    });
}

#[test]
fn the_first_policy_and_its_changes() {
    in_session("first", "reconcile::sessions::the_first_policy_and_its_changes", |mut session| {
        session.all(&["dockgate status", "dockgate rollback", "dockgate rollback --list", "dockgate remove", "dockgate confirm"]);
        session.all(&[
            "dockgate plan web.toml",
            "dockgate plan -v web.toml",
            "dockgate apply --dry-run web.toml",
            "dockgate apply web.toml",
        ]);
        session.all(&["dockgate apply web.toml", "dockgate plan web.toml", "dockgate status"]);
        session.write("web.toml", &WEB.replace("192.168.1.0/24", "192.168.2.0/24").replace("[[rule]]\ndrop", "[[rule]]\nreject"));
        session.all(&["dockgate plan web.toml", "dockgate plan -v web.toml", "dockgate plan --json web.toml", "dockgate apply web.toml"]);
        session.all(&["dockgate rollback --list", "dockgate rollback 7", "dockgate rollback 2", "dockgate rollback"]);
        // For programs.
        session.all(&["dockgate apply web.toml", "dockgate --json rollback --list", "dockgate --json rollback --dry-run"]);
        session.all(&["dockgate --json remove", "dockgate --json rollback", "dockgate --json rollback", "dockgate --json remove"]);
        session.end("first");
    });
}

#[test]
fn what_others_did() {
    in_session("others", "reconcile::sessions::what_others_did", |mut session| {
        session.all(&[
            "dockgate apply web.toml",
            "iptables -I DOCKER-USER -s 192.0.2.1 -j DROP",
            "dockgate status",
            "dockgate plan web.toml",
        ]);
        session.all(&[
            "iptables -D DOCKGATE-OUTSIDE 1",
            "iptables -A DOCKGATE -s 192.0.2.2 -j ACCEPT",
            "iptables -D FORWARD -j DOCKER-USER",
        ]);
        session.all(&["nft add rule ip filter DOCKGATE ct state new counter drop"]);
        session.all(&[
            "dockgate status",
            "dockgate status --json",
            "dockgate plan web.toml",
            "dockgate plan -v web.toml",
            "dockgate apply web.toml",
        ]);
        session.all(&["dockgate apply web.toml", "iptables -F DOCKER-USER", "dockgate status", "dockgate plan web.toml"]);
        session.all(&["dockgate apply web.toml", "ip6tables -F DOCKGATE-OUTSIDE", "dockgate -6 status", "dockgate -4 status"]);
        session.all(&[
            "nft flush table ip6 filter",
            "nft delete table ip6 filter",
            "dockgate status",
            "dockgate apply web.toml",
            "dockgate status",
        ]);
        session.all(&["iptables -A DOCKER-USER -s 192.0.2.1 -j DROP", "iptables -A DOCKER-USER -j DOCKGATE-OUTSIDE", "dockgate status"]);
        session.all(&[
            "dockgate remove --dry-run",
            "dockgate remove",
            "iptables -S",
            "dockgate status",
            "dockgate rollback",
            "dockgate remove",
        ]);
        session.all(&["iptables -N mine", "dockgate apply web.toml", "iptables -A mine -j DOCKGATE", "dockgate remove", "dockgate status"]);
        session.end("others");
    });
}

#[test]
fn a_trial_and_its_ends() {
    in_session("trial", "reconcile::sessions::a_trial_and_its_ends", |mut session| {
        session.write("next.toml", &WEB.replace("drop = ", "reject = "));
        session.run("dockgate apply web.toml");
        session.all(&["dockgate apply next.toml --confirm 3s", "dockgate apply next.toml --confirm soon"]);
        session.all(&["dockgate apply web.toml --confirm 60s", "dockgate apply next.toml --confirm 60s --dry-run"]);
        // Somebody does something while the trial goes on.
        for end in ["dockgate confirm --here", "dockgate rollback", "dockgate apply web.toml", "dockgate remove"] {
            let file = if end.contains("confirm") || end.contains("remove") { "next.toml" } else { "web.toml" };
            let line = format!("dockgate apply {file} --confirm 3600s");
            let trial = session.command(&line).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
            until("the trial begins", || finish(session.command("dockgate status"), "").out.contains("on trial for another"));
            let status = plain(&finish(session.command("dockgate status"), "").out);
            session.text += &format!("$ {line} &\n$ dockgate status\n{}\n", seconds(&status));
            if end.contains("confirm") {
                session.all(&["dockgate confirm"]);
                let at = session.text.rfind("$ dockgate confirm\n").unwrap();
                let said = seconds(&session.text.split_off(at));
                session.text += &said;
            }
            session.run(end);
            let ended = trial.wait_with_output().unwrap();
            let (out, err) = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
            session.text +=
                &format!("(the command on trial, exit code {})\n{}{}\n", ended.status.code().unwrap(), plain(&out), plain(&err));
        }
        // Nobody confirms; and killed, nobody tidies up.
        session.all(&["dockgate apply web.toml", "dockgate apply next.toml --confirm 5s", "dockgate status"]);
        let mut trial = session
            .command("dockgate apply next.toml --confirm 5s")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        until("the trial begins", || finish(session.command("dockgate status"), "").out.contains("on trial for another"));
        trial.kill().unwrap();
        trial.wait().unwrap();
        until("the trial is over", || finish(session.command("dockgate status"), "").out.contains("a trial is over"));
        session.text += "$ dockgate apply next.toml --confirm 5s\nKilled\n\n";
        session.all(&[
            "dockgate status",
            "dockgate confirm --here",
            "dockgate plan web.toml",
            "dockgate apply web.toml",
            "dockgate status",
        ]);
        // For programs; and a trial where no policy was deployed leaves no step back.
        session.all(&["dockgate apply next.toml --confirm 60s --dry-run --json", "dockgate remove", "dockgate status --json"]);
        for end in ["dockgate remove", "dockgate --json remove", "dockgate --json rollback", "dockgate --json confirm --here"] {
            let line = "dockgate apply next.toml --json --confirm 3600s";
            let trial = session.command(line).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
            until("the trial begins", || finish(session.command("dockgate status"), "").out.contains("on trial for another"));
            session.run(end);
            let ended = trial.wait_with_output().unwrap();
            let last = String::from_utf8(ended.stdout).unwrap().lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
            session.text +=
                &format!("(the command on trial, exit code {}; its last line)\n{}\n", ended.status.code().unwrap(), plain(&last));
        }
        session.run("dockgate --json rollback --list");
        session.end("trial");
    });
}

/// Without seconds that pass, and who leads the session that this runs in.
fn seconds(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let masked = words.iter().enumerate().map(|(index, word)| {
        let next = words.get(index + 1).copied().unwrap_or_default();
        let number = word.trim_matches(['(', ')']);
        if next == "process" && word.starts_with("(`") {
            "(`LEADER`,".to_owned()
        } else if number.parse::<u32>().is_ok() && (matches!(next, "s" | "s:") || words[index - 1] == "process") {
            word.replace(number, "N")
        } else {
            (*word).to_owned()
        }
    });
    masked.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_refused_changes_nothing_and_says_where() {
    in_session("refused", "reconcile::sessions::what_is_refused_changes_nothing_and_says_where", |mut session| {
        session.write("owner.toml", &(WEB.to_owned() + "\n[[rule]]\niptables = \"-m owner --uid-owner 0 -j DROP\"\n"));
        session.write("set.toml", &(WEB.to_owned() + "\n[[rule]]\niptables = \"-m set --match-set nobody src -j DROP\"\n"));
        session.write("jump.toml", &(WEB.to_owned() + "\n[[rule]]\niptables = \"-j mine\"\n"));
        // Where nothing is yet, and beside a policy that stands.
        session.run("dockgate apply owner.toml");
        assert_eq!(call("nft", "list ruleset", "").ok(), "");
        session.run("dockgate apply web.toml");
        let before = call("nft", "-a list ruleset", "").ok();
        for words in [
            "plan owner.toml",
            "apply owner.toml",
            "apply owner.toml --dry-run",
            "apply owner.toml --confirm 60s",
            "apply set.toml",
            "apply jump.toml",
        ] {
            session.run(&format!("dockgate {words}"));
        }
        session.all(&[
            "dockgate apply nowhere.toml",
            "dockgate apply",
            "dockgate -4 apply web.toml",
            "dockgate remove -6",
            "dockgate rollback 0",
        ]);
        session.write("state-file", "");
        let mut command = session.command("dockgate remove");
        command.env("DOCKGATE_STATE", "/proc/dockgate");
        let done = finish(command, "");
        session.text +=
            &format!("$ DOCKGATE_STATE=/proc/dockgate dockgate remove\n{}{}[exit code {}]\n\n", done.out, plain(&done.err), done.code);
        assert_eq!(call("nft", "-a list ruleset", "").ok(), before);
        session.end("refused");
    });
}

#[test]
fn a_policy_whose_tests_fail_is_not_applied() {
    in_session("tests", "reconcile::sessions::a_policy_whose_tests_fail_is_not_applied", |mut session| {
        let test = |name: &str, from: &str, expect: &str| {
            format!(
                "\n[[test]]\nname = \"{name}\"\npacket = {{ in = \"lo\", from = \"{from}\", to_port = \"443/tcp\" }}\nexpect = \"{expect}\"\n"
            )
        };
        let good = WEB.to_owned() + &test("the office reaches the portal", "192.168.1.7", "pass");
        let wrong = test("nobody else does", "203.0.113.7", "drop") + &test("others are told", "198.51.100.7", "reject");
        session.write("tests.toml", &(good.clone() + &wrong));
        for words in [
            "check",
            "plan",
            "apply",
            "apply --dry-run",
            "apply --confirm 60s",
            "bench --seconds 1",
            "--json check",
            "--json plan",
            "--json apply",
        ] {
            session.run(&format!("dockgate {words} tests.toml"));
        }
        assert_eq!(call("nft", "list ruleset", "").ok(), "");
        session.all(&["dockgate check tests.toml --skip-tests", "dockgate apply tests.toml --skip-tests"]);
        session.write("tests.toml", &good);
        session.all(&["dockgate check tests.toml", "dockgate plan tests.toml"]);
        session.end("tests");
    });
}

#[test]
fn without_permission_one_sentence_says_so() {
    in_session("denied", "reconcile::sessions::without_permission_one_sentence_says_so", |session| {
        let file = session.folder.join("web.toml").display().to_string();
        for words in [
            &["plan", &file][..],
            &["apply", &file],
            &["apply", &file, "--confirm", "60s"],
            &["status"],
            &["confirm"],
            &["rollback"],
            &["remove"],
        ] {
            let done = unprivileged(words, "");
            assert_eq!((done.code, done.out.as_str()), (4, ""), "{words:?}: {done:?}");
            assert!(done.err.starts_with("error: no permission: ") && done.err.lines().count() == 1, "{words:?}: {done:?}");
            // With the capability alone, a change would be refused all the same.
            assert_eq!(done.err.contains("setcap"), matches!(words[0], "plan" | "status"), "{words:?}: {done:?}");
        }
        // To look whether a policy is sound takes none.
        assert_eq!(unprivileged(&["check", &file], "").code, 0);
    });
}

#[test]
fn every_snapshot_is_some_sessions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sessions");
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["first.txt", "others.txt", "refused.txt", "sets.txt", "tests.txt", "trial.txt"]);
}
