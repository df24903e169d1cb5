use std::fmt;

use super::bits::{self, Change};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError},
};

/// `-j MARK`: sets the packet's mark to `(mark & !mask) ^ value`. Kernel: `net/netfilter/xt_mark.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    change: Change,
}

impl Mark {
    /// `-j MARK --set-xmark 0x0/BITS`
    pub fn clearing(bits: u32) -> Self {
        Self { change: Change { value: 0, mask: bits } }
    }

    /// The bits that it may change.
    pub fn bits(&self) -> u32 {
        self.change.mask | self.change.value
    }
}

impl Extension for Mark {
    const NAME: &'static str = "MARK";
    const SUMMARY: &'static str = "sets the packet's mark";
    const OPTIONS: &'static [OptionSpec] = &bits::OPTIONS;
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-j MARK --set-mark 1", "-j MARK --set-xmark 0x1/0xffffffff"),
        Example::ok("-j MARK --set-mark 0x10/0xf0", "-j MARK --set-xmark 0x10/0xf0"),
        Example::ok("-j MARK --set-xmark 7/0x3", "-j MARK --set-xmark 0x7/0x3"),
        Example::ok("-j MARK --or-mark 0x8", "-j MARK --set-xmark 0x8/0x8"),
        Example::ok("-j MARK --and-mark 0xff", "-j MARK --set-xmark 0x0/0xffffff00"),
        Example::ok("-j MARK --xor-mark 0xf", "-j MARK --set-xmark 0xf/0x0"),
        Example::fails("-j MARK", "needs `--set-xmark`, `--set-mark`, `--and-mark`, `--or-mark` or `--xor-mark`"),
        Example::fails("-j MARK --set-mark 1 --or-mark 2", "one of these is enough"),
        Example::fails("-j MARK --set-mark x", "this must be a number, or a number and a mask: 0x10, 0x10/0xf0"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args
            .next()
            .ok_or_else(|| args.error("needs `--set-xmark`, `--set-mark`, `--and-mark`, `--or-mark` or `--xor-mark`"))?;
        if let Some(second) = args.next() {
            return Err(second.error_here("one of these is enough"));
        }
        Ok(Self { change: Change::parse(&given)? })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_mark_tginfo2: mark, mask
        let mut info = [0; 8];
        info[..4].copy_from_slice(&self.change.value.to_ne_bytes());
        info[4..].copy_from_slice(&self.change.mask.to_ne_bytes());
        out.xt_target(Self::NAME, 2, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[a, b, c, d, e, f, g, h] = cursor.take_target(Self::NAME, 2)?;
        let change = Change { value: u32::from_ne_bytes([a, b, c, d]), mask: u32::from_ne_bytes([e, f, g, h]) };
        Some(Self { change })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MARK ")?;
        self.change.list(f)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.change.fmt(f)
    }
}
