use std::{io, mem::size_of, os::fd::AsRawFd};

use neli::{
    consts::socket::{Msg, NlFamily},
    socket::NlSocket,
    utils::Groups,
};

use super::NetlinkError;

/// A netlink socket for netfilter, with the options that transactions need.
pub(super) struct Socket {
    socket: NlSocket,
    buf: Vec<u8>,
    send_buffer: usize,
}

/// The kernel fills at most 32 KiB at once (`NLMSG_GOODSIZE` in `netlink_dump`); with a smaller
/// buffer a dump takes twice as long. This is as large as allocators map by themselves: pages that
/// nothing is ever received into are never touched.
const RECEIVE: usize = 256 * 1024;

/// The least that a part of a dump may have (`NLMSG_GOODSIZE` of all page sizes). The kernel fills the next
/// part as soon as one is taken, and no more than this into it.
const RECEIVE_LITTLE: usize = 8 * 1024;

/// Room for answers that nobody has read yet: enough for thousands of refusals.
const RECEIVE_QUEUE: libc::c_int = 4 << 20;

/// What the socket takes before it is asked to take more (`net.core.wmem_default` on most hosts; a
/// smaller one only means that we ask earlier than needed).
const SEND_DEFAULT: usize = 128 * 1024;

impl Socket {
    pub(super) fn open() -> Result<Self, NetlinkError> {
        Self::with_buffer(RECEIVE)
    }

    /// For the beginning of a dump.
    pub(super) fn open_little() -> Result<Self, NetlinkError> {
        Self::with_buffer(RECEIVE_LITTLE)
    }

    fn with_buffer(receive: usize) -> Result<Self, NetlinkError> {
        let open = |what: &str, result: io::Result<()>| result.map_err(|source| NetlinkError::io(what, source));
        let socket = NlSocket::connect(NlFamily::Netfilter, None, Groups::empty())
            .map_err(|source| NetlinkError::io("could not open a netlink socket", source))?;
        open("could not ask for extended acknowledgements", socket.enable_ext_ack(true))?;
        let socket = Self { socket, buf: vec![0; receive], send_buffer: SEND_DEFAULT };
        // Refusals without the refused message: 44 bytes instead of hundreds. neli's own readers
        // can't parse those; ours can.
        open("could not ask for short acknowledgements", socket.set(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1))?;
        // Not fatal: the default holds the answers of any batch that is mostly right.
        let _ = socket.force(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, RECEIVE_QUEUE);
        Ok(socket)
    }

    fn set(&self, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open while `self` lives; the pointer and length describe `value`.
        let code = unsafe {
            libc::setsockopt(self.socket.as_raw_fd(), level, name, (&raw const value).cast(), size_of::<libc::c_int>() as libc::socklen_t)
        };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn option<T: Default>(&self, name: libc::c_int) -> io::Result<T> {
        let mut value = T::default();
        let mut len = size_of::<T>() as libc::socklen_t;
        // SAFETY: as in `set`; the kernel writes at most `len` bytes into `value`, a plain number.
        let code = unsafe { libc::getsockopt(self.socket.as_raw_fd(), libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut len) };
        if code == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
    }

    /// The number of the network namespace that the socket was opened in; unique while the machine
    /// runs. From kernel 5.14 on.
    pub(super) fn namespace(&self) -> io::Result<u64> {
        self.option(libc::SO_NETNS_COOKIE)
    }

    /// Sets a buffer's size beyond the host's limit; within it where that is not allowed (in a user
    /// namespace).
    fn force(&self, force: libc::c_int, plain: libc::c_int, value: libc::c_int) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, force, value).or_else(|_| self.set(libc::SOL_SOCKET, plain, value))
    }

    pub(super) fn send(&mut self, bytes: &[u8], what: &str) -> Result<(), NetlinkError> {
        // netlink_sendmsg refuses what exceeds the buffer less 32 bytes.
        if bytes.len() + 32 > self.send_buffer {
            let wanted = libc::c_int::try_from(bytes.len() + 64).unwrap_or(libc::c_int::MAX);
            self.force(libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, wanted)
                .map_err(|source| NetlinkError::io("could not enlarge the send buffer", source))?;
            self.send_buffer =
                self.option::<libc::c_int>(libc::SO_SNDBUF)
                    .map_err(|source| NetlinkError::io("could not read the send buffer's size", source))? as usize;
        }
        match self.socket.send(bytes, Msg::empty()) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                Err(NetlinkError::TooLarge { len: bytes.len(), limit: self.send_buffer.saturating_sub(32) })
            }
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Err(NetlinkError::Denied),
            Err(source) => Err(NetlinkError::io(format!("could not send {what}"), source)),
        }
    }

    /// The next datagram; waits for it.
    pub(super) fn receive(&mut self, what: &str) -> Result<&[u8], NetlinkError> {
        loop {
            match self.socket.recv(&mut self.buf, Msg::TRUNC) {
                Ok((len, _)) if len <= self.buf.len() => return Ok(&self.buf[..len]),
                Ok(_) => return Err(NetlinkError::Malformed(what.to_owned())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(NetlinkError::io(format!("could not read {what}"), source)),
            }
        }
    }

    /// The next datagram if one is there.
    pub(super) fn receive_now(&mut self) -> Result<Option<&[u8]>, NetlinkError> {
        loop {
            match self.socket.recv(&mut self.buf, Msg::DONTWAIT | Msg::TRUNC) {
                Ok((len, _)) if len <= self.buf.len() => return Ok(Some(&self.buf[..len])),
                Ok(_) => return Err(NetlinkError::Malformed("the transaction".into())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(NetlinkError::io("could not read what became of the transaction", source)),
            }
        }
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Socket({})", self.socket.as_raw_fd())
    }
}
