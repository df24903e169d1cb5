//! `[[test]]`

use std::{net::IpAddr, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Action, Block, Expected, Packet, PacketTest, PolicyRule, Ports, State,
    read::Reader,
    table::{Problems, nearest},
};
use crate::{
    model::{Interface, Protocol},
    rule::Rule,
};

pub(super) const TEST: &[&str] = &["name", "packet", "expect"];
pub(super) const PACKET: &[&str] = &["in", "out", "from", "to", "to_port", "protocol", "established"];

impl Reader<'_> {
    pub(super) fn test(&mut self, file: usize, table: &DeTable<'_>, span: Range<usize>) -> Option<PacketTest> {
        self.problems(file).only(table, "a test", TEST);
        let place = self.place(file, &span);
        let name = self.text(file, table, "name").unwrap_or_else(|| format!("the test at line {}", place.line));
        let (Some(expect), Some(value)) = (table.get("expect"), table.get("packet")) else {
            let hint = "packet = { in = \"eth0\", from = \"192.0.2.1\", to_port = \"443/tcp\" }, expect = \"drop\"".to_owned();
            self.problems(file).error(span, "a test has a `packet` and what to `expect`", Some(hint));
            return None;
        };
        let expect_at = expect.span();
        let expect = self.word(file, expect, &[("pass", Expected::Pass), ("drop", Expected::Drop), ("reject", Expected::Reject)]);
        let packet = self.packet(file, value);
        Some(PacketTest { place, name, packet: packet?, expect: expect?, expect_at })
    }

    fn packet(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Option<Packet> {
        let packet = self.problems(file).table(value, "a packet")?;
        self.problems(file).only(packet, "a packet", PACKET);
        let (Some(inward), Some(from)) = (packet.get("in"), packet.get("from")) else {
            let hint = "like { in = \"eth0\", from = \"192.0.2.1\", to_port = \"443/tcp\" }".to_owned();
            self.problems(file).error(value.span(), "a packet has an interface `in` and an address `from`", Some(hint));
            return None;
        };
        let before = self.problems.len();
        let at = inward.span();
        let inward = self.one_interface(file, inward, "a packet comes in by one interface");
        self.tested.extend(inward.filter(|name| !name.is_prefix()).map(|name| (name, file, at)));
        let outward = packet.get("out").and_then(|value| self.one_interface(file, value, "a packet goes out by one interface"));
        let sender = self.address(file, from);
        let to = packet.get("to").and_then(|value| Some((self.address(file, value)?, value.span())));
        if let (Some(from), Some((to, span))) = (sender, &to)
            && from.is_ipv4() != to.is_ipv4()
        {
            let hint = "write two addresses of one family".to_owned();
            self.problems(file).error(span.clone(), "`from` and `to` are not of one family", Some(hint));
        }
        let to_port = packet.get("to_port").and_then(|value| self.port(file, value));
        let protocol = packet.get("protocol").and_then(|value| self.protocol(file, value));
        if let (Some(value), true) = (packet.get("protocol"), packet.contains_key("to_port")) {
            let hint = "leave out `protocol`".to_owned();
            self.problems(file).error(value.span(), "`to_port` says the protocol already", Some(hint));
        }
        if let (Some(from), Some(protocol), Some(value)) = (sender, protocol, packet.get("protocol")) {
            self.must_have(file, from, protocol, value.span());
        }
        let to = to.map(|(to, _)| to);
        // Answers are not known by what their connection was opened to.
        let state = match packet.get("established").and_then(|value| self.problems(file).boolean(value)) {
            Some(true) if to.is_none() && to_port.is_none() => State::Reply,
            Some(true) => State::Established,
            _ => State::New,
        };
        let (port, protocol) = to_port.map_or((None, protocol), |(port, protocol)| (Some(port), Some(protocol)));
        let packet = Packet { inward: inward?, outward, from: sender?, to, protocol, port, state };
        (self.problems.len() == before).then_some(packet)
    }

    /// ICMP is of one family.
    fn must_have(&mut self, file: usize, from: IpAddr, protocol: Protocol, span: Range<usize>) {
        let (own, other, write) = match from {
            IpAddr::V4(_) if protocol == Protocol::ICMPV6 => ("IPv4", "IPv6", "icmp"),
            IpAddr::V6(_) if protocol == Protocol::ICMP => ("IPv6", "IPv4", "icmpv6"),
            _ => return,
        };
        let hint = format!("write protocol = \"{write}\"");
        self.problems(file).error(span, format!("this protocol is of {other}, and `from` is of {own}"), Some(hint));
    }

    /// Says which tests are of an interface that the policy says nothing of: a slip in the name makes a test that
    /// passes for another reason. Containers' own packets come in by Docker's bridges, which no policy names.
    pub(super) fn say_unnamed_interfaces(&mut self) {
        let policy = &self.policy;
        if policy.external.is_empty() {
            return;
        }
        let is_of_line = |rule: &Rule, name: &Interface| rule.base.in_interface.is_some_and(|test| test.value.covers(name) != test.negated);
        let is_named = |name: &Interface| {
            let by_rule = |rule: &PolicyRule| match &rule.action {
                Action::Raw(lines) => lines.iter().any(|(_, line)| is_of_line(line, name)),
                _ => rule.inward.iter().any(|own| own.covers(name)),
            };
            policy.external.iter().any(|own| own.covers(name)) || policy.rules.iter().any(by_rule)
        };
        let external: Vec<String> = policy.external.iter().map(Interface::to_string).collect();
        let near = |name: &str| nearest(&external.iter().map(String::as_str).collect::<Vec<_>>(), name).map(str::to_owned);
        for (name, file, span) in self.tested.iter().filter(|(name, ..)| !is_named(name) && !is_dockers(name)) {
            let name = name.to_string();
            let hint = match near(&name) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("`external` is {}: rules without `in` are for packets that come in by that", external.join(", ")),
            };
            let message = format!("neither `external` nor a rule's `in` names `{name}`: Docker is left to decide");
            Problems { file: *file, all: &mut self.problems }.warning(span.clone(), message, hint);
        }
    }

    fn one_interface(&mut self, file: usize, value: &Spanned<DeValue<'_>>, message: &str) -> Option<Interface> {
        let name = self.problems(file).string(value, "the name of an interface").and_then(|at| self.interface(file, at))?;
        if name.is_prefix() {
            self.problems(file).error(value.span(), message, Some("write its whole name".to_owned()));
        }
        Some(name)
    }

    fn protocol(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Option<Protocol> {
        let (text, span) = self.problems(file).string(value, "a protocol, like \"icmp\"")?;
        let protocol = Protocol::parse(text).ok().flatten();
        if protocol.is_none() {
            let hint = "a name that iptables knows, or a number: \"tcp\", \"udp\", \"icmp\", \"icmpv6\"".to_owned();
            self.problems(file).error(span, format!("`{text}` is not a protocol"), Some(hint));
        }
        protocol
    }

    fn address(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Option<IpAddr> {
        let (text, span) = self.problems(file).string(value, "an address")?;
        match Block::parse(text) {
            Ok(block) if block.first == block.last => return Some(block.ends().0),
            Ok(block) => {
                let hint = format!("write one of them, like \"{}\"", block.ends().0);
                self.problems(file).error(span, "a packet has one address", Some(hint));
            }
            Err((message, hint)) => {
                let cure = match self.groups.contains_key(text) {
                    true => "a packet has one address: write one of this group, and for each case a test of its own",
                    false => "write one address, like \"192.0.2.1\"",
                };
                self.problems(file).error(span, message, hint.or_else(|| Some(cure.to_owned())));
            }
        }
        None
    }

    fn port(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Option<(u16, Protocol)> {
        let (text, span) = self.problems(file).string(value, "a port, like \"443/tcp\"")?;
        match Ports::parse(text) {
            Ok(Ports { protocol, range: Some(range) }) if range.first == range.last => return Some((range.first, protocol)),
            Ok(ports) => {
                let hint = match ports.range {
                    Some(range) => format!("write one of them, like \"{}/{}\"", range.first, ports.protocol),
                    None => format!("write one, like \"443/{0}\", or protocol = \"{0}\" instead of `to_port`", ports.protocol),
                };
                self.problems(file).error(span, "a packet has one port", Some(hint));
            }
            Err((message, hint)) => self.problems(file).error(span, message, hint),
        }
        None
    }
}

/// `docker0`, or the bridge of another network: `br-` and the first 12 digits of the network's number.
fn is_dockers(name: &Interface) -> bool {
    let name = name.to_string();
    let is_number = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name == "docker0" || name.strip_prefix("br-").is_some_and(is_number)
}
