//! The programs that are measured as processes: built as users get them, started by `stopwatch`.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{
    process,
    samples::{Process, Sample},
    world::Result,
};

/// Where the programs are: copies, as an installed program is one ([`process::install`]).
#[derive(Debug)]
pub struct Programs {
    dir: PathBuf,
    /// dockgate itself.
    pub dockgate: PathBuf,
    /// The same, as the kernel has it after a boot: read page by page, as it was run. So it has
    /// iptables, if nobody installed that since.
    pub booted: PathBuf,
    /// Sends bytes from a file.
    pub replay: PathBuf,
    stopwatch: PathBuf,
}

impl Programs {
    /// Builds them at the top of the repository, where they become static; `dockgate` may be another
    /// one.
    ///
    /// # Errors
    /// If cargo has one, or a file can't be copied.
    pub fn build(dockgate: Option<&Path>) -> Result<Self> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .current_dir(top)
            .args(["build", "--release", "--bin", "dockgate", "--example", "replay", "--example", "stopwatch"])
            // Ours are for shared libraries; those of the configuration there make programs static.
            .env_remove("RUSTFLAGS")
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("dockgate could not be built".into());
        }
        let messages: Vec<serde_json::Value> = String::from_utf8(output.stdout)?.lines().flat_map(serde_json::from_str).collect();
        let path = |name: &str| {
            let mut built = messages.iter().filter(|message| message["target"]["name"] == name);
            let path = built.find_map(|message| message["executable"].as_str()).ok_or_else(|| format!("cargo did not build `{name}`"));
            path.map(PathBuf::from)
        };
        let dir = env::temp_dir().join(format!("dockgate-programs-{}", std::process::id()));
        let install = |from: PathBuf, name: &str| process::install(&from, dir.join(name));
        let dockgate = dockgate.map_or_else(|| path("dockgate"), |path| Ok(path.to_owned()))?;
        let booted = install(dockgate.clone(), "booted")?;
        forget(&booted)?;
        Ok(Self {
            booted,
            dockgate: install(dockgate, "dockgate")?,
            replay: install(path("replay")?, "replay")?,
            stopwatch: install(path("stopwatch")?, "stopwatch")?,
            dir,
        })
    }

    /// Runs a program to its end, which must be a success; what it prints is thrown away.
    ///
    /// # Errors
    /// With its exit code.
    pub fn run<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> Result<Sample> {
        let program = program.as_ref();
        let output = Command::new(&self.stopwatch).arg(program).args(args).stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
        match numbers[..] {
            [wall, cpu, resident, 0] => {
                let process = Process { cpu: Duration::from_micros(cpu), resident };
                Ok(Sample { wall: Duration::from_nanos(wall), process: Some(process) })
            }
            [_, _, _, code] => Err(format!("exit code {code}").into()),
            _ => Err(format!("could not start `{}`", program.display()).into()),
        }
    }
}

/// Takes a file out of the page cache.
fn forget(path: &Path) -> io::Result<()> {
    let file = fs::File::open(path)?;
    // What is not on the disk yet stays.
    file.sync_all()?;
    // SAFETY: the call takes numbers alone.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        // What stays in the temporary directory is of no harm.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Is there a program of that name?
pub fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}
