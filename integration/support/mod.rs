//! What tests need that touch the kernel: a namespace of their own, and tools that may be missing.

mod ends;
mod program;

pub use ends::{LIMIT, Stop, Watchdog, output_within, until};
pub use program::{Done, call, dockgate, finish, golden, uncommented};

use std::{
    env,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use dockgate::{
    lab::{self, Userns},
    model::Family,
};

/// Set in the child process that [`in_netns`] starts: the test that it is to run.
const CHILD: &str = "DOCKGATE_TEST_CHILD";

/// What the line of a skipped test begins with.
const SKIPPED: &str = "SKIPPED";

/// Runs `body` in a process of its own, as root in a new user and network namespace: that one
/// `test` (its path, `module::function`) of this binary is started again there. The machine's own
/// network can't be touched.
pub fn in_netns(test: &str, body: impl FnOnce()) {
    in_netns_with(test, None, body);
}

/// The same with programs of this folder before those that are installed.
pub fn in_netns_with(test: &str, programs: Option<&Path>, body: impl FnOnce()) {
    if env::var(CHILD).is_ok_and(|child| child == test) {
        return body();
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CHILD, test);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    if let Some(folder) = programs {
        command.env("PATH", format!("{}:{}", folder.display(), env::var("PATH").unwrap_or_default()));
    }
    let child = match lab::spawn(command, Userns::Always) {
        Err(error @ lab::Error::Entry { .. }) => {
            return skip(test, "netns", &format!("{error}\nhint: {}", error.hint().unwrap_or_default()));
        }
        spawned => spawned.unwrap(),
    };
    let output = output_within(child, LIMIT, test);
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        match line.starts_with(SKIPPED) {
            true => show(line),
            false => eprintln!("{line}"),
        }
    }
    assert!(output.status.success(), "{test} failed in its namespace");
    assert!(text.contains("1 passed"), "there is no test `{test}`");
}

/// Is the program there? If not, `test` has been reported as skipped, and is to return.
pub fn need(test: &str, program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    match found {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            skip(test, program, &format!("`{program} --version`: {}", String::from_utf8_lossy(&output.stderr).trim()));
            false
        }
        Err(error) => {
            skip(test, program, &format!("`{program}`: {error}"));
            false
        }
    }
}

/// Reports that `test` can't run, which is a failure where the run requires it:
/// `REQUIRE=netns,iptables,docker`.
pub fn skip(test: &str, requirement: &str, why: &str) {
    let required = env::var("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|one| one.trim() == requirement), "{test} needs {requirement}: {why}");
    show(&format!("{SKIPPED} {test}: {}", why.replace('\n', "; ")));
}

/// Prints a line also when the test passes: the harness keeps back only what the macros print.
pub fn show(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A rule in a chain of Docker's, by the host's iptables: it tells which iptables that is.
pub fn docker_wrote(family: Family) {
    run(family.command(), "-t nat -N DOCKER");
    run(family.command(), "-t nat -A DOCKER ! -i docker0 -p tcp --dport 80 -j RETURN");
}

/// Runs a program to its end and gives what it printed; it must succeed.
pub fn run(program: &str, args: &str) -> String {
    let output = Command::new(program).args(args.split_whitespace()).stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
