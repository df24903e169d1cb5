//! A socket that sends a transaction as it is, in one `sendmsg`, and does nothing else: what the
//! kernel alone takes.

use std::{
    io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

/// A netlink socket for netfilter.
#[derive(Debug)]
pub struct Raw(OwnedFd);

const NLMSG_ERROR: u16 = 2;

impl Raw {
    /// Opens one that takes `len` bytes at once, and holds the answers of encoders that ask for one
    /// to each message.
    ///
    /// # Errors
    /// Those of the system calls.
    pub fn open(len: usize) -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_NETFILTER) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, owned by nobody else.
        let raw = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        let room = libc::c_int::try_from(len + 4096).unwrap_or(libc::c_int::MAX);
        raw.set(libc::SO_SNDBUFFORCE, room).or_else(|_| raw.set(libc::SO_SNDBUF, room))?;
        raw.set(libc::SO_RCVBUFFORCE, 256 << 20).or_else(|_| raw.set(libc::SO_RCVBUF, 256 << 20))?;
        Ok(raw)
    }

    fn set(&self, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let len = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the descriptor is open while `self` lives; pointer and length describe `value`.
        match unsafe { libc::setsockopt(self.0.as_raw_fd(), libc::SOL_SOCKET, name, (&raw const value).cast(), len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Sends a transaction, which may be in parts, and reads the answers; the number of
    /// acknowledgements.
    ///
    /// # Errors
    /// The first refusal, or that of the system call.
    pub fn commit(&self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        // SAFETY: all-zero bytes are a valid `msghdr`: null pointers and lengths of 0.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        // `IoSlice` is an `iovec` by its documentation; sendmsg does not write to it.
        message.msg_iov = parts.as_ptr().cast_mut().cast();
        message.msg_iovlen = parts.len() as _;
        // SAFETY: the parts outlive the call.
        if unsafe { libc::sendmsg(self.0.as_raw_fd(), &raw const message, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut buf = vec![0_u8; 64 * 1024];
        let mut acknowledged = 0;
        loop {
            // SAFETY: pointer and length describe `buf`.
            let len = unsafe { libc::recv(self.0.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), libc::MSG_DONTWAIT) };
            match usize::try_from(len) {
                Ok(len) => acknowledged += acknowledgements(&buf[..len])?,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::WouldBlock => return Ok(acknowledged),
                    error => return Err(error),
                },
            }
        }
    }
}

fn acknowledgements(mut bytes: &[u8]) -> io::Result<usize> {
    let mut count = 0;
    while let Some(&[a, b, c, d, kind, subsystem, ..]) = bytes.get(..16) {
        let len = u32::from_ne_bytes([a, b, c, d]) as usize;
        if u16::from_ne_bytes([kind, subsystem]) == NLMSG_ERROR
            && let Some(&[a, b, c, d]) = bytes.get(16..20)
        {
            match -i32::from_ne_bytes([a, b, c, d]) {
                0 => count += 1,
                errno => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
        bytes = bytes.get(len.next_multiple_of(4).max(16)..).unwrap_or_default();
    }
    Ok(count)
}
