//! Links, addresses and routes by rtnetlink (`net/core/rtnetlink.c`, `rtnetlink(7)`).

use std::{
    fmt, io,
    net::IpAddr,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    time::Duration,
};

use neli::{
    consts::socket::{Msg, NlFamily},
    socket::NlSocket,
    utils::Groups,
};

use super::{Error, Netns, poll};
use crate::{
    attr::{Attrs, Writer, string},
    message::{Message, Messages},
    uapi::*,
};

/// The links, addresses and routes of one network namespace: each method is one request, done when
/// it returns.
pub struct Links {
    socket: NlSocket,
    place: String,
    sequence: u32,
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// Why a request was not carried out.
struct Failure {
    message: Option<String>,
    source: io::Error,
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        Self { message: None, source }
    }
}

/// A link as `RTM_NEWLINK` reports it.
#[derive(Debug, Clone, Copy)]
struct Link<'r> {
    index: u32,
    name: &'r str,
    up: bool,
}

impl Links {
    /// Those of the calling thread's namespace, called `place` in errors. Stays there, whatever
    /// thread it is then used on.
    ///
    /// # Errors
    /// [`Error::System`]
    pub fn open(place: &str) -> Result<Self, Error> {
        let socket = NlSocket::connect(NlFamily::Route, None, Groups::empty())
            .map_err(|source| Error::system(format!("open a route netlink socket in `{place}`"), source))?;
        // Only for better words; a kernel before 4.12 has none.
        let _ = socket.enable_ext_ack(true);
        // The longest reply is one link with all its attributes: some 2 KiB.
        Ok(Self { socket, place: place.to_owned(), sequence: 0, request: Vec::new(), reply: vec![0; 32 * 1024] })
    }

    /// Makes the pair `name` here and `peer` in `peer_netns`; both are down.
    ///
    /// # Errors
    /// [`Error::Refused`]: `EEXIST` if there is one of that name.
    pub fn veth(&mut self, name: &str, peer: &str, peer_netns: &Netns) -> Result<(), Error> {
        let mut other = ifinfomsg(0, 0, 0).to_vec();
        let mut w = Writer::new(&mut other);
        w.string(IFLA_IFNAME, peer);
        w.bytes(IFLA_NET_NS_FD, &peer_netns.as_fd().as_raw_fd().to_ne_bytes());
        self.change(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifinfomsg(0, 0, 0), |w| {
            w.string(IFLA_IFNAME, name);
            w.nest(IFLA_LINKINFO, |w| {
                w.string(IFLA_INFO_KIND, "veth");
                w.nest(IFLA_INFO_DATA, |w| w.bytes(VETH_INFO_PEER, &other));
            });
        })
        .map_err(|failure| self.refused(format_args!("make the veth pair `{name}` with `{peer}` in `{}`", peer_netns.name()), failure))
    }

    /// Makes a bridge, without spanning tree: its ports forward at once.
    ///
    /// # Errors
    /// [`Error::Refused`]: `EEXIST` if there is a link of that name.
    pub fn bridge(&mut self, name: &str) -> Result<(), Error> {
        self.change(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifinfomsg(0, 0, 0), |w| {
            w.string(IFLA_IFNAME, name);
            w.nest(IFLA_LINKINFO, |w| w.string(IFLA_INFO_KIND, "bridge"));
        })
        .map_err(|failure| self.refused(format_args!("make the bridge `{name}`"), failure))
    }

    /// Makes `name` a port of the bridge `bridge`.
    ///
    /// # Errors
    /// [`Error::Refused`]: `ENODEV` if one of them is not there.
    pub fn enslave(&mut self, name: &str, bridge: &str) -> Result<(), Error> {
        let master = self.index(bridge)?;
        self.change(RTM_NEWLINK, 0, &ifinfomsg(0, 0, 0), |w| {
            w.string(IFLA_IFNAME, name);
            w.bytes(IFLA_MASTER, &master.to_ne_bytes());
        })
        .map_err(|failure| self.refused(format_args!("make `{name}` a port of `{bridge}`"), failure))
    }

    /// Gives a link that is down an Ethernet address, and has it ask for nobody's: whoever is behind it takes
    /// all packets.
    ///
    /// # Errors
    /// [`Error::Refused`]: `ENODEV` if it is not there.
    pub fn without_neighbours(&mut self, name: &str, address: [u8; 6]) -> Result<(), Error> {
        self.change(RTM_NEWLINK, 0, &ifinfomsg(0, IFF_NOARP, IFF_NOARP), |w| {
            w.string(IFLA_IFNAME, name);
            w.bytes(IFLA_ADDRESS, &address);
        })
        .map_err(|failure| self.refused(format_args!("give `{name}` an address"), failure))
    }

    /// Brings a link up.
    ///
    /// # Errors
    /// [`Error::Refused`]: `ENODEV` if it is not there.
    pub fn up(&mut self, name: &str) -> Result<(), Error> {
        self.change(RTM_NEWLINK, 0, &ifinfomsg(0, IFF_UP, IFF_UP), |w| w.string(IFLA_IFNAME, name))
            .map_err(|failure| self.refused(format_args!("bring `{name}` up"), failure))
    }

    /// Brings a link down; its routes are then gone.
    ///
    /// # Errors
    /// [`Error::Refused`]: `ENODEV` if it is not there.
    pub fn down(&mut self, name: &str) -> Result<(), Error> {
        self.change(RTM_NEWLINK, 0, &ifinfomsg(0, 0, IFF_UP), |w| w.string(IFLA_IFNAME, name))
            .map_err(|failure| self.refused(format_args!("bring `{name}` down"), failure))
    }

    /// Takes a link away; of a veth pair, both ends.
    ///
    /// # Errors
    /// [`Error::Refused`]: `ENODEV` if it is not there.
    pub fn delete(&mut self, name: &str) -> Result<(), Error> {
        self.change(RTM_DELLINK, 0, &ifinfomsg(0, 0, 0), |w| w.string(IFLA_IFNAME, name))
            .map_err(|failure| self.refused(format_args!("delete `{name}`"), failure))
    }

    /// Adds `address` with a network of `prefix` bits; an IPv6 address is usable at once, without
    /// a search for duplicates.
    ///
    /// # Errors
    /// [`Error::Refused`]: `EEXIST` if it has it already, `ENODEV` if there is no such link.
    pub fn add_address(&mut self, name: &str, address: IpAddr, prefix: u8) -> Result<(), Error> {
        let index = self.index(name)?;
        let mut ifaddrmsg = [0; 8];
        ifaddrmsg[..4].copy_from_slice(&[family(address), prefix, IFA_F_NODAD, RT_SCOPE_UNIVERSE]);
        ifaddrmsg[4..].copy_from_slice(&index.to_ne_bytes());
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        with_octets(address, |octets| {
            self.change(RTM_NEWADDR, flags, &ifaddrmsg, |w| {
                w.bytes(IFA_LOCAL, octets);
                w.bytes(IFA_ADDRESS, octets);
            })
        })
        .map_err(|failure| self.refused(format_args!("add {address}/{prefix} to `{name}`"), failure))
    }

    /// Adds a route to `destination` with `prefix` bits by the router `via`. The default route is
    /// the unspecified address (`0.0.0.0`, `::`) with 0 bits.
    ///
    /// # Errors
    /// [`Error::Refused`]: `ENETUNREACH` if `via` is in no network of this namespace.
    pub fn add_route(&mut self, destination: IpAddr, prefix: u8, via: IpAddr) -> Result<(), Error> {
        let mut rtmsg = [0; 12];
        rtmsg[..8].copy_from_slice(&[family(via), prefix, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST]);
        self.change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &rtmsg, |w| {
            if prefix > 0 {
                with_octets(destination, |octets| w.bytes(RTA_DST, octets));
            }
            with_octets(via, |octets| w.bytes(RTA_GATEWAY, octets));
        })
        .map_err(|failure| self.refused(format_args!("add the route to {destination}/{prefix} via {via}"), failure))
    }

    /// The link's number.
    ///
    /// # Errors
    /// [`Error::Refused`]: `ENODEV` if it is not there.
    pub fn index(&mut self, name: &str) -> Result<u32, Error> {
        let found = self.ask(name);
        found.map(|(index, _)| index).map_err(|failure| self.refused(format_args!("find the link `{name}`"), failure))
    }

    /// Waits until the link passes packets: it, its other end and (for a bridge) a port are up, and
    /// the kernel has acted on that, which it does later, on a thread of its own
    /// (`net/core/link_watch.c`).
    ///
    /// # Errors
    /// [`Error::Down`] if it doesn't within `timeout`.
    pub fn wait_until_up(&mut self, name: &str, timeout: Duration) -> Result<(), Error> {
        let events = || Groups::new_groups(&[RTNLGRP_LINK]);
        let system = |source| Error::system(format!("listen to link events for `{name}`"), source);
        // First listen, then ask: no event falls in between.
        self.socket.add_mcast_membership(events()).map_err(system)?;
        let outcome = self.await_event(name, timeout);
        self.socket.drop_mcast_membership(events()).map_err(system)?;
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Down { link: name.to_owned(), place: self.place.clone(), waited: timeout }),
            Err(failure) => Err(self.refused(format_args!("wait for `{name}` to come up"), failure)),
        }
    }

    fn await_event(&mut self, name: &str, timeout: Duration) -> Result<bool, Failure> {
        let deadline = poll::deadline(timeout);
        if self.ask(name)?.1 {
            return Ok(true);
        }
        loop {
            // SAFETY: the socket is open as long as `self.socket`, and not closed through this.
            let socket = unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) };
            if poll::wait(&mut [poll::readable(&socket)], Some(deadline))? == 0 {
                return Ok(false);
            }
            let up = match self.receive() {
                Ok(len) => Messages::new(&self.reply[..len])
                    .flatten()
                    .any(|message| message.kind == RTM_NEWLINK && link(message.payload).is_some_and(|link| link.name == name && link.up)),
                // Events were lost: ask how it is now.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.ask(name)?.1,
                Err(error) => return Err(error.into()),
            };
            if up {
                return Ok(true);
            }
        }
    }

    /// The number of the link of that name, and whether it is up.
    fn ask(&mut self, name: &str) -> Result<(u32, bool), Failure> {
        self.send(RTM_GETLINK, 0, &ifinfomsg(0, 0, 0), |w| w.string(IFLA_IFNAME, name))?;
        self.answer(|message| match message.kind {
            RTM_NEWLINK => link(message.payload).map(|link| (link.index, link.up)),
            _ => None,
        })
    }

    /// A request that is answered by nothing but an acknowledgement.
    fn change(&mut self, kind: u16, flags: u16, fixed: &[u8], attributes: impl FnOnce(&mut Writer<'_>)) -> Result<(), Failure> {
        self.send(kind, flags | NLM_F_ACK, fixed, attributes)?;
        self.answer(|message| (message.kind == NLMSG_ERROR).then_some(()))
    }

    fn send(&mut self, kind: u16, flags: u16, fixed: &[u8], attributes: impl FnOnce(&mut Writer<'_>)) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let request = &mut self.request;
        request.clear();
        request.resize(NLMSG_HDRLEN, 0);
        request.extend_from_slice(fixed);
        let mut writer = Writer::new(request);
        attributes(&mut writer);
        if writer.overflowed() {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let len = request.len() as u32;
        request[..4].copy_from_slice(&len.to_ne_bytes());
        request[4..6].copy_from_slice(&kind.to_ne_bytes());
        request[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        request[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        self.socket.send(&*request, Msg::empty())?;
        Ok(())
    }

    /// Waits for the answer to the last request that `read` knows, or its refusal. Everything else
    /// that comes is an event, and passed over.
    fn answer<T>(&mut self, read: impl Fn(&Message<'_>) -> Option<T>) -> Result<T, Failure> {
        loop {
            let len = self.receive()?;
            for message in Messages::new(&self.reply[..len]).flatten().filter(|message| message.seq == self.sequence) {
                if message.kind == NLMSG_ERROR && message.errno() != 0 {
                    let refusal = message.refusal();
                    return Err(Failure { message: refusal.text, source: io::Error::from_raw_os_error(refusal.errno) });
                }
                if let Some(value) = read(&message) {
                    return Ok(value);
                }
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        loop {
            match self.socket.recv(&mut self.reply[..], Msg::TRUNC) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok((len, _)) if len > self.reply.len() => return Err(io::Error::from_raw_os_error(libc::EMSGSIZE)),
                Ok((len, _)) => return Ok(len),
            }
        }
    }

    fn refused(&self, tried: fmt::Arguments<'_>, failure: Failure) -> Error {
        Error::Refused { tried: format!("{tried} in `{}`", self.place), message: failure.message, source: failure.source }
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("place", &self.place).finish_non_exhaustive()
    }
}

/// `struct ifinfomsg`: family, type, index, flags, and which of the flags are meant.
fn ifinfomsg(index: u32, flags: u32, change: u32) -> [u8; IFINFOMSG_LEN] {
    let mut out = [0; IFINFOMSG_LEN];
    out[4..8].copy_from_slice(&index.to_ne_bytes());
    out[8..12].copy_from_slice(&flags.to_ne_bytes());
    out[12..16].copy_from_slice(&change.to_ne_bytes());
    out
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => NFPROTO_IPV4,
        IpAddr::V6(_) => NFPROTO_IPV6,
    }
}

fn with_octets<T>(address: IpAddr, f: impl FnOnce(&[u8]) -> T) -> T {
    match address {
        IpAddr::V4(address) => f(&address.octets()),
        IpAddr::V6(address) => f(&address.octets()),
    }
}

fn link(body: &[u8]) -> Option<Link<'_>> {
    let (mut name, mut up) = (None, false);
    for attr in Attrs::new(body.get(IFINFOMSG_LEN..)?).flatten() {
        match attr.kind {
            IFLA_IFNAME => name = string(attr.payload),
            IFLA_OPERSTATE => up = attr.payload == [IF_OPER_UP],
            _ => {}
        }
    }
    Some(Link { index: number(body, 4)?, name: name?, up })
}

/// 32 bits in host order.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
