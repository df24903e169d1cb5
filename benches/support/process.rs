//! Programs that are run in the namespace of a host.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use dockgate::lab::Netns;

use super::world;

/// dockgate itself: a copy of what cargo has built beside the benchmark.
pub const DOCKGATE: &str = "dockgate";

/// A folder of this process's own.
pub fn folder() -> PathBuf {
    env::temp_dir().join(format!("dockgate-bench-{}", std::process::id()))
}

/// Where dockgate keeps what was there before each change. The folder that it is in must be one's own
/// as well.
pub fn state() -> PathBuf {
    folder().join("state")
}

/// Copies a program as `install` and `cp` do. What a linker has written stands in the page cache page
/// by page, a copy in pieces of 64 KiB (`/proc/kpageflags` says so, with ext4 of Linux 6.18), which are
/// mapped faster.
///
/// # Errors
/// Those of the file system.
pub fn install(from: &Path, to: PathBuf) -> io::Result<PathBuf> {
    fs::create_dir_all(to.parent().unwrap_or(&to))?;
    fs::copy(from, &to)?;
    Ok(to)
}

/// A program by its name; ours is installed when it is asked for first.
fn program(name: &OsStr) -> io::Result<Command> {
    static INSTALLED: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
        let built = option_env!("CARGO_BIN_EXE_dockgate").ok_or("cargo has built no dockgate")?;
        install(built.as_ref(), folder().join(DOCKGATE)).map_err(|error| format!("dockgate can't be copied: {error}"))
    });
    if name != DOCKGATE {
        return Ok(Command::new(name));
    }
    INSTALLED.as_ref().map(Command::new).map_err(|error| io::Error::other(error.as_str()))
}

/// Runs a program there with that input; it must end well. How long it took from its start to its
/// end.
///
/// # Errors
/// With what it said.
pub fn run<S: AsRef<OsStr> + Sync>(netns: &Netns, command: &[S], input: &str) -> world::Result<Duration> {
    Ok(netns.run(|| output(command, input))??.0)
}

/// The same in the calling thread's namespace, with what the program wrote.
///
/// # Errors
/// With what it said.
pub fn output<S: AsRef<OsStr>>(command: &[S], input: &str) -> io::Result<(Duration, String)> {
    let text = || command.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    let named = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", text()));
    let mut child = program(command[0].as_ref())?;
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
pub fn has(name: &str, what: &str) -> bool {
    let version = |mut program: Command| program.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = program(name.as_ref()).and_then(version).is_ok_and(|status| status.success());
    if !found {
        println!("SKIPPED {what}: `{name}` is not there");
    }
    found
}
