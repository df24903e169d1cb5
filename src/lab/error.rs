use std::{io, time::Duration};

/// What went wrong in a lab. [`Error::hint`] says what to do, where there is something to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `--netns` names no network namespace.
    #[error("no network namespace `{target}`: {why}")]
    Target {
        /// What was asked for, as typed.
        target: String,
        /// What was found instead.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// The kernel gives this process no namespaces of its own.
    #[error("can't make a user and network namespace: {why}: {source}")]
    Entry {
        /// Which setting or circumstance forbids it.
        why: &'static str,
        /// What to do.
        hint: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The device that TUN links are made of can't be opened.
    #[error("can't open /dev/net/tun: {source}")]
    NoTun {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused a request about a link, an address or a route.
    #[error("can't {tried}: {source}{}", .message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// What was tried, on what, in which namespace.
        tried: String,
        /// The kernel's own words (`NLMSGERR_ATTR_MSG`), if it had any.
        message: Option<String>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A link has no carrier although both its ends should be up.
    #[error("`{link}` in {place} did not come up within {waited:?}")]
    Down {
        /// The link's name.
        link: String,
        /// Its namespace.
        place: String,
        /// How long was waited.
        waited: Duration,
    },
    /// A system call failed.
    #[error("can't {tried}: {source}")]
    System {
        /// What was tried, on what.
        tried: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// `tried` failed with `source`.
    pub(super) fn system(tried: impl Into<String>, source: io::Error) -> Self {
        Self::System { tried: tried.into(), source }
    }

    /// What to do about it: one sentence, lower case, no final period.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Target { hint, .. } | Self::Entry { hint, .. } => Some(hint),
            Self::NoTun { source } => Some(match source.raw_os_error().unwrap_or_default() {
                libc::EACCES | libc::EPERM => {
                    "udev opens it to everybody: run this as root, or once: chmod 666 /dev/net/tun; in Docker: docker run --device /dev/net/tun"
                }
                libc::ENOENT => {
                    "in Docker: docker run --device /dev/net/tun; elsewhere: mkdir -p /dev/net; mknod -m 666 /dev/net/tun c 10 200"
                }
                _ => "this kernel is built without CONFIG_TUN, or has its module not loaded: modprobe tun",
            }),
            Self::Refused { .. } | Self::System { .. } => match self.errno()? {
                libc::EPERM | libc::EACCES => Some("this needs root, or a namespace of one's own: call `lab::enter` first"),
                libc::EROFS => Some("/proc/sys is mounted read-only here, as in a container: run it outside, or with --privileged"),
                libc::EOPNOTSUPP => {
                    Some("this kernel is built without that kind of link (CONFIG_VETH, CONFIG_BRIDGE), or can't load its module here")
                }
                _ => None,
            },
            Self::Down { .. } => None,
        }
    }

    /// The kernel's error number, if it was the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Entry { source, .. } | Self::NoTun { source } | Self::Refused { source, .. } | Self::System { source, .. } => {
                source.raw_os_error()
            }
            Self::Target { .. } | Self::Down { .. } => None,
        }
    }
}
