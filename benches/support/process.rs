//! Programs that are run in the namespace of a host.

use std::{
    env,
    ffi::OsStr,
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use dockgate::lab::Netns;

use super::world::Result;

/// dockgate itself, as cargo has built it beside the benchmark.
pub const DOCKGATE: Option<&str> = option_env!("CARGO_BIN_EXE_dockgate");

/// A folder of this process's own.
pub fn folder() -> PathBuf {
    env::temp_dir().join(format!("dockgate-bench-{}", std::process::id()))
}

/// Where dockgate keeps what was there before each change. The folder that it is in must be one's own
/// as well.
pub fn state() -> PathBuf {
    folder().join("state")
}

/// Runs a program there with that input; it must end well. How long it took from its start to its
/// end.
///
/// # Errors
/// With what it said.
pub fn run<S: AsRef<OsStr> + Sync>(netns: &Netns, command: &[S], input: &str) -> Result<Duration> {
    Ok(netns.run(|| output(command, input))??.0)
}

/// The same in the calling thread's namespace, with what the program wrote.
///
/// # Errors
/// With what it said.
pub fn output<S: AsRef<OsStr>>(command: &[S], input: &str) -> io::Result<(Duration, String)> {
    let text = || command.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    let named = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", text()));
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]).env("DOCKGATE_STATE", state()).stdout(Stdio::piped()).stderr(Stdio::piped());
    child.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let begin = Instant::now();
    let mut child = child.spawn().map_err(named)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(named)?;
    }
    let output = child.wait_with_output().map_err(named)?;
    let taken = begin.elapsed();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("`{}`: {}: {}", text(), output.status, said.trim())));
    }
    Ok((taken, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Is the program there? If not, what needs it is said to be skipped.
pub fn has(program: &str, what: &str) -> bool {
    let found =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        println!("SKIPPED {what}: `{program}` is not there");
    }
    found
}
