use std::{fmt, net::IpAddr};

use super::{host::Host, ports::space};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Ip6Text, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m srh`: the header of segment routing, a routing header of type 4. Kernel:
/// `net/ipv6/netfilter/ip6t_srh.c`.
///
/// The kernel compares the tag with the packet's without turning the bytes round, and iptables does
/// not turn them round either: on a little-endian machine `--srh-tag 1` means the tag 256 (so
/// measured on Linux 6.18).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Srh {
    /// Which of [`NUMBERS`] are tested: bit i for the i-th.
    tested: u16,
    /// Which of them are negated.
    negated: u16,
    /// What they are compared with, by field; 0 where none is tested.
    fields: [u16; 5],
    /// By [`SEGMENTS`]; apart, as most matches are much smaller.
    segments: Box<[Option<Test<Host>>; 3]>,
}

/// The tests of numbers in the order in which they are printed, which is that of their bits
/// (`IP6T_SRH_NEXTHDR`, …), each with the place of what it is compared with: there is one number for
/// three tests. Their options are called so behind `--srh-`.
const NUMBERS: [(&str, usize); 11] = [
    ("next-hdr", 0),
    ("hdr-len-eq", 1),
    ("hdr-len-gt", 1),
    ("hdr-len-lt", 1),
    ("segs-left-eq", 2),
    ("segs-left-gt", 2),
    ("segs-left-lt", 2),
    ("last-entry-eq", 3),
    ("last-entry-gt", 3),
    ("last-entry-lt", 3),
    ("tag", TAG),
];
/// The only field of two bytes.
const TAG: usize = 4;
/// The previous, next and last segment; their bits come next.
const SEGMENTS: [&str; 3] = ["psid", "nsid", "lsid"];

const LEN: usize = 112;
/// Where addresses, masks and bits begin.
const ADDRESSES_AT: usize = 8;
const MASKS_AT: usize = 56;
const FLAGS_AT: usize = 104;

impl Extension for Srh {
    const NAME: &'static str = "srh";
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const SUMMARY: &'static str = "the packet's header of segment routing";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("srh-next-hdr", &["NUMBER"], "the protocol of the next header").negates(),
        opt("srh-hdr-len-eq", &["NUMBER"], "the header has so many times 8 bytes behind the first 8").negates(),
        opt("srh-hdr-len-gt", &["NUMBER"], "it has more").negates(),
        opt("srh-hdr-len-lt", &["NUMBER"], "it has fewer").negates(),
        opt("srh-segs-left-eq", &["NUMBER"], "so many segments are left").negates(),
        opt("srh-segs-left-gt", &["NUMBER"], "more are left").negates(),
        opt("srh-segs-left-lt", &["NUMBER"], "fewer are left").negates(),
        opt("srh-last-entry-eq", &["NUMBER"], "this is the number of the last segment of the list, counted from 0").negates(),
        opt("srh-last-entry-gt", &["NUMBER"], "it is greater").negates(),
        opt("srh-last-entry-lt", &["NUMBER"], "it is less").negates(),
        opt("srh-tag", &["NUMBER"], "the tag, its two bytes in this machine's order").negates(),
        opt("srh-psid", &["ADDRESS[/MASK]"], "the segment that the packet comes from").negates(),
        opt("srh-nsid", &["ADDRESS[/MASK]"], "the segment that it goes to next").negates(),
        opt("srh-lsid", &["ADDRESS[/MASK]"], "its last segment").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m srh -j DROP"),
        Example::same("-m srh --srh-next-hdr 17 --srh-segs-left-eq 1 --srh-last-entry-eq 4 --srh-tag 0 -j DROP"),
        Example::ok(
            "-m srh ! --srh-tag 0xffff ! --srh-segs-left-lt 3 ! --srh-hdr-len-eq 255 ! --srh-next-hdr 0 -j DROP",
            "-m srh ! --srh-next-hdr 0 ! --srh-hdr-len-eq 255 ! --srh-segs-left-lt 3 ! --srh-tag 65535 -j DROP",
        ),
        Example::same("-m srh --srh-hdr-len-gt 8 --srh-segs-left-gt 1 --srh-last-entry-gt 4 -j DROP"),
        Example::same("-m srh --srh-hdr-len-lt 8 ! --srh-segs-left-gt 1 --srh-last-entry-lt 4 -j DROP"),
        Example::same("-m srh ! --srh-hdr-len-gt 8 ! --srh-hdr-len-lt 8 -j DROP"),
        Example::same("-m srh --srh-hdr-len-gt 2 -m srh --srh-hdr-len-lt 8 -j DROP"),
        Example::ok(
            "-m srh --srh-lsid c::1/0 ! --srh-psid a::/ffff:: --srh-nsid b::1 -j DROP",
            "-m srh ! --srh-psid a::/16 --srh-nsid b::1/128 --srh-lsid c::1/0 -j DROP",
        ),
        Example::fails("-m srh --srh-next-hdr 256 -j DROP", "this must be a number from 0 to 255"),
        Example::fails("-m srh --srh-tag 65536 -j DROP", "this must be a number from 0 to 65535"),
        Example::fails("-m srh --srh-hdr-len-gt 2 --srh-hdr-len-lt 8 -j DROP", "a rule has one number for all `--srh-hdr-len-…`: here 2"),
        Example::fails("-m srh --srh-psid 10.0.0.1 -j DROP", "`10.0.0.1` is not an IPv6 address"),
        Example::fails("-m srh --srh-lsid c::1/::ff -j DROP", "iptables can't print a mask with holes here"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut srh = Self::default();
        for given in args {
            let name = given.name().trim_start_matches("srh-");
            match NUMBERS.iter().position(|(known, _)| *known == name) {
                Some(index) => srh.take_number(index, &given)?,
                None => {
                    let slot = SEGMENTS.iter().zip(&mut *srh.segments).find(|(known, _)| **known == name);
                    slot.map_or(Ok(()), |(_, slot)| parse_segment(&given).map(|test| *slot = Some(test)))?;
                }
            }
        }
        Ok(srh)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 1)?;
        let half = |at: usize| u16::from_ne_bytes([info[at], info[at + 1]]);
        let (flags, inverted, numbers) = (half(FLAGS_AT), half(FLAGS_AT + 2), (1 << NUMBERS.len()) - 1);
        let mut srh = Self { tested: flags & numbers, negated: inverted & numbers, ..Self::default() };
        if srh.negated & !srh.tested != 0 {
            return None;
        }
        for (field, byte) in srh.fields.iter_mut().zip(info) {
            *field = (*byte).into();
        }
        srh.fields[TAG] = half(TAG);
        for (index, slot) in srh.segments.iter_mut().enumerate() {
            let bit = segment_bit(index);
            if flags & bit != 0 {
                let mut host = [0; 32];
                host[..16].copy_from_slice(&info[ADDRESSES_AT + 16 * index..][..16]);
                host[16..].copy_from_slice(&info[MASKS_AT + 16 * index..][..16]);
                let value = Host::from_xt(&host, Family::Ip6).filter(|host| host.prefix().is_some())?;
                *slot = Some(Test { negated: inverted & bit != 0, value });
            }
        }
        let used = |place: usize| NUMBERS.iter().enumerate().any(|(index, (_, field))| *field == place && srh.tested & 1 << index != 0);
        let rest = srh.fields.iter().enumerate().all(|(place, value)| *value == 0 || used(place));
        (rest && srh.to_xt() == *info).then_some(srh)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("srh")?;
        let bang = |negated: bool| if negated { "!" } else { "" };
        for (negated, name, value) in self.numbers() {
            write!(f, " {name}:{}{value}", bang(negated))?;
        }
        for (test, name) in self.segments() {
            write!(f, " {name} {} {}", bang(test.negated), Segment(test.value))?;
        }
        Ok(())
    }
}

impl Srh {
    fn take_number(&mut self, index: usize, given: &Given<'_>) -> Result<(), SyntaxError> {
        let (name, field) = NUMBERS[index];
        let value = number(&given.values[0], if field == TAG { u16::MAX.into() } else { u8::MAX.into() })? as u16;
        let before = (NUMBERS.iter().enumerate()).any(|(other, (_, shared))| *shared == field && self.tested & 1 << other != 0);
        if before && self.fields[field] != value {
            let group = name.rsplit_once('-').map_or(name, |(group, _)| group);
            let error = given.error(format!("a rule has one number for all `--srh-{group}-…`: here {}", self.fields[field]));
            return Err(error.hint("put this one behind a second `-m srh`"));
        }
        self.fields[field] = value;
        self.tested |= 1 << index;
        self.negated |= u16::from(given.negated) << index;
        Ok(())
    }

    fn to_xt(&self) -> [u8; LEN] {
        // struct ip6t_srh1: u8 next_hdr, hdr_len, segs_left, last_entry, u16 tag, in6 addresses[3], masks[3], u16 flags, invflags
        let mut info = [0; LEN];
        let (mut flags, mut inverted) = (self.tested, self.negated);
        for (byte, field) in info.iter_mut().zip(&self.fields[..TAG]) {
            *byte = *field as u8;
        }
        info[TAG..TAG + 2].copy_from_slice(&self.fields[TAG].to_ne_bytes());
        for (index, test) in self.segments.iter().enumerate() {
            let Some(test) = test else { continue };
            let host = test.value.to_xt();
            info[ADDRESSES_AT + 16 * index..][..16].copy_from_slice(&host[..16]);
            info[MASKS_AT + 16 * index..][..16].copy_from_slice(&host[16..]);
            flags |= segment_bit(index);
            inverted |= if test.negated { segment_bit(index) } else { 0 };
        }
        info[FLAGS_AT..FLAGS_AT + 2].copy_from_slice(&flags.to_ne_bytes());
        info[FLAGS_AT + 2..FLAGS_AT + 4].copy_from_slice(&inverted.to_ne_bytes());
        info
    }

    /// The tests of numbers: negated, name, number.
    fn numbers(&self) -> impl Iterator<Item = (bool, &'static str, u16)> {
        let tested = NUMBERS.iter().enumerate().filter(|(index, _)| self.tested & 1 << index != 0);
        tested.map(|(index, (name, field))| (self.negated & 1 << index != 0, *name, self.fields[*field]))
    }

    fn segments(&self) -> impl Iterator<Item = (&Test<Host>, &'static str)> {
        self.segments.iter().zip(SEGMENTS).filter_map(|(test, name)| Some((test.as_ref()?, name)))
    }
}

fn segment_bit(index: usize) -> u16 {
    1 << (NUMBERS.len() + index)
}

fn parse_segment(given: &Given<'_>) -> Result<Test<Host>, SyntaxError> {
    let value = Host::parse(&given.values[0], Family::Ip6)?;
    match value.prefix() {
        Some(_) => Ok(Test { negated: given.negated, value }),
        None => Err(given.error("iptables can't print a mask with holes here").hint("write a mask whose ones come first")),
    }
}

/// Always with the number of bits.
struct Segment(Host);

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.prefix() {
            Some((IpAddr::V6(address), bits)) => write!(f, "{}/{bits}", Ip6Text(address)),
            _ => self.0.fmt(f),
        }
    }
}

impl fmt::Display for Srh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (negated, name, value) in self.numbers() {
            space(f, &mut first)?;
            write!(f, "{}--srh-{name} {value}", if negated { "! " } else { "" })?;
        }
        for (test, name) in self.segments() {
            space(f, &mut first)?;
            write!(f, "{}--srh-{name} {}", test.bang(), Segment(test.value))?;
        }
        Ok(())
    }
}
