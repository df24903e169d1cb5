//! The way into namespaces of one's own.
//!
//! A user namespace can be entered only while a process has one thread (`unshare(2)`, `EINVAL`):
//! by [`enter`] at the very start, or by [`spawn`] between fork and exec.

use std::{
    ffi::CStr,
    fs, io, mem,
    os::{fd::FromRawFd as _, fd::OwnedFd, unix::process::CommandExt as _},
    process::{Child, Command},
    time::Duration,
};

use super::{Error, poll};

/// When to make a user namespace around the network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Userns {
    /// Only if the process may not make a network namespace without.
    WhenNeeded,
    /// Also for root. Nothing outside can then be changed at all: root in there is an ordinary user
    /// out here.
    Always,
}

/// Leaves the network namespace that the process was started in for a new one, with `lo` up, in
/// which it is root. To be called before the process starts its first thread.
///
/// # Errors
/// [`Error::Entry`] with the setting that forbids it and the cure.
pub fn enter(userns: Userns) -> Result<(), Error> {
    Way::new(userns).go().map_err(explain)
}

/// Starts `command` in a new network namespace, with `lo` up, in which it is root.
///
/// # Errors
/// As [`enter`]; [`Error::System`] if the program can't be started.
pub fn spawn(mut command: Command, userns: Userns) -> Result<Child, Error> {
    let way = Way::new(userns);
    // The child reports only a number: whether it was the namespace or the program is told apart
    // by a byte that comes before exec.
    let tried = || format!("start `{}`", command.get_program().to_string_lossy());
    let (entered, mut mark) = io::pipe().map_err(|source| Error::system(tried(), source))?;
    let program = tried();
    // SAFETY: between fork and exec the closure makes only system calls: no allocation (errors are
    // made of numbers), no lock.
    unsafe {
        command.pre_exec(move || {
            way.go()?;
            io::Write::write_all(&mut mark, b"+")
        });
    }
    let child = command.spawn();
    let Err(source) = child else { return child.map_err(|source| Error::system(program, source)) };
    // The closure, and with it our own end to write to, lives as long as `command`: don't wait.
    let mut fds = [poll::readable(&entered)];
    match poll::wait(&mut fds, Some(poll::deadline(Duration::ZERO))) {
        Ok(0) => Err(explain(source)),
        _ => Err(Error::system(program, source)),
    }
}

/// All that is needed on the way, made beforehand: between fork and exec nothing may be allocated.
#[derive(Debug)]
struct Way {
    userns: Userns,
    uid_map: String,
    gid_map: String,
}

impl Way {
    fn new(userns: Userns) -> Self {
        // SAFETY: both have no arguments and can't fail.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        Self { userns, uid_map: format!("0 {uid} 1\n"), gid_map: format!("0 {gid} 1\n") }
    }

    fn go(&self) -> io::Result<()> {
        if self.userns == Userns::WhenNeeded {
            match unshare(libc::CLONE_NEWNET) {
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
                done => return done.and_then(|()| raise_loopback()),
            }
        }
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
        // A group may be mapped without privilege only where `setgroups` is forbidden for good
        // (`user_namespaces(7)`).
        write(c"/proc/self/setgroups", b"deny")?;
        write(c"/proc/self/uid_map", self.uid_map.as_bytes())?;
        write(c"/proc/self/gid_map", self.gid_map.as_bytes())?;
        raise_loopback()
    }
}

/// `unshare(2)`.
pub(super) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers; what other code relies on (files, memory) is not among the flags used.
    match unsafe { libc::unshare(flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn write(path: &CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: `path` ends in NUL.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, owned by nobody else.
    let mut file = unsafe { fs::File::from_raw_fd(fd) };
    io::Write::write_all(&mut file, text)
}

/// Brings `lo` up in the calling thread's network namespace; allocates nothing.
pub(super) fn raise_loopback() -> io::Result<()> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, owned by nobody else.
    let _owner = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all-zero bytes are a valid `ifreq`: it holds numbers and a union of them.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which outlives the call.
    match unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS as _, &raw const request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn explain(source: io::Error) -> Error {
    let setting = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let (why, hint) = diagnose(source.raw_os_error().unwrap_or_default(), setting);
    Error::Entry { why, hint, source }
}

/// Why the kernel refused with `errno`, and the cure. `setting` reads a file in `/proc`.
fn diagnose(errno: i32, setting: impl Fn(&str) -> Option<String>) -> (&'static str, &'static str) {
    let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
    match errno {
        libc::EPERM | libc::EACCES if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") => (
            "AppArmor keeps them for programs with a profile (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "run it as root, or allow them with: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        libc::EPERM | libc::EACCES if is("/proc/sys/kernel/unprivileged_userns_clone", "0") => (
            "they are kept for root (kernel.unprivileged_userns_clone is 0)",
            "run it as root, or allow them with: sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        libc::EPERM | libc::EACCES => (
            "a sandbox around this process forbids it (a container's seccomp filter, SELinux, a chroot)",
            "run it outside of the sandbox; in Docker: docker run --privileged, or --security-opt seccomp=unconfined",
        ),
        libc::ENOSPC if is("/proc/sys/user/max_user_namespaces", "0") => (
            "none are allowed (user.max_user_namespaces is 0)",
            "run it as root, or allow them with: sysctl -w user.max_user_namespaces=10000",
        ),
        libc::ENOSPC if is("/proc/sys/user/max_net_namespaces", "0") => {
            ("no network namespaces are allowed (user.max_net_namespaces is 0)", "allow them with: sysctl -w user.max_net_namespaces=10000")
        }
        libc::ENOSPC | libc::EUSERS => (
            "there are too many already, or too many inside each other",
            "end what holds them (lsns -t user shows it), or raise user.max_user_namespaces",
        ),
        libc::EINVAL if setting("/proc/self/uid_map").is_none() => {
            ("this kernel is built without them", "run it as root, or on a kernel with CONFIG_USER_NS")
        }
        libc::EINVAL => ("this process has started threads already", "call `lab::enter` first thing in `main`, or use `lab::spawn`"),
        _ => ("the kernel refused", "run it as root"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_setting_and_the_cure() {
        for (errno, path, value, expected) in [
            (libc::EPERM, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_restrict_unprivileged_userns=0"),
            (libc::EACCES, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_restrict_unprivileged_userns=0"),
            (libc::EPERM, "/proc/sys/kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone=1"),
            (libc::EPERM, "/proc/sys/kernel/unprivileged_userns_clone", "1", "seccomp"),
            (libc::ENOSPC, "/proc/sys/user/max_user_namespaces", "0", "max_user_namespaces=10000"),
            (libc::ENOSPC, "/proc/sys/user/max_net_namespaces", "0", "max_net_namespaces=10000"),
            (libc::ENOSPC, "/proc/sys/user/max_user_namespaces", "100", "raise"),
            (libc::EINVAL, "/proc/self/uid_map", "0 0 1", "lab::enter"),
            (libc::EINVAL, "/", "", "CONFIG_USER_NS"),
        ] {
            let (_, hint) = diagnose(errno, |asked| (asked == path).then(|| value.to_owned()));
            assert!(hint.contains(expected), "{path} {value}: {hint}");
        }
    }
}
