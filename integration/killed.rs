//! Killed at any moment, dockgate leaves the ruleset as it was or as it was to be.

use crate::{
    docker::{
        engine::{printed, within},
        need::require,
    },
    support::{LIMIT, output_within, show},
};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader},
    ops::Range,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A network namespace of its own, gone when this is dropped or the test ends.
pub struct Netns(Child);

impl Netns {
    pub fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        Self(child)
    }

    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All there is, without comments; no packet changes a counter here.
pub fn ruleset(netns: &Path) -> String {
    let saved = printed(&mut within(netns, "iptables-save"));
    let tables = printed(within(netns, "nft").args(["list", "tables"]));
    saved.lines().filter(|line| !line.starts_with('#')).chain(tables.lines()).collect::<Vec<_>>().join("\n")
}

#[test]
fn killed_at_any_system_call_of_a_restore_it_leaves_the_old_or_the_new() {
    if !require("iptables") {
        return;
    }
    let netns = Netns::new();
    let netns = netns.path();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let restore = |name: &str, rules: Range<u32>| {
        let rules: String = rules.map(|n| format!("-A DOCKER-USER -s 10.0.{}.{}/32 -i ext0 -j DROP\n", n / 256, n % 256)).collect();
        let file = folder.join(name);
        fs::write(&file, format!("*filter\n:DOCKER-USER - [0:0]\n{rules}COMMIT\n")).unwrap();
        format!("restore {}", file.display())
    };
    let (before, restore) = (restore("killed-before", 2000..2010), restore("killed", 0..1000));
    // The old ruleset: what Docker makes and ten rules of dockgate's.
    let reset = || {
        printed(within(&netns, "nft").args(["flush", "ruleset"]));
        for words in ["-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-I FORWARD -j DOCKER-USER", "-P FORWARD DROP"] {
            printed(within(&netns, "iptables").args(words.split(' ')));
        }
        printed(&mut dockgate(&netns, &before));
    };

    reset();
    let old = ruleset(&netns);
    printed(&mut dockgate(&netns, &restore));
    let new = ruleset(&netns);
    let rules = |ruleset: &str| ruleset.matches("-A DOCKER-USER -s 10.0.").count();
    assert_eq!((rules(&old), rules(&new)), (10, 1000));

    reset();
    let calls = calls(traced(&netns, &restore, &["--output=/dev/stderr"]));
    reset();
    let (mut olds, mut news) = (0, 0);
    for (call, (name, nth)) in calls.iter().enumerate() {
        let killed = traced(&netns, &restore, &[&format!("--inject={name}:signal=SIGKILL:when={nth}")]).spawn().unwrap();
        let killed = output_within(killed, LIMIT, "dockgate under strace").status;
        assert_eq!(killed.signal(), Some(9), "at call {call}, {name}: {killed}");
        match ruleset(&netns) {
            found if found == old => olds += 1,
            found => {
                assert_eq!(found, new, "killed at call {call}, {name}");
                news += 1;
                reset();
            }
        }
    }
    assert!(olds > 0 && news > 0, "killed {olds} times before the change and {news} times after it");
    show(&format!("killed at each of {} system calls: {olds} times the old ruleset was found, {news} times the new", calls.len()));
}

/// The system calls of an undisturbed run, whose log is stderr, in their order, each with how many of its name there
/// have been: strace counts each name on its own.
pub fn calls(mut logged: Command) -> Vec<(String, usize)> {
    let log = logged.stderr(Stdio::piped()).output().unwrap();
    assert!(log.status.success());
    let log = String::from_utf8_lossy(&log.stderr).into_owned();
    let mut counts = HashMap::new();
    let name = |line: &str| {
        line.split_once('(').map(|(name, _)| name.to_owned()).filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    let count = |name: String| {
        let nth = counts.entry(name.clone()).and_modify(|nth| *nth += 1).or_insert(1);
        (name, *nth)
    };
    // Not the one that starts dockgate: strace comes into play after it.
    log.lines().filter_map(name).map(count).filter(|(name, _)| name != "execve").collect()
}

/// dockgate in the namespace under strace, silent.
pub fn traced(netns: &Path, words: &str, options: &[&str]) -> Command {
    let dockgate = dockgate(netns, words);
    // Inside of what enters the namespace, so that the calls are dockgate's alone.
    let words: Vec<_> = dockgate.get_args().collect();
    let mut command = Command::new(dockgate.get_program());
    command.arg(words[0]).args(["strace", "-qq", "--output=/dev/null"]).args(options).args(&words[1..]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// dockgate in a network namespace.
pub fn dockgate(netns: &Path, words: &str) -> Command {
    let mut command = within(netns, env!("CARGO_BIN_EXE_dockgate"));
    command.args(words.split_whitespace());
    command
}
