//! Standard input, output and error as descriptors: made safe before anything else is opened, written without
//! buffers, and what could not be written is known when the command ends.

use std::{
    io,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicI32, Ordering},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, Mode, OFlags, openat},
    io::{Errno, write},
    stdio::{stderr, stdin, stdout},
};

use super::ExitCode;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// For data.
    Out,
    /// For talk.
    Err,
}

/// Why the first text was lost that could not be written to each; 0: all was written. For the whole process, as the
/// descriptors are.
static LOST: [AtomicI32; 2] = [const { AtomicI32::new(0) }; 2];

/// Puts something in the place of descriptors 0 to 2 where they are closed. Else the next socket or file would get
/// the number, and the text that is for people would be written there. What takes the place can be neither read nor
/// written, so that the text is lost and that is known.
pub(super) fn secure() {
    let (zero, one, two) = (stdin(), stdout(), stderr());
    let mut all = [&zero, &one, &two].map(|fd| PollFd::new(fd, PollFlags::empty()));
    if poll(&mut all, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|found| found == 0) {
        return;
    }
    for _ in all.iter().filter(|fd| fd.revents().contains(PollFlags::NVAL)) {
        // It gets the lowest number that is free, and stays open.
        if let Ok(nothing) = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            std::mem::forget(nothing);
        }
    }
}

/// Writes all of a text, at once where that is possible, so that no other's line gets into it. What can't be written is
/// told by [`ending`]; a reader that went away is no error.
pub(super) fn put(stream: Stream, text: &str) {
    let fd = match stream {
        Stream::Out => stdout(),
        Stream::Err => stderr(),
    };
    if let Err(error) = write_all(fd, text.as_bytes())
        && error != Errno::PIPE
    {
        let _ = LOST[stream as usize].compare_exchange(0, error.raw_os_error(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Somebody else's descriptor of it does not wait.
            Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How a command ends, if something that it printed was lost: lost data count more than a code that says what they
/// would have said; an error that was `told` counts more than both.
pub(super) fn ending(code: ExitCode, told: bool) -> ExitCode {
    let lost = |stream: Stream| Some(LOST[stream as usize].load(Ordering::Relaxed)).filter(|errno| *errno != 0);
    match (lost(Stream::Out), lost(Stream::Err)) {
        (Some(errno), _) if !told => {
            let error = io::Error::from_raw_os_error(errno);
            put(Stream::Err, &format!("error: the command was carried out, but its output could not be written: {error}\n"));
            ExitCode::Unwritten
        }
        (_, Some(_)) if code == ExitCode::Success => ExitCode::Unwritten,
        _ => code,
    }
}

/// Standard error for what writes by [`io::Write`]: it never fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk;

impl io::Write for Talk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        put(Stream::Err, &String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
