//! What a test needs and whether it is here. A test that can't run says so; where `REQUIRE` names
//! what it needs, it fails instead.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

/// True if `what` (`netns`, `iptables`, `docker`, `docker28`) is here. Else prints `SKIPPED`, also
/// to the end of the file that `SKIPPED` names, or panics where the list in `REQUIRE` has `what`.
pub fn require(what: &str) -> bool {
    let Some(why) = lacking(what) else { return true };
    let asked = env::var("REQUIRE").unwrap_or_default();
    assert!(!asked.split(',').any(|one| one.trim() == what), "REQUIRE={asked}, but {why}");
    let line = format!("SKIPPED {}: {why}\n", thread::current().name().unwrap_or("test"));
    print!("{line}");
    if let Some(path) = env::var_os("SKIPPED") {
        OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
    false
}

fn lacking(what: &str) -> Option<String> {
    match what {
        "netns" => root(&["ip", "nsenter", "unshare"]),
        "iptables" => root(&["ip", "iptables", "iptables-restore", "iptables-save", "nft", "nsenter", "strace", "unshare"]),
        "docker" => {
            root(&["containerd", "curl", "docker", "dockerd", "ip", "iptables", "nft", "nsenter", "tar", "unshare"]).or_else(busybox)
        }
        "docker28" => lacking("docker").or_else(|| {
            let root = docker28();
            (!root.join("usr/sbin/dockerd").exists()).then(|| format!("there is no Docker 28 in {}", root.display()))
        }),
        other => panic!("nothing is known about `{other}`"),
    }
}

/// The folder with the root file system of a Debian that has Docker 28; `integration/run` makes it.
pub fn docker28() -> PathBuf {
    env::var_os("DOCKER28").map_or_else(|| PathBuf::from("/var/cache/dockgate/docker28"), PathBuf::from)
}

/// Why these programs can't be run in namespaces of our own.
fn root(programs: &[&str]) -> Option<String> {
    let paths = env::var("PATH").unwrap_or_default();
    let absent = |name: &&&str| !paths.split(':').any(|folder| PathBuf::from(folder).join(name).exists());
    if let Some(name) = programs.iter().find(absent) {
        return Some(format!("{name} is not installed"));
    }
    if fs::metadata("/proc/self").map_or(0, |own| own.uid()) != 0 {
        return Some("this is not root".into());
    }
    let apart = Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    (!apart.is_ok_and(|status| status.success())).then(|| "no namespaces can be made here".into())
}

/// Why there is no container image. It is one static program.
fn busybox() -> Option<String> {
    let linked = fs::read("/bin/busybox").map(|bytes| bytes.windows(8).any(|part| part == b"/ld-linu" || part == b"ld-musl-"));
    match linked {
        Ok(false) => None,
        Ok(true) => Some("busybox is not static".into()),
        Err(_) => Some("busybox is not installed".into()),
    }
}
