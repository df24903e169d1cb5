//! Whether what these tests need is here.

use crate::support::skip;
use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

/// True if `what` (`netns`, `iptables`, `docker`, `docker28`) is here; else the test is skipped.
pub fn require(what: &str) -> bool {
    let why = lacking(what);
    if let Some(why) = &why {
        skip(thread::current().name().unwrap_or("test"), what, why);
    }
    why.is_none()
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
