//! What becomes of real packets: each verdict, and each example of Docker's manual, in both families.

mod scenarios;

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use dockgate::{
    lab::{Netns, Outcome, Party, TcpResponder, Topology, UdpResponder, tcp_answers, udp_answers},
    model::Family,
};

use crate::support::{call, dockgate};

/// For what is to be answered.
const LONG: Duration = Duration::from_secs(5);
/// For what is to be dropped.
const SHORT: Duration = Duration::from_millis(200);

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Friend,
    Stranger,
    /// Not of their network.
    Outsider,
    Container,
    Lan,
}

impl From {
    fn address(self, family: Family) -> IpAddr {
        let party = match self {
            Self::Friend => Party::Friend,
            Self::Stranger => Party::Stranger,
            Self::Container => Party::Container,
            Self::Lan => Party::Lan,
            Self::Outsider if family == Family::Ip => return [198, 51, 100, 7].into(),
            Self::Outsider => return [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into(),
        };
        party.address(family)
    }

    fn netns(self, topology: &Topology) -> &Netns {
        match self {
            Self::Container => &topology.container,
            Self::Lan => &topology.lan,
            _ => &topology.client,
        }
    }
}

/// To whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The container under its own address, port 80.
    Container,
    /// The host's port 8080, published: it leads to the container's port 80.
    Published,
    /// Port 8080 of the friend.
    Friend,
    /// Port 8080 of the stranger.
    Stranger,
    /// Port 80 of the one in the lan.
    Lan,
}

impl To {
    fn address(self, family: Family) -> SocketAddr {
        let (party, port) = match self {
            Self::Container => (Party::Container, 80),
            Self::Published => (Party::Host, 8080),
            Self::Friend => (Party::Friend, 8080),
            Self::Stranger => (Party::Stranger, 8080),
            Self::Lan => (Party::Lan, 80),
        };
        SocketAddr::new(party.address(family), port)
    }
}

/// What is to become of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Drop,
    Reject,
}

impl Fate {
    fn outcome(self) -> Outcome {
        match self {
            Self::Pass => Outcome::Passed,
            Self::Drop => Outcome::Dropped,
            Self::Reject => Outcome::Rejected(libc::ECONNREFUSED),
        }
    }
}

/// Rules and what they make of packets.
#[derive(Debug)]
pub struct Scenario {
    /// In the order in which they stand: chain, rule, and how many packets of the UDP exchanges it
    /// counts. `FRIEND`, `STRANGER`, `NETWORK` and `CONTAINER` are replaced by addresses, `SEEN` by the
    /// name of an ipset.
    pub rules: &'static [(&'static str, &'static str, u64)],
    /// The exchanges; each is tried once with UDP (a packet each way), then with TCP.
    pub exchanges: &'static [(From, To, Fate)],
}

/// An ipset of addresses, empty at first.
fn seen(family: Family) -> String {
    format!("seen-{family}")
}

/// The host, with the rules of a Docker engine around `DOCKER-USER`, and all who answer.
struct Host {
    _servers: Vec<(TcpResponder, UdpResponder)>,
    topology: Topology,
}

impl Host {
    fn build() -> Self {
        let topology = Topology::build().unwrap();
        let serve = |netns: &Netns, port| netns.run(|| (TcpResponder::bind(port).unwrap(), UdpResponder::bind(port).unwrap())).unwrap();
        let servers = vec![serve(&topology.container, 80), serve(&topology.client, 8080), serve(&topology.lan, 80)];
        for &family in topology.families() {
            topology.add_client(From::Outsider.address(family)).unwrap();
            let container = SocketAddr::new(Party::Container.address(family), 80);
            let nft = format!(
                "add table {family} nat
                 add chain {family} nat PREROUTING {{ type nat hook prerouting priority -100; }}
                 add rule {family} nat PREROUTING iifname ext0 meta l4proto {{ tcp, udp }} th dport 8080 dnat to {container}
                 add table {family} filter
                 add chain {family} filter FORWARD {{ type filter hook forward priority 0; policy drop; }}
                 add chain {family} filter DOCKER-USER
                 add rule {family} filter FORWARD counter jump DOCKER-USER
                 add rule {family} filter FORWARD iifname docker0 counter accept
                 add rule {family} filter FORWARD iifname ext0 oifname docker0 counter accept"
            );
            let set = format!("create {} hash:ip family {}", seen(family), if family == Family::Ip { "inet" } else { "inet6" });
            topology.host.run(|| (call("nft", "-f -", &nft).ok(), call("ipset", &set, "").ok())).unwrap();
            // As Docker has it: what nft would write iptables could not read, and every write would warn.
            let replies = "-I FORWARD 2 -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
            topology.host.run(|| call(family.command(), replies, "").ok()).unwrap();
        }
        Self { _servers: servers, topology }
    }

    /// All exchanges at once; what became of each.
    fn try_all(&self, family: Family, exchanges: &[(From, To, Fate)], ask: fn(IpAddr, SocketAddr, Duration) -> Outcome) -> Vec<Outcome> {
        thread::scope(|scope| {
            let attempts: Vec<_> = exchanges
                .iter()
                .map(|&(from, to, fate)| {
                    let timeout = if fate == Fate::Drop { SHORT } else { LONG };
                    let netns = from.netns(&self.topology);
                    scope.spawn(move || netns.run(|| ask(from.address(family), to.address(family), timeout)).unwrap())
                })
                .collect();
            attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
        })
    }

    fn run(&self, family: Family, scenario: &Scenario) {
        let rule = |rule: &str| {
            let network = if family == Family::Ip { "192.168.1.0/24" } else { "fd00:1::/64" };
            let text = rule.replace("FRIEND", &From::Friend.address(family).to_string());
            let text = text.replace("STRANGER", &From::Stranger.address(family).to_string());
            let text = text.replace("SEEN", &seen(family));
            text.replace("NETWORK", network).replace("CONTAINER", &From::Container.address(family).to_string())
        };
        let mut text = "*filter\n:DOCKER-USER - [0:0]\n:mine - [0:0]\n".to_owned();
        let empty = format!("{text}COMMIT\n");
        for (chain, line, _) in scenario.rules {
            text += &format!("-A {chain} {}\n", rule(line));
        }
        text += "COMMIT\n";
        let only = if family == Family::Ip { "-4" } else { "-6" };
        let restore = |text: &str| {
            let done = self.topology.host.run(|| dockgate(&format!("{only} restore"), text)).unwrap();
            assert_eq!((done.code, done.err.as_str()), (0, ""), "{text}");
        };
        // Rules that stay would keep their counters.
        restore(&empty);
        restore(&text);
        let expected: Vec<_> = scenario.exchanges.iter().map(|(_, _, fate)| fate.outcome()).collect();
        let udp = self.try_all(family, scenario.exchanges, |from, to, timeout| udp_answers(from, to, timeout).unwrap());
        assert_eq!(udp, expected, "UDP {family} {scenario:#?}");
        let list = self
            .topology
            .host
            .run(|| dockgate(&format!("{only} --json iptables -S").replace("iptables", family.command()), "").ok())
            .unwrap();
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        for chain in ["DOCKER-USER", "mine"] {
            let counted =
                list["chains"].as_array().unwrap().iter().find(|one| one["name"] == chain).unwrap()["rules"].as_array().unwrap().clone();
            let counted: Vec<u64> = counted.iter().map(|rule| rule["packets"].as_u64().unwrap()).collect();
            let told: Vec<u64> = scenario.rules.iter().filter(|(of, _, _)| *of == chain).map(|(_, _, packets)| *packets).collect();
            assert_eq!(counted, told, "{chain} {family} {scenario:#?}");
        }
        let tcp = self.try_all(family, scenario.exchanges, |from, to, timeout| tcp_answers(from, to, timeout).unwrap());
        assert_eq!(tcp, expected, "TCP {family} {scenario:#?}");
    }
}
