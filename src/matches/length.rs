use std::fmt;

use super::{ports::Colon, ranges};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m length`: the packet's bytes, network header included. Kernel: `net/netfilter/xt_length.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Both ends included.
    test: Test<(u16, u16)>,
}

impl Extension for Length {
    const NAME: &'static str = "length";
    const SUMMARY: &'static str = "how many bytes the packet has";
    const OPTIONS: &'static [OptionSpec] =
        &[opt("length", &["BYTES[:BYTES]"], "the length with the network header, or a range of lengths").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m length --length 100 -j DROP"),
        Example::same("-m length --length 100:200 -j DROP"),
        Example::ok("-m length ! --length 1500: -j DROP", "-m length ! --length 1500:65535 -j DROP"),
        Example::ok("-m length --length :64 -j DROP", "-m length --length 0:64 -j DROP"),
        Example::ok("-m length --length 0x10:020 -j DROP", "-m length --length 16 -j DROP"),
        Example::same("-m length --length 0:65535 -j DROP"),
        Example::fails("-m length -j DROP", "needs `--length BYTES`"),
        Example::fails("-m length --length 70000 -j DROP", "`70000` is not a length: those go from 0 to 65535"),
        Example::fails("-m length --length 200:100 -j DROP", "the range runs backwards: 200 is more than 100"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--length BYTES`"))?;
        Ok(Self { test: Test { negated: given.negated, value: ranges::parse(&given.values[0], (0, u16::MAX), "a length")? } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_length_info: min, max, invert
        let (low, high) = self.test.value;
        let ([a, b], [c, d]) = (low.to_ne_bytes(), high.to_ne_bytes());
        out.xt_match(Self::NAME, 0, &[a, b, c, d, self.test.negated.into(), 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[a, b, c, d, invert @ (0 | 1), 0, 0, 0] = cursor.take_match(Self::NAME, 0)? else { return None };
        let (low, high) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
        (low <= high).then_some(Self { test: Test { negated: invert == 1, value: (low, high) } })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "length {}{}", if self.test.negated { "!" } else { "" }, Colon(self.test.value))
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--length {}", self.test.bang(), Colon(self.test.value))
    }
}
