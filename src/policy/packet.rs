//! `[[test]]`

use std::{net::IpAddr, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Block, Expected, PacketTest, Ports, read::Reader};
use crate::model::Protocol;

pub(super) const TEST: &[&str] = &["name", "packet", "expect"];
pub(super) const PACKET: &[&str] = &["in", "from", "to", "to_port"];

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
        let expect = self.word(file, expect, &[("pass", Expected::Pass), ("drop", Expected::Drop), ("reject", Expected::Reject)]);
        let packet = self.problems(file).table(value, "a packet")?;
        self.problems(file).only(packet, "a packet", PACKET);
        let (Some(inward), Some(from)) = (packet.get("in"), packet.get("from")) else {
            let hint = "like { in = \"eth0\", from = \"192.0.2.1\", to_port = \"443/tcp\" }".to_owned();
            self.problems(file).error(value.span(), "a packet has an interface `in` and an address `from`", Some(hint));
            return None;
        };
        let by = self.problems(file).string(inward, "the name of an interface").and_then(|at| self.interface(file, at));
        if by.is_some_and(|by| by.is_prefix()) {
            self.problems(file).error(inward.span(), "a packet comes in by one interface", Some("write its whole name".to_owned()));
        }
        let sender = self.address(file, from);
        let to = packet.get("to").and_then(|value| Some((self.address(file, value)?, value.span())));
        if let (Some(from), Some((to, span))) = (sender, &to)
            && from.is_ipv4() != to.is_ipv4()
        {
            let hint = "write two addresses of one family".to_owned();
            self.problems(file).error(span.clone(), "`from` and `to` are not of one family", Some(hint));
        }
        let to_port = packet.get("to_port").and_then(|value| self.port(file, value));
        Some(PacketTest { place, name, inward: by?, from: sender?, to: to.map(|(to, _)| to), to_port, expect: expect? })
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
