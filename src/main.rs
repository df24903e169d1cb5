//! The command line; see `dockgate --help`.
//!
//! libc's `main` is here instead of Rust's: what the latter prepares for threads (a guard page, a
//! stack for signals, a look into `/proc/self/maps`) takes a tenth of the time that
//! `dockgate iptables -A` has, and scripts call that a thousand times.
#![no_main]

use std::ffi::{c_char, c_int};

/// Called by libc, which has handed the arguments to Rust's library before.
// SAFETY: no other symbol is called so: Rust's own `main` is not there.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    // SAFETY: there is no other thread yet, and no handler to be replaced.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    dockgate::cli::run(std::env::args_os()) as c_int
}
