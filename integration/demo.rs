//! `dockgate demo`: all of it, as root and as an ordinary user; what it leaves behind (nothing);
//! and whether its Docker's chains are what iptables calls by that name.

use std::{collections::BTreeMap, fs, io, os::unix::process::CommandExt as _, process::Command};

use dockgate::{
    demo::{self, Demo, STEPS},
    lab::{Netns, Outcome},
    model::Family,
    netlink::Netlink,
};
use serde_json::Value;

use crate::support::{in_netns, need, run};

/// Runs `dockgate` with these arguments; as an ordinary user if `plain`.
fn dockgate(args: &[&str], plain: bool) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
    command.args(args).env("LC_ALL", "C.UTF-8");
    if plain {
        // SAFETY: between fork and exec the function makes only system calls and allocates nothing.
        unsafe { command.pre_exec(become_ordinary) };
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// From root of the test's namespace to user 1000 of a further user namespace, who has no power over
/// the network from the next exec on (`capabilities(7)`).
fn become_ordinary() -> io::Result<()> {
    // SAFETY: no pointers; the process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for (file, text) in [("/proc/self/setgroups", "deny"), ("/proc/self/uid_map", "1000 0 1\n"), ("/proc/self/gid_map", "1000 0 1\n")] {
        fs::write(file, text)?;
    }
    Ok(())
}

/// The links of this namespace, and the number of its ruleset's state: whoever changes a rule
/// anywhere raises it.
fn state() -> (Vec<String>, u32) {
    let links = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let names = links.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    (names.collect(), Netlink::open().unwrap().generation().unwrap().0)
}

#[test]
fn it_shows_everything_and_leaves_nothing() {
    in_netns("demo::it_shows_everything_and_leaves_nothing", || {
        Netns::current().unwrap().links().unwrap().bridge("docker0").unwrap();
        let (done, _, errors) = dockgate(&["iptables", "-I", "DOCKER-USER", "-s", "192.0.2.1", "-j", "DROP"], false);
        assert!(done, "{errors}");
        let before = state();
        for plain in [false, true] {
            let (done, _, errors) = dockgate(&["iptables", "-S"], plain);
            assert_ne!(done, plain, "an ordinary user may not: {errors}");
            let (done, text, errors) = dockgate(&["demo"], plain);
            assert!(done, "{text}\n{errors}");
            assert_eq!(errors, "");
            for (index, step) in STEPS.iter().enumerate() {
                assert!(text.contains(&format!("\n{:>2}  {}\n    {}\n", index + 1, step.title, step.why)), "{}\n{text}", step.title);
                let unbroken = text.replace(" \\\n       ", "");
                for command in step.commands {
                    assert!(unbroken.contains(&format!("\n    # dockgate {} {command}\n", step.family.command())), "{command}\n{text}");
                }
            }
            let attempts: usize = STEPS.iter().map(|step| step.attempts.len()).sum();
            assert_eq!(text.matches('✓').count(), attempts, "{text}");
            assert!(!text.contains('✗') && !text.contains('\x1b'), "{text}");
            assert!(text.contains(&format!("\n{attempts} connections in ")) && text.contains(", all as expected.\n"), "{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "too long: {line}");
            }
            assert_eq!(state(), before);
        }
    });
}

#[test]
fn it_tells_machines_as_well_and_takes_one_family() {
    in_netns("demo::it_tells_machines_as_well_and_takes_one_family", || {
        for (option, families) in [("--json", &Family::BOTH[..]), ("-4", &[Family::Ip]), ("-6", &[Family::Ip6])] {
            let (done, text, errors) = dockgate(&["demo", "--json", option][..if option == "--json" { 2 } else { 3 }], false);
            assert!(done, "{text}\n{errors}");
            let told: Value = serde_json::from_str(&text).unwrap();
            let titles: Vec<_> = told["steps"].as_array().unwrap().iter().map(|step| step["title"].as_str().unwrap()).collect();
            let steps = || STEPS.iter().filter(|step| families.contains(&step.family));
            assert_eq!(titles, steps().map(|step| step.title).collect::<Vec<_>>());
            assert_eq!(told["attempts"], steps().map(|step| step.attempts.len()).sum::<usize>());
            assert_eq!(told["unexpected"], 0);
            let last = &told["steps"][titles.len() - 1];
            assert_eq!(last["results"][0]["as_expected"], true);
            assert!(last["chain"][0]["packets"].as_u64().unwrap() > 0, "{last}");
        }
        for option in [["--netns", "/proc/self/ns/net"].as_slice(), &["--dry-run"]] {
            let (done, text, errors) = dockgate(&[&["demo"], option].concat(), false);
            assert!(!done && text.is_empty() && errors.contains("makes namespaces of its own"), "{text}{errors}");
        }
    });
}

#[test]
fn it_notices_what_is_not_as_expected() {
    in_netns("demo::it_notices_what_is_not_as_expected", || {
        let mut demo = Demo::build().unwrap();
        // The second step without its command: nobody is stopped.
        let report = demo.observe(&STEPS[1]).unwrap();
        let outcomes: Vec<_> = report.results.iter().map(|result| (result.outcome, result.is_expected())).collect();
        assert_eq!(outcomes, [(Outcome::Passed, true), (Outcome::Passed, false), (Outcome::Passed, false)]);
        assert_eq!(report.chain.unwrap().rules(), []);
    });
}

/// The rules of each table in the text of `iptables-save`, and its policies; the order in which
/// tables and chains are printed is left to the version.
fn tables(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut table = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && *line != "COMMIT") {
        match line.split_once(" [") {
            _ if line.starts_with('*') => line.clone_into(&mut table),
            Some((chain, _)) if line.starts_with(':') => tables.entry(table.clone()).or_default().push(chain.to_owned()),
            _ => tables.entry(table.clone()).or_default().push(line.to_owned()),
        }
    }
    tables.values_mut().for_each(|lines| lines.sort());
    tables
}

#[test]
fn its_chains_are_dockers_to_iptables() {
    in_netns("demo::its_chains_are_dockers_to_iptables", || {
        if !need("demo::its_chains_are_dockers_to_iptables", "iptables") {
            return;
        }
        demo::write_chains(&mut Netlink::open().unwrap(), &Family::BOTH).unwrap();
        for family in Family::BOTH {
            let saved = run(&format!("{}-save", family.command()), "");
            assert_eq!(tables(&saved), tables(&demo::chains(family)));
        }
    });
}
