use std::io;

/// Why the kernel could not be asked, or its answer not be had. Refusals of single rules are no
/// errors here: see [`super::Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The caller may not: every nfnetlink request, even a dump, needs the capability.
    #[error("no permission: netfilter answers only a process with CAP_NET_ADMIN in this network namespace")]
    Denied,
    /// The kernel refused a request as a whole.
    #[error("the kernel refused to show {what}: {}", io::Error::from_raw_os_error(*errno))]
    Refused {
        /// What was asked for.
        what: String,
        /// Why.
        errno: i32,
    },
    /// The transaction is larger than the socket takes.
    #[error(
        "the transaction has {len} bytes, and the socket takes {limit} at once; \
         raise net.core.wmem_max, or run with CAP_NET_ADMIN in the first user namespace"
    )]
    TooLarge {
        /// Its bytes.
        len: usize,
        /// Those it may have.
        limit: usize,
    },
    /// The ruleset changed during every attempt to read it.
    #[error("the ruleset kept changing while {0} was read; try again when it is calmer")]
    Busy(String),
    /// Something came twice: it changed while it was read ([`super::Netlink::snapshot`] reads it again).
    #[error("{0} changed while it was read; try again")]
    Torn(String),
    /// The kernel took the bytes and did nothing.
    #[error("the kernel dropped the transaction without a word; nothing was changed")]
    Dropped,
    /// The acknowledgement was lost and somebody else changed the ruleset at the same time.
    #[error("whether the transaction was committed is not known: its acknowledgement was lost")]
    Unproved {
        /// Did the receive buffer overflow?
        lost: bool,
    },
    /// The answer is not netlink.
    #[error("the kernel's answer about {0} can't be read")]
    Malformed(String),
    /// A system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl NetlinkError {
    pub(super) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }

    pub(super) fn refused(what: &str, errno: i32) -> Self {
        match errno {
            libc::EPERM => Self::Denied,
            errno => Self::Refused { what: what.to_owned(), errno },
        }
    }

    /// Did the receive buffer overflow? Then answers are missing, whatever the kernel did.
    pub(super) fn is_lost_answer(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.raw_os_error() == Some(libc::ENOBUFS))
    }
}
