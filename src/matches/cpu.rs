use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, OptionSpec, SyntaxError, number, opt},
};

/// `-m cpu`: which CPU handles the packet. Kernel: `net/netfilter/xt_cpu.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    test: Test<u32>,
}

impl Extension for Cpu {
    const NAME: &'static str = "cpu";
    const SUMMARY: &'static str = "which CPU handles the packet";
    const OPTIONS: &'static [OptionSpec] = &[opt("cpu", &["NUMBER"], "the CPU, counted from 0").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m cpu --cpu 0 -j DROP"),
        Example::ok("-m cpu ! --cpu 0x1f -j DROP", "-m cpu ! --cpu 31 -j DROP"),
        Example::same("-m cpu --cpu 4294967295 -j DROP"),
        Example::fails("-m cpu -j DROP", "needs `--cpu NUMBER`"),
        Example::fails("-m cpu --cpu 4294967296 -j DROP", "this must be a number from 0 to 4294967295"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--cpu NUMBER`"))?;
        let value = number(&given.values[0], u32::MAX.into())? as u32;
        Ok(Self { test: Test { negated: given.negated, value } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_cpu_info: u32 cpu, u32 invert
        let ([a, b, c, d], [e, f, g, h]) = (self.test.value.to_ne_bytes(), u32::from(self.test.negated).to_ne_bytes());
        out.xt_match(Self::NAME, 0, &[a, b, c, d, e, f, g, h]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[a, b, c, d, e, f, g, h] = cursor.take_match(Self::NAME, 0)?;
        let (value, invert) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        (invert <= 1).then_some(Self { test: Test { negated: invert == 1, value } })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu {}{}", self.test.bang(), self.test.value)
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--cpu {}", self.test.bang(), self.test.value)
    }
}
