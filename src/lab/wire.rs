//! A link whose other end is a packet socket: what is sent there comes in from that link.

use std::{
    fs, io,
    io::Read as _,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{Error, Netns, Packet, poll};
use crate::uapi::{ETH_P_ALL, ETH_P_IP, ETH_P_IPV6};

/// One end of a veth pair, as a packet socket has it (`packet(7)`, `net/packet/af_packet.c`): what
/// [`super::Tun`] is, where there is no `/dev/net/tun`. The kernel hands a packet from one end to the
/// other by the queue of the processor (`netif_rx`), and empties that before the call returns, unless it
/// is too busy; that takes longer than with TUN, by the same for every packet.
#[derive(Debug)]
pub(super) struct Wire {
    socket: fs::File,
    sender: Socket,
    /// Where packets of IPv4, and of IPv6, go to.
    to: [SockAddr; 2],
}

/// So many bytes has a packet at most.
const MTU: usize = 1500;
/// So long a packet may still be on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(20);

impl Wire {
    /// The end `name` in that namespace, where it is up; what is sent there is for the other end, which
    /// has this Ethernet address.
    ///
    /// # Errors
    /// [`Error::System`]
    pub(super) fn new(netns: &Netns, name: &str, to: [u8; 6]) -> Result<Self, Error> {
        let index = netns.links()?.index(name)?;
        let opened = netns.run(|| {
            let open = |protocol: u16| {
                let protocol = Protocol::from(i32::from(protocol.to_be()));
                let socket = Socket::new(Domain::from(libc::AF_PACKET), Type::DGRAM, Some(protocol))?;
                socket.set_nonblocking(true).map(|()| socket)
            };
            let receiver = open(0)?;
            receiver.bind(&address(index, ETH_P_ALL, [0; 6]))?;
            Ok((receiver, open(0)?))
        })?;
        let (receiver, sender) = opened.map_err(|source: io::Error| Error::system(format!("open a packet socket on `{name}`"), source))?;
        let to = [ETH_P_IP, ETH_P_IPV6].map(|protocol| address(index, protocol, to));
        Ok(Self { socket: OwnedFd::from(receiver).into(), sender, to })
    }

    pub(super) fn send(&self, packet: &Packet) -> io::Result<()> {
        let to = &self.to[usize::from(packet.as_bytes()[0] >> 4 == 6)];
        self.sender.send_to(packet.as_bytes(), to).map(|_| ())
    }

    /// The next packet that has come out there, now or in a moment if `wait`.
    pub(super) fn receive(&self, wait: bool) -> io::Result<Option<Vec<u8>>> {
        let mut packet = vec![0; MTU];
        let deadline = Instant::now() + ON_ITS_WAY;
        loop {
            match (&self.socket).read(&mut packet) {
                Ok(len) => {
                    packet.truncate(len);
                    return Ok(Some(packet));
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if !wait || poll::wait(&mut [poll::readable(&self.socket)], Some(deadline))? == 0 => return Ok(None),
                Err(_) => {}
            }
        }
    }
}

/// `struct sockaddr_ll`
fn address(index: u32, protocol: u16, to: [u8; 6]) -> SockAddr {
    let mut octets = [0; 8];
    octets[..6].copy_from_slice(&to);
    let link = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: octets,
    };
    // SAFETY: the storage is larger than the address, which is written whole, and has no invalid bytes.
    let made = unsafe {
        SockAddr::try_init(|storage, len| {
            storage.cast::<libc::sockaddr_ll>().write(link);
            *len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    };
    made.expect("nothing in it fails").1
}
