use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Error, Netns, Packet, Tun, topology::prepared};
use crate::model::Family;

/// A host that forwards between two TUN links, in a namespace of its own, without rules: a packet
/// sent into one comes out of the other, within the call that sends it.
///
/// ```text
/// any sender ── eth0 192.0.2.1, fd00:2::1    docker0 198.51.100.1, fd00:51::1 ── 198.51.100.2, fd00:51::2
/// ```
///
/// All is gone when this is dropped.
#[derive(Debug)]
pub struct Router {
    netns: Netns,
    inward: Tun,
    outward: Tun,
}

impl Router {
    /// Builds one: its namespace is called `name` in errors, the link that packets come in by
    /// `inward`, the other `docker0`.
    ///
    /// # Errors
    /// [`Error::NoTun`]; [`Error`] of the first step that failed.
    pub fn build(name: &str, inward: &str) -> Result<Self, Error> {
        let netns = Netns::new(name)?;
        let ipv6 = netns.has_ipv6()?;
        let netns = prepared(netns, ipv6)?;
        let outward = "docker0";
        let (from, to) = netns.run(|| Ok((Tun::new(inward)?, Tun::new(outward)?)))??;
        // The kernel would tell senders of better ways, of which there are none.
        netns.sysctl("ipv4/conf/all/send_redirects", "0")?;
        netns.sysctl("ipv4/ip_forward", "1")?;
        if ipv6 {
            netns.sysctl("ipv6/conf/all/forwarding", "1")?;
        }
        let mut links = netns.links()?;
        links.up(inward)?;
        links.up(outward)?;
        for &family in if ipv6 { &Family::BOTH[..] } else { &[Family::Ip] } {
            let (prefix, all) = match family {
                Family::Ip => (24, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                Family::Ip6 => (64, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            };
            links.add_address(inward, address(family, false, 1), prefix)?;
            links.add_address(outward, address(family, true, 1), prefix)?;
            links.add_route(all, 0, address(family, false, 2))?;
        }
        Ok(Self { netns, inward: from, outward: to })
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
    /// Those of [`Tun::send`].
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
        while self.outward.receive()?.is_some() {}
        self.send(packet)?;
        while let Some(came) = self.outward.receive()? {
            if packet.is_forwarded_as(&came) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

const fn address(family: Family, outward: bool, last: u8) -> IpAddr {
    match (family, outward) {
        (Family::Ip, false) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
        (Family::Ip, true) => IpAddr::V4(Ipv4Addr::new(198, 51, 100, last)),
        (Family::Ip6, _) => IpAddr::V6(Ipv6Addr::new(0xfd00, if outward { 0x51 } else { 2 }, 0, 0, 0, 0, 0, last as u16)),
    }
}
