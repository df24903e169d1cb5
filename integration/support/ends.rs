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

/// What a program printed, and how it ended. A program that takes longer than `limit` is killed with its process group, which
/// it must lead, and the test fails.
#[track_caller]
pub fn output_within(child: Child, limit: Duration, what: &str) -> Output {
    let group = -child.id().cast_signed();
    let (ended, told) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let late = told.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
        if late {
            // SAFETY: no pointers; the group's leader is not waited for before `ended` is dropped, except by the call that this
            // ends.
            unsafe { libc::kill(group, libc::SIGKILL) };
        }
        late
    });
    let output = child.wait_with_output();
    drop(ended);
    assert!(!watch.join().unwrap(), "{what} took more than {limit:?} and was killed");
    output.unwrap()
}
