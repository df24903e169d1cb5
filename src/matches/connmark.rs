use std::fmt;

use super::marks::{self, Mark};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m connmark`: the mark of the packet's connection. Kernel: `net/netfilter/xt_connmark.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connmark {
    test: Test<Mark>,
}

impl Extension for Connmark {
    const NAME: &'static str = "connmark";
    const SUMMARY: &'static str = "the mark of the packet's connection";
    const OPTIONS: &'static [OptionSpec] = &[opt("mark", &["VALUE[/MASK]"], "the bits in MASK (all if left out) are VALUE").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m connmark --mark 1 -j DROP", "-m connmark --mark 0x1 -j DROP"),
        Example::ok("-m connmark --mark 16/0xF0 -j DROP", "-m connmark --mark 0x10/0xf0 -j DROP"),
        Example::same("-m connmark ! --mark 0x1 -j DROP"),
        Example::same("-m mark --mark 0x1 -m connmark --mark 0x2 -j DROP"),
        Example::same("-m connmark --mark 0x1 -m connmark --mark 0x2 -m mark --mark 0x3 -m mark --mark 0x4 -j DROP"),
        Example::fails(
            "-m connmark --mark 1 -m mark --mark 2 -m connmark --mark 3 -j DROP",
            "iptables takes this `--mark` for that of `-m mark` in front",
        ),
        Example::fails("-m connmark -j DROP", "needs `--mark VALUE`"),
        Example::fails("-m connmark --mark x -j DROP", "this must be a number, or a number and a mask: 0x10, 0x10/0xf0"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        Ok(Self { test: marks::parse(args)? })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &marks::to_xt(self.test));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        Some(Self { test: marks::from_xt(cursor.take_match(Self::NAME, 1)?)? })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two blanks, or a `!` between them, as iptables prints it.
        write!(f, "connmark match {} {}", if self.test.negated { "!" } else { "" }, self.test.value)
    }
}

impl fmt::Display for Connmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--mark {}", self.test.bang(), self.test.value)
    }
}
