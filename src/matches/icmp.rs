use std::fmt;

use super::icmp_type::{self, IcmpType, Names};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Protocol, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m icmp`: type and code of ICMP for IPv4. Kernel: `net/netfilter/xt_tcpudp.c`, in older ones
/// `net/ipv4/netfilter/ip_tables.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    test: Test<IcmpType>,
}

const NAMES: &Names = &[
    ("any", 255, None),
    ("echo-reply", 0, None),
    ("pong", 0, None),
    ("destination-unreachable", 3, None),
    ("network-unreachable", 3, Some(0)),
    ("host-unreachable", 3, Some(1)),
    ("protocol-unreachable", 3, Some(2)),
    ("port-unreachable", 3, Some(3)),
    ("fragmentation-needed", 3, Some(4)),
    ("source-route-failed", 3, Some(5)),
    ("network-unknown", 3, Some(6)),
    ("host-unknown", 3, Some(7)),
    ("network-prohibited", 3, Some(9)),
    ("host-prohibited", 3, Some(10)),
    ("TOS-network-unreachable", 3, Some(11)),
    ("TOS-host-unreachable", 3, Some(12)),
    ("communication-prohibited", 3, Some(13)),
    ("host-precedence-violation", 3, Some(14)),
    ("precedence-cutoff", 3, Some(15)),
    ("source-quench", 4, None),
    ("redirect", 5, None),
    ("network-redirect", 5, Some(0)),
    ("host-redirect", 5, Some(1)),
    ("TOS-network-redirect", 5, Some(2)),
    ("TOS-host-redirect", 5, Some(3)),
    ("echo-request", 8, None),
    ("ping", 8, None),
    ("router-advertisement", 9, None),
    ("router-solicitation", 10, None),
    ("time-exceeded", 11, None),
    ("ttl-exceeded", 11, None),
    ("ttl-zero-during-transit", 11, Some(0)),
    ("ttl-zero-during-reassembly", 11, Some(1)),
    ("parameter-problem", 12, None),
    ("ip-header-bad", 12, Some(0)),
    ("required-option-missing", 12, Some(1)),
    ("timestamp-request", 13, None),
    ("timestamp-reply", 14, None),
    ("address-mask-request", 17, None),
    ("address-mask-reply", 18, None),
];

impl Extension for Icmp {
    const NAME: &'static str = "icmp";
    const FAMILIES: &'static [Family] = &[Family::Ip];
    const PROTOCOL: Option<Protocol> = Some(Protocol::ICMP);
    const SUMMARY: &'static str = "type and code of ICMP";
    const OPTIONS: &'static [OptionSpec] =
        &[opt("icmp-type", &["TYPE[/CODE]"], "the type, and perhaps the code, as numbers or a name").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-p icmp --icmp-type echo-request -j DROP", "-p icmp -m icmp --icmp-type 8 -j DROP"),
        Example::ok("-p icmp --icmp-type PING -j DROP", "-p icmp -m icmp --icmp-type 8 -j DROP"),
        Example::ok("-p icmp --icmp-type frag -j DROP", "-p icmp -m icmp --icmp-type 3/4 -j DROP"),
        Example::ok("-p icmp ! --icmp-type 3/4 -j DROP", "-p icmp -m icmp ! --icmp-type 3/4 -j DROP"),
        Example::ok("-p 1 -m icmp --icmp-type 0x3/0 -j DROP", "-p icmp -m icmp --icmp-type 3/0 -j DROP"),
        Example::ok("-p icmp --icmp-type 255 -j DROP", "-p icmp -m icmp --icmp-type any -j DROP"),
        Example::same("-p icmp -m icmp ! --icmp-type any -j DROP"),
        Example::fails("-p icmp -m icmp -j DROP", "needs `--icmp-type TYPE`"),
        Example::fails("-m icmp --icmp-type 8 -j DROP", "needs `-p icmp`"),
        Example::fails("-p icmp --icmp-type router -j DROP", "`router` may be `router-advertisement` or `router-solicitation`"),
        Example::fails("-p icmp --icmp-type pings -j DROP", "`pings` is not a type of ICMP"),
        Example::fails("-p icmp --icmp-type 3/256 -j DROP", "`256` is not a code of ICMP"),
        Example::fails("-p icmp --icmp-type 3/4:1 -j DROP", "the range runs backwards: 4 is more than 1"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::ICMP])?;
        let given = args.next().ok_or_else(|| args.error("needs `--icmp-type TYPE`"))?;
        Ok(Self { test: IcmpType::parse(&given, NAMES)? })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        icmp_type::linearize(self.test, Self::NAME, out);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::ICMP) {
            return None;
        }
        Some(Self { test: icmp_type::delinearize(Self::NAME, cursor)? })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("icmp")?;
        icmp_type::list(self.test, f)
    }
}

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--icmp-type ", self.test.bang())?;
        if self.test.value == IcmpType::EVERY { f.write_str("any") } else { self.test.value.fmt(f) }
    }
}
