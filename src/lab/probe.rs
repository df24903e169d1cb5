//! One connection or datagram, and what became of it. To be run inside a namespace
//! ([`super::Netns::run`]).

use std::{
    fmt, io,
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd as _},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Error, poll};

/// What became of a packet, as far as its sender can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was answered.
    Passed,
    /// Nothing came within the time.
    Dropped,
    /// Somebody said no: a TCP reset, or an ICMP error. The number is the kernel's (`ECONNREFUSED`,
    /// `EHOSTUNREACH`, …); `ECONNRESET` also for a connection closed without an answer.
    Rejected(i32),
}

impl fmt::Display for Outcome {
    /// `passed`, `dropped`, or `rejected: Connection refused (os error 111)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.pad("passed"),
            Self::Dropped => f.pad("dropped"),
            Self::Rejected(errno) => write!(f, "rejected: {}", io::Error::from_raw_os_error(*errno)),
        }
    }
}

/// Connects from `from` to `to` and waits for something to read, all within `timeout`.
///
/// # Errors
/// [`Error::System`] if nothing could be sent: `EADDRNOTAVAIL` (`from` is no address of this
/// namespace), `ENETUNREACH` (no route).
pub fn tcp_answers(from: IpAddr, to: SocketAddr, timeout: Duration) -> Result<Outcome, Error> {
    let tried = |source| Error::system(format!("send TCP from {from} to {to}"), source);
    let deadline = poll::deadline(timeout);
    let socket = open(from, Type::STREAM, Protocol::TCP).map_err(tried)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return at_once(error).map_err(tried),
        _ => {}
    }
    match connected(&socket, deadline).map_err(tried)? {
        Some(outcome) => Ok(outcome),
        None => answered(&socket, deadline, Outcome::Rejected(libc::ECONNRESET)).map_err(tried),
    }
}

/// Sends a datagram from `from` to `to` and waits for one back, all within `timeout`.
///
/// # Errors
/// As [`tcp_answers`].
pub fn udp_answers(from: IpAddr, to: SocketAddr, timeout: Duration) -> Result<Outcome, Error> {
    let tried = |source| Error::system(format!("send UDP from {from} to {to}"), source);
    let deadline = poll::deadline(timeout);
    let socket = open(from, Type::DGRAM, Protocol::UDP).map_err(tried)?;
    // Without it a datagram's sender is not told of errors that may pass, as host unreachable
    // (`net/ipv4/udp.c`, `__udp4_lib_err`).
    let (level, name) = match from {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    switch_on(&socket, level, name).map_err(tried)?;
    socket.connect(&to.into()).map_err(tried)?;
    match socket.send(b"dockgate\n") {
        Ok(_) => answered(&socket, deadline, Outcome::Passed).map_err(tried),
        Err(error) => at_once(error).map_err(tried),
    }
}

/// A non-blocking socket bound to `from`.
fn open(from: IpAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let domain = if from.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    Ok(socket)
}

/// Sets a socket option to 1.
pub(super) fn switch_on(socket: &impl AsFd, level: libc::c_int, name: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let len = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the options used take one int, which outlives the call.
    match unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const on).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for the connection. `None`: it is there.
fn connected(socket: &Socket, deadline: Instant) -> io::Result<Option<Outcome>> {
    // An ICMP error may have come while `connect` still held the socket: then it is kept here, and
    // no event tells of it (`net/ipv4/tcp_ipv4.c`, `tcp_v4_err`, `sk_err_soft`).
    if let Some(error) = socket.take_error()? {
        return judge(error).map(Some);
    }
    let ready = poll::wait(&mut [poll::writable(socket)], Some(deadline))? > 0;
    match socket.take_error()? {
        Some(error) => judge(error).map(Some),
        None => Ok((!ready).then_some(Outcome::Dropped)),
    }
}

/// Waits for something to read; `empty` is what nothing at all (end, or a datagram of 0 bytes) means.
fn answered(socket: &Socket, deadline: Instant, empty: Outcome) -> io::Result<Outcome> {
    loop {
        if poll::wait(&mut [poll::readable(socket)], Some(deadline))? == 0 {
            return socket.take_error()?.map_or(Ok(Outcome::Dropped), judge);
        }
        match socket.recv(&mut [MaybeUninit::uninit(); 64]) {
            Ok(0) => return Ok(empty),
            Ok(_) => return Ok(Outcome::Passed),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Outcome::Dropped),
            Err(error) => return judge(error),
        }
    }
}

/// What an error means that came with the very first packet: it never left, unless netfilter in
/// this namespace dropped (`EPERM`) or rejected it.
fn at_once(error: io::Error) -> io::Result<Outcome> {
    match error.raw_os_error() {
        Some(libc::EPERM) => Ok(Outcome::Dropped),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => Err(error),
        _ => judge(error),
    }
}

/// What an error that the network sent means; the others are our own.
fn judge(error: io::Error) -> io::Result<Outcome> {
    match error.raw_os_error() {
        Some(libc::ETIMEDOUT) => Ok(Outcome::Dropped),
        Some(
            errno @ (libc::ECONNREFUSED
            | libc::ECONNRESET
            | libc::EPIPE
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::EACCES
            | libc::ENOPROTOOPT
            | libc::EPROTO
            | libc::EOPNOTSUPP),
        ) => Ok(Outcome::Rejected(errno)),
        _ => Err(error),
    }
}
