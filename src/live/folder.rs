use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Write as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, accessat, fstat, mkdirat, openat, renameat, statat, unlinkat},
    io::Errno,
    process::geteuid,
};

use super::history::HistoryError;

/// A folder that nobody but its owner can write, entered by its descriptor: whatever somebody does to
/// its path meanwhile, the files are those of the folder that was checked.
#[derive(Debug)]
pub(super) struct Folder {
    dir: OwnedFd,
    path: PathBuf,
}

/// A file of a folder is not larger: some ten million senders.
pub(super) const LARGEST: u64 = 1 << 30;

/// So long another process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this time it is said that it is waited for.
const SILENCE: Duration = Duration::from_millis(500);
/// How often the lock is tried.
const PAUSE: Duration = Duration::from_millis(10);

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

impl Folder {
    /// Opens it; `None` if it is not there.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, HistoryError> {
        Self::walk(path, false)
    }

    /// Opens it; what is not there of its path is made, for its owner alone.
    pub(super) fn make(path: &Path) -> Result<Self, HistoryError> {
        let gone = || HistoryError::io("make the folder", path, Errno::NOENT.into());
        Self::walk(path, true)?.ok_or_else(gone)
    }

    fn walk(path: &Path, make: bool) -> Result<Option<Self>, HistoryError> {
        let opened = |what, at: &Path, error: Errno| HistoryError::io(what, at, error.into());
        let path = std::path::absolute(path).map_err(|error| HistoryError::io("find", path, error))?;
        let (mut at, mut dir) =
            (PathBuf::from("/"), openat(CWD, "/", OFlags::PATH | DIRECTORY, Mode::empty()).map_err(|error| opened("open", &path, error))?);
        let mut names = path
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name),
                Component::ParentDir => Some("..".as_ref()),
                _ => None,
            })
            .peekable();
        while let Some(name) = names.next() {
            at.push(name);
            let found = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) if !make => return Ok(None),
                Err(Errno::NOENT) => {
                    match mkdirat(&dir, name, Mode::RWXU) {
                        // Somebody was faster.
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(opened("make the folder", &path, error)),
                    }
                    statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)
                }
                found => found,
            };
            let found = found.map_err(|error| opened("read", &at, error))?;
            if FileType::from_raw_mode(found.st_mode) == FileType::Symlink && !is_trusted(&found) {
                return Err(HistoryError::NotOurs(at));
            }
            let last = names.peek().is_none();
            let flags = if last { OFlags::RDONLY } else { OFlags::PATH };
            dir = openat(&dir, name, flags | DIRECTORY, Mode::empty()).map_err(|error| opened("read", &at, error))?;
            check(&dir, &at, last)?;
        }
        Ok(Some(Self { dir, path }))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn failed(&self, what: &'static str, name: &str, error: impl Into<io::Error>) -> HistoryError {
        HistoryError::io(what, &self.path(name), error.into())
    }

    /// Keeps other processes out until it is dropped. They are waited for, and that is said by `say`.
    pub(super) fn lock(&self, say: fn(&str)) -> Result<File, HistoryError> {
        let failed = |error: io::Error| HistoryError::io("lock", &self.path, error);
        let dir = File::from(self.dir.try_clone().map_err(failed)?);
        let begun = Instant::now();
        let mut said = false;
        loop {
            match dir.try_lock() {
                Ok(()) => return Ok(dir),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if begun.elapsed() >= PATIENCE => {
                    return Err(HistoryError::Locked { path: self.path.clone(), holder: self.holder(), seconds: PATIENCE.as_secs() });
                }
                Err(TryLockError::WouldBlock) => {}
            }
            if !said && begun.elapsed() >= SILENCE {
                said = true;
                let holder = self.holder().map_or_else(String::new, |holder| format!(" ({holder})"));
                say(&format!("waiting for another change of a policy to end{holder}, for up to {} s", PATIENCE.as_secs()));
            }
            thread::sleep(PAUSE);
        }
    }

    /// The process that holds the lock, where `/proc/locks` tells.
    ///
    /// Source: `lock_get_status` (`fs/locks.c`): `1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF`
    fn holder(&self) -> Option<String> {
        let found = fstat(&self.dir).ok()?;
        let inode = format!(":{}", found.st_ino);
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let number = locks.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let held = words.get(1) == Some(&"FLOCK") && words.get(5).is_some_and(|place| place.ends_with(&inode));
            held.then(|| words.get(4)?.parse::<u32>().ok().filter(|&number| number > 0)).flatten()
        })?;
        let name = std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
        Some(format!("process {number} {}", name.trim()).trim_end().to_owned())
    }

    /// The names in it.
    pub(super) fn names(&self) -> Result<Vec<String>, HistoryError> {
        let failed = |error: Errno| HistoryError::io("read", &self.path, error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.dir).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }

    /// The text of a file that only we can have written.
    pub(super) fn read(&self, name: &str) -> Result<String, HistoryError> {
        let strange = |why: &'static str| Err(HistoryError::Strange { path: self.path(name), why });
        // Without O_NONBLOCK, a named pipe would be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.dir, name, flags, Mode::empty()) {
            Err(Errno::LOOP) => return strange("a symbolic link"),
            Err(Errno::NXIO) => return strange("a socket"),
            opened => opened.map_err(|error| self.failed("read", name, error))?,
        };
        let found = fstat(&file).map_err(|error| self.failed("read", name, error))?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return strange("a folder"),
            FileType::Fifo => return strange("a named pipe"),
            _ => return strange("a device"),
        }
        if !is_trusted(&found) {
            return strange("another user's file");
        }
        if is_writable(&found) {
            return strange("a file that others may write");
        }
        if found.st_nlink > 1 {
            return strange("a file with another name elsewhere");
        }
        if found.st_size as u64 > LARGEST {
            return strange("too large");
        }
        let mut text = String::new();
        match File::from(file).take(LARGEST).read_to_string(&mut text) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(HistoryError::Damaged(self.path(name))),
            Err(error) => Err(self.failed("read", name, error)),
            Ok(_) => Ok(text),
        }
    }

    /// Writes a file: all of it is there afterwards, or what was there before. Under the lock.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), HistoryError> {
        self.remove_leftovers();
        let new = format!("{name}.new");
        let written = self.write_new(&new, text).and_then(|()| Ok(renameat(&self.dir, &new, &self.dir, name)?));
        written.map_err(|error| {
            // A part of it is of no use.
            let _ = unlinkat(&self.dir, &new, AtFlags::empty());
            self.failed("write", name, error)
        })
    }

    /// Could a file with this text be written? Under the lock.
    pub(super) fn check_writable(&self, text: &str) -> Result<(), HistoryError> {
        const NAME: &str = "check.new";
        self.remove_leftovers();
        let written = self.write_new(NAME, text);
        let removed = unlinkat(&self.dir, NAME, AtFlags::empty());
        written.and_then(|()| Ok(removed?)).map_err(|error| self.failed("write", NAME, error))
    }

    /// Could a file be removed?
    pub(super) fn check_removable(&self) -> Result<(), HistoryError> {
        let allowed = accessat(&self.dir, ".", Access::WRITE_OK, AtFlags::empty());
        allowed.map_err(|error| HistoryError::io("write to", &self.path, error.into()))
    }

    fn write_new(&self, name: &str, text: &str) -> io::Result<()> {
        if text.len() as u64 > LARGEST {
            return Err(Errno::FBIG.into());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// Removes what a process left that was ended while it wrote; nobody else writes now.
    fn remove_leftovers(&self) {
        for name in self.names().unwrap_or_default().into_iter().filter(|name| name.ends_with(".new")) {
            let _ = unlinkat(&self.dir, &name, AtFlags::empty());
        }
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), HistoryError> {
        unlinkat(&self.dir, name, AtFlags::empty()).map_err(|error| self.failed("remove", name, error))
    }
}

/// Is the folder such that nobody else can put files into it, or another folder in its place?
fn check(dir: &OwnedFd, at: &Path, last: bool) -> Result<(), HistoryError> {
    let found = fstat(dir.as_fd() as BorrowedFd<'_>).map_err(|error| HistoryError::io("read", at, error.into()))?;
    let owned = if last { found.st_uid == geteuid().as_raw() } else { is_trusted(&found) || is_unknown(&found) };
    if !owned {
        return Err(HistoryError::NotOurs(at.to_owned()));
    }
    // In a folder with the sticky bit nobody can take away what is another's; whose the next one is, is looked at next.
    let sticky = Mode::from_raw_mode(found.st_mode).contains(Mode::SVTX);
    if is_writable(&found) && (last || !sticky) {
        return Err(HistoryError::Writable(at.to_owned()));
    }
    Ok(())
}

/// Ours, or root's.
fn is_trusted(found: &Stat) -> bool {
    [0, geteuid().as_raw()].contains(&found.st_uid)
}

/// In a user namespace, all whom it does not know have the same number: the machine's root, too.
fn is_unknown(found: &Stat) -> bool {
    let known_to_all =
        || std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().nth(2) == Some("4294967295"));
    let unknown = || std::fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?.trim().parse::<u32>().ok();
    !known_to_all() && unknown() == Some(found.st_uid)
}

/// By the group or by others.
fn is_writable(found: &Stat) -> bool {
    Mode::from_raw_mode(found.st_mode).intersects(Mode::WGRP | Mode::WOTH)
}
