//! Programs in sessions of their own, and ways to lose them.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    os::{
        fd::{FromRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command, ExitStatus, Stdio},
    ptr,
    time::Duration,
};

use super::world::World;

/// A program in a session of its own, all that it says in one stream.
pub struct Session {
    child: Child,
    said: BufReader<Box<dyn Read + Send>>,
    /// Its terminal, or what it reads from.
    input: Option<File>,
}

impl Session {
    /// Without a terminal.
    pub fn begin(world: &World, mut command: Command) -> Self {
        let (said, out) = io::pipe().unwrap();
        command.stdin(Stdio::piped()).stdout(out.try_clone().unwrap()).stderr(out);
        own_session(&mut command, false);
        let mut child = world.spawn(command);
        let input = child.stdin.take().map(|stdin| File::from(OwnedFd::from(stdin)));
        Self { child, said: BufReader::new(Box::new(said)), input }
    }

    /// With a terminal, which it leads.
    pub fn on_terminal(world: &World, mut command: Command) -> Self {
        let (mut master, mut slave) = (-1, -1);
        // SAFETY: two numbers that outlive the call; no name, no settings.
        let done = unsafe { libc::openpty(&raw mut master, &raw mut slave, ptr::null_mut(), ptr::null(), ptr::null()) };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
        // A copy is closed in programs that are started; the first ones are not.
        // SAFETY: both were just opened and are nobody else's.
        let [master, slave] = [master, slave].map(|fd| unsafe { File::from_raw_fd(fd) }.try_clone().unwrap());
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        own_session(&mut command, true);
        let child = world.spawn(command);
        Self { child, said: BufReader::new(Box::new(master.try_clone().unwrap())), input: Some(master) }
    }

    /// Waits for a line with these words.
    #[track_caller]
    pub fn until(&mut self, words: &str) -> String {
        let mut all = String::new();
        loop {
            let before = all.len();
            let read = self.said.read_line(&mut all);
            assert!(matches!(read, Ok(1..)), "waited for `{words}`, {read:?}:\n{all}");
            if all[before..].contains(words) {
                return all;
            }
        }
    }

    /// Gives it a line to read.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Sends all its processes a signal.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: no pointers; the group is that of a child that was not waited for.
        assert_eq!(unsafe { libc::kill(-self.child.id().cast_signed(), signal) }, 0, "{}", io::Error::last_os_error());
    }

    /// Closes its terminal; waits until that has ended it.
    pub fn hang_up(self) -> ExitStatus {
        let Self { mut child, said, input } = self;
        drop((said, input));
        child.wait().unwrap()
    }

    /// Waits for its end: how it ended, and what it still said.
    pub fn end(mut self) -> (ExitStatus, String) {
        drop(self.input.take());
        let mut rest = String::new();
        let _ = self.said.read_to_string(&mut rest);
        (self.child.wait().unwrap(), rest)
    }
}

/// Makes a program the leader of a session, and its standard input the session's terminal.
fn own_session(command: &mut Command, terminal: bool) {
    // SAFETY: between fork and exec only three system calls are made, without memory.
    unsafe {
        command.pre_exec(move || {
            // Who runs the tests under `nohup` hands on that hang-ups are ignored.
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            if libc::setsid() < 0 || (terminal && libc::ioctl(0, libc::TIOCSCTTY, 0) < 0) {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// Waits until the clock that tells when a process began (in hundredths of a second) can tell what begins
/// now from what was there before.
pub fn another_moment() {
    let up = || std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
    let now = up();
    while up() < now + 0.05 {
        std::thread::sleep(Duration::from_millis(10));
    }
}
