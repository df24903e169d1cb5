use std::fmt;

use super::ports::{self, Ports};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Protocol,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m udp`: ports of UDP. Kernel: `net/netfilter/xt_tcpudp.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Udp {
    ports: Ports,
}

impl Extension for Udp {
    const NAME: &'static str = "udp";
    const PROTOCOL: Option<Protocol> = Some(Protocol::UDP);
    const SUMMARY: &'static str = "ports of UDP";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("source-port", &["PORT[:PORT]"], "the sender's port, or a range of ports").aliases(&["sport"]).negates(),
        opt("destination-port", &["PORT[:PORT]"], "the receiver's port, or a range of ports").aliases(&["dport"]).negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-p udp --dport 53 -j DROP", "-p udp -m udp --dport 53 -j DROP"),
        Example::ok("-p udp --dport domain -j DROP", "-p udp -m udp --dport 53 -j DROP"),
        Example::ok("-p udp ! --dport 1024: -j DROP", "-p udp -m udp ! --dport 1024:65535 -j DROP"),
        Example::ok("-p udp --sport :1023 --dport 123 -j DROP", "-p udp -m udp --sport 0:1023 --dport 123 -j DROP"),
        Example::ok("-p udp --source-port 5 --destination-port 6 -j DROP", "-p udp -m udp --sport 5 --dport 6 -j DROP"),
        Example::ok("-p udp ! --sport 5 ! --dport 6 -j DROP", "-p udp -m udp ! --sport 5 ! --dport 6 -j DROP"),
        Example::ok("-p udp -m udp --sport 5 -m udp --dport 6 -j DROP", "-p udp -m udp --sport 5 --dport 6 -j DROP"),
        Example::ok("-p udp --dport 0:65535 -j DROP", "-p udp -m udp -j DROP"),
        Example::same("-p udp -m udp ! --dport 0:65535 -j DROP"),
        Example::fails("-p tcp -m udp --dport 53 -j DROP", "needs `-p udp`"),
        Example::fails("-p udp --dport 60:50 -j DROP", "the range runs backwards: 60 is more than 50"),
        Example::fails("-p udp --dport nosuchservice -j DROP", "no service is called `nosuchservice`"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::UDP])?;
        let mut udp = Self::default();
        for given in args {
            match given.name() {
                "source-port" => udp.ports.source = ports::parse(&given)?,
                _ => udp.ports.destination = ports::parse(&given)?,
            }
        }
        Ok(udp)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        if !out.dialect().native() || self.ports.is_empty() || self.ports.never(out.dialect()) || !out.first_ports() {
            return out.xt_match(Self::NAME, 0, &self.to_xt());
        }
        self.ports.linearize(out);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::UDP) {
            return None;
        }
        if let Some(info) = cursor.take_match(Self::NAME, 0) {
            return Self::from_xt(info);
        }
        let mut udp = Self::default();
        while udp.ports.take(cursor) {}
        (!udp.ports.is_empty()).then_some(udp)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("udp")?;
        self.ports.list(f)
    }

    fn merge(&mut self, other: &Self) -> bool {
        // Without ports it is no native test.
        !self.ports.is_empty() && !other.ports.is_empty() && self.ports.merge(&other.ports)
    }
}

impl Udp {
    /// Where they are in the struct.
    pub const INVFLAGS: usize = 8;

    fn to_xt(self) -> [u8; 16] {
        // struct xt_udp: spts[2], dpts[2], invflags
        let mut info = [0; 16];
        let (ports, invflags) = self.ports.to_xt();
        info[..8].copy_from_slice(&ports);
        info[Self::INVFLAGS] = invflags;
        info
    }

    fn from_xt(info: &[u8; 16]) -> Option<Self> {
        let (ports, _) = info.split_first_chunk()?;
        let udp = Self { ports: Ports::from_xt(*ports, info[Self::INVFLAGS])? };
        (udp.to_xt() == ports::xt_upwards(*info, Self::INVFLAGS)).then_some(udp)
    }
}

impl fmt::Display for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ports.save(f, &mut true)
    }
}
