//! `poll(2)`, which std has not.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
    time::{Duration, Instant},
};

/// Waits until something can be read from `fd`.
pub(super) fn readable(fd: &impl AsFd) -> libc::pollfd {
    libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 }
}

/// Waits until `fd` can be written to.
pub(super) fn writable(fd: &impl AsFd) -> libc::pollfd {
    libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLOUT, revents: 0 }
}

/// When `timeout` is over, counted from now; what no clock holds is in a year.
pub(super) fn deadline(timeout: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + timeout.min(YEAR)
}

/// The number of `fds` where something happened; 0: nothing until `deadline`. `None` waits forever.
pub(super) fn wait(fds: &mut [libc::pollfd], deadline: Option<Instant>) -> io::Result<usize> {
    loop {
        // Rounded up, or the last millisecond would be spent spinning.
        let left = deadline.map_or(-1, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now()).as_nanos().div_ceil(1_000_000);
            i32::try_from(left).unwrap_or(i32::MAX)
        });
        // SAFETY: a slice of `pollfd` and its length.
        match unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, left) } {
            count @ 0.. => return Ok(count as usize),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}
