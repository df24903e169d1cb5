use std::fmt;

use super::{
    header::{SpanTest, number_test},
    ports::space,
};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m frag`: the packet is a fragment, and which. Kernel: `net/ipv6/netfilter/ip6t_frag.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frag {
    id: SpanTest,
    /// Not looked at by the kernel.
    len: Option<Test<u32>>,
    /// Bits of [`FACTS`].
    facts: u8,
}

const LEN: usize = 16;
/// `IP6T_FRAG_…`
const IDS: u8 = 1;
const HEADER_LEN: u8 = 2;
const MORE: u8 = 0x10;
const LAST: u8 = 0x20;
/// Options without a word behind them, in the order in which they are printed.
const FACTS: [(&str, &str, u8); 4] =
    [("fragres", "reserved", 4), ("fragfirst", "first", 8), ("fragmore", "more", MORE), ("fraglast", "last", LAST)];

impl Extension for Frag {
    const NAME: &'static str = "frag";
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const SUMMARY: &'static str = "the packet is a fragment, and which";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("fragid", &["NUMBER[:NUMBER]"], "which packet it is a fragment of").negates(),
        opt("fraglen", &["BYTES"], "the length of the header; the kernel does not look at it").negates(),
        opt("fragres", &[], "bits that mean nothing are set"),
        opt("fragfirst", &[], "it is the first fragment"),
        opt("fragmore", &[], "it is not the last fragment"),
        opt("fraglast", &[], "it is the last fragment"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m frag -j DROP"),
        Example::ok("-m frag --fragmore --fragfirst --fragid 0x1: -j DROP", "-m frag --fragid 1:4294967295 --fragfirst --fragmore -j DROP"),
        Example::ok("-m frag --fraglast --fragres ! --fraglen 42 ! --fragid 3:3 -j DROP", "-m frag ! --fragid 3 ! --fraglen 42 --fragres --fraglast -j DROP"),
        Example::ok("-m frag --fragid :5 --fraglen 0 -j DROP", "-m frag --fragid 0:5 --fraglen 0 -j DROP"),
        Example::ok("-m frag ! --fragid : -j DROP", "-m frag ! --fragid 0:4294967295 -j DROP"),
        Example::ok("-m frag --fragid : -j DROP", "-m frag -j DROP"),
        Example::fails("-m frag --fragid 4:3 -j DROP", "the range runs backwards: 4 is more than 3"),
        Example::fails("-m frag --fragid last -j DROP", "this must be a number from 0 to 4294967295, or two with a colon between"),
        Example::fails("-m frag --fragmore --fraglast -j DROP", "`--fragmore` and `--fraglast` don't go together"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut frag = Self::default();
        for given in args {
            match given.name() {
                "fragid" => frag.id = SpanTest::parse(&given)?,
                "fraglen" => frag.len = Some(number_test(&given)?),
                fact => frag.facts |= FACTS.iter().find(|(name, ..)| *name == fact).map_or(0, |(_, _, bit)| *bit),
            }
            if frag.facts & (MORE | LAST) == MORE | LAST {
                return Err(given.error_here("`--fragmore` and `--fraglast` don't go together"));
            }
        }
        Ok(frag)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        let (flags, inverted) = (info[12], info[13]);
        let len = u32::from_ne_bytes(*info[8..].first_chunk()?);
        let frag = Self {
            id: SpanTest::from_xt(info.first_chunk()?, flags & IDS != 0, inverted & IDS != 0),
            len: (flags & HEADER_LEN != 0).then_some(Test { negated: inverted & HEADER_LEN != 0, value: len }),
            facts: flags & FACTS.iter().fold(0, |all, (_, _, bit)| all | bit),
        };
        let both = frag.facts & (MORE | LAST) == MORE | LAST;
        (!both && frag.id.is_valid() && frag.to_xt() == *info).then_some(frag)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("frag ")?;
        self.id.list(f, "id")?;
        if let Some(Test { negated, value }) = self.len {
            write!(f, " length:{}{value}", if negated { "!" } else { "" })?;
        }
        FACTS.iter().filter(|(_, _, bit)| self.facts & bit != 0).try_for_each(|(_, name, _)| write!(f, " {name}"))
    }
}

impl Frag {
    fn to_xt(self) -> [u8; LEN] {
        // struct ip6t_frag: u32 ids[2], u32 hdrlen, u8 flags, u8 invflags
        let mut info = [0; LEN];
        info[..8].copy_from_slice(&self.id.to_xt());
        info[12] = self.facts | if self.id.given { IDS } else { 0 };
        info[13] = if self.id.negated() { IDS } else { 0 };
        if let Some(Test { negated, value }) = self.len {
            info[8..12].copy_from_slice(&value.to_ne_bytes());
            info[12] |= HEADER_LEN;
            info[13] |= if negated { HEADER_LEN } else { 0 };
        }
        info
    }
}

impl fmt::Display for Frag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        self.id.save(f, &mut first, "fragid")?;
        if let Some(test) = &self.len {
            space(f, &mut first)?;
            write!(f, "{}--fraglen {}", test.bang(), test.value)?;
        }
        for (name, ..) in FACTS.iter().filter(|(_, _, bit)| self.facts & bit != 0) {
            space(f, &mut first)?;
            write!(f, "--{name}")?;
        }
        Ok(())
    }
}
