use std::fmt;

use super::ports::{Colon, PortRange};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Protocol,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, ordered, port},
};

/// `-m multiport`: one of several ports. Kernel: `net/netfilter/xt_multiport.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiport {
    side: Side,
    negated: bool,
    /// At least one; they fill 15 slots at most, a range two of them.
    ports: Box<[PortRange]>,
}

/// Whose ports (`enum xt_multiport_flags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source = 0,
    Destination = 1,
    /// One of the two is enough.
    Either = 2,
}

/// `XT_MULTI_PORTS`
const SLOTS: usize = 15;
const PROTOCOLS: &[Protocol] = &[Protocol::TCP, Protocol::UDP, Protocol::UDPLITE, Protocol::SCTP, Protocol::DCCP];

impl Extension for Multiport {
    const NAME: &'static str = "multiport";
    const SUMMARY: &'static str = "one of several ports";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("source-ports", &["PORT[:PORT],…"], "the sender's port is one of these").aliases(&["sports"]).negates(),
        opt("destination-ports", &["PORT[:PORT],…"], "the receiver's port is one of these").aliases(&["dports"]).negates(),
        opt("ports", &["PORT[:PORT],…"], "the sender's or the receiver's port is one of these").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-p tcp -m multiport --dports 80,443 -j DROP"),
        Example::ok("-p tcp -m multiport --dports http,https,8000:8080 -j DROP", "-p tcp -m multiport --dports 80,443,8000:8080 -j DROP"),
        Example::ok("-p udp -m multiport ! --destination-ports 53 -j DROP", "-p udp -m multiport ! --dports 53 -j DROP"),
        Example::ok("-p sctp -m multiport --source-ports 1:2,5 -j DROP", "-p sctp -m multiport --sports 1:2,5 -j DROP"),
        Example::same("-p dccp -m multiport ! --ports 0:1023,65535 -j DROP"),
        Example::ok("-p tcp -m multiport --dport 80 -j DROP", "-p tcp -m multiport --dports 80 -j DROP"),
        Example::same("-p udplite -m multiport --sports 1 -m multiport --dports 2 -j DROP"),
        Example::same("-p tcp -m multiport --ports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15 -j DROP"),
        Example::fails("-p tcp -m multiport -j DROP", "needs `--sports`, `--dports` or `--ports`"),
        Example::fails(
            "-m multiport --dports 80 -j DROP",
            "needs `-p tcp` or `-p udp` or `-p udplite` or `-p sctp` or `-p dccp`",
        ),
        Example::fails("-p tcp -m multiport --sports 1 --dports 2 -j DROP", "one of these is enough"),
        Example::fails("-p tcp -m multiport --dports 80:80 -j DROP", "a range has two ports"),
        Example::fails("-p tcp -m multiport --dports 90:80 -j DROP", "the range runs backwards: 90 is more than 80"),
        Example::fails("-p tcp -m multiport --dports 1024: -j DROP", "a port is missing"),
        Example::fails(
            "-p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15:16 -j DROP",
            "there is room for 15 ports, of which a range takes two",
        ),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(PROTOCOLS)?;
        let given = args.next().ok_or_else(|| args.error("needs `--sports`, `--dports` or `--ports`"))?;
        if let Some(second) = args.next() {
            return Err(second.error_here("one of these is enough").hint("for both sides write `-m multiport` again in front of it"));
        }
        let side = match given.name() {
            "source-ports" => Side::Source,
            "destination-ports" => Side::Destination,
            _ => Side::Either,
        };
        Ok(Self { side, negated: given.negated, ports: parse_ports(&given)? })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !PROTOCOLS.iter().any(|&protocol| cursor.is_protocol(protocol)) {
            return None;
        }
        Self::from_xt(cursor.take_match(Self::NAME, 1)?)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two blanks before a `!`, as iptables prints it.
        write!(f, "multiport {} {}{}", self.side.name(), if self.negated { " !" } else { "" }, List(&self.ports))
    }
}

fn parse_ports(given: &Given<'_>) -> Result<Box<[PortRange]>, SyntaxError> {
    let word = &given.values[0];
    let one = |text: &str| match text {
        "" => Err(word.error("a port is missing").hint("write them with commas between, ranges with both ends: 80,443,1024:65535")),
        text => port(word, text),
    };
    let mut ports = Vec::new();
    for text in word.text.split(',') {
        ports.push(match text.split_once(':') {
            None => one(text).map(|port| (port, port))?,
            Some((low, high)) => match ordered(word, one(low)?, one(high)?, ':')? {
                (low, high) if low == high => return Err(word.error("a range has two ports").hint(format!("write {low}"))),
                range => range,
            },
        });
    }
    if slots(&ports) > SLOTS {
        let error = word.error(format!("there is room for {SLOTS} ports, of which a range takes two"));
        return Err(error.hint("write a second rule, or use an ipset"));
    }
    Ok(ports.into())
}

fn slots(ports: &[PortRange]) -> usize {
    ports.iter().map(|(low, high)| if low == high { 1 } else { 2 }).sum()
}

impl Multiport {
    fn to_xt(&self) -> [u8; 48] {
        // struct xt_multiport_v1: flags, count, ports[15], pflags[15] (1: with the next one a
        // range), invert
        let mut info = [0; 48];
        let mut at = 0;
        let mut put = |port: u16, pflag| {
            info[2 + 2 * at..][..2].copy_from_slice(&port.to_ne_bytes());
            info[32 + at] = pflag;
            at += 1;
        };
        for &(low, high) in &self.ports {
            put(low, u8::from(low != high));
            if low != high {
                put(high, 0);
            }
        }
        info[0] = self.side as u8;
        info[1] = at as u8;
        info[47] = self.negated.into();
        info
    }

    fn from_xt(info: &[u8; 48]) -> Option<Self> {
        let side = [Side::Source, Side::Destination, Side::Either].into_iter().find(|&side| side as u8 == info[0])?;
        let port = |at: usize| u16::from_ne_bytes([info[2 + 2 * at], info[3 + 2 * at]]);
        let mut slots = (0..SLOTS.min(info[1].into())).map(|at| (port(at), info[32 + at] == 1));
        let mut ports = Vec::new();
        while let Some((low, begins)) = slots.next() {
            let high = if begins { slots.next()?.0 } else { low };
            if low > high {
                return None;
            }
            ports.push((low, high));
        }
        let multiport = Self { side, negated: info[47] == 1, ports: ports.into() };
        (!multiport.ports.is_empty() && multiport.to_xt() == *info).then_some(multiport)
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Source => "sports",
            Self::Destination => "dports",
            Self::Either => "ports",
        }
    }
}

impl fmt::Display for Multiport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--{} {}", if self.negated { "! " } else { "" }, self.side.name(), List(&self.ports))
    }
}

struct List<'a>(&'a [PortRange]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, &range)| write!(f, "{}{}", if at > 0 { "," } else { "" }, Colon(range)))
    }
}
