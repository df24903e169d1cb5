//! Was the connection that a command comes by opened before a change?

use std::{fs, time::Duration};

/// How long the machine is up, by the clock that also tells when a process began (`CLOCK_BOOTTIME`, in
/// hundredths of a second). Source: `proc_uptime(5)`.
pub fn up() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_secs_f64)
}

/// The latest point in time after the machine's start at which a change can have been made that is `age` old
/// when the machine is `up` so long. A process that began then or later is younger than the change; `up` and
/// the kernel's clock for `age` are each too low by up to a hundredth of a second.
pub fn latest(up: Duration, age: Duration) -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    (up + 2 * TICK).saturating_sub(age)
}

/// Which process of this command's session was begun before that point in time after the machine's
/// start: the session's leader, or the `sshd` that serves its connection.
pub fn older_than(begun: Duration) -> Option<String> {
    let mut ancestors = Vec::new();
    let mut next = std::process::id();
    while let Some(process) = Process::read(next) {
        next = process.parent;
        ancestors.push(process);
    }
    oldest_of(&ancestors, Process::read(ancestors.first()?.session), begun)
}

/// The same, of a process and its ancestors, the nearest first, and of its session's leader where
/// it is to be seen.
fn oldest_of(ancestors: &[Process], leader: Option<Process>, begun: Duration) -> Option<String> {
    // The one that listens for all connections is their parent, and always older.
    let mut served: Vec<&Process> = ancestors.iter().filter(|process| process.name.starts_with("sshd")).collect();
    if served.len() > 1 && served.last().is_some_and(|last| last.parent <= 1) {
        served.pop();
    }
    let old = |process: &&Process| process.begun < begun;
    if let Some(process) = served.into_iter().find(old) {
        return Some(format!("this connection (sshd, process {})", process.pid));
    }
    // In a container, the leader may be a process outside of it (`docker exec`, `nsenter`): the
    // furthest ancestor of the same session stands for it.
    let session = ancestors.first()?.session;
    let leader = leader.as_ref().or_else(|| ancestors.iter().rfind(|process| process.session == session))?;
    old(&leader).then(|| format!("this session (`{}`, process {})", leader.name, leader.pid))
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
    fn a_session_of_the_same_moment_is_not_younger() {
        let millis = Duration::from_millis;
        // Begun at 100.004 s: 2 s later, the clocks say 102.00 and 1.996.
        let change = latest(millis(102_000), millis(1_996));
        let begun = |at: u64| ancestors([("bash", 0)]).into_iter().map(|process| Process { begun: millis(at), ..process }).next();
        for (at, younger) in [(99_990, false), (100_000, false), (100_010, false), (100_030, true), (100_500, true)] {
            let leader = begun(at);
            assert_eq!(oldest_of(&ancestors([("dockgate", 200)]), leader, change).is_none(), younger, "{at}");
        }
        assert_eq!(latest(millis(10), millis(60_000)), Duration::ZERO);
    }

    #[test]
    fn this_process_is_older_than_what_comes_and_younger_than_the_machine() {
        assert!(older_than(Duration::from_secs(u32::MAX.into())).is_some());
        assert_eq!(older_than(Duration::ZERO), None);
    }

    /// Processes by name and beginning, the nearest first; each is its ancestor's child, and all are
    /// of the session of process 30.
    fn ancestors<const N: usize>(named: [(&str, u64); N]) -> Vec<Process> {
        let pid = |index: usize| u32::try_from((N - index) * 10).unwrap();
        let process = |(index, (name, begun)): (usize, (&str, u64))| Process {
            pid: pid(index),
            name: name.to_owned(),
            parent: if index + 1 == N { 1 } else { pid(index + 1) },
            session: 30,
            begun: Duration::from_secs(begun),
        };
        named.into_iter().enumerate().map(process).collect()
    }

    #[test]
    fn the_leader_or_the_connection_is_what_is_old() {
        let old = |named: &[Process], leader: Option<Process>| oldest_of(named, leader, Duration::from_secs(100));
        let leader = |begun| ancestors([("bash", begun), ("", 0), ("", 0)]).into_iter().next();
        let command = ancestors([("dockgate", 200), ("bash", 190), ("sshd", 180), ("sshd", 1)]);
        assert_eq!(old(&command, leader(190)), None);
        assert_eq!(old(&command, leader(90)).unwrap(), "this session (`bash`, process 30)");
        let kept = ancestors([("dockgate", 200), ("bash", 190), ("sshd-session", 80), ("sshd", 1)]);
        assert_eq!(old(&kept, leader(190)).unwrap(), "this connection (sshd, process 20)");
        // What is begun in a container from outside: no leader is to be seen.
        let inside = ancestors([("dockgate", 200), ("bash", 90)]);
        assert_eq!(old(&inside, None).unwrap(), "this session (`bash`, process 10)");
        assert_eq!(old(&ancestors([("dockgate", 200), ("bash", 190)]), None), None);
    }
}
