use std::fmt;

use super::member::Member;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m set`: the packet's addresses, ports, … are in an ipset. Kernel: `net/netfilter/xt_set.c`.
///
/// The rule holds the set's number, which stays when the set's content is swapped.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    member: Test<Member>,
    /// Bits of [`FLAGS`].
    flags: u32,
    packets: Option<Count>,
    bytes: Option<Count>,
}

/// How the counter of the element found compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    /// One of [`COMPARISONS`].
    op: u8,
    value: u64,
}

/// What is behind the name of the option, whether it is negated, and `IPSET_COUNTER_…`.
const COMPARISONS: [(&str, bool, u8); 4] = [("eq", false, 1), ("eq", true, 2), ("lt", false, 3), ("gt", false, 4)];

const RETURN_NOMATCH: u32 = 0x80;
const SKIP_COUNTER_UPDATE: u32 = 8;
const SKIP_SUBCOUNTER_UPDATE: u32 = 0x10;
/// In the order in which they are printed. Of the last two only the negation means something.
const FLAGS: [(&str, &str, u32); 3] = [
    ("", "return-nomatch", RETURN_NOMATCH),
    ("! ", "update-counters", SKIP_COUNTER_UPDATE),
    ("! ", "update-subcounters", SKIP_SUBCOUNTER_UPDATE),
];

const LEN: usize = 48;
/// `IPSET_INV_MATCH`
const INVERT: u8 = 1;

impl Extension for Set {
    const NAME: &'static str = "set";
    const SUMMARY: &'static str = "the packet's addresses, ports, … are in an ipset";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("match-set", &["SET", "src|dst[,…]"], "this set has the packet's src or dst, one for each part of its elements")
            .aliases(&["set"])
            .negates(),
        opt("return-nomatch", &[], "elements marked `nomatch` match, and no others"),
        opt("update-counters", &[], "with `!`: don't count the packet in the set").negates(),
        opt("update-subcounters", &[], "with `!`: don't count it in the sets that are in the set").negates(),
        opt("packets-eq", &["NUMBER"], "the element has counted so many packets").negates(),
        opt("packets-lt", &["NUMBER"], "the element has counted fewer packets"),
        opt("packets-gt", &["NUMBER"], "the element has counted more packets"),
        opt("bytes-eq", &["NUMBER"], "the element has counted so many bytes").negates(),
        opt("bytes-lt", &["NUMBER"], "the element has counted fewer bytes"),
        opt("bytes-gt", &["NUMBER"], "the element has counted more bytes"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m set --match-set office src -j ACCEPT").ip(),
        Example::same("-m set ! --match-set services dst,dst -j DROP").ip(),
        Example::ok("-m set --set office src,dst,src,dst,dst,dst -j DROP", "-m set --match-set office src,dst,src,dst,dst,dst -j DROP").ip(),
        Example::ok(
            "-m set ! --update-subcounters --return-nomatch --match-set office src ! --update-counters -j DROP",
            "-m set --match-set office src --return-nomatch ! --update-counters ! --update-subcounters -j DROP",
        )
        .ip(),
        Example::ok(
            "-m set --match-set office src --update-counters --update-subcounters -j DROP",
            "-m set --match-set office src -j DROP",
        )
        .ip(),
        Example::ok(
            "-m set --match-set office src --bytes-gt 18446744073709551615 --packets-eq 0x10 -j DROP",
            "-m set --match-set office src --packets-eq 16 --bytes-gt 18446744073709551615 -j DROP",
        )
        .ip(),
        Example::same("-m set --match-set office src ! --packets-eq 0 ! --bytes-eq 7 -j DROP").ip(),
        Example::same("-m set --match-set office src --packets-lt 5 --bytes-eq 7 -j DROP").ip(),
        Example::same("-m set --match-set office src --packets-gt 5 --bytes-lt 7 -j DROP").ip(),
        Example::fails("-m set --return-nomatch -j DROP", "needs `--match-set SET src|dst[,…]`"),
        Example::fails("-m set --match-set office -j DROP", "`--match-set` needs a word here: src|dst[,…]"),
        Example::fails("-m set --match-set office src,both -j DROP", "`both` is neither src nor dst"),
        Example::fails("-m set --match-set office src,src,src,src,src,src,src -j DROP", "an element of a set has 6 parts at most"),
        Example::fails("-m set --match-set thirty-two-letters-are-too-many. src -j DROP", "a set's name has 31 bytes at most, this has 32"),
        Example::fails("-m set --match-set office src ! --return-nomatch -j DROP", "`--return-nomatch` can't be negated"),
        Example::fails("-m set --match-set office src ! --bytes-gt 5 -j DROP", "`--bytes-gt` can't be negated"),
        Example::fails("-m set --match-set office src --packets-gt 5 --packets-lt 9 -j DROP", "one test of packets is enough"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut member = None;
        let mut flags = 0;
        let (mut packets, mut bytes) = (None, None);
        for given in args.by_ref() {
            match given.name() {
                "match-set" => member = Some(Test { negated: given.negated, value: Member::parse(&given)? }),
                "return-nomatch" => flags |= RETURN_NOMATCH,
                "update-counters" => flags |= if given.negated { SKIP_COUNTER_UPDATE } else { 0 },
                "update-subcounters" => flags |= if given.negated { SKIP_SUBCOUNTER_UPDATE } else { 0 },
                "packets-eq" | "packets-lt" | "packets-gt" => parse_count(&given, "packets", &mut packets)?,
                _ => parse_count(&given, "bytes", &mut bytes)?,
            }
        }
        let member = member.ok_or_else(|| args.error("needs `--match-set SET src|dst[,…]`"))?;
        Ok(Self { member, flags, packets, bytes })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        let index = out.set_index(self.member.value.name());
        out.xt_match(Self::NAME, 4, &self.to_xt(index));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 4)?;
        let &[a, b, count, sides, ..] = info;
        let set = Self {
            member: Test { negated: sides & INVERT != 0, value: Member::from_xt([a, b, count, sides & !INVERT], cursor)? },
            flags: u32::from_ne_bytes(*info[40..].first_chunk()?),
            packets: Count::from_xt(info[8..].first_chunk()?),
            bytes: Count::from_xt(info[24..].first_chunk()?),
        };
        let flags = FLAGS.iter().fold(0, |all, (_, _, flag)| all | flag);
        (set.flags & !flags == 0 && set.to_xt(u16::from_ne_bytes([a, b])) == *info).then_some(set)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "")
    }
}

impl Set {
    fn to_xt(&self, index: u16) -> [u8; LEN] {
        // struct xt_set_info_match_v4: { u16 index, u8 dim, u8 flags }, packets, bytes, u32 flags
        let mut info = [0; LEN];
        info[..4].copy_from_slice(&self.member.value.to_xt(index));
        info[3] |= if self.member.negated { INVERT } else { 0 };
        for (count, at) in [(self.packets, 8), (self.bytes, 24)] {
            if let Some(Count { op, value }) = count {
                // struct ip_set_counter_match: u64 value, u8 op
                info[at..at + 8].copy_from_slice(&value.to_ne_bytes());
                info[at + 8] = op;
            }
        }
        info[40..44].copy_from_slice(&self.flags.to_ne_bytes());
        info
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str) -> fmt::Result {
        write!(f, "{}{dashes}match-set ", self.member.bang())?;
        self.member.value.print(f, dashes)?;
        for (bang, name, _) in FLAGS.iter().filter(|(_, _, flag)| self.flags & flag != 0) {
            write!(f, " {bang}{dashes}{name}")?;
        }
        for (count, what) in [(self.packets, "packets"), (self.bytes, "bytes")] {
            let Some(Count { op, value }) = count else { continue };
            for (name, negated, _) in COMPARISONS.iter().filter(|(_, _, known)| *known == op) {
                write!(f, " {}{dashes}{what}-{name} {value}", if *negated { "! " } else { "" })?;
            }
        }
        Ok(())
    }
}

impl Count {
    fn from_xt(info: &[u8; 9]) -> Option<Self> {
        let (value, op) = (u64::from_ne_bytes(*info.first_chunk()?), info[8]);
        COMPARISONS.iter().any(|(_, _, known)| *known == op).then_some(Self { op, value })
    }
}

fn parse_count(given: &Given<'_>, what: &str, slot: &mut Option<Count>) -> Result<(), SyntaxError> {
    if slot.is_some() {
        return Err(given.error_here(format!("one test of {what} is enough")));
    }
    let is = |(name, negated, _): &&(&str, bool, u8)| given.name().ends_with(name) && *negated == given.negated;
    let value = number(&given.values[0], u64::MAX)?;
    *slot = COMPARISONS.iter().find(is).map(|&(_, _, op)| Count { op, value });
    Ok(())
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "--")
    }
}
