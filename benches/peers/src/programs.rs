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

/// What the program that is shipped is built for.
const SHIPPED: &str = "x86_64-unknown-linux-musl";

/// Where the programs are: copies, as an installed program is one ([`process::install`]).
#[derive(Debug)]
pub struct Programs {
    dir: PathBuf,
    /// dockgate itself: as it is shipped, where rustup has that target.
    pub dockgate: PathBuf,
    /// Which that is, for people.
    pub measured: String,
    /// The same, as the kernel has it after a boot: read page by page, as it was run. So it has
    /// iptables, if nobody installed that since.
    pub booted: PathBuf,
    /// dockgate with the C library of the host, if that is not what is shipped.
    pub glibc: Option<PathBuf>,
    /// iptables, copied as the others.
    pub iptables: Option<PathBuf>,
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
        let dir = env::temp_dir().join(format!("dockgate-programs-{}", std::process::id()));
        let install = |from: &Path, name: &str| process::install(from, dir.join(name));
        let shipped = is_installed(SHIPPED);
        let target = shipped.then_some(SHIPPED);
        let built = built(target, &["--bin", "dockgate", "--example", "replay", "--example", "stopwatch"])?;
        let (measured, dockgate) = match dockgate {
            Some(path) => (path.display().to_string(), path.to_owned()),
            None => (target.unwrap_or("this host, as the target that is shipped is not there").to_owned(), built[0].clone()),
        };
        let glibc = match shipped {
            true => Some(install(&self::built(None, &["--bin", "dockgate"])?[0], "dockgate-glibc")?),
            false => None,
        };
        let booted = install(&dockgate, "booted")?;
        forget(&booted)?;
        Ok(Self {
            booted,
            measured,
            glibc,
            dockgate: install(&dockgate, "dockgate")?,
            iptables: found("iptables").map(|path| install(&path, "iptables")).transpose()?,
            replay: install(&built[1], "replay")?,
            stopwatch: install(&built[2], "stopwatch")?,
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

/// Has rustup that target?
fn is_installed(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    output.is_ok_and(|output| output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// Builds programs for a target, else for this host: the paths of those that are named in `what`.
fn built(target: Option<&str>, what: &[&str]) -> Result<Vec<PathBuf>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .args(["build", "--release", "--message-format=json-render-diagnostics"])
        .args(what)
        .args(target.map(|target| format!("--target={target}")))
        // Ours are for shared libraries; those of the configuration there make programs static.
        .env_remove("RUSTFLAGS")
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("dockgate could not be built".into());
    }
    let messages: Vec<serde_json::Value> = String::from_utf8(output.stdout)?.lines().flat_map(serde_json::from_str).collect();
    let path = |name: &&str| {
        let mut built = messages.iter().filter(|message| message["target"]["name"] == *name);
        let path = built.find_map(|message| message["executable"].as_str()).ok_or_else(|| format!("cargo did not build `{name}`"));
        Ok(path?.into())
    };
    what.iter().filter(|word| !word.starts_with('-')).map(path).collect()
}

/// Where the shell finds a program, links followed.
fn found(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find_map(|folder| folder.join(program).canonicalize().ok())
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
