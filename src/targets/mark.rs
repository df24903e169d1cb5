use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError, masked, number, opt},
};

/// `-j MARK`: sets the packet's mark to `(mark & !mask) ^ value`. Kernel: `net/netfilter/xt_mark.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    value: u32,
    mask: u32,
}

impl Extension for Mark {
    const NAME: &'static str = "MARK";
    const SUMMARY: &'static str = "sets the packet's mark";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("set-xmark", &["VALUE[/MASK]"], "clears the bits of MASK, then turns those of VALUE over"),
        opt("set-mark", &["VALUE[/MASK]"], "clears the bits of MASK and VALUE, then sets those of VALUE"),
        opt("and-mark", &["BITS"], "keeps these bits only"),
        opt("or-mark", &["BITS"], "sets these bits"),
        opt("xor-mark", &["BITS"], "turns these bits over"),
    ];
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
        if let "set-xmark" | "set-mark" = given.name() {
            let (value, mask) = masked(&given.values[0])?;
            let mask = mask.unwrap_or(u32::MAX);
            return Ok(Self { value, mask: if given.name() == "set-mark" { mask | value } else { mask } });
        }
        let bits = number(&given.values[0], u32::MAX.into())? as u32;
        Ok(match given.name() {
            "and-mark" => Self { value: 0, mask: !bits },
            "or-mark" => Self { value: bits, mask: bits },
            _ => Self { value: bits, mask: 0 },
        })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_mark_tginfo2: mark, mask
        let mut info = [0; 8];
        info[..4].copy_from_slice(&self.value.to_ne_bytes());
        info[4..].copy_from_slice(&self.mask.to_ne_bytes());
        out.xt_target(Self::NAME, 2, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[a, b, c, d, e, f, g, h] = cursor.take_target(Self::NAME, 2)?;
        Some(Self { value: u32::from_ne_bytes([a, b, c, d]), mask: u32::from_ne_bytes([e, f, g, h]) })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { value: 0, mask } => write!(f, "MARK and 0x{:x}", !mask),
            Self { value, mask } if value == mask => write!(f, "MARK or 0x{value:x}"),
            Self { value, mask: 0 } => write!(f, "MARK xor 0x{value:x}"),
            Self { value, mask: u32::MAX } => write!(f, "MARK set 0x{value:x}"),
            Self { value, mask } => write!(f, "MARK xset 0x{value:x}/0x{mask:x}"),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--set-xmark 0x{:x}/0x{:x}", self.value, self.mask)
    }
}
