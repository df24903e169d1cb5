//! `stopwatch PROGRAM ARGUMENTS…`: runs it with its output thrown away, and prints how long it took
//! from fork to wait (ns), how long a processor worked for it (µs), its largest resident set (KiB),
//! and its exit code.
//!
//! A process of its own, and a small one: the kernel counts the parent's memory as the child's
//! until it has called exec.

use std::{
    error::Error,
    process::{Command, Stdio},
    time::Instant,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().ok_or("usage: stopwatch PROGRAM ARGUMENTS…")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let child = command.spawn()?;
    let (status, usage) = wait(child.id())?;
    let wall = begin.elapsed();
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    println!("{} {} {} {code}", wall.as_nanos(), micros(usage.ru_utime) + micros(usage.ru_stime), usage.ru_maxrss);
    Ok(())
}

fn wait(pid: u32) -> std::io::Result<(libc::c_int, libc::rusage)> {
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid `rusage`: numbers alone.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values that outlive the call.
    match unsafe { libc::wait4(pid as libc::pid_t, &raw mut status, 0, &raw mut usage) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok((status, usage)),
    }
}
