//! The command line; see `dockgate --help`.
//!
//! libc's `main` is here instead of Rust's: what the latter prepares for threads (a guard page, a
//! stack for signals, a look into `/proc/self/maps`) takes a tenth of the time that
//! `dockgate iptables -A` has, and scripts call that a thousand times.
#![no_main]

use std::{
    ffi::{CStr, OsStr, c_char, c_int},
    os::unix::ffi::OsStrExt as _,
};

/// The words are taken from here, as musl hands them to nobody else.
///
/// # Safety
/// Called by libc, once, with `argc` words in `argv`.
// SAFETY: no other symbol is called so: Rust's own `main` is not there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: there is no other thread yet, and no handler to be replaced.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let args = (0..usize::try_from(argc).unwrap_or_default()).map(|at| {
        // SAFETY: `argv` has `argc` pointers to texts that end with a NUL and stay for good.
        let word = unsafe { CStr::from_ptr(*argv.add(at)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    });
    dockgate::cli::run(args) as c_int
}
