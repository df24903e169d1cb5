use std::fmt;

use super::icmp_type::{self, IcmpType, Names};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Protocol, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m icmp6`: type and code of ICMP for IPv6. Kernel: `net/netfilter/xt_tcpudp.c`, in older ones
/// `net/ipv6/netfilter/ip6_tables.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp6 {
    test: Test<IcmpType>,
}

const NAMES: &Names = &[
    ("destination-unreachable", 1, None),
    ("no-route", 1, Some(0)),
    ("communication-prohibited", 1, Some(1)),
    ("beyond-scope", 1, Some(2)),
    ("address-unreachable", 1, Some(3)),
    ("port-unreachable", 1, Some(4)),
    ("failed-policy", 1, Some(5)),
    ("reject-route", 1, Some(6)),
    ("packet-too-big", 2, None),
    ("time-exceeded", 3, None),
    ("ttl-exceeded", 3, None),
    ("ttl-zero-during-transit", 3, Some(0)),
    ("ttl-zero-during-reassembly", 3, Some(1)),
    ("parameter-problem", 4, None),
    ("bad-header", 4, Some(0)),
    ("unknown-header-type", 4, Some(1)),
    ("unknown-option", 4, Some(2)),
    ("echo-request", 128, None),
    ("ping", 128, None),
    ("echo-reply", 129, None),
    ("pong", 129, None),
    ("mld-listener-query", 130, None),
    ("mld-listener-report", 131, None),
    ("mld-listener-done", 132, None),
    ("mld-listener-reduction", 132, None),
    ("router-solicitation", 133, None),
    ("router-advertisement", 134, None),
    ("neighbour-solicitation", 135, None),
    ("neighbor-solicitation", 135, None),
    ("neighbour-advertisement", 136, None),
    ("neighbor-advertisement", 136, None),
    ("redirect", 137, None),
];

impl Extension for Icmp6 {
    const NAME: &'static str = "icmp6";
    const ALIASES: &'static [&'static str] = &["icmpv6", "ipv6-icmp"];
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const PROTOCOL: Option<Protocol> = Some(Protocol::ICMPV6);
    const SUMMARY: &'static str = "type and code of ICMPv6";
    const OPTIONS: &'static [OptionSpec] =
        &[opt("icmpv6-type", &["TYPE[/CODE]"], "the type, and perhaps the code, as numbers or a name").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-p ipv6-icmp --icmpv6-type echo-request -j DROP", "-p ipv6-icmp -m icmp6 --icmpv6-type 128 -j DROP"),
        Example::ok("-p icmpv6 --icmpv6-type neighbor-s -j DROP", "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -j DROP"),
        Example::ok("-p 58 -m ipv6-icmp ! --icmpv6-type 1/4 -j DROP", "-p ipv6-icmp -m icmp6 ! --icmpv6-type 1/4 -j DROP"),
        Example::ok("-p icmpv6 -m icmpv6 --icmpv6-type no-route -j DROP", "-p ipv6-icmp -m icmp6 --icmpv6-type 1/0 -j DROP"),
        Example::same("-p ipv6-icmp -m icmp6 --icmpv6-type 255 -j DROP"),
        Example::fails("-p ipv6-icmp -m icmp6 -j DROP", "needs `--icmpv6-type TYPE`"),
        Example::fails("-p icmp -m icmp6 --icmpv6-type 128 -j DROP", "needs `-p ipv6-icmp`"),
        Example::fails("-p ipv6-icmp --icmpv6-type any -j DROP", "`any` is not a type of ICMP"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::ICMPV6])?;
        let given = args.next().ok_or_else(|| args.error("needs `--icmpv6-type TYPE`"))?;
        Ok(Self { test: IcmpType::parse(&given, NAMES)? })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        icmp_type::linearize(self.test, Self::NAME, out);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::ICMPV6) {
            return None;
        }
        Some(Self { test: icmp_type::delinearize(Self::NAME, cursor)? })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ipv6-icmp")?;
        icmp_type::list(self.test, f)
    }
}

impl fmt::Display for Icmp6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--icmpv6-type {}", self.test.bang(), self.test.value)
    }
}
