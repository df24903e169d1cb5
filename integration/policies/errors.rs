//! What `dockgate check` says: `fixtures/policies/errors/NAME.toml`, or a folder of that name, and
//! beside it in `NAME.txt` what is said of it.

use std::fs;

use dockgate::policy::Policy;
use serde_json::Value;

use super::{dockgate, folder, policies};
use crate::support::golden;

#[test]
fn what_is_wrong_with_a_policy_is_said_at_its_place_and_with_the_cure() {
    let errors = folder().join("errors");
    for name in policies(&errors) {
        let done = dockgate(&errors, &["check", &name], "");
        let mut read = Policy::load(&[errors.join(&name)]).unwrap();
        read.run_tests();
        let problems = read.problems;
        assert!(!problems.is_empty(), "{name}");
        let wrong = problems.iter().any(|problem| !problem.warning);
        assert_eq!((done.code, done.out.is_empty()), if wrong { (2, true) } else { (0, false) }, "{name}: {done:?}");
        assert!(done.err.starts_with(if wrong { "error: " } else { "warning: " }), "{name}: {}", done.err);
        let text = format!("$ dockgate check {name}\n{}{}exit code {}\n", done.err, done.out, done.code);
        golden(&format!("policies/errors/{}.txt", name.trim_end_matches(".toml")), &text);
    }
}

#[test]
fn every_snapshot_is_of_a_policy() {
    let errors = folder().join("errors");
    for entry in
        fs::read_dir(&errors).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "txt"))
    {
        assert!(entry.with_extension("toml").exists() || entry.with_extension("").is_dir(), "nothing makes {}", entry.display());
    }
}

#[test]
fn sound_policies_are_summed_up() {
    for (words, expected) in [
        (&["small.toml"][..], "small.toml: sound: 1 rule, default drop on eth0\n"),
        (&["medium.toml"], "medium.toml: sound: 4 rules, 2 groups, 2 tests passed, default drop on eth0\n"),
        (&["all.toml"], "all.toml: sound: 10 rules, 4 groups, 3 tests passed, default reject on eth0, wan+\n"),
        (&["policy.d"], "policy.d: sound: 3 rules, 2 groups, default drop on eth0\n"),
        (&["policy.d/00-base.toml", "policy.d/20-web.toml", "policy.d/10-groups.toml"][..2], ""),
    ] {
        let done = dockgate(&folder(), &[&["check"], words].concat(), "");
        match expected {
            // The group that the second file names is in another.
            "" => assert_eq!(done.code, 2, "{done:?}"),
            _ => assert_eq!((done.out.as_str(), done.err.as_str(), done.code), (expected, "", 0)),
        }
    }
    // Every one of them is listed above.
    assert_eq!(policies(&folder()), ["all.toml", "medium.toml", "policy.d", "small.toml"]);
}

#[test]
fn a_policy_may_come_from_standard_input() {
    let text = fs::read_to_string(folder().join("all.toml")).unwrap();
    let done = dockgate(&folder(), &["check", "-"], &text);
    assert_eq!(done.ok(), "-: sound: 10 rules, 4 groups, 3 tests passed, default reject on eth0, wan+\n");
    let done = dockgate(&folder(), &["check", "-"], "exernal = 1");
    assert!(done.code == 2 && done.err.contains("  stdin:1  exernal = 1\n"), "{done:?}");
}

#[test]
fn what_can_not_be_read_is_said() {
    for (word, expected) in [
        ("nowhere.toml", "error: could not read `nowhere.toml`: No such file or directory (os error 2)\n"),
        ("errors/lists", "error: could not read `errors/lists`: no file in it ends in .toml\n"),
        (
            "errors/lists/latin-1.txt",
            "error: could not read `errors/lists/latin-1.txt`: line 2 is not UTF-8\n\
             hint: save it as UTF-8, or if it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 FILE > POLICY\n",
        ),
    ] {
        let done = dockgate(&folder(), &["check", word], "");
        assert_eq!((done.err.as_str(), done.code), (expected, 2));
    }
}

#[test]
fn json_has_the_same() {
    let errors = folder().join("errors");
    for name in policies(&errors) {
        let done = dockgate(&errors, &["--json", "check", &name], "");
        let printed: Value = serde_json::from_str(&done.out).unwrap();
        assert_eq!(printed["sound"], Value::Bool(done.code == 0), "{name}");
        for problem in printed["problems"].as_array().unwrap() {
            let text = |key: &str| problem[key].as_str().unwrap();
            let number = |key: &str| problem[key].as_u64().unwrap() as usize;
            let file = fs::read(errors.join(text("file"))).unwrap();
            let file = String::from_utf8_lossy(&file);
            let line = file.lines().nth(number("line") - 1).unwrap_or_default();
            assert!((1..=line.chars().count() + 1).contains(&number("column")), "{name}: {problem}");
            assert!(["error", "warning"].contains(&text("severity")) && !text("message").is_empty(), "{problem}");
            assert!(problem["hint"].is_null() || !text("hint").is_empty(), "{problem}");
        }
    }
    let done = dockgate(&errors, &["--json", "check", "wide-characters.toml"], "");
    let printed: Value = serde_json::from_str(&done.out).unwrap();
    let problem = &printed["problems"][0];
    assert_eq!((&problem["line"], &problem["column"]), (&Value::from(9), &Value::from(22)), "{problem}");
    let done = dockgate(&folder(), &["--json", "check", "small.toml"], "");
    assert_eq!(serde_json::from_str::<Value>(&done.ok()).unwrap(), serde_json::json!({ "sound": true, "problems": [], "tests": [] }));
}

/// Without `external` a policy is for the interfaces that its rules name, and any other may be meant.
#[test]
fn a_policy_without_external_says_nothing_of_the_interfaces_of_tests() {
    let text =
        "default = 'allow'\n[[rule]]\ndrop = 'any'\nin = 'eth1'\n[[test]]\npacket = { in = 'eth0', from = '192.0.2.1' }\nexpect = 'pass'\n";
    let done = dockgate(&folder(), &["check", "-"], text);
    assert_eq!((done.err.as_str(), done.code), ("", 0), "{done:?}");
    let done = dockgate(&folder(), &["check", "-"], &format!("external = 'ext0'\n{text}"));
    assert!(done.code == 0 && done.err.contains("names `eth0`: Docker is left to decide"), "{done:?}");
}
