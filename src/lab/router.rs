use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{Error, Netns, Packet, Tun, topology::prepared, wire::Wire};
use crate::model::Family;

/// A host that forwards between two TUN links, in a namespace of its own, without rules: a packet
/// sent into one comes out of the other, within the call that sends it. Where there is no `/dev/net/tun`
/// for us the links are veth pairs.
///
/// ```text
/// any sender ── eth0 192.0.2.1, fd00:2::1    docker0 198.51.100.1, fd00:51::1 ── 198.51.100.2, fd00:51::2
/// ```
///
/// All is gone when this is dropped.
#[derive(Debug)]
pub struct Router {
    netns: Netns,
    inward: End,
    outward: End,
    no_tun: Option<Error>,
}

/// What stands behind a link.
#[derive(Debug)]
enum End {
    Tun(Tun),
    Wire(Box<Wire>),
}

const OUTWARD: &str = "docker0";
/// For the kernel to act on a link's coming up.
const SOON: Duration = Duration::from_secs(5);

impl Router {
    /// Builds one: its namespace is called `name` in errors, the link that packets come in by
    /// `inward`, the other `docker0`.
    ///
    /// # Errors
    /// [`Error`] of the first step that failed.
    pub fn build(name: &str, inward: &str) -> Result<Self, Error> {
        let (netns, ipv6) = host(name)?;
        let ends = netns.run(|| Ok((Tun::new(inward)?, Tun::new(OUTWARD)?)))?;
        match ends {
            Ok((from, to)) => Self { netns, inward: End::Tun(from), outward: End::Tun(to), no_tun: None }.linked(inward, ipv6),
            Err(error @ Error::NoTun { .. }) => Ok(Self { no_tun: Some(error), ..Self::over_veth(name, inward)? }),
            Err(error) => Err(error),
        }
    }

    /// The same with veth pairs, whatever there is.
    ///
    /// # Errors
    /// [`Error`] of the first step that failed.
    pub fn over_veth(name: &str, inward: &str) -> Result<Self, Error> {
        let (netns, ipv6) = host(name)?;
        let ends = Netns::new("wires")?;
        if ends.has_ipv6()? {
            // Who sits there says nothing by itself.
            ends.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        }
        let wire = |name: &str, end: &str, number| {
            let address = [2, 0, 0, 0, 0, number];
            let mut links = netns.links()?;
            links.veth(name, end, &ends)?;
            links.without_neighbours(name, address)?;
            ends.links()?.up(end)?;
            links.up(name)?;
            links.wait_until_up(name, SOON)?;
            Ok(End::Wire(Box::new(Wire::new(&ends, end, address)?)))
        };
        let (from, to) = (wire(inward, "from", 1)?, wire(OUTWARD, "to", 2)?);
        Self { netns, inward: from, outward: to, no_tun: None }.linked(inward, ipv6)
    }

    /// Why the links are no TUN devices, if they are not.
    pub fn no_tun(&self) -> Option<&Error> {
        self.no_tun.as_ref()
    }

    /// With its addresses and routes.
    fn linked(self, inward: &str, ipv6: bool) -> Result<Self, Error> {
        // The kernel would tell senders of better ways, of which there are none.
        self.netns.sysctl("ipv4/conf/all/send_redirects", "0")?;
        self.netns.sysctl("ipv4/ip_forward", "1")?;
        if ipv6 {
            self.netns.sysctl("ipv6/conf/all/forwarding", "1")?;
        }
        let mut links = self.netns.links()?;
        links.up(inward)?;
        links.up(OUTWARD)?;
        for &family in if ipv6 { &Family::BOTH[..] } else { &[Family::Ip] } {
            let (prefix, all) = match family {
                Family::Ip => (24, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                Family::Ip6 => (64, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            };
            links.add_address(inward, address(family, false, 1), prefix)?;
            links.add_address(OUTWARD, address(family, true, 1), prefix)?;
            links.add_route(all, 0, address(family, false, 2))?;
        }
        Ok(self)
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Who is behind it: 198.51.100.2, fd00:51::2.
    pub const fn receiver(family: Family) -> IpAddr {
        address(family, true, 2)
    }

    /// Sends a packet through it. What comes out waits until it is looked for; if too much does, it
    /// is dropped there.
    ///
    /// # Errors
    /// Those of [`Tun::send`]; of `sendto(2)`.
    #[inline]
    pub fn send(&self, packet: &Packet) -> io::Result<()> {
        self.inward.send(packet)
    }

    /// Sends a packet the other way.
    ///
    /// # Errors
    /// Those of [`Tun::send`].
    pub fn answer(&self, packet: &Packet) -> io::Result<()> {
        self.outward.send(packet)
    }

    /// Sends a packet, and looks whether it comes out again; all that came out before is dropped.
    ///
    /// # Errors
    /// Those of the system calls.
    pub fn passes(&self, packet: &Packet) -> io::Result<bool> {
        while self.outward.receive(false)?.is_some() {}
        self.send(packet)?;
        while let Some(came) = self.outward.receive(true)? {
            if packet.is_forwarded_as(&came) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl End {
    #[inline]
    fn send(&self, packet: &Packet) -> io::Result<()> {
        match self {
            Self::Tun(tun) => tun.send(packet),
            Self::Wire(wire) => wire.send(packet),
        }
    }

    fn receive(&self, wait: bool) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Tun(tun) => tun.receive(),
            Self::Wire(wire) => wire.receive(wait),
        }
    }
}

/// Its namespace, and whether there is IPv6.
fn host(name: &str) -> Result<(Netns, bool), Error> {
    let netns = Netns::new(name)?;
    let ipv6 = netns.has_ipv6()?;
    Ok((prepared(netns, ipv6)?, ipv6))
}

const fn address(family: Family, outward: bool, last: u8) -> IpAddr {
    match (family, outward) {
        (Family::Ip, false) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
        (Family::Ip, true) => IpAddr::V4(Ipv4Addr::new(198, 51, 100, last)),
        (Family::Ip6, _) => IpAddr::V6(Ipv6Addr::new(0xfd00, if outward { 0x51 } else { 2 }, 0, 0, 0, 0, 0, last as u16)),
    }
}
