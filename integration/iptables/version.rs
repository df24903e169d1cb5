//! iptables of other versions than the one that is installed.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::Installed;
use crate::support::{in_netns_with, skip};

/// Which iptables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iptables {
    /// The one that is installed.
    Installed,
    /// 1.8.7, of Debian 11, in a folder of its own.
    Old,
    /// That of the Debian sid with Docker 28: 1.8.13 or later.
    Sid,
}

/// The programs of an iptables.
const PROGRAMS: [&str; 6] = ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"];

impl Iptables {
    /// Runs `body` in a network namespace where the programs of iptables are of this version; the
    /// test is skipped where there is none.
    pub fn in_netns(self, module: &str, name: &str, body: impl FnOnce(Installed)) {
        let module = module.split_once("::").map_or(module, |(_, module)| module);
        let test = format!("{module}::{name}");
        let Some(folder) = self.programs(&test) else { return };
        in_netns_with(&test, folder.as_deref(), || {
            let Some(installed) = Installed::find(&test) else { return };
            assert_eq!(self == Self::Old, installed.version == (1, 8, 7), "{self:?}: {installed:?}");
            body(installed);
        });
    }

    /// A folder with programs that run its own; inner `None` for those that are installed, outer if
    /// they are not here.
    pub fn programs(self, test: &str) -> Option<Option<PathBuf>> {
        if self == Self::Installed {
            return Some(None);
        }
        let root = root(self, test)?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{self:?}"));
        wrap(&root, &folder);
        Some(Some(folder))
    }
}

/// The folder with that iptables, to be run by `chroot`; `None`, and the test skipped, if it is not here.
pub fn root(which: Iptables, test: &str) -> Option<PathBuf> {
    let (requirement, variable, default) = match which {
        Iptables::Installed => return Some("/".into()),
        Iptables::Old => ("iptables187", "IPTABLES187", "/var/cache/dockgate/iptables187"),
        Iptables::Sid => ("docker28", "DOCKER28", "/var/cache/dockgate/docker28"),
    };
    let root = env::var_os(variable).map_or_else(|| default.into(), PathBuf::from);
    if !root.join("usr/sbin/iptables").is_symlink() {
        skip(test, requirement, &format!("there is no iptables in {}; `integration/run` puts it there", root.display()));
        return None;
    }
    Some(root)
}

/// Puts scripts there that run the programs of `root`. Other tests may be about to run the same ones, and other
/// threads to write them.
fn wrap(root: &Path, folder: &Path) {
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().unwrap();
    fs::create_dir_all(folder).unwrap();
    for program in PROGRAMS {
        let script = format!("#!/bin/sh\nexec chroot '{}' /usr/sbin/{program} \"$@\"\n", root.display());
        let (path, part) = (folder.join(program), folder.join(format!("{program}.{}", std::process::id())));
        if fs::read_to_string(&path).is_ok_and(|found| found == script) {
            continue;
        }
        fs::write(&part, script).unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&part, &path).unwrap();
    }
}

/// Makes each function a test with each iptables.
macro_rules! on_each_iptables {
    ($($name:ident),+ $(,)?) => {
        on_each_iptables!(of installed Installed: $($name),+);
        on_each_iptables!(of v1_8_7 Old: $($name),+);
        on_each_iptables!(of sid Sid: $($name),+);
    };
    (of $module:ident $iptables:ident: $($name:ident),+) => {
        mod $module {
            $(#[test] fn $name() {
                let which = crate::iptables::Iptables::$iptables;
                which.in_netns(module_path!(), stringify!($name), super::$name);
            })+
        }
    };
}
pub(crate) use on_each_iptables;
