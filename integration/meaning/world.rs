//! A Docker host in namespaces, with a policy, and packets to it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::Duration,
};

use dockgate::{
    compile::{self, Compiled},
    lab::{Netns, Outcome, Party, TcpResponder, Topology, UdpResponder, tcp_answers, udp_answers},
    live::{History, Host},
    model::{Family, Protocol},
    netlink::Netlink,
    policy::{File, Policy},
};

use crate::support::{Done, call};

/// For what is to be answered.
const LONG: Duration = Duration::from_secs(10);
/// For what is to be dropped.
const SHORT: Duration = Duration::from_millis(200);

/// What iptables-restore can send here.
const LINES: usize = 200;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The client as 192.168.1.N and fd00:1::N, before `ext0`.
    Client(u8),
    /// The client as 198.51.100.7 and 2001:db8::7.
    Far,
    /// The container.
    Container,
    /// The one behind `eth1`.
    Lan,
}

/// To whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// A port of the host on `ext0`; 443 and 8000 to 8999 are published, and lead to the container's port 80.
    Host(u16),
    /// The same ports of the host's other address, that on `eth1`.
    Other(u16),
    /// The container's own address, port 80.
    Container,
    /// The client's port 8080.
    Client,
    /// Port 80 of the one behind `eth1`.
    Lan,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Drop,
    Reject,
}

/// A packet there, and one back if it passes.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    pub from: Who,
    pub to: To,
    pub protocol: Protocol,
    pub fate: Fate,
}

impl Who {
    pub fn address(self, family: Family) -> IpAddr {
        match (self, family) {
            (Self::Client(last), Family::Ip) => Ipv4Addr::new(192, 168, 1, last).into(),
            (Self::Client(last), Family::Ip6) => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, last.into()).into(),
            (Self::Far, Family::Ip) => Ipv4Addr::new(198, 51, 100, 7).into(),
            (Self::Far, Family::Ip6) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).into(),
            (Self::Container, _) => Party::Container.address(family),
            (Self::Lan, _) => Party::Lan.address(family),
        }
    }
}

impl To {
    pub fn address(self, family: Family) -> SocketAddr {
        let (party, port) = match self {
            Self::Host(port) => (Party::Host, port),
            Self::Other(port) => (Party::Router, port),
            Self::Container => (Party::Container, 80),
            Self::Client => (Party::Friend, 8080),
            Self::Lan => (Party::Lan, 80),
        };
        SocketAddr::new(party.address(family), port)
    }
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

/// A policy's text with addresses of both families: `@7` is 192.168.1.7 and fd00:1::7, `@7-9` a
/// range, `@8/30` a prefix (of 126 bits there).
pub fn both(text: &str) -> String {
    let mut parts = text.split('@');
    let mut told = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '/').unwrap_or(part.len());
        let (word, rest) = part.split_at(end);
        let v4 = |number: &str| format!("192.168.1.{number}");
        let v6 = |number: &str| format!("fd00:1::{:x}", number.parse::<u8>().unwrap());
        let (a, b) = match (word.split_once('-'), word.split_once('/')) {
            (Some((first, last)), _) => (format!("{}-{}", v4(first), v4(last)), format!("{}-{}", v6(first), v6(last))),
            (_, Some((first, bits))) => (format!("{}/{bits}", v4(first)), format!("{}/{}", v6(first), bits.parse::<u8>().unwrap() + 96)),
            _ => (v4(word), v6(word)),
        };
        told += &format!("'{a}', '{b}'{rest}");
    }
    told
}

/// The policy in a text, which must be sound, as chains. [`both`] is done with it.
#[track_caller]
pub fn compiled(text: &str) -> Compiled {
    let read = Policy::parse(vec![File::new("policy.toml", both(text))]);
    assert!(read.is_sound(), "{}\n{:#?}", both(text), read.problems);
    compile::docker_user(&read.policy, "policy", None)
}

/// A Docker host, with the rules of an engine, and all who answer.
pub struct World {
    _servers: Vec<(TcpResponder, UdpResponder)>,
    pub topology: Topology,
    pub gate: Host,
    state: PathBuf,
}

/// What Docker makes: one network, one container, its ports 443 and 8000 to 8999.
fn docker(family: Family) -> String {
    let container = SocketAddr::new(Party::Container.address(family), 80);
    let to = |protocol| {
        format!(
            "-A PREROUTING ! -i docker0 -m addrtype --dst-type LOCAL -p {protocol} -m multiport --dports 443,8000:8999 -j DNAT --to-destination {container}\n"
        )
    };
    let open = |protocol| format!("-A FORWARD ! -i docker0 -o docker0 -p {protocol} --dport 80 -j ACCEPT\n");
    format!(
        "*nat\n:PREROUTING ACCEPT\n{}{}COMMIT\n*filter\n:FORWARD DROP\n:DOCKER-USER -\n-A FORWARD -j DOCKER-USER\n\
         -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -i docker0 -j ACCEPT\n{}{}COMMIT\n",
        to("tcp"),
        to("udp"),
        open("tcp"),
        open("udp")
    )
}

impl World {
    /// With the client under these addresses besides .1 and .2, and as [`Who::Far`].
    pub fn build(name: &str, clients: impl IntoIterator<Item = u8>) -> Self {
        let topology = Topology::build().unwrap();
        let serve = |netns: &Netns, port| netns.run(|| (TcpResponder::bind(port).unwrap(), UdpResponder::bind(port).unwrap())).unwrap();
        let servers = vec![serve(&topology.container, 80), serve(&topology.client, 8080), serve(&topology.lan, 80)];
        let clients: Vec<Who> = clients.into_iter().map(Who::Client).chain([Who::Far]).collect();
        let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let netlink = topology.host.run(|| Netlink::open().unwrap()).unwrap();
        let history = History::at(&state.join(netlink.namespace())).unwrap();
        let world = Self { _servers: servers, gate: Host::new(netlink, history), state, topology };
        for &family in world.topology.families() {
            clients.iter().for_each(|who| world.topology.add_client(who.address(family)).unwrap());
            world.iptables(family, "-restore", "", &docker(family)).ok();
        }
        world
    }

    /// Runs `iptables`, `ip6tables`, or with `-restore`, `-save` behind it, on the host.
    pub fn iptables(&self, family: Family, program: &str, line: &str, input: &str) -> Done {
        self.topology.host.run(|| call(&format!("{}{program}", family.command()), line, input)).unwrap()
    }

    /// Has the host forget all connections: a sender that gets the port of an earlier one would be
    /// taken for it, and pass as known.
    pub fn forget_connections(&self) {
        self.topology.host.run(|| call("conntrack", "-F", "").ok()).unwrap();
    }

    /// dockgate, to be run in the host's namespace.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
        command.args(words).env("DOCKGATE_STATE", &self.state);
        command
    }

    /// Starts it there.
    pub fn spawn(&self, mut command: Command) -> Child {
        self.topology.host.run(move || command.spawn().unwrap()).unwrap()
    }

    /// A file of that name with the policy, which lives as long as this.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.state.join(name);
        fs::create_dir_all(&self.state).unwrap();
        fs::write(&path, both(text)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn netns(&self, who: Who) -> &Netns {
        match who {
            Who::Client(_) | Who::Far => &self.topology.client,
            Who::Container => &self.topology.container,
            Who::Lan => &self.topology.lan,
        }
    }

    /// What becomes of these, all at once.
    pub fn send(&self, family: Family, exchanges: &[Exchange]) -> Vec<Outcome> {
        let send = |&Exchange { from, to, protocol, fate }: &Exchange| {
            let ask = if protocol == Protocol::TCP { tcp_answers } else { udp_answers };
            let timeout = if fate == Fate::Drop { SHORT } else { LONG };
            self.netns(from).run(|| ask(from.address(family), to.address(family), timeout)).unwrap().unwrap()
        };
        thread::scope(|scope| {
            let all: Vec<_> = exchanges.iter().map(|exchange| scope.spawn(move || send(exchange))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        })
    }

    /// Sends these, with TCP and UDP and in both families, and looks what becomes of them.
    #[track_caller]
    pub fn check(&self, what: &str, exchanges: &[(Who, To, Fate)]) {
        let both =
            |&(from, to, fate): &(Who, To, Fate)| [Protocol::TCP, Protocol::UDP].map(|protocol| Exchange { from, to, protocol, fate });
        self.check_each(what, &exchanges.iter().flat_map(both).collect::<Vec<_>>());
    }

    /// The same, with protocols of their own.
    #[track_caller]
    pub fn check_each(&self, what: &str, exchanges: &[Exchange]) {
        self.topology.families().iter().for_each(|&family| self.check_in(family, what, exchanges));
    }

    /// The same in one family.
    #[track_caller]
    pub fn check_in(&self, family: Family, what: &str, exchanges: &[Exchange]) {
        let wrong: Vec<_> =
            self.send(family, exchanges).into_iter().zip(exchanges).filter(|(got, one)| *got != one.fate.outcome()).collect();
        if !wrong.is_empty() {
            let rules = self.iptables(family, "-save", "-c -t filter", "").ok();
            panic!("{family} {wrong:?}\n{what}\n{rules}");
        }
    }

    /// Makes the policy hold, and looks whether iptables reads and writes it as the same.
    #[track_caller]
    pub fn apply(&mut self, text: &str) {
        let compiled = compiled(text);
        self.gate.apply(&compiled).unwrap_or_else(|error| panic!("{error}: {error:?}\n{text}"));
        self.read_by_iptables(&compiled);
    }

    /// Does iptables print the chains as they were compiled, and is what it saved and restored the same to us?
    #[track_caller]
    pub fn read_by_iptables(&mut self, compiled: &Compiled) {
        for family in Family::BOTH {
            let printed = self.iptables(family, "", "-S", "").ok();
            for chain in compiled.chains(family) {
                let start = format!("-A {} ", chain.name);
                let printed: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix(&start)).collect();
                let rules: Vec<String> = chain.rules.iter().map(|saved| saved.rule.to_string()).collect();
                assert_eq!(printed, rules, "{family} {}", chain.name);
            }
            let saved = self.iptables(family, "-save", "", "").ok();
            // In a user namespace it can't send all of a long ruleset in one message, as it must.
            if saved.lines().count() > LINES {
                continue;
            }
            self.iptables(family, "-restore", "--test", &saved).ok();
            self.iptables(family, "-restore", "", &saved).ok();
        }
        let again = self.gate.plan(compiled).unwrap();
        assert!(again.plan.is_empty(), "{}", again.plan);
    }

    /// The packets that each rule of a chain has counted.
    pub fn counted(&self, family: Family, chain: &str) -> Vec<(String, u64)> {
        let saved = self.iptables(family, "-save", "-c -t filter", "").ok();
        let start = format!("-A {chain} ");
        let rule = |line: &str| {
            let (counters, rule) = line.strip_prefix('[')?.split_once("] ")?;
            Some((rule.strip_prefix(&start)?.to_owned(), counters.split(':').next()?.parse().unwrap()))
        };
        saved.lines().filter_map(rule).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.state);
    }
}
