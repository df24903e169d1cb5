//! What a policy means for a packet, from its values alone: no chains, no kernel.

use std::net::IpAddr;

use super::{Action, Block, Policy, PolicyRule, Ports, Sources, Verdict};
use crate::{
    matches::Match as Extension,
    model::{Address, Family, Interface, Protocol, Test},
    rule::Rule,
    targets::Target,
};

/// A packet that is forwarded, as far as it is described. What is `None` may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The interface that it comes in by.
    pub inward: Interface,
    /// The interface that it goes out by.
    pub outward: Option<Interface>,
    /// Its source address.
    pub from: IpAddr,
    /// The host's address that the connection was opened to, before Docker's DNAT.
    pub to: Option<IpAddr>,
    /// Its protocol.
    pub protocol: Option<Protocol>,
    /// The port on the host that the connection was opened to, before Docker's DNAT.
    pub port: Option<u16>,
    /// What is known of its connection.
    pub state: State,
}

/// What connection tracking knows of a packet's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It is the first of a connection.
    #[default]
    New,
    /// It is a later one, from who opened the connection.
    Established,
    /// It is an answer to who opened the connection.
    Reply,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Docker decides: it passes if its port is published.
    Allow,
    /// It passes, past Docker's own rules.
    Accept,
    /// It is gone.
    Drop,
    /// It is gone, and its sender told.
    Reject,
}

/// What decides about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It belongs to a known connection, and such packets pass before all rules.
    Known,
    /// The rule with that index in [`Policy::rules`].
    Rule(usize),
    /// No rule; it comes in by an external interface.
    Default,
    /// No rule; it comes in by another interface.
    Nothing,
}

/// What a policy says of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// What becomes of the packet, unless one of the rules in `unless` decides.
    pub verdict: Fate,
    /// What decides that.
    pub decided_by: By,
    /// Rules before that, in order, which may decide: whether they do, the description of the packet does not
    /// tell. Empty for a packet that is described in full, and a policy without lines of iptables.
    pub unless: Vec<Unless>,
}

/// A rule that may decide about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unless {
    /// Its index in [`Policy::rules`].
    pub rule: usize,
    /// What becomes of the packet then; `None` where that is not known either.
    pub verdict: Option<Fate>,
    /// Why it is not known whether it decides.
    pub because: Unknown,
}

/// What is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// [`Packet::outward`]
    Outward,
    /// [`Packet::to`]
    To,
    /// [`Packet::port`], or [`Packet::protocol`]
    Port,
    /// What a line of iptables tests, or what its target does.
    Line,
}

/// Does a test pass?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passes {
    No,
    Yes,
    Unknown(Unknown),
}

/// What a line of iptables does with a packet that it matches.
enum Then {
    GoesOn,
    Decides(Fate),
    /// Anything.
    Unknown,
}

impl Policy {
    /// What becomes of a packet, and why: the rules are tried in order, and the first that decides wins.
    ///
    /// ```
    /// use dockgate::{model::Interface, policy::{By, Fate, File, Packet, Policy, State}};
    ///
    /// let text = "external = 'eth0'\ndefault = 'drop'\n[[rule]]\nallow = 'any'\nfrom = '192.168.1.0/24'\n";
    /// let policy = Policy::parse(vec![File::new("web.toml", text)]).policy;
    /// let inward = Interface::new("eth0")?;
    /// let from = "192.168.1.7".parse()?;
    /// let packet = Packet { inward, outward: None, from, to: None, protocol: None, port: None, state: State::New };
    /// assert_eq!(policy.verdict(&packet).decided_by, By::Rule(0));
    /// let from = "192.168.2.7".parse()?;
    /// assert_eq!(policy.verdict(&Packet { from, ..packet }).verdict, Fate::Drop);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verdict(&self, packet: &Packet) -> Meaning {
        let mut unless = Vec::new();
        if self.established && packet.state != State::New {
            return Meaning { verdict: Fate::Allow, decided_by: By::Known, unless };
        }
        for (index, rule) in self.rules.iter().enumerate() {
            if let Some(verdict) = self.decision(index, rule, packet, &mut unless) {
                return Meaning { verdict, decided_by: By::Rule(index), unless };
            }
        }
        match has(&self.external, packet.inward) {
            true => Meaning { verdict: self.default.into(), decided_by: By::Default, unless },
            false => Meaning { verdict: Fate::Allow, decided_by: By::Nothing, unless },
        }
    }

    /// What a rule decides about a packet for certain; what it may decide comes to `unless`.
    fn decision(&self, index: usize, rule: &PolicyRule, packet: &Packet, unless: &mut Vec<Unless>) -> Option<Fate> {
        let verdict = match &rule.action {
            Action::Decide(verdict) => (*verdict).into(),
            Action::Accept => Fate::Accept,
            Action::Log => return None,
            Action::Raw(lines) => {
                let lines = lines.iter().filter(|(family, _)| *family == packet.family());
                return lines.map(|(_, line)| line).find_map(|line| decision_of_line(index, line, packet, unless));
            }
        };
        match self.passes(rule, packet) {
            Passes::No => None,
            Passes::Yes => Some(verdict),
            Passes::Unknown(because) => {
                unless.push(Unless { rule: index, verdict: Some(verdict), because });
                None
            }
        }
    }

    fn passes(&self, rule: &PolicyRule, packet: &Packet) -> Passes {
        let inward = if rule.inward.is_empty() { &self.external } else { &rule.inward };
        let outward = match packet.outward {
            _ if rule.outward.is_empty() => Passes::Yes,
            Some(name) => has(&rule.outward, name).into(),
            None => Passes::Unknown(Unknown::Outward),
        };
        let from = rule.from.as_ref().is_none_or(|from| from.addresses.has(&Block::of(packet.from)));
        all([
            has(inward, packet.inward).into(),
            from.into(),
            outward,
            asked_address(rule.to.as_ref(), packet),
            asked_port(&rule.ports, packet),
        ])
    }
}

/// Was the connection opened to one of these addresses? That is known of packets one way alone.
fn asked_address(to: Option<&Sources>, packet: &Packet) -> Passes {
    let Some(to) = to else { return Passes::Yes };
    match packet.to {
        _ if packet.state == State::Reply || to.addresses.of(packet.family()).is_empty() => Passes::No,
        Some(address) => to.addresses.has(&Block::of(address)).into(),
        None => Passes::Unknown(Unknown::To),
    }
}

/// Was it opened to one of these ports?
fn asked_port(ports: &[Ports], packet: &Packet) -> Passes {
    let one = |ports: &Ports| match (packet.protocol, ports.range, packet.port) {
        (Some(protocol), ..) if protocol != ports.protocol => Passes::No,
        (Some(_), None, _) => Passes::Yes,
        (_, Some(_), _) if packet.state == State::Reply => Passes::No,
        (Some(_), Some(range), Some(port)) => (range.first <= port && port <= range.last).into(),
        _ => Passes::Unknown(Unknown::Port),
    };
    if ports.is_empty() { Passes::Yes } else { any(ports.iter().map(one)) }
}

/// The same as [`Policy::decision`], of a line of iptables, as far as it can be said without its matches.
fn decision_of_line(index: usize, line: &Rule, packet: &Packet, unless: &mut Vec<Unless>) -> Option<Fate> {
    let verdict = match then(line.target.as_ref()) {
        Then::GoesOn => return None,
        Then::Decides(verdict) => Some(verdict),
        Then::Unknown => None,
    };
    match line_passes(line, packet) {
        Passes::No => return None,
        Passes::Yes if verdict.is_some() => return verdict,
        Passes::Yes => unless.push(Unless { rule: index, verdict, because: Unknown::Line }),
        Passes::Unknown(because) => unless.push(Unless { rule: index, verdict, because }),
    }
    None
}

fn line_passes(line: &Rule, packet: &Packet) -> Passes {
    let base = &line.base;
    let by = |test: Option<Test<Interface>>, name| test.is_none_or(|test| test.value.covers(&name) != test.negated);
    let outward = match packet.outward {
        Some(name) => by(base.out_interface, name).into(),
        None if base.out_interface.is_none() => Passes::Yes,
        None => Passes::Unknown(Unknown::Outward),
    };
    let protocol = match (base.protocol, packet.protocol) {
        (None, _) => Passes::Yes,
        (Some(test), Some(protocol)) => ((protocol == test.value) != test.negated).into(),
        (Some(_), None) => Passes::Unknown(Unknown::Port),
    };
    let source = base.source.is_none_or(|test| contains(test.value, packet.from) != test.negated);
    // The destination is rewritten already: it is an address of a container.
    let rest =
        base.destination.is_some() || base.fragment.is_some() || !line.matches.iter().all(|one| matches!(one, Extension::Comment(_)));
    let rest = if rest { Passes::Unknown(Unknown::Line) } else { Passes::Yes };
    all([by(base.in_interface, packet.inward).into(), source.into(), rest, outward, protocol])
}

fn then(target: Option<&Target>) -> Then {
    match target {
        Some(Target::Accept) => Then::Decides(Fate::Accept),
        Some(Target::Drop) => Then::Decides(Fate::Drop),
        // Out of our chains: Docker decides.
        Some(Target::Return) => Then::Decides(Fate::Allow),
        Some(Target::Reject(_)) => Then::Decides(Fate::Reject),
        Some(Target::Jump(_) | Target::Goto(_) | Target::Nfqueue(_) | Target::Synproxy(_)) => Then::Unknown,
        _ => Then::GoesOn,
    }
}

fn has(names: &[Interface], name: Interface) -> bool {
    names.iter().any(|one| one.covers(&name))
}

fn contains(prefix: Address, address: IpAddr) -> bool {
    match (prefix, address) {
        (Address::V4 { addr, mask }, IpAddr::V4(address)) => address.to_bits() & mask.to_bits() == addr.to_bits(),
        (Address::V6 { addr, mask }, IpAddr::V6(address)) => address.to_bits() & mask.to_bits() == addr.to_bits(),
        _ => false,
    }
}

/// Do all pass?
fn all<const N: usize>(tests: [Passes; N]) -> Passes {
    let unknown = tests.into_iter().find(|one| matches!(one, Passes::Unknown(_)));
    if tests.contains(&Passes::No) { Passes::No } else { unknown.unwrap_or(Passes::Yes) }
}

/// Does one pass?
fn any(tests: impl Iterator<Item = Passes>) -> Passes {
    let mut found = Passes::No;
    for one in tests {
        match one {
            Passes::Yes => return Passes::Yes,
            Passes::Unknown(_) => found = one,
            Passes::No => {}
        }
    }
    found
}

impl From<bool> for Passes {
    fn from(passes: bool) -> Self {
        if passes { Self::Yes } else { Self::No }
    }
}

impl From<Verdict> for Fate {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allow => Self::Allow,
            Verdict::Drop => Self::Drop,
            Verdict::Reject => Self::Reject,
        }
    }
}

impl Packet {
    /// Its family.
    pub fn family(&self) -> Family {
        if self.from.is_ipv4() { Family::Ip } else { Family::Ip6 }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::File, *};

    fn packet(protocol: Option<Protocol>, outward: Option<&str>) -> Packet {
        let name = |name: &str| Interface::new(name).unwrap();
        let from = IpAddr::from([192, 0, 2, 7]);
        Packet { inward: name("eth0"), outward: outward.map(name), from, to: None, protocol, port: None, state: State::New }
    }

    #[test]
    fn lines_of_iptables_decide_where_their_base_options_and_verdict_tell() {
        let tcp = packet(Some(Protocol::TCP), Some("docker0"));
        let decided = |verdict| (By::Rule(0), verdict, None);
        let unknown = |verdict, because| (By::Default, Fate::Drop, Some((verdict, because)));
        let none = (By::Default, Fate::Drop, None);
        for (line, packet, expected) in [
            ("-j RETURN", tcp, decided(Fate::Allow)),
            ("-i eth0 -o docker+ -s 192.0.2.0/24 -p tcp -j ACCEPT", tcp, decided(Fate::Accept)),
            ("! -i eth1 -m comment --comment 'no test' -j REJECT", tcp, decided(Fate::Reject)),
            ("! -s 192.0.2.0/24 -j ACCEPT", tcp, none),
            ("-s 2001:db8::/32 -j ACCEPT", tcp, none),
            ("-p udp -m limit --limit 5/s -j ACCEPT", tcp, none),
            // It goes on.
            ("-m limit --limit 5/s -j LOG", tcp, none),
            ("-s 192.0.2.7 -j MARK --set-mark 1", tcp, none),
            ("-s 192.0.2.7", tcp, none),
            // It may match, or do anything.
            ("-d 172.17.0.2 -j ACCEPT", tcp, unknown(Some(Fate::Accept), Unknown::Line)),
            ("-p tcp --dport 80 -j REJECT", tcp, unknown(Some(Fate::Reject), Unknown::Line)),
            ("-j mine", tcp, unknown(None, Unknown::Line)),
            ("-p tcp -j ACCEPT", packet(None, None), unknown(Some(Fate::Accept), Unknown::Port)),
            ("-o docker0 -j ACCEPT", packet(None, None), unknown(Some(Fate::Accept), Unknown::Outward)),
        ] {
            let text = format!("external = 'eth0'\ndefault = 'drop'\n[[rule]]\niptables = \"{line}\"\n");
            let read = Policy::parse(vec![File::new("lines.toml", text)]);
            assert_eq!(read.problems, [], "{line}");
            let meaning = read.policy.verdict(&packet);
            let unless = meaning.unless.first().map(|unless| (unless.verdict, unless.because));
            assert_eq!((meaning.decided_by, meaning.verdict, unless), expected, "{line}");
        }
    }
}
