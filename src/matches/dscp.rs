use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m dscp`: the class of service, six bits of the packet's second byte (DSCP). Kernel:
/// `net/netfilter/xt_dscp.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dscp {
    /// At most [`MAX`].
    test: Test<u8>,
}

/// `XT_DSCP_MAX`
const MAX: u8 = 0x3f;

/// The classes with names.
const CLASSES: &[(&str, u8)] = &[
    ("CS0", 0),
    ("CS1", 8),
    ("CS2", 16),
    ("CS3", 24),
    ("CS4", 32),
    ("CS5", 40),
    ("CS6", 48),
    ("CS7", 56),
    ("BE", 0),
    ("AF11", 10),
    ("AF12", 12),
    ("AF13", 14),
    ("AF21", 18),
    ("AF22", 20),
    ("AF23", 22),
    ("AF31", 26),
    ("AF32", 28),
    ("AF33", 30),
    ("AF41", 34),
    ("AF42", 36),
    ("AF43", 38),
    ("EF", 46),
];

impl Extension for Dscp {
    const NAME: &'static str = "dscp";
    const SUMMARY: &'static str = "the packet's class of service (DSCP)";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("dscp", &["NUMBER"], "the class as a number up to 63").negates(),
        opt("dscp-class", &["CLASS"], "the class by name: BE, EF, CS0 to CS7, AF11 to AF43").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m dscp --dscp 10 -j DROP", "-m dscp --dscp 0x0a -j DROP"),
        Example::ok("-m dscp ! --dscp-class ef -j DROP", "-m dscp ! --dscp 0x2e -j DROP"),
        Example::ok("-m dscp --dscp-class AF43 -j DROP", "-m dscp --dscp 0x26 -j DROP"),
        Example::same("-m dscp ! --dscp 0x00 -j DROP"),
        Example::fails("-m dscp -j DROP", "needs `--dscp NUMBER` or `--dscp-class CLASS`"),
        Example::fails("-m dscp --dscp 64 -j DROP", "this must be a number from 0 to 63"),
        Example::fails("-m dscp --dscp-class AF44 -j DROP", "`AF44` is not a class of service"),
        Example::fails("-m dscp --dscp 0 --dscp-class BE -j DROP", "`--dscp` and `--dscp-class` don't go together"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--dscp NUMBER` or `--dscp-class CLASS`"))?;
        if let Some(second) = args.next() {
            return Err(second.error_here("`--dscp` and `--dscp-class` don't go together"));
        }
        let value = match given.name() {
            "dscp" => number(&given.values[0], MAX.into())? as u8,
            _ => parse_class(&given)?,
        };
        Ok(Self { test: Test { negated: given.negated, value } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_dscp_info: dscp, invert
        out.xt_match(Self::NAME, 0, &[self.test.value, self.test.negated.into(), 0, 0, 0, 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[value @ 0..=MAX, invert @ (0 | 1), 0, 0, 0, 0, 0, 0] = cursor.take_match(Self::NAME, 0)? else { return None };
        Some(Self { test: Test { negated: invert == 1, value } })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DSCP match {}0x{:02x}", if self.test.negated { "!" } else { "" }, self.test.value)
    }
}

fn parse_class(given: &Given<'_>) -> Result<u8, SyntaxError> {
    let class = CLASSES.iter().find(|(name, _)| name.eq_ignore_ascii_case(given.text(0)));
    class.map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<_> = CLASSES.iter().map(|(name, _)| *name).collect();
        given.error(format!("`{}` is not a class of service", given.text(0))).hint(format!("write one of {}", names.join(", ")))
    })
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--dscp 0x{:02x}", self.test.bang(), self.test.value)
    }
}
