use std::{
    env,
    fmt::{self, Write as _},
    fs::File,
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access},
    process::geteuid,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::folder::Folder;
use crate::{
    marks::Table,
    model::{DOCKER_USER, Family},
    plan::ours::Ours,
    save,
};

/// What stood before each change: a folder with a file for each, the latest [`History::MOST`]. It is
/// for one network namespace, and lives as long as the kernel's rules do: in `/run`.
#[derive(Clone)]
pub struct History {
    dir: PathBuf,
    place: Place,
    say: fn(&str),
}

/// Why the history is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Somebody named it.
    Named,
    /// The one of the host.
    Host,
    /// A namespace's root may not write the host's.
    Elsewhere,
}

/// One change, and what stood before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its file's number: later changes have higher ones.
    number: u64,
    /// Its file.
    path: PathBuf,
    /// When it was made, in seconds since 1970.
    pub when: u64,
    /// `apply`, `confirm` or `remove`.
    pub what: String,
    /// The policy that stood before it, if one did: `NAME HASH`.
    pub policy: Option<String>,
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
    /// The folder, one that it is in, or a link to it is somebody else's.
    #[error("`{}` belongs to another user, who could write a policy into it", .0.display())]
    NotOurs(PathBuf),
    /// Others may write the folder, or one that it is in.
    #[error("others may write `{}`, and so put a policy into it", .0.display())]
    Writable(PathBuf),
    /// The host's history is root's.
    #[error("the steps back of this host are in `{}`, where only root may write", .0.display())]
    NotRoot(PathBuf),
    /// Another process holds the lock.
    #[error("waited {seconds} s for another change of a policy to end{}: it holds the lock of `{}`",
        holder.as_ref().map_or_else(String::new, |holder| format!(" ({holder})")), path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The process, where that is known.
        holder: Option<String>,
        /// How long was waited.
        seconds: u64,
    },
    /// A file is not what was written.
    #[error("`{}` is not a record of a change: it is damaged", .0.display())]
    Damaged(PathBuf),
    /// What has a record's name is something else.
    #[error("`{}` is not a record of a change: it is {why}", path.display())]
    Strange {
        /// The path.
        path: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// A file has the highest number of all, so that no record could come after it.
    #[error("`{}` has the highest number that a record may have, so that no other can come after it", .0.display())]
    Highest(PathBuf),
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

    /// That of a network namespace: below `$DOCKGATE_STATE`, else `/run/dockgate`, which is one for the host.
    /// Where root may not write that, as in a user namespace, it is in `$XDG_RUNTIME_DIR/dockgate` or in
    /// the temporary directory, and [`History::elsewhere`] says so. The folder is looked at when it is used.
    pub fn open(netns: &str) -> Self {
        let of = |dir: PathBuf, place| Self { dir: dir.join(netns), place, say: |_| {} };
        if let Some(state) = env::var_os("DOCKGATE_STATE").filter(|state| !state.is_empty()) {
            return of(state.into(), Place::Named);
        }
        let run = PathBuf::from("/run/dockgate");
        if !geteuid().is_root() || is_writable(&run) {
            return of(run, Place::Host);
        }
        let own = env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("dockgate"));
        of(own.unwrap_or_else(|| env::temp_dir().join(format!("dockgate-{}", geteuid().as_raw()))), Place::Elsewhere)
    }

    /// That in a folder. Before the first change it need not be there: it is made then, for its owner
    /// alone.
    ///
    /// # Errors
    /// [`HistoryError`], if the folder is there and others could write it.
    pub fn at(dir: &Path) -> Result<Self, HistoryError> {
        let dir = std::path::absolute(dir).map_err(|error| HistoryError::io("find", dir, error))?;
        Folder::open(&dir)?;
        Ok(Self { dir, place: Place::Named, say: |_| {} })
    }

    /// Says what else is to be known by this: that another process is waited for, that a record is passed over.
    pub fn set_say(&mut self, say: fn(&str)) {
        self.say = say;
    }

    /// Where it is, if that is not where the host's is.
    pub fn elsewhere(&self) -> Option<&Path> {
        (self.place == Place::Elsewhere).then_some(&self.dir)
    }

    /// Of those who may change the ruleset and not the host's history, root's `rollback` would not know.
    fn explain(&self, error: HistoryError) -> HistoryError {
        match error {
            HistoryError::Io { error, .. }
                if self.place == Place::Host
                    && !geteuid().is_root()
                    && matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
            {
                HistoryError::NotRoot(self.dir.clone())
            }
            HistoryError::NotOurs(_) if self.place == Place::Host && !geteuid().is_root() => HistoryError::NotRoot(self.dir.clone()),
            error => error,
        }
    }

    /// Keeps other changes by way of this history out, until it is dropped. The folder is made.
    pub(super) fn lock(&self) -> Result<Locked<'_>, HistoryError> {
        let folder = Folder::make(&self.dir).map_err(|error| self.explain(error))?;
        let lock = folder.lock(self.say)?;
        Ok(Locked { history: self, folder, _lock: lock })
    }

    /// The same, if the folder is there.
    pub(super) fn lock_if_there(&self) -> Result<Option<Locked<'_>>, HistoryError> {
        match Folder::open(&self.dir).map_err(|error| self.explain(error))? {
            None => Ok(None),
            Some(_) => self.lock().map(Some),
        }
    }

    /// All changes, the latest first; what is no record, or is damaged, is an error in its place.
    ///
    /// # Errors
    /// [`HistoryError`], if the folder can't be read.
    pub fn records(&self) -> Result<Vec<Result<Record, HistoryError>>, HistoryError> {
        let Some(folder) = Folder::open(&self.dir).map_err(|error| self.explain(error))? else { return Ok(Vec::new()) };
        Ok(records(&folder)?.map(|(_, record)| record).collect())
    }

    /// The record of the change that many steps ago, and where it is. What is no record is no step.
    pub(super) fn back(&self, steps: usize) -> Result<Record, HistoryError> {
        let mut known = 0;
        if let Some(folder) = Folder::open(&self.dir).map_err(|error| self.explain(error))? {
            for (_, record) in records(&folder)? {
                match record {
                    Err(error) => (self.say)(&format!("{error}; it is passed over")),
                    Ok(record) => {
                        known += 1;
                        if known == steps {
                            return Ok(record);
                        }
                    }
                }
            }
        }
        Err(HistoryError::NotSoMany(known))
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("dir", &self.dir).field("place", &self.place).finish_non_exhaustive()
    }
}

/// A history that nobody else changes.
pub(super) struct Locked<'h> {
    history: &'h History,
    folder: Folder,
    _lock: File,
}

impl Locked<'_> {
    /// Could what stands before a change be written now?
    pub(super) fn check_writable(&self, before: &[Ours; 2]) -> Result<(), HistoryError> {
        self.next()?;
        self.folder.check_writable(&text_of("confirm", u64::MAX, before))
    }

    /// Could records be removed now?
    pub(super) fn check_removable(&self) -> Result<(), HistoryError> {
        self.folder.check_removable()
    }

    /// Writes what stands before a change, over `again` if that was written for it already.
    pub(super) fn write(&self, again: Option<u64>, what: &str, when: u64, before: &[Ours; 2]) -> Result<u64, HistoryError> {
        let number = match again {
            Some(number) => number,
            None => self.next()?,
        };
        self.folder.write(&name(number), &text_of(what, when, before))?;
        Ok(number)
    }

    /// The number of the next record: above all that are there, so that it is the latest.
    fn next(&self) -> Result<u64, HistoryError> {
        match numbers(&self.folder)?.last() {
            None => Ok(1),
            Some((number, _)) if *number < HIGHEST => Ok(number + 1),
            Some((_, name)) => Err(HistoryError::Highest(self.folder.path(name))),
        }
    }

    /// Forgets a change that was not made.
    pub(super) fn drop_record(&self, number: u64) {
        // It stays as a step back that changes nothing.
        let _ = self.folder.remove(&name(number));
    }

    /// Forgets a change that was taken back, and those after it. It was made: what can't be removed is only said.
    pub(super) fn forget(&self, record: &Record) {
        let all = records(&self.folder).into_iter().flatten();
        for name in
            all.take_while(|(number, _)| *number >= record.number).filter(|(_, record)| record.is_ok()).map(|(number, _)| name(number))
        {
            if let Err(error) = self.folder.remove(&name) {
                (self.history.say)(&format!("{error}; it is a step back that changes nothing"));
            }
        }
    }

    /// Forgets the oldest beyond [`History::MOST`].
    pub(super) fn trim(&self) {
        let all = numbers(&self.folder).unwrap_or_default();
        for (_, name) in &all[..all.len().saturating_sub(History::MOST)] {
            let _ = self.folder.remove(name);
        }
    }
}

/// What has a higher number is no record: dockgate never gets there by itself.
const HIGHEST: u64 = 999_999_999_999_999;

fn name(number: u64) -> String {
    format!("{number:08}.json")
}

/// The numbers and names of what should be records, in order.
fn numbers(folder: &Folder) -> Result<Vec<(u64, String)>, HistoryError> {
    let number = |file: &str| {
        let number = file.strip_suffix(".json")?.parse().ok()?;
        (number <= HIGHEST && name(number) == file).then_some(number)
    };
    let mut all: Vec<(u64, String)> = folder.names()?.into_iter().filter_map(|name| Some((number(&name)?, name))).collect();
    all.sort();
    Ok(all)
}

/// The records, the latest first, each read when it is asked for.
fn records(folder: &Folder) -> Result<impl Iterator<Item = (u64, Result<Record, HistoryError>)>, HistoryError> {
    let all = numbers(folder)?;
    Ok(all.into_iter().rev().map(|(number, name)| (number, Record::read(folder, number, &name))))
}

/// May this process write there, or make it?
fn is_writable(dir: &Path) -> bool {
    dir.ancestors().find(|dir| dir.exists()).is_some_and(|there| access(there, Access::WRITE_OK).is_ok())
}

impl HistoryError {
    pub(super) fn io(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), error }
    }
}

/// A record as it is written.
fn text_of(what: &str, when: u64, before: &[Ours; 2]) -> String {
    let policy = before.iter().find_map(Ours::identity).map(|identity| identity.to_string());
    let [ip, ip6] = Family::BOTH.map(|family| text(family, &before[family as usize]));
    let marks = before.each_ref().map(|ours| ours.marks.as_ref().map_or_else(String::new, Table::to_string));
    let seal = seal([&ip, &ip6, &marks[0], &marks[1]]);
    json!({ "when": when, "what": what, "policy": policy, "seal": seal, "ip": ip, "ip6": ip6, "marks": marks }).to_string()
}

/// Tells whether a text is all that was written.
fn seal(texts: [&str; 4]) -> String {
    let hash = texts.into_iter().fold(Sha256::new(), |hash, text| hash.chain_update(text)).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn read(folder: &Folder, number: u64, name: &str) -> Result<Self, HistoryError> {
        let (path, text) = (folder.path(name), folder.read(name)?);
        let Ok(value) = serde_json::from_str::<Value>(&text) else { return Err(HistoryError::Damaged(path)) };
        let word = |key: &str| value[key].as_str().map(str::to_owned);
        let words = (value["when"].as_u64(), word("what"), word("seal"), word("ip"), word("ip6"));
        let (Some(when), Some(what), Some(written), Some(ip), Some(ip6)) = words else {
            return Err(HistoryError::Damaged(path));
        };
        // Records of earlier versions have no such tables.
        let marks = [0, 1].map(|index| value["marks"][index].as_str().unwrap_or_default().to_owned());
        // A text that says less than was written would take a policy away.
        if written != seal([&ip, &ip6, &marks[0], &marks[1]]) {
            return Err(HistoryError::Damaged(path));
        }
        Ok(Self { number, path, when, what, policy: word("policy"), text: [ip, ip6], marks })
    }

    /// What stood before the change, IPv4 first.
    pub(super) fn before(&self) -> Result<[Ours; 2], HistoryError> {
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
