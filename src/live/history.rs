use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    marks::Table,
    model::{DOCKER_USER, Family},
    plan::ours::Ours,
    save,
};

/// What stood before each change: a folder with a file for each, the latest [`History::MOST`]. It is
/// for one network namespace, and lives as long as the kernel's rules do: in `/run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    dir: PathBuf,
}

/// One change, and what stood before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its file.
    path: PathBuf,
    /// When it was made, in seconds since 1970.
    pub when: u64,
    /// `apply`, `confirm` or `remove`.
    pub what: String,
    /// The policy that stood before it, if one did: `NAME HASH`.
    pub policy: Option<String>,
    /// [`seal`] of the text as it was written.
    seal: String,
    /// What stood before it as `iptables-save` writes it, IPv4 first.
    text: [String; 2],
    /// Our own tables; empty where there was none.
    marks: [String; 2],
}

/// Why the history can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The folder or a file in it.
    #[error("could not {what} `{}`: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The folder is somebody else's.
    #[error("`{}` belongs to another user, who could write a policy into it", .0.display())]
    NotOurs(PathBuf),
    /// A file is not what was written.
    #[error("`{}` is not a record of a change", .0.display())]
    Damaged(PathBuf),
    /// There are fewer changes.
    #[error("{}", match .0 {
        0 => "no change is known that could be taken back".to_owned(),
        1 => "only one change is known that could be taken back".to_owned(),
        known => format!("only {known} changes are known that could be taken back"),
    })]
    NotSoMany(usize),
}

impl History {
    /// How many changes are remembered.
    pub const MOST: usize = 20;

    /// That of the calling thread's network namespace: below `$DOCKGATE_STATE`, else `/run/dockgate`,
    /// else (without root) `$XDG_RUNTIME_DIR/dockgate` or the temporary directory.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn open(netns: &str) -> Result<Self, HistoryError> {
        if let Some(state) = std::env::var_os("DOCKGATE_STATE") {
            return Self::at(&Path::new(&state).join(netns));
        }
        // SAFETY: it has no arguments and can't fail.
        let user = unsafe { libc::geteuid() };
        let run = Path::new("/run/dockgate").join(netns);
        if is_writable(&run) {
            return Self::at(&run);
        }
        let own = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("dockgate"));
        Self::at(&own.unwrap_or_else(|| std::env::temp_dir().join(format!("dockgate-{user}"))).join(netns))
    }

    /// That in a folder. Before the first change it need not be there: it is made then, for its owner
    /// alone.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn at(dir: &Path) -> Result<Self, HistoryError> {
        let dir = std::path::absolute(dir).map_err(|error| failed("find", dir, error))?;
        let history = Self { dir };
        history.check_owner()?;
        Ok(history)
    }

    /// Whoever owns the folder, or the one that it is in, could put a policy of his own there.
    fn check_owner(&self) -> Result<(), HistoryError> {
        // SAFETY: it has no arguments and can't fail.
        let user = unsafe { libc::geteuid() };
        let parent = self.dir.parent().filter(|parent| parent.parent().is_some());
        for dir in std::iter::once(self.dir.as_path()).chain(parent) {
            match fs::metadata(dir) {
                Ok(found) if found.uid() == user || (dir != self.dir && found.uid() == 0) => {}
                Ok(_) => return Err(HistoryError::NotOurs(dir.to_owned())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("read", dir, error)),
            }
        }
        Ok(())
    }

    /// Keeps other changes by way of this history out, until it is dropped.
    pub(super) fn lock(&self) -> Result<File, HistoryError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(|error| failed("make the folder", &self.dir, error))?;
        self.check_owner()?;
        let locked = File::open(&self.dir).and_then(|dir| dir.lock().map(|()| dir));
        locked.map_err(|error| failed("lock", &self.dir, error))
    }

    /// All changes, the latest first.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn records(&self) -> Result<Vec<Record>, HistoryError> {
        let mut paths = self.paths()?;
        paths.reverse();
        paths.into_iter().map(Record::read).collect()
    }

    /// The record of the change that many steps ago.
    pub(super) fn back(&self, steps: usize) -> Result<Record, HistoryError> {
        let mut paths = self.paths()?;
        let index = paths.len().checked_sub(steps).filter(|index| *index < paths.len()).ok_or(HistoryError::NotSoMany(paths.len()))?;
        Record::read(paths.swap_remove(index))
    }

    /// Forgets the latest.
    pub(super) fn forget(&self, steps: usize) -> Result<(), HistoryError> {
        for path in self.paths()?.into_iter().rev().take(steps) {
            fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
        }
        Ok(())
    }

    /// Writes what stands before a change, over `again` if that was written for it already.
    pub(super) fn write(&self, again: Option<PathBuf>, what: &str, when: u64, before: &[Ours; 2]) -> Result<PathBuf, HistoryError> {
        let path = match again {
            Some(path) => path,
            None => self.dir.join(format!("{:08}.json", self.paths()?.last().map_or(0, |last| number(last)) + 1)),
        };
        let policy = before.iter().find_map(Ours::identity).map(|identity| identity.to_string());
        let [ip, ip6] = Family::BOTH.map(|family| text(family, &before[family as usize]));
        let marks = before.each_ref().map(|ours| ours.marks.as_ref().map_or_else(String::new, Table::to_string));
        let seal = seal([&ip, &ip6, &marks[0], &marks[1]]);
        let record = json!({ "when": when, "what": what, "policy": policy, "seal": seal, "ip": ip, "ip6": ip6, "marks": marks });
        let new = path.with_extension("new");
        fs::write(&new, record.to_string()).and_then(|()| fs::rename(&new, &path)).map_err(|error| failed("write", &path, error))?;
        Ok(path)
    }

    pub(super) fn drop_record(&self, path: &Path) {
        // It stays as a step back that changes nothing.
        let _ = fs::remove_file(path);
    }

    /// Forgets the oldest beyond [`History::MOST`].
    pub(super) fn trim(&self) {
        let paths = self.paths().unwrap_or_default();
        for path in &paths[..paths.len().saturating_sub(Self::MOST)] {
            let _ = fs::remove_file(path);
        }
    }

    /// The files in the order of their numbers.
    fn paths(&self) -> Result<Vec<PathBuf>, HistoryError> {
        let entries = match fs::read_dir(&self.dir).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            entries => entries.map_err(|error| failed("read", &self.dir, error))?,
        };
        let mut paths: Vec<PathBuf> =
            entries.into_iter().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        paths.sort();
        Ok(paths)
    }
}

/// Is it there to be written, or can it be made?
fn is_writable(dir: &Path) -> bool {
    let there = dir.ancestors().find(|dir| dir.exists());
    let path = there.and_then(|dir| std::ffi::CString::new(dir.as_os_str().as_bytes()).ok());
    // SAFETY: the string ends with a zero, and lives until the call is over.
    path.is_some_and(|path| unsafe { libc::access(path.as_ptr(), libc::W_OK) } == 0)
}

fn number(path: &Path) -> u64 {
    path.file_stem().and_then(|name| name.to_str()?.parse().ok()).unwrap_or_default()
}

/// Tells whether a text is all that was written.
fn seal(texts: [&str; 4]) -> String {
    let hash = texts.into_iter().fold(Sha256::new(), |hash, text| hash.chain_update(text)).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn failed(what: &'static str, path: &Path, error: io::Error) -> HistoryError {
    HistoryError::Io { what, path: path.to_owned(), error }
}

/// As `iptables-save -c` has it; the jump is the only rule of `DOCKER-USER`.
fn text(family: Family, ours: &Ours) -> String {
    let mut text = String::from("*filter\n");
    for chain in &ours.chains {
        writeln!(text, ":{} - [0:0]", chain.name).expect("a string takes everything");
    }
    let jump = ours.jump.iter().map(|jump| (DOCKER_USER, jump));
    let rules = ours.chains.iter().flat_map(|chain| chain.rules.iter().map(move |rule| (chain.name.as_str(), rule)));
    for (chain, saved) in jump.chain(rules) {
        writeln!(text, "{} -A {chain} {}", saved.counters, saved.rule).expect("a string takes everything");
    }
    debug_assert!(save::read(&(text.clone() + "COMMIT\n"), Some(family), true).is_ok());
    text + "COMMIT\n"
}

impl Record {
    fn read(path: PathBuf) -> Result<Self, HistoryError> {
        let text = fs::read_to_string(&path).map_err(|error| failed("read", &path, error))?;
        let value: Value = serde_json::from_str(&text).map_err(|_| HistoryError::Damaged(path.clone()))?;
        let word = |key: &str| value[key].as_str().map(str::to_owned);
        let words = (value["when"].as_u64(), word("what"), word("seal"), word("ip"), word("ip6"));
        let (Some(when), Some(what), Some(seal), Some(ip), Some(ip6)) = words else {
            return Err(HistoryError::Damaged(path));
        };
        // Records of earlier versions have no such tables.
        let marks = [0, 1].map(|index| value["marks"][index].as_str().unwrap_or_default().to_owned());
        Ok(Self { path, when, what, policy: word("policy"), seal, text: [ip, ip6], marks })
    }

    /// What stood before the change, IPv4 first.
    pub(super) fn before(&self) -> Result<[Ours; 2], HistoryError> {
        // A text that says less than was written would take a policy away.
        if self.seal != seal([&self.text[0], &self.text[1], &self.marks[0], &self.marks[1]]) {
            return Err(HistoryError::Damaged(self.path.clone()));
        }
        let mut all = <[Ours; 2]>::default();
        for (ours, family) in all.iter_mut().zip(Family::BOTH) {
            let marks = self.marks[family as usize].as_str();
            if !marks.is_empty() {
                ours.marks = Some(marks.parse().map_err(|_| HistoryError::Damaged(self.path.clone()))?);
            }
            let saved =
                save::read(&self.text[family as usize], Some(family), true).map_err(|_| HistoryError::Damaged(self.path.clone()))?;
            for chain in saved.into_iter().flat_map(|saved| saved.chains) {
                match chain.name.as_str() {
                    DOCKER_USER => ours.jump = chain.rules.into_iter().next(),
                    _ => ours.chains.push(chain),
                }
            }
        }
        Ok(all)
    }
}
