//! A link whose other end is a descriptor: what is written into it comes in from that link.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
};

use super::{Error, Packet};

/// A TUN device, without Ethernet and without a queue in front (`drivers/net/tun.c`,
/// `Documentation/networking/tuntap.rst`).
///
/// The kernel handles a packet inside of the `write(2)` that hands it over, up to its being dropped
/// or queued for the next link: no other process, no interrupt, no wire. So a clock around
/// [`Tun::send`] measures what routing and rules take.
///
/// The link is there as long as this value.
#[derive(Debug)]
pub struct Tun(fs::File);

/// So many bytes has a packet at most that [`Tun::receive`] takes.
const MTU: usize = 1500;
const PATH: &str = "/dev/net/tun";

impl Tun {
    /// Makes a link of that name in the calling thread's network namespace; it is down. The value
    /// may then be used in any thread.
    ///
    /// # Errors
    /// [`Error::NoTun`] if the device can't be opened; [`Error::System`]: `EPERM` if the namespace is
    /// not one's own, `EBUSY` if there is a link of that name.
    pub fn new(name: &str) -> Result<Self, Error> {
        let file = fs::File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(PATH);
        let file = file.map_err(|source| Error::NoTun { source })?;
        let failed = |source| Error::system(format!("make the TUN device `{name}`"), source);
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short },
        };
        // The last byte stays NUL. An empty name would have the kernel choose one.
        if name.is_empty() || name.len() >= libc::IFNAMSIZ {
            return Err(failed(io::Error::from_raw_os_error(libc::EINVAL)));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        // SAFETY: TUNSETIFF reads and writes one `ifreq`, which outlives the call.
        match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) } {
            0 => Ok(Self(file)),
            _ => Err(failed(io::Error::last_os_error())),
        }
    }

    /// Hands a packet to the kernel, as if it had come in by this link. When this returns, rules of
    /// FORWARD have decided.
    ///
    /// # Errors
    /// Those of `write(2)`: `EIO` if the link is down. What rules do is no error.
    pub fn send(&self, packet: &Packet) -> io::Result<()> {
        (&self.0).write(packet.as_bytes()).map(|_| ())
    }

    /// Takes the next packet that the kernel has sent out by this link; `None` if there is none. Up
    /// to 500 wait; what comes then is dropped.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut packet = vec![0; MTU];
        match (&self.0).read(&mut packet) {
            Ok(len) => {
                packet.truncate(len);
                Ok(Some(packet))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}
