use std::fmt;

use super::{ports::Colon, ranges};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Protocol, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m tcpmss`: the largest segment that a TCP packet's sender takes, as packets with SYN say it.
/// Kernel: `net/netfilter/xt_tcpmss.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcpmss {
    /// Both ends included.
    test: Test<(u16, u16)>,
}

impl Extension for Tcpmss {
    const NAME: &'static str = "tcpmss";
    const SUMMARY: &'static str = "the maximum segment size of a TCP SYN";
    const OPTIONS: &'static [OptionSpec] = &[opt("mss", &["BYTES[:BYTES]"], "the size, or a range of sizes").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-p tcp -m tcpmss --mss 500 -j DROP"),
        Example::same("-p tcp -m tcp --tcp-flags SYN,RST SYN -m tcpmss ! --mss 536:1460 -j DROP"),
        Example::ok("-p tcp -m tcpmss --mss 1461: -j DROP", "-p tcp -m tcpmss --mss 1461:65535 -j DROP"),
        Example::ok("-p tcp -m tcpmss --mss : -j DROP", "-p tcp -m tcpmss --mss 0:65535 -j DROP"),
        Example::fails("-p tcp -m tcpmss -j DROP", "needs `--mss BYTES`"),
        Example::fails("-m tcpmss --mss 500 -j DROP", "needs `-p tcp`"),
        Example::fails("-p tcp -m tcpmss --mss 65536 -j DROP", "`65536` is not a size: those go from 0 to 65535"),
        Example::fails("-p tcp -m tcpmss --mss 6:5 -j DROP", "the range runs backwards: 6 is more than 5"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::TCP])?;
        let given = args.next().ok_or_else(|| args.error("needs `--mss BYTES`"))?;
        let value = ranges::parse(&given.values[0], (0, u16::MAX), "a size")?;
        Ok(Self { test: Test { negated: given.negated, value } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_tcpmss_match_info: mss_min, mss_max, invert
        let ([a, b], [c, d]) = (self.test.value.0.to_ne_bytes(), self.test.value.1.to_ne_bytes());
        out.xt_match(Self::NAME, 0, &[a, b, c, d, self.test.negated.into(), 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::TCP) {
            return None;
        }
        let &[a, b, c, d, invert @ (0 | 1), 0, 0, 0] = cursor.take_match(Self::NAME, 0)? else { return None };
        let (low, high) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
        (low <= high).then_some(Self { test: Test { negated: invert == 1, value: (low, high) } })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcpmss match {}{}", if self.test.negated { "!" } else { "" }, Colon(self.test.value))
    }
}

impl fmt::Display for Tcpmss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--mss {}", self.test.bang(), Colon(self.test.value))
    }
}
