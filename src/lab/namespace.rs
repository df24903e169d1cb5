use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    panic, thread,
};

use super::{
    Error, Links,
    entry::{raise_loopback, unshare},
};

/// A network namespace, held by a descriptor: it lives at least as long as this value.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    name: String,
}

impl Netns {
    /// A new one with `lo` up, called `name` in errors. The calling thread stays where it is.
    ///
    /// # Errors
    /// [`Error::System`]; `EPERM` if the process is neither root nor has called [`super::enter`].
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let fd = thread::scope(|scope| {
            on_thread(scope, &name, || {
                unshare(libc::CLONE_NEWNET)?;
                raise_loopback()?;
                fs::File::open("/proc/thread-self/ns/net")
            })
        })
        .and_then(|fd| fd)
        .map_err(|source| Error::system(format!("make the network namespace `{name}`"), source))?;
        Ok(Self { fd: fd.into(), name })
    }

    /// That of the calling thread.
    ///
    /// # Errors
    /// [`Error::System`] if `/proc` is not mounted.
    pub fn current() -> Result<Self, Error> {
        let fd = fs::File::open("/proc/thread-self/ns/net").map_err(|source| Error::system("open /proc/thread-self/ns/net", source))?;
        Ok(Self { fd: fd.into(), name: "this network namespace".to_owned() })
    }

    /// The one that `--netns` means: of the process with that number (all digits), at that path
    /// (has a `/`), or with that name as `ip netns` gives them (`/run/netns/NAME`).
    ///
    /// # Errors
    /// [`Error::Target`] says what stands there instead.
    pub fn open(target: &str) -> Result<Self, Error> {
        let fail = |why: String, hint| Error::Target { target: target.to_owned(), why, hint };
        let kind = Target::of(target).ok_or_else(|| fail("the name is empty".to_owned(), NAME_HINT))?;
        let paths = kind.paths(target);
        let missing = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        for path in &paths {
            let file = match fs::File::open(path) {
                Ok(file) => file,
                Err(error) if missing(&error) => continue,
                Err(error) => return Err(fail(format!("can't open {path}: {error}"), kind.hint_for(&error))),
            };
            // SAFETY: takes no third argument; on what is no namespace it fails with ENOTTY.
            let namespace = unsafe { libc::ioctl(file.as_raw_fd(), libc::NS_GET_NSTYPE) };
            if namespace != libc::CLONE_NEWNET {
                return Err(fail(
                    format!("{path} is not a network namespace"),
                    "a plain file there is what another mount namespace, or a namespace that was unmounted, leaves behind",
                ));
            }
            return Ok(Self { fd: file.into(), name: target.to_owned() });
        }
        let why = match kind {
            Target::Pid => format!("there is no process {target}"),
            Target::Path | Target::Name => format!("there is no {}", paths.join(" and no ")),
        };
        Err(fail(why, kind.hint()))
    }

    /// Runs `work` on a thread in this namespace and waits for it. Sockets opened and programs
    /// started there stay in the namespace; the calling thread never leaves its own.
    ///
    /// A panic in `work` is passed on.
    ///
    /// # Errors
    /// [`Error::System`] if there can be no thread, or it may not enter.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let entered = thread::scope(|scope| {
            on_thread(scope, &self.name, || {
                // SAFETY: a descriptor that lives, and a flag; changes this new thread only.
                match unsafe { libc::setns(self.fd.as_raw_fd(), libc::CLONE_NEWNET) } {
                    0 => Ok(work()),
                    _ => Err(io::Error::last_os_error()),
                }
            })
        });
        entered.and_then(|value| value).map_err(|source| Error::system(format!("enter the network namespace `{}`", self.name), source))
    }

    /// Its links, addresses and routes.
    ///
    /// # Errors
    /// As [`Netns::run`] and [`Links::open`].
    pub fn links(&self) -> Result<Links, Error> {
        self.run(|| Links::open(&self.name))?
    }

    /// Writes `value` to `/proc/sys/net/KEY` of this namespace: `ipv4/ip_forward`, …
    ///
    /// # Errors
    /// [`Error::System`]
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), Error> {
        self.run(|| fs::write(format!("/proc/sys/net/{key}"), value))?
            .map_err(|source| Error::system(format!("set net/{key} to {value} in `{}`", self.name), source))
    }

    /// Does this namespace have IPv6? (Not if the kernel was started with `ipv6.disable=1`.)
    ///
    /// # Errors
    /// As [`Netns::run`].
    pub fn has_ipv6(&self) -> Result<bool, Error> {
        self.run(|| fs::exists("/proc/sys/net/ipv6/conf").unwrap_or(false))
    }

    /// What it is called in errors.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Runs `work` on a new thread of `scope`; passes a panic on.
fn on_thread<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<T> {
    let name = name.replace('\0', "");
    let thread = thread::Builder::new().name(name).spawn_scoped(scope, work)?;
    thread.join().map_or_else(|payload| panic::resume_unwind(payload), Ok)
}

const NAME_HINT: &str = "`ip netns list` shows the names; a container's namespace is named by its process: \
    docker inspect -f '{{.State.Pid}}' NAME";

/// What `--netns` was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Pid,
    Path,
    Name,
}

impl Target {
    fn of(text: &str) -> Option<Self> {
        match text {
            "" => None,
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(Self::Pid),
            _ if text.contains('/') => Some(Self::Path),
            _ => Some(Self::Name),
        }
    }

    fn paths(self, text: &str) -> Vec<String> {
        match self {
            Self::Pid => vec![format!("/proc/{text}/ns/net")],
            Self::Path => vec![text.to_owned()],
            Self::Name => vec![format!("/run/netns/{text}"), format!("/var/run/netns/{text}")],
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Pid => "the process may have ended; a container's: docker inspect -f '{{.State.Pid}}' NAME",
            Self::Path => "a namespace's file is /run/netns/NAME or /proc/PID/ns/net",
            Self::Name => NAME_HINT,
        }
    }

    fn hint_for(self, error: &io::Error) -> &'static str {
        match error.kind() {
            io::ErrorKind::PermissionDenied => "the namespace of another user's process can be entered by root only",
            _ => self.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_number_a_path_or_a_name() {
        for (text, expected) in [
            ("4711", Some((Target::Pid, "/proc/4711/ns/net"))),
            ("/proc/self/ns/net", Some((Target::Path, "/proc/self/ns/net"))),
            ("./ns", Some((Target::Path, "./ns"))),
            ("blue", Some((Target::Name, "/run/netns/blue /var/run/netns/blue"))),
            ("7up", Some((Target::Name, "/run/netns/7up /var/run/netns/7up"))),
            ("", None),
        ] {
            let found = Target::of(text).map(|target| (target, target.paths(text).join(" ")));
            assert_eq!(found, expected.map(|(target, paths)| (target, paths.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_no_namespace_is_refused_with_the_reason() {
        for (target, expected) in [
            ("", "no network namespace ``: the name is empty"),
            ("no-such", "no network namespace `no-such`: there is no /run/netns/no-such and no /var/run/netns/no-such"),
            ("/no/such", "no network namespace `/no/such`: there is no /no/such"),
            ("4294967295", "no network namespace `4294967295`: there is no process 4294967295"),
            ("/proc/self/ns/uts", "no network namespace `/proc/self/ns/uts`: /proc/self/ns/uts is not a network namespace"),
            ("/dev/null", "no network namespace `/dev/null`: /dev/null is not a network namespace"),
        ] {
            let error = Netns::open(target).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(error.hint().is_some());
        }
        assert!(Netns::open(&std::process::id().to_string()).is_ok());
        assert!(Netns::open("/proc/self/ns/net").is_ok());
    }
}
