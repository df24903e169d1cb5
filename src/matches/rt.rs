use std::{fmt, net::Ipv6Addr};

use super::{
    header::{SpanTest, number_test},
    ports::space,
};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Ip6Text, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt},
};

/// `-m rt`: the routing header. Kernel: `net/ipv6/netfilter/ip6t_rt.c`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rt {
    kind: Option<Test<u32>>,
    segments_left: SpanTest,
    /// Bytes of the whole header.
    length: Option<Test<u32>>,
    /// The reserved field is 0. With type 0 only, as all that follows.
    reserved: bool,
    /// [`MAX`] at most; empty: not tested.
    addresses: Vec<Ipv6Addr>,
    /// Other addresses may stand between those.
    loose: bool,
}

/// `IP6T_RT_HOPS`
const MAX: usize = 16;
const LEN: usize = 280;
/// `IP6T_RT_…`
const TYPE: u8 = 1;
const SEGMENTS: u8 = 2;
const LENGTH: u8 = 4;
const RESERVED: u8 = 8;
const ADDRESSES: u8 = 0x10;
const LOOSE: u8 = 0x20;

impl Extension for Rt {
    const NAME: &'static str = "rt";
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const SUMMARY: &'static str = "the packet's routing header";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("rt-type", &["NUMBER"], "its type").negates(),
        opt("rt-segsleft", &["NUMBER[:NUMBER]"], "how many segments are left").negates(),
        opt("rt-len", &["BYTES"], "the length of the whole header, a multiple of 8").negates(),
        opt("rt-0-res", &[], "with type 0: the reserved field is 0"),
        opt("rt-0-addrs", &["ADDRESS[,…]"], "with type 0: these are the addresses, in this order"),
        opt("rt-0-not-strict", &[], "with rt-0-addrs: there may be others between them"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m rt -j DROP"),
        Example::same("-m rt --rt-type 0 -j DROP"),
        Example::ok(
            "-m rt ! --rt-len 0x2a ! --rt-segsleft 1:23 ! --rt-type 4294967295 -j DROP",
            "-m rt ! --rt-type 4294967295 ! --rt-segsleft 1:23 ! --rt-len 42 -j DROP",
        ),
        Example::ok("-m rt --rt-segsleft : -j DROP", "-m rt -j DROP"),
        Example::same("-m rt ! --rt-segsleft 0:4294967295 -j DROP"),
        Example::ok("-m rt --rt-segsleft 3: --rt-len 40 -j DROP", "-m rt --rt-segsleft 3:4294967295 --rt-len 40 -j DROP"),
        Example::ok("-m rt --rt-type 0 --rt-segsleft 3:3 --rt-0-res -j DROP", "-m rt --rt-type 0 --rt-segsleft 3 --rt-0-res -j DROP"),
        Example::same("-m rt --rt-type 0 --rt-0-addrs fd00::1 -j DROP"),
        Example::ok(
            "-m rt --rt-type 0 --rt-0-addrs FD00::1,::ffff:10.0.0.1,::,1::2:0 --rt-0-not-strict --rt-0-res -j DROP",
            "-m rt --rt-type 0 --rt-0-res --rt-0-addrs fd00::1,::ffff:10.0.0.1,::,1::2:0 --rt-0-not-strict -j DROP",
        ),
        Example::same("-m rt --rt-type 0 --rt-0-addrs ::1,::2,::3,::4,::5,::6,::7,::8,::9,::a,::b,::c,::d,::e,::f,1:: -j DROP"),
        Example::fails("-m rt --rt-segsleft 4:3 -j DROP", "the range runs backwards: 4 is more than 3"),
        Example::fails("-m rt --rt-type zero -j DROP", "this must be a number from 0 to 4294967295"),
        Example::fails("-m rt --rt-0-res -j DROP", "`--rt-0-res` needs `--rt-type 0`"),
        Example::fails("-m rt ! --rt-type 0 --rt-0-addrs ::1 -j DROP", "`--rt-0-addrs` needs `--rt-type 0`"),
        Example::fails("-m rt --rt-type 0 --rt-0-not-strict -j DROP", "`--rt-0-not-strict` needs `--rt-0-addrs`"),
        Example::fails("-m rt --rt-type 0 --rt-0-addrs ::1,10.0.0.1 -j DROP", "`10.0.0.1` is not an IPv6 address"),
        Example::fails(
            "-m rt --rt-type 0 --rt-0-addrs ::,::,::,::,::,::,::,::,::,::,::,::,::,::,::,::,:: -j DROP",
            "there can be 16 addresses at most",
        ),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut rt = Self::default();
        let (mut of_type_0, mut not_strict) = (None, None);
        for given in args {
            match given.name() {
                "rt-type" => rt.kind = Some(number_test(&given)?),
                "rt-segsleft" => rt.segments_left = SpanTest::parse(&given)?,
                "rt-len" => rt.length = Some(number_test(&given)?),
                "rt-0-res" => rt.reserved = true,
                "rt-0-addrs" => rt.addresses = parse_addresses(&given)?,
                _ => {
                    rt.loose = true;
                    not_strict = Some(given.error_here("`--rt-0-not-strict` needs `--rt-0-addrs`"));
                }
            }
            if given.name().starts_with("rt-0-") {
                of_type_0.get_or_insert_with(|| given.error_here(format!("`--{}` needs `--rt-type 0`", given.name())));
            }
        }
        match (of_type_0, not_strict) {
            (Some(error), _) if rt.kind != Some(Test::is(0)) => Err(error),
            (_, Some(error)) if rt.addresses.is_empty() => Err(error),
            _ => Ok(rt),
        }
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        let (flags, inverted) = (info[16], info[17]);
        let number = |at: usize, bit: u8| {
            let value = u32::from_ne_bytes(*info[at..].first_chunk()?);
            (flags & bit != 0).then_some(Test { negated: inverted & bit != 0, value })
        };
        let addresses = info[20..276].as_chunks::<16>().0.iter().take(info[276].into());
        let rt = Self {
            kind: number(0, TYPE),
            segments_left: SpanTest::from_xt(info[4..].first_chunk()?, flags & SEGMENTS != 0, inverted & SEGMENTS != 0),
            length: number(12, LENGTH),
            reserved: flags & RESERVED != 0,
            addresses: addresses.map(|&octets| octets.into()).collect(),
            loose: flags & LOOSE != 0,
        };
        let of_type_0 = rt.reserved || rt.loose || !rt.addresses.is_empty();
        let together = (!of_type_0 || rt.kind == Some(Test::is(0))) && (!rt.loose || !rt.addresses.is_empty());
        (together && rt.segments_left.is_valid() && rt.to_xt() == *info).then_some(rt)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bang = |negated| if negated { "!" } else { "" };
        f.write_str("rt")?;
        if let Some(Test { negated, value }) = self.kind {
            // As a signed number, as iptables prints it.
            write!(f, " type:{}{}", bang(negated), value.cast_signed())?;
        }
        if self.segments_left.tests() {
            f.write_str(" ")?;
            self.segments_left.list(f, "segsleft")?;
        }
        if let Some(Test { negated, value }) = self.length {
            write!(f, " length:{}{value}", bang(negated))?;
        }
        f.write_str(if self.reserved { " reserved" } else { "" })?;
        if !self.addresses.is_empty() {
            write!(f, " 0-addrs {}", List(&self.addresses))?;
        }
        f.write_str(if self.loose { " 0-not-strict" } else { "" })
    }
}

impl Rt {
    fn to_xt(&self) -> [u8; LEN] {
        // struct ip6t_rt: u32 rt_type, u32 segsleft[2], u32 hdrlen, u8 flags, u8 invflags, in6 addrs[16], u8 addrnr
        let mut info = [0; LEN];
        let (mut flags, mut inverted) = (0, 0);
        let mut flag = |bit: u8, is: bool, negated: bool| {
            flags |= if is { bit } else { 0 };
            inverted |= if negated { bit } else { 0 };
        };
        for (test, bit, at) in [(self.kind, TYPE, 0), (self.length, LENGTH, 12)] {
            if let Some(Test { negated, value }) = test {
                flag(bit, true, negated);
                info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            }
        }
        flag(SEGMENTS, self.segments_left.given, self.segments_left.negated());
        flag(RESERVED, self.reserved, false);
        flag(ADDRESSES, !self.addresses.is_empty(), false);
        flag(LOOSE, self.loose, false);
        info[4..12].copy_from_slice(&self.segments_left.to_xt());
        info[16..18].copy_from_slice(&[flags, inverted]);
        for (slot, address) in info[20..276].as_chunks_mut::<16>().0.iter_mut().zip(&self.addresses) {
            *slot = address.octets();
        }
        info[276] = self.addresses.len() as u8;
        info
    }
}

fn parse_addresses(given: &Given<'_>) -> Result<Vec<Ipv6Addr>, SyntaxError> {
    let one = |text: &str| text.parse().map_err(|_| given.error(format!("`{text}` is not an IPv6 address")));
    let addresses: Vec<_> = given.text(0).split(',').map(one).collect::<Result<_, _>>()?;
    match addresses.len() {
        ..=MAX => Ok(addresses),
        _ => Err(given.error(format!("there can be {MAX} addresses at most"))),
    }
}

/// With commas between.
struct List<'l>(&'l [Ipv6Addr]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        self.0.iter().try_for_each(|address| write!(f, "{}{}", std::mem::replace(&mut comma, ","), Ip6Text(*address)))
    }
}

impl fmt::Display for Rt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        if let Some(test) = &self.kind {
            space(f, &mut first)?;
            write!(f, "{}--rt-type {}", test.bang(), test.value)?;
        }
        self.segments_left.save(f, &mut first, "rt-segsleft")?;
        if let Some(test) = &self.length {
            space(f, &mut first)?;
            write!(f, "{}--rt-len {}", test.bang(), test.value)?;
        }
        if self.reserved {
            space(f, &mut first)?;
            f.write_str("--rt-0-res")?;
        }
        if !self.addresses.is_empty() {
            space(f, &mut first)?;
            write!(f, "--rt-0-addrs {}", List(&self.addresses))?;
        }
        f.write_str(if self.loose { " --rt-0-not-strict" } else { "" })
    }
}
