//! Tests end: whatever fails in them, and however long a program takes.

use std::{
    process::{Child, Output},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for what takes a moment, on the busiest machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long a test may take that runs in a process of its own.
pub const LIMIT: Duration = Duration::from_secs(900);

/// Tells threads to stop that loop until they are told; also when the test panics.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until `done`, looking every 20 ms.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What a program printed, and how it ended. One that takes longer than `limit` is killed, with its process group if it leads
/// one, and the test fails.
#[track_caller]
pub fn output_within(child: Child, limit: Duration, what: &str) -> Output {
    let watch = Watchdog::new(limit, kill(child.id()));
    let output = child.wait_with_output();
    assert!(!watch.has_bitten(), "{what} took more than {limit:?} and was killed");
    output.unwrap()
}

/// What kills a child that nobody has waited for yet.
fn kill(child: u32) -> impl FnOnce() + Send {
    let child = child.cast_signed();
    // SAFETY: no pointers; a child that was not waited for keeps its number.
    move || unsafe {
        libc::kill(if libc::getpgid(child) == child { -child } else { child }, libc::SIGKILL);
    }
}

/// Does something if it is still there after a time.
pub struct Watchdog {
    alive: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<bool>>,
}

impl Watchdog {
    pub fn new(limit: Duration, bite: impl FnOnce() + Send + 'static) -> Self {
        let (alive, told) = mpsc::channel();
        let watch = move || {
            let late = told.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                bite();
            }
            late
        };
        Self { alive: Some(alive), thread: Some(thread::spawn(watch)) }
    }

    /// Ends it: did it do it?
    pub fn has_bitten(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        drop(self.alive.take());
        self.thread.take().is_some_and(|thread| thread.join().unwrap_or(true))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn what_loops_until_it_is_told_ends_when_the_test_panics() {
    let stop = AtomicBool::new(false);
    let panicked = std::panic::catch_unwind(|| {
        thread::scope(|scope| {
            let _stopped = Stop(&stop);
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
            });
            std::panic::panic_any(7);
        });
    });
    assert_eq!(panicked.unwrap_err().downcast_ref::<i32>(), Some(&7));
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    // It waits for its input, which stays open.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dockgate"));
    let mut child = command.args(["check", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let _open = child.stdin.take();
    let failed = std::panic::catch_unwind(|| output_within(child, Duration::from_millis(50), "it")).unwrap_err();
    assert_eq!(failed.downcast_ref::<String>().unwrap(), "it took more than 50ms and was killed");
}

#[test]
fn threads_that_loop_are_stopped_by_a_guard() {
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("integration")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&entry).unwrap();
                assert!(!text.contains("AtomicBool::new(") || text.contains("Stop(&"), "{}: use support::Stop", entry.display());
            }
        }
    }
}
