//! `[[test]]`

use std::{net::IpAddr, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Block, Expected, Packet, PacketTest, Ports, State, read::Reader};
use crate::model::{Interface, Protocol};

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
        let inward = self.one_interface(file, inward, "a packet comes in by one interface");
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
            Ok(_) => self.problems(file).error(span, "a packet has one address", None),
            Err((message, hint)) => self.problems(file).error(span, message, hint),
        }
        None
    }

    fn port(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Option<(u16, Protocol)> {
        let (text, span) = self.problems(file).string(value, "a port, like \"443/tcp\"")?;
        match Ports::parse(text) {
            Ok(Ports { protocol, range: Some(range) }) if range.first == range.last => return Some((range.first, protocol)),
            Ok(_) => self.problems(file).error(span, "a packet has one port", None),
            Err((message, hint)) => self.problems(file).error(span, message, hint),
        }
        None
    }
}
