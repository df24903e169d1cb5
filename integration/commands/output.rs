//! Output that can't be written ends every command with a code that tells, and never gets into a socket.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    iptables::Installed,
    support::{Done, LIMIT, dockgate, finish, in_netns, output_within, run, until},
};

/// A command with its words; `POLICY` and `OTHER` are files.
struct Row {
    words: &'static str,
    /// What is done before it, each time.
    before: &'static [&'static str],
    /// Does it read standard input?
    reads: bool,
}

const fn row(words: &'static str) -> Row {
    Row { words, before: &[], reads: false }
}

const fn after(before: &'static [&'static str], words: &'static str) -> Row {
    Row { words, before, reads: false }
}

const ROWS: &[Row] = &[
    row("--help"),
    row("--version"),
    row("no-such-command"),
    row("apply --help"),
    row("iptables --help"),
    row("iptables --version"),
    row("iptables -A DOCKER-USER -s 192.0.2.1 -j DROP"),
    row("iptables -v -A DOCKER-USER -s 192.0.2.1 -j DROP"),
    row("--dry-run iptables -A DOCKER-USER -s 192.0.2.1 -j DROP"),
    row("--verbose iptables -A DOCKER-USER -s 192.0.2.1 -j DROP"),
    row("iptables -A DOCKER-USER -j NOWHERE"),
    row("iptables -C DOCKER-USER -s 192.0.2.1 -j DROP"),
    row("iptables -S"),
    row("iptables -L"),
    row("ip6tables -I DOCKER-USER -s 2001:db8::1 -j DROP"),
    row("list"),
    row("list --json"),
    row("audit"),
    row("save"),
    Row { words: "restore", before: &[], reads: true },
    Row { words: "check -", before: &[], reads: true },
    row("check POLICY"),
    row("plan POLICY"),
    row("plan --json POLICY"),
    row("apply POLICY"),
    row("apply --verbose POLICY"),
    row("apply --dry-run POLICY"),
    after(&["apply POLICY"], "apply POLICY"),
    row("apply POLICY --confirm 1s"),
    row("confirm"),
    after(&["apply POLICY", "apply OTHER"], "rollback"),
    after(&["apply POLICY", "apply OTHER"], "rollback --list"),
    row("rollback"),
    after(&["apply POLICY"], "remove"),
    row("remove"),
    row("status"),
    after(&["apply POLICY", "iptables -F DOCKER-USER"], "status"),
    row("print schema"),
    row("demo"),
    row("bench --seconds 1 --only changes"),
];

/// What `restore` and `check` read.
const INPUT: &str = "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -s 192.0.2.7/32 -j DROP\nCOMMIT\n";

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// How the shell hands the descriptors on: which of 0, 1, 2 are lost.
const WAYS: &[(&str, [bool; 3])] = &[
    (">&-", [false, true, false]),
    ("2>&-", [false, false, true]),
    ("<&-", [true, false, false]),
    ("<&- >&- 2>&-", [true, true, true]),
    (">/dev/full", [false, true, false]),
    ("2>/dev/full", [false, false, true]),
    (">/dev/full 2>/dev/full", [false, true, true]),
    ("1</dev/null", [false, true, false]),
];

struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("policy.toml"), "external = 'lo'\ndefault = 'drop'\n[[rule]]\nallow = '443/tcp'\n").unwrap();
        fs::write(folder.join("other.toml"), "external = 'lo'\ndefault = 'drop'\n[[rule]]\nallow = '80/tcp'\n").unwrap();
        Self { folder }
    }

    /// dockgate with descriptors as the shell makes them by `way`.
    fn command(&self, words: &str, way: &str) -> Command {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let words = words.replace("POLICY", &file("policy.toml")).replace("OTHER", &file("other.toml"));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$@\" {way}"), "sh", env!("CARGO_BIN_EXE_dockgate")]);
        command.args(words.split(' ').filter(|word| !word.is_empty())).env("DOCKGATE_STATE", self.folder.join("state"));
        command
    }

    fn run(&self, words: &str, way: &str) -> Done {
        finish(self.command(words, way), INPUT)
    }

    /// What stands before the command of a row.
    fn prepare(&self, row: &Row) -> String {
        let _ = fs::remove_dir_all(self.folder.join("state"));
        run("nft", "flush ruleset");
        for program in ["iptables", "ip6tables"] {
            run(program, "-N DOCKER-USER");
            run(program, "-I FORWARD -j DOCKER-USER");
        }
        for words in row.before {
            assert_eq!(self.run(words, "").code, 0, "{words}");
        }
        ruleset()
    }
}

/// All that is there; no packet changes a counter.
fn ruleset() -> String {
    run("nft", "list ruleset")
}

#[test]
fn every_command_is_in_the_table() {
    let help = dockgate("--help", "");
    let list = help.out.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> =
        list.lines().filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 10 && commands.contains(&"apply"), "{commands:?}");
    for command in commands {
        assert!(ROWS.iter().any(|row| row.words.split(' ').any(|word| word == command)), "`{command}` has no row");
    }
}

#[test]
fn output_that_cannot_be_written_is_told_by_the_exit_code() {
    const NAME: &str = "commands::output::output_that_cannot_be_written_is_told_by_the_exit_code";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let place = Place::new("output");
        for row in ROWS {
            let before = place.prepare(row);
            let usual = place.run(row.words, "");
            let made = ruleset();
            for (way, lost) in WAYS {
                place.prepare(row);
                let done = place.run(row.words, way);
                let what = format!("{} {way}: {done:?}, and usually {usual:?}", row.words);
                let (data, talk) = (lost[1] && !usual.out.is_empty(), lost[2] && !usual.err.is_empty());
                let code = match usual.code {
                    // There is nothing to be read.
                    _ if lost[0] && row.reads => 2,
                    0 if data || talk => 8,
                    // A code that only says what the data say.
                    1.. if data && usual.err.is_empty() => 8,
                    code => code,
                };
                assert_eq!(done.code, code, "{what}");
                assert_eq!(ruleset(), if code == 2 && row.reads { before.clone() } else { made.clone() }, "{what}");
                if !lost[2] && code == 8 {
                    assert!(done.err.contains("error: the command was carried out, but its output could not be written: "), "{what}");
                }
            }
            // Who has seen enough and goes away is no error.
            place.prepare(row);
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            let gone = place.command(row.words, "").stdin(Stdio::null()).stdout(writer).output().unwrap();
            if !row.reads {
                assert_eq!((gone.status.code(), ruleset()), (Some(usual.code), made), "{}: {gone:?}", row.words);
            }
        }
    });
}

#[test]
fn a_trial_goes_on_when_its_output_is_lost() {
    const NAME: &str = "commands::output::a_trial_goes_on_when_its_output_is_lost";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let place = Place::new("output-trial");
        place.prepare(&row(""));
        place.run("apply POLICY", "").ok();
        let applied = ruleset();
        for way in [">/dev/full", "<&- >&- 2>&-"] {
            let mut trial = place.command("apply OTHER --confirm 600s", way);
            let trial = trial.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            until("the trial begins", || place.run("status", "").out.contains("on trial for another"));
            let confirmed = place.run("confirm --here", way);
            assert_eq!(confirmed.code, 8, "{way}: {confirmed:?}");
            let ended = output_within(trial, LIMIT, "the trial");
            assert_eq!(ended.status.code(), Some(8), "{way}: {ended:?}");
            assert!(place.run("status", "").out.contains("policy other "), "{way}");
            let back = place.run("rollback", way);
            assert_eq!((back.code, ruleset()), (8, applied.clone()), "{way}: {back:?}");
        }
        // What is taken back is told by its own code.
        let over = place.run("apply OTHER --confirm 5s", ">/dev/full");
        assert_eq!((over.code, ruleset()), (6, applied), "{over:?}");
    });
}
