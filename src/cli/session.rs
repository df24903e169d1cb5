//! Was the connection that a command comes by opened before a change?

use std::{
    fs,
    time::{Duration, SystemTime},
};

/// How long ago a second since 1970 is, as a point in time after the machine's start.
pub fn since_start(second: u64) -> Option<Duration> {
    let up: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    let ago = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).ok()?;
    Some(Duration::from_secs_f64(up).saturating_sub(ago))
}

/// Which process of this command's session was begun before that point in time after the machine's
/// start: the session's leader, or the `sshd` that serves its connection.
pub fn older_than(begun: Duration) -> Option<String> {
    let mut ancestors = Vec::new();
    let mut next = std::process::id();
    while let Some(process) = Process::read(next).filter(|process| process.pid > 1) {
        next = process.parent;
        ancestors.push(process);
    }
    // The one that listens for all connections is their parent, and always older.
    let mut served: Vec<&Process> = ancestors.iter().filter(|process| process.name.starts_with("sshd")).collect();
    if served.len() > 1 && served.last().is_some_and(|last| last.parent <= 1) {
        served.pop();
    }
    let old = |process: &&Process| process.begun < begun;
    if let Some(process) = served.into_iter().find(old) {
        return Some(format!("this connection (sshd, process {})", process.pid));
    }
    let leader = Process::read(ancestors.first()?.session)?;
    old(&&leader).then(|| format!("this session (`{}`, process {})", leader.name, leader.pid))
}

struct Process {
    pid: u32,
    name: String,
    parent: u32,
    session: u32,
    /// Since the machine's start, by hundredths.
    begun: Duration,
}

impl Process {
    /// Source: `proc_pid_stat(5)`: number, name in brackets, state, parent, group, session, …, the
    /// start as the 22nd, in hundredths of a second (`USER_HZ`).
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = text.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let id = |index| u32::try_from(number(index)?).ok();
        Some(Self { pid, name: name.to_owned(), parent: id(1)?, session: id(3)?, begun: Duration::from_millis(number(19)? * 10) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_session_is_older_than_what_comes_and_younger_than_the_machine() {
        assert!(older_than(Duration::from_secs(u32::MAX.into())).is_some());
        assert_eq!(older_than(Duration::ZERO), None);
        let own = Process::read(std::process::id()).unwrap();
        assert!(own.begun > Duration::ZERO && own.parent > 0);
    }
}
