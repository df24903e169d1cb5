use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{Error, Netns, Outcome, tcp_answers, udp_answers};
use crate::model::Family;

/// A Docker host with a network on each side, in namespaces: what Docker's manual calls a router
/// between the outside and its bridge. No rules: packets pass in all directions, untranslated.
///
/// ```text
/// client                     host                              container
/// eth0 192.168.1.1 friend ── ext0 192.168.1.10    docker0 172.17.0.1 ── eth0 172.17.0.2
///      192.168.1.2 stranger       fd00:1::10              fd00:17::1         fd00:17::2
///      fd00:1::1, fd00:1::2
/// lan                        eth1 10.9.0.1
/// eth0 10.9.0.2, fd00:9::2 ────── fd00:9::1
/// ```
///
/// The client has routes to the container's network and to the lan by the host, so that also what
/// is not published can be tried. All is gone when this is dropped.
#[derive(Debug)]
pub struct Topology {
    /// The outside: the friend and the stranger.
    pub client: Netns,
    /// The Docker host: forwards.
    pub host: Netns,
    /// What runs behind the bridge.
    pub container: Netns,
    /// A network that the host routes to, without Docker.
    pub lan: Netns,
    /// Is there IPv6 as well?
    pub ipv6: bool,
}

/// Whoever has an address in the [`Topology`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// The client's first address: 192.168.1.1, fd00:1::1.
    Friend,
    /// The client's second address: 192.168.1.2, fd00:1::2.
    Stranger,
    /// The host on `ext0`: 192.168.1.10, fd00:1::10.
    Host,
    /// The host on `docker0`: 172.17.0.1, fd00:17::1.
    Bridge,
    /// The container: 172.17.0.2, fd00:17::2.
    Container,
    /// The host on `eth1`: 10.9.0.1, fd00:9::1.
    Router,
    /// The one in the lan: 10.9.0.2, fd00:9::2.
    Lan,
}

impl Party {
    /// Its address in that family.
    pub const fn address(self, family: Family) -> IpAddr {
        let (v4, v6) = match self {
            Self::Friend => ([192, 168, 1, 1], [1, 1]),
            Self::Stranger => ([192, 168, 1, 2], [1, 2]),
            Self::Host => ([192, 168, 1, 10], [1, 0x10]),
            Self::Bridge => ([172, 17, 0, 1], [0x17, 1]),
            Self::Container => ([172, 17, 0, 2], [0x17, 2]),
            Self::Router => ([10, 9, 0, 1], [9, 1]),
            Self::Lan => ([10, 9, 0, 2], [9, 2]),
        };
        match family {
            Family::Ip => IpAddr::V4(Ipv4Addr::new(v4[0], v4[1], v4[2], v4[3])),
            Family::Ip6 => IpAddr::V6(Ipv6Addr::new(0xfd00, v6[0], 0, 0, 0, 0, 0, v6[1])),
        }
    }

    /// The bits of its network.
    const fn prefix(self, family: Family) -> u8 {
        match (family, self) {
            (Family::Ip, Self::Bridge | Self::Container) => 16,
            (Family::Ip, _) => 24,
            (Family::Ip6, _) => 64,
        }
    }
}

/// How long a veth pair may take to come up: it is some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

impl Topology {
    /// Builds it. The process must be root, best of a namespace of its own ([`super::enter`]).
    ///
    /// # Errors
    /// [`Error`] of the first step that failed; what was made before is gone then.
    pub fn build() -> Result<Self, Error> {
        let host = Netns::new("host")?;
        let ipv6 = host.has_ipv6()?;
        let new = |name| prepared(Netns::new(name)?, ipv6);
        let topology = Self { host: prepared(host, ipv6)?, client: new("client")?, container: new("container")?, lan: new("lan")?, ipv6 };
        topology.link()?;
        topology.forward()?;
        topology.number()?;
        Ok(topology)
    }

    /// The families it has.
    pub fn families(&self) -> &'static [Family] {
        if self.ipv6 { &Family::BOTH } else { &[Family::Ip] }
    }

    /// The namespace of `party`.
    pub fn netns(&self, party: Party) -> &Netns {
        match party {
            Party::Friend | Party::Stranger => &self.client,
            Party::Host | Party::Bridge | Party::Router => &self.host,
            Party::Container => &self.container,
            Party::Lan => &self.lan,
        }
    }

    /// Gives the client a further address in the network of friend and stranger.
    ///
    /// # Errors
    /// [`Error::Refused`]: `EEXIST` if it has that.
    pub fn add_client(&self, address: IpAddr) -> Result<(), Error> {
        let family = if address.is_ipv4() { Family::Ip } else { Family::Ip6 };
        self.client.links()?.add_address("eth0", address, Party::Friend.prefix(family))
    }

    /// [`tcp_answers`] from `party`'s address in the family of `to`.
    ///
    /// # Errors
    /// Those of [`tcp_answers`].
    pub fn tcp(&self, party: Party, to: SocketAddr, timeout: Duration) -> Result<Outcome, Error> {
        self.netns(party).run(|| tcp_answers(party.address(family_of(to)), to, timeout))?
    }

    /// [`udp_answers`] from `party`'s address in the family of `to`.
    ///
    /// # Errors
    /// Those of [`udp_answers`].
    pub fn udp(&self, party: Party, to: SocketAddr, timeout: Duration) -> Result<Outcome, Error> {
        self.netns(party).run(|| udp_answers(party.address(family_of(to)), to, timeout))?
    }

    /// The wires, all up.
    fn link(&self) -> Result<(), Error> {
        let mut host = self.host.links()?;
        host.bridge("docker0")?;
        host.up("docker0")?;
        let mut others = Vec::new();
        for (name, netns) in [("ext0", &self.client), ("eth1", &self.lan), ("veth0", &self.container)] {
            host.veth(name, "eth0", netns)?;
            if name == "veth0" {
                host.enslave(name, "docker0")?;
            }
            host.up(name)?;
            let mut links = netns.links()?;
            links.up("eth0")?;
            others.push(links);
        }
        for name in ["ext0", "eth1", "veth0", "docker0"] {
            host.wait_until_up(name, PATIENCE)?;
        }
        others.iter_mut().try_for_each(|links| links.wait_until_up("eth0", PATIENCE))
    }

    /// Addresses and routes.
    fn number(&self) -> Result<(), Error> {
        for &family in self.families() {
            for (party, link) in [
                (Party::Friend, "eth0"),
                (Party::Stranger, "eth0"),
                (Party::Host, "ext0"),
                (Party::Bridge, "docker0"),
                (Party::Container, "eth0"),
                (Party::Router, "eth1"),
                (Party::Lan, "eth0"),
            ] {
                self.netns(party).links()?.add_address(link, party.address(family), party.prefix(family))?;
            }
            let all = match family {
                Family::Ip => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                Family::Ip6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            self.container.links()?.add_route(all, 0, Party::Bridge.address(family))?;
            self.lan.links()?.add_route(all, 0, Party::Router.address(family))?;
            self.client.links()?.add_route(all, 0, Party::Host.address(family))?;
            // The way out of the host, to where there is nothing: as on a real one.
            self.host.links()?.add_route(all, 0, Party::Stranger.address(family))?;
        }
        if self.ipv6 {
            // Who forwards asks for neighbours from a link-local address.
            for (name, last) in [("ext0", 0x10), ("eth1", 0x9), ("docker0", 0x17)] {
                let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
                self.host.links()?.add_address(name, address.into(), 64)?;
            }
        }
        Ok(())
    }

    fn forward(&self) -> Result<(), Error> {
        self.host.sysctl("ipv4/ip_forward", "1")?;
        if self.ipv6 {
            self.host.sysctl("ipv6/conf/all/forwarding", "1")?;
        }
        Ok(())
    }
}

/// A new namespace set to what we count on, whatever the machine's own is set to (a new one takes
/// over much of that).
pub(super) fn prepared(netns: Netns, ipv6: bool) -> Result<Netns, Error> {
    const V4: &[(&str, &str)] = &[
        ("ipv4/ip_forward", "0"),
        // Source addresses are what the rules are about; nothing else may drop them.
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        // No limit on ICMP errors: each reject is to be seen.
        ("ipv4/icmp_ratemask", "0"),
    ];
    const V6: &[(&str, &str)] = &[
        ("ipv6/conf/all/forwarding", "0"),
        ("ipv6/conf/all/disable_ipv6", "0"),
        ("ipv6/conf/default/disable_ipv6", "0"),
        ("ipv6/bindv6only", "0"),
        // Duplicates can't be, and looking for them takes a second; nor are routers to be looked for.
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
        // No link-local addresses but those given.
        ("ipv6/conf/default/addr_gen_mode", "1"),
        // The same; the limit for all peers together then holds only for type 2, packet too big.
        ("ipv6/icmp/ratelimit", "0"),
        ("ipv6/icmp/ratemask", "2"),
    ];
    for (key, value) in V4.iter().chain(if ipv6 { V6 } else { &[] }) {
        netns.sysctl(key, value)?;
    }
    Ok(netns)
}

fn family_of(address: SocketAddr) -> Family {
    if address.is_ipv4() { Family::Ip } else { Family::Ip6 }
}
