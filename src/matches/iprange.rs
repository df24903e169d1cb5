use std::{fmt, net::IpAddr};

use super::ports::space;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Address, Family, Ip6Text, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, ordered},
};

/// `-m iprange`: ranges of addresses. Kernel: `net/netfilter/xt_iprange.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iprange {
    ranges: Box<Ranges>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ranges {
    source: Option<Test<Range>>,
    destination: Option<Test<Range>>,
}

/// Two addresses of the rule's family, both ends included.
type Range = (IpAddr, IpAddr);

impl Extension for Iprange {
    const NAME: &'static str = "iprange";
    const SUMMARY: &'static str = "ranges of addresses";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("src-range", &["ADDRESS[-ADDRESS]"], "the sender's address is in the range, ends included").negates(),
        opt("dst-range", &["ADDRESS[-ADDRESS]"], "the receiver's address is in the range, ends included").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m iprange --src-range 10.0.0.1-10.0.0.9 -j DROP").ip(),
        Example::ok("-m iprange ! --src-range 10.0.0.1 -j DROP", "-m iprange ! --src-range 10.0.0.1-10.0.0.1 -j DROP").ip(),
        Example::ok(
            "-m iprange ! --dst-range 10.1-10.2 --src-range 0-10 -j DROP",
            "-m iprange --src-range 0.0.0.0-10.0.0.0 ! --dst-range 10.1.0.0-10.2.0.0 -j DROP",
        )
        .ip(),
        Example::same("-m iprange ! --src-range 2001:db8::1-2001:db8::9 --dst-range ::1-::1.2.3.4 -j DROP").ip6(),
        Example::fails("-m iprange -j DROP", "needs `--src-range` or `--dst-range`"),
        Example::fails("-m iprange --src-range 10.0.0.0/8 -j DROP", "the ends of a range are addresses, without a mask"),
        Example::fails("-m iprange --src-range 10.0.0.9-10.0.0.1 -j DROP", "the range runs backwards: 10.0.0.9 is more than 10.0.0.1").ip(),
        Example::fails("-m iprange --src-range 10.0.0.9- -j DROP", "``: this is not an IPv4 address").ip(),
        Example::fails("-m iprange --src-range ::1-::2 -j DROP", "`::1`: this is an IPv6 address; `ip6tables` takes those").ip(),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut ranges = Ranges::default();
        let family = args.family();
        for given in &mut *args {
            let side = match given.name() {
                "src-range" => &mut ranges.source,
                _ => &mut ranges.destination,
            };
            *side = Some(Test { negated: given.negated, value: parse_range(&given, family)? });
        }
        if ranges == Ranges::default() {
            return Err(args.error("needs `--src-range` or `--dst-range`"));
        }
        Ok(Self { ranges: Box::new(ranges) })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &self.ranges.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let ranges = Ranges::from_xt(cursor.take_match(Self::NAME, 1)?, cursor.family())?;
        Some(Self { ranges: Box::new(ranges) })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (test, name) in [(self.ranges.source, "source"), (self.ranges.destination, "destination")] {
            if let Some(test) = test {
                space(f, &mut first)?;
                write!(f, "{name} IP range {}{}", test.bang(), Text(test.value))?;
            }
        }
        Ok(())
    }
}

fn parse_range(given: &Given<'_>, family: Family) -> Result<Range, SyntaxError> {
    let word = &given.values[0];
    if word.text.contains('/') {
        return Err(word.error("the ends of a range are addresses, without a mask").hint("networks belong behind `-s` and `-d`"));
    }
    let one = |text: &str| match Address::parse(text, family) {
        Ok(Address::V4 { addr, .. }) => Ok(IpAddr::V4(addr)),
        Ok(Address::V6 { addr, .. }) => Ok(IpAddr::V6(addr)),
        Err(error) => Err(word.error(format!("`{text}`: {error}"))),
    };
    let (low, high) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
    ordered(word, one(low)?, one(high)?, '-')
}

impl Ranges {
    fn to_xt(self) -> [u8; 72] {
        // struct xt_iprange_mtinfo: src_min, src_max, dst_min, dst_max, flags
        let mut info = [0; 72];
        for (test, at, flag, inverted) in [(self.source, 0, 1, 16), (self.destination, 32, 2, 32)] {
            let Some(Test { negated, value: (low, high) }) = test else { continue };
            put(&mut info[at..], low);
            put(&mut info[at + 16..], high);
            info[64] |= if negated { flag | inverted } else { flag };
        }
        info
    }

    fn from_xt(info: &[u8; 72], family: Family) -> Option<Self> {
        let test = |at, flag, inverted| {
            let negated = info[64] & inverted != 0;
            (info[64] & flag != 0).then_some(Test { negated, value: (address(info, at, family), address(info, at + 16, family)) })
        };
        let ranges = Self { source: test(0, 1, 16), destination: test(32, 2, 32) };
        let ordered = [ranges.source, ranges.destination].iter().flatten().all(|test| test.value.0 <= test.value.1);
        (ordered && ranges != Self::default() && ranges.to_xt() == *info).then_some(ranges)
    }
}

/// Fills a `union nf_inet_addr`; bytes that the family doesn't use stay 0.
fn put(slot: &mut [u8], address: IpAddr) {
    match address {
        IpAddr::V4(address) => slot[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => slot[..16].copy_from_slice(&address.octets()),
    }
}

fn address(info: &[u8; 72], at: usize, family: Family) -> IpAddr {
    let byte = |index| info[at + index];
    match family {
        Family::Ip => IpAddr::from(std::array::from_fn::<u8, 4, _>(byte)),
        Family::Ip6 => IpAddr::from(std::array::from_fn::<u8, 16, _>(byte)),
    }
}

impl fmt::Display for Iprange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (test, name) in [(self.ranges.source, "src-range"), (self.ranges.destination, "dst-range")] {
            if let Some(test) = test {
                space(f, &mut first)?;
                write!(f, "{}--{name} {}", test.bang(), Text(test.value))?;
            }
        }
        Ok(())
    }
}

struct Text(Range);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (IpAddr::V6(low), IpAddr::V6(high)) => write!(f, "{}-{}", Ip6Text(low), Ip6Text(high)),
            (low, high) => write!(f, "{low}-{high}"),
        }
    }
}
