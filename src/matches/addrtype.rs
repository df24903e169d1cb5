use std::fmt;

use super::words::{self, List, Words};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt},
};

/// `-m addrtype`: what the routing tables say of an address. Kernel: `net/netfilter/xt_addrtype.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Addrtype {
    /// Bits of [`TYPES`], at least one.
    source: Option<Test<u16>>,
    /// The same for the destination.
    destination: Option<Test<u16>>,
    interface: Option<Interface>,
}

/// Only this interface's routes and addresses count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interface {
    In,
    Out,
}

/// `RTN_…` of `include/uapi/linux/rtnetlink.h`, as bits.
const TYPES: &Words = &[
    ("UNSPEC", 1),
    ("UNICAST", 2),
    ("LOCAL", 4),
    ("BROADCAST", 8),
    ("ANYCAST", 0x10),
    ("MULTICAST", 0x20),
    ("BLACKHOLE", 0x40),
    ("UNREACHABLE", 0x80),
    ("PROHIBIT", 0x100),
    ("THROW", 0x200),
    ("NAT", 0x400),
    ("XRESOLVE", 0x800),
];
/// The kernel refuses the others for IPv6 (`addrtype_mt_checkentry_v1`).
const IPV6_TYPES: u16 = 0xb7;

const INVERT_SOURCE: u32 = 1;
const INVERT_DEST: u32 = 2;
const LIMIT_IFACE_IN: u32 = 4;
const LIMIT_IFACE_OUT: u32 = 8;

impl Extension for Addrtype {
    const NAME: &'static str = "addrtype";
    const SUMMARY: &'static str = "what the routing tables say of an address";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("src-type", &["TYPE[,…]"], "the source is UNICAST, LOCAL, BROADCAST, MULTICAST, …").negates(),
        opt("dst-type", &["TYPE[,…]"], "the destination is UNICAST, LOCAL, BROADCAST, MULTICAST, …").negates(),
        opt("limit-iface-in", &[], "by what belongs to the interface that the packet came in by"),
        opt("limit-iface-out", &[], "by what belongs to the interface that it goes out by"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m addrtype --src-type LOCAL -j DROP"),
        Example::ok("-m addrtype ! --dst-type multicast,un -j DROP", "-m addrtype ! --dst-type UNSPEC,MULTICAST -j DROP"),
        Example::ok(
            "-m addrtype --dst-type UNREACHABLE,anycast --limit-iface-in ! --src-type UNICAST -j DROP",
            "-m addrtype ! --src-type UNICAST --dst-type ANYCAST,UNREACHABLE --limit-iface-in -j DROP",
        ),
        Example::same("-m addrtype --dst-type LOCAL --limit-iface-out -j DROP"),
        Example::same("-m addrtype --src-type BROADCAST,BLACKHOLE,PROHIBIT,THROW,NAT,XRESOLVE -j DROP").ip(),
        Example::fails("-m addrtype --dst-type BROADCAST -j DROP", "the kernel doesn't know BROADCAST for IPv6").ip6(),
        Example::fails("-m addrtype --limit-iface-in -j DROP", "needs `--src-type` or `--dst-type`"),
        Example::fails("-m addrtype --src-type DOCKER -j DROP", "`DOCKER` is not a type of address"),
        Example::fails(
            "-m addrtype --src-type LOCAL --limit-iface-in --limit-iface-out -j DROP",
            "`--limit-iface-in` and `--limit-iface-out` don't go together",
        ),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let family = args.family();
        let mut addrtype = Self::default();
        for given in args.by_ref() {
            let types = || parse_types(&given, family).map(|value| Some(Test { negated: given.negated, value }));
            match given.name() {
                "src-type" => addrtype.source = types()?,
                "dst-type" => addrtype.destination = types()?,
                _ if addrtype.interface.is_some() => {
                    return Err(given.error_here("`--limit-iface-in` and `--limit-iface-out` don't go together"));
                }
                "limit-iface-in" => addrtype.interface = Some(Interface::In),
                _ => addrtype.interface = Some(Interface::Out),
            }
        }
        if addrtype.source.is_none() && addrtype.destination.is_none() {
            return Err(args.error("needs `--src-type` or `--dst-type`"));
        }
        Ok(addrtype)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<8>(Self::NAME, 1)?;
        let &[a, b, c, d, e, f, g, h] = info;
        let flags = u32::from_ne_bytes([e, f, g, h]);
        let family = cursor.family();
        let test = |bytes, invert| {
            let value = words::known(u16::from_ne_bytes(bytes), TYPES).filter(|&types| refused(types, family) == 0)?;
            Some(Test { negated: flags & invert != 0, value })
        };
        let interface = match flags & (LIMIT_IFACE_IN | LIMIT_IFACE_OUT) {
            0 => None,
            LIMIT_IFACE_IN => Some(Interface::In),
            _ => Some(Interface::Out),
        };
        let addrtype = Self { source: test([a, b], INVERT_SOURCE), destination: test([c, d], INVERT_DEST), interface };
        let tests = addrtype.source.is_some() || addrtype.destination.is_some();
        (tests && addrtype.to_xt() == *info).then_some(addrtype)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ADDRTYPE match")?;
        for (test, name) in [(&self.source, "src-type"), (&self.destination, "dst-type")] {
            if let Some(Test { negated, value }) = test {
                write!(f, " {name} {}{}", if *negated { "!" } else { "" }, List(*value, TYPES))?;
            }
        }
        f.write_str(match self.interface {
            Some(Interface::In) => " limit-in",
            Some(Interface::Out) => " limit-out",
            None => "",
        })
    }
}

impl Addrtype {
    fn to_xt(self) -> [u8; 8] {
        // struct xt_addrtype_info_v1: u16 source, u16 dest, u32 flags
        let mut flags = match self.interface {
            Some(Interface::In) => LIMIT_IFACE_IN,
            Some(Interface::Out) => LIMIT_IFACE_OUT,
            None => 0,
        };
        let mut types = |test: Option<Test<u16>>, invert| {
            flags |= if test.is_some_and(|test| test.negated) { invert } else { 0 };
            test.map_or(0, |test| test.value).to_ne_bytes()
        };
        let ([a, b], [c, d]) = (types(self.source, INVERT_SOURCE), types(self.destination, INVERT_DEST));
        let [e, f, g, h] = flags.to_ne_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// The types of these that the kernel refuses.
fn refused(types: u16, family: Family) -> u16 {
    if family == Family::Ip { 0 } else { types & !IPV6_TYPES }
}

fn parse_types(given: &Given<'_>, family: Family) -> Result<u16, SyntaxError> {
    let types = words::parse(given, TYPES, "a type of address")?;
    match refused(types, family) {
        0 => Ok(types),
        refused => Err(given.error(format!("the kernel doesn't know {} for IPv6", List(refused, TYPES)))),
    }
}

impl fmt::Display for Addrtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        for (test, name) in [(&self.source, "src-type"), (&self.destination, "dst-type")] {
            if let Some(test) = test {
                write!(f, "{blank}{}--{name} {}", test.bang(), List(test.value, TYPES))?;
                blank = " ";
            }
        }
        f.write_str(match self.interface {
            Some(Interface::In) => " --limit-iface-in",
            Some(Interface::Out) => " --limit-iface-out",
            None => "",
        })
    }
}
