//! Published ports with ten senders each, as different tools say it.
//!
//! Container number p has a port of its own, and there is no DNAT in the way: what a client asks for
//! is what a container gets, so that tools which test the one and tools which test the other are
//! asked about the same packets.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use dockgate::{
    lab::Packet,
    measure::{Path, stranger},
    model::{ChainName, Dialect, Family},
    policy::Strategy,
    rule::Rule,
};

use crate::{
    stage::{Case, Fate, INWARD, Result, Stage, Subject},
    support::{
        process,
        process::has,
        shapes::{compiled, mixed},
        workload::parse,
    },
};

/// Senders of each port.
const SENDERS: usize = 10;
const POOL: usize = 1024;
const REPLIES: &str = "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN";

const STRATEGIES: [(&str, Strategy); 3] =
    [("dockgate tree", Strategy::Tree), ("dockgate set", Strategy::Set), ("dockgate auto", Strategy::Auto)];

/// Who may reach what.
struct Grants {
    family: Family,
    /// Are the senders of all ports the same?
    same: bool,
    ports: usize,
}

impl Grants {
    fn sender(&self, port: usize, number: usize) -> IpAddr {
        stranger(self.family, if self.same { number } else { port * SENDERS + number })
    }

    fn container(&self, port: usize) -> IpAddr {
        let number = 10 + port as u8;
        match self.family {
            Family::Ip => Ipv4Addr::new(198, 51, 100, number).into(),
            Family::Ip6 => Ipv6Addr::new(0xfd00, 0x51, 0, 0, 0, 0, 0, number.into()).into(),
        }
    }

    /// The port's container, and its number.
    fn target(&self, port: usize) -> SocketAddr {
        (self.container(port), 8000 + port as u16).into()
    }

    fn packet(&self, port: usize, from: IpAddr) -> Packet {
        Packet::syn((from, 40_000).into(), self.target(port))
    }

    fn cases(&self) -> Vec<Case> {
        let any = |index: usize, below: usize| mixed(index as u64 + 77) as usize % below;
        let allowed = |index: usize| {
            let port = any(index, self.ports);
            self.packet(port, self.sender(port, any(index + POOL, SENDERS)))
        };
        let other = |index: usize| self.packet(any(index, self.ports), stranger(self.family, 1_000_000 + index));
        let last = self.ports - 1;
        let case = |name, packets, fate| Case { name, packets, fate, rule: None };
        vec![
            case("others", (0..POOL).map(other).collect(), Fate::Dropped),
            case("members", (0..POOL).map(allowed).collect(), Fate::Passes),
            case("first", vec![self.packet(0, self.sender(0, 0))], Fate::Passes),
            case("last", vec![self.packet(last, self.sender(last, SENDERS - 1))], Fate::Passes),
        ]
    }

    /// One thing for each port and sender, in order.
    fn each<T>(&self, make: impl Fn(SocketAddr, IpAddr) -> T) -> Vec<T> {
        let pairs = (0..self.ports).flat_map(|port| (0..SENDERS).map(move |number| (port, number)));
        pairs.map(|(port, number)| make(self.target(port), self.sender(port, number))).collect()
    }

    fn rule(&self, words: &str) -> Rule {
        parse(words, self.family)
    }

    /// As Docker's manual has it: the port that the client asked for.
    fn manual(&self, path: &mut Path) -> Result<()> {
        let grant = |to: SocketAddr, from| {
            let port = to.port();
            self.rule(&format!("-i {INWARD} -s {from} -p tcp -m conntrack --ctorigdstport {port} --ctdir ORIGINAL -j RETURN"))
        };
        let mut rules = vec![self.rule(REPLIES)];
        rules.extend(self.each(grant));
        rules.push(self.rule(&format!("-i {INWARD} -j DROP")));
        Ok(path.fill(self.family, rules, Dialect::D)?)
    }

    /// As `ufw route allow proto tcp from S to C port P` and ufw-docker's block in after.rules.
    fn ufw_docker(&self, path: &mut Path) -> Result<()> {
        let grant = |to: SocketAddr, from| self.rule(&format!("-d {} -s {from} -p tcp -m tcp --dport {} -j ACCEPT", to.ip(), to.port()));
        let chain = ChainName::for_iptables("ufw-user-forward")?;
        path.add_chain(self.family, &chain, self.each(grant), Dialect::D)?;
        let network = if self.family == Family::Ip { "198.51.100.0/24" } else { "fd00:51::/64" };
        let block = [
            REPLIES.to_owned(),
            "-j ufw-user-forward".to_owned(),
            format!("-d {network} -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"),
        ];
        Ok(path.fill(self.family, block.iter().map(|words| self.rule(words)).collect(), Dialect::D)?)
    }

    /// A map from the container's address to its chain, and in there a rule for each sender.
    fn whalewall(&self, path: &mut Path) -> Result<()> {
        let (table, kind) = if self.family == Family::Ip { ("ip", "ipv4_addr") } else { ("ip6", "ipv6_addr") };
        let filter = format!("{table} filter");
        let mut script = format!("add chain {filter} whalewall\nadd map {filter} containers {{ type {kind} : verdict; }}\n");
        for port in 0..self.ports {
            let to = self.target(port);
            writeln!(script, "add chain {filter} whalewall-{port}")?;
            for number in 0..SENDERS {
                let from = self.sender(port, number);
                writeln!(
                    script,
                    "add rule {filter} whalewall-{port} {table} saddr {from} {table} daddr {} tcp dport {} ct state new,established counter accept",
                    to.ip(),
                    to.port()
                )?;
            }
            writeln!(script, "add rule {filter} whalewall-{port} {table} daddr {} counter drop", to.ip())?;
            writeln!(script, "add element {filter} containers {{ {} : jump whalewall-{port} }}", to.ip())?;
        }
        for field in ["saddr", "daddr"] {
            writeln!(script, "add rule {filter} whalewall {table} {field} vmap @containers")?;
        }
        writeln!(script, "add rule {filter} DOCKER-USER counter jump whalewall")?;
        process::run(path.router().netns(), &["nft", "-f", "-"], &script)?;
        Ok(())
    }

    fn policy(&self) -> String {
        let mut text = format!("external = '{INWARD}'\ndefault = 'drop'\n");
        for port in 0..self.ports {
            let senders: Vec<String> = (0..SENDERS).map(|number| format!("'{}'", self.sender(port, number))).collect();
            text += &format!("[[rule]]\nallow = '{}/tcp'\nfrom = [{}]\n", self.target(port).port(), senders.join(", "));
        }
        text
    }
}

/// So many ports that everybody may reach.
pub fn everybody(stage: &mut Stage, family: Family, ports: usize) {
    let grants = Grants { family, same: true, ports };
    let packets = |beside: u16| {
        let packet = |index: usize| {
            let mut to = grants.target(mixed(index as u64 + 77) as usize % ports);
            to.set_port(to.port() + beside);
            Packet::syn((stranger(family, 1_000_000 + index), 40_000).into(), to)
        };
        (0..POOL).map(packet).collect()
    };
    let cases = [
        Case { name: "published", packets: packets(0), fate: Fate::Passes, rule: None },
        Case { name: "others", packets: packets(1000), fate: Fate::Dropped, rule: None },
    ];
    let subject = |series| Subject { group: "ports for everybody", family, series, size: ports };
    let linear = |path: &mut Path| -> Result<()> {
        let port = |number| grants.target(number).port();
        let grant = |number| format!("-i {INWARD} -p tcp -m conntrack --ctorigdstport {} --ctdir ORIGINAL -j RETURN", port(number));
        let all = [REPLIES.to_owned()].into_iter().chain((0..ports).map(grant)).chain([format!("-i {INWARD} -j DROP")]);
        Ok(path.fill(family, all.map(|words| parse(&words, family)).collect(), Dialect::D)?)
    };
    stage.measure(subject("linear, original port"), linear, &cases);
    let mut text = format!("external = '{INWARD}'\ndefault = 'drop'\n");
    (0..ports).for_each(|number| text += &format!("[[rule]]\nallow = '{}/tcp'\n", grants.target(number).port()));
    for (series, strategy) in STRATEGIES {
        match compiled(&text, strategy) {
            Ok(compiled) => stage.measure(subject(series), |path| Ok(path.apply(&compiled)?), &cases),
            Err(error) => println!("SKIPPED {series}, {ports} ports for everybody: {error}"),
        }
    }
}

/// So many ports, `SENDERS` times as many rules.
pub fn run(stage: &mut Stage, family: Family, ports: usize) {
    for same in [true, false] {
        let grants = Grants { family, same, ports };
        let group = if same { "ports, the same 10 senders for all" } else { "ports, 10 senders of its own each" };
        let cases = grants.cases();
        let mut measure = |series, build: &dyn Fn(&mut Path) -> Result<()>| {
            stage.measure(Subject { group, family, series, size: ports * SENDERS }, build, &cases);
        };
        measure("linear, original port", &|path| grants.manual(path));
        measure("linear, as ufw-docker", &|path| grants.ufw_docker(path));
        if has("nft", "the rules of whalewall") {
            measure("verdict map per container, as whalewall", &|path| grants.whalewall(path));
        }
        for (series, strategy) in STRATEGIES {
            match compiled(&grants.policy(), strategy) {
                Ok(compiled) => measure(series, &|path| Ok(path.apply(&compiled)?)),
                // Each list of senders is a look-up: of many it is left to the tree.
                Err(error) => println!("SKIPPED {series}, {group}, {ports} ports: {error}"),
            }
        }
    }
}
