use std::fmt;

use super::marks;
use crate::{
    expr::{CmpOp, Condition, Field, Operand},
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
    uapi::NFT_META_MARK,
};

/// `-m mark`: the packet's mark. Kernel: `net/netfilter/xt_mark.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    test: Test<marks::Mark>,
}

impl Mark {
    /// The bits that it looks at.
    pub fn mask(&self) -> u32 {
        self.test.value.mask
    }

    /// Does no packet match that has none of these bits set?
    pub fn excludes_unmarked(&self, bits: u32) -> bool {
        let Test { negated, value: marks::Mark { value, mask } } = self.test;
        mask & !bits == 0 && (value == 0) == negated
    }
}

impl Extension for Mark {
    const NAME: &'static str = "mark";
    const SUMMARY: &'static str = "the packet's mark";
    const OPTIONS: &'static [OptionSpec] = &[opt("mark", &["VALUE[/MASK]"], "the bits in MASK (all if left out) are VALUE").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m mark --mark 1 -j DROP", "-m mark --mark 0x1 -j DROP"),
        Example::ok("-m mark --mark 16/0xF0 -j DROP", "-m mark --mark 0x10/0xf0 -j DROP"),
        Example::ok("-m mark ! --mark 010 -j DROP", "-m mark ! --mark 0x8 -j DROP"),
        Example::ok("-m mark --mark 1/0xffffffff -j DROP", "-m mark --mark 0x1 -j DROP"),
        Example::same("-m mark ! --mark 0x1/0x1 -m mark --mark 0x0/0x2 -j DROP"),
        Example::same("-m mark --mark 0x0/0x0 -j DROP"),
        Example::fails("-m mark -j DROP", "needs `--mark VALUE`"),
        Example::fails("-m mark --mark 1/ -j DROP", "this must be a number, or a number and a mask: 0x10, 0x10/0xf0"),
        Example::fails("-m mark --mark 0x100000000 -j DROP", "this must be a number, or a number and a mask: 0x10, 0x10/0xf0"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        Ok(Self { test: marks::parse(args)? })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        if !out.dialect().native() {
            return out.xt_match(Self::NAME, 1, &marks::to_xt(self.test));
        }
        // [ meta load mark => reg 1 ] [ bitwise … ] [ cmp … ]
        let (value, mask) = (self.test.value.value.to_ne_bytes(), self.test.value.mask.to_ne_bytes());
        out.condition(Condition {
            field: Field::Meta(NFT_META_MARK),
            mask: (self.test.value.mask != u32::MAX).then_some(mask.as_slice()),
            operand: Operand::Value(CmpOp::eq_unless(self.test.negated), &value),
        });
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let test = match cursor.take_match(Self::NAME, 1) {
            Some(info) => marks::from_xt(info)?,
            None => cursor.take_condition(read_native)?,
        };
        Some(Self { test })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mark match {}{}", self.test.bang(), self.test.value)
    }
}

fn read_native(condition: &Condition<'_>) -> Option<Test<marks::Mark>> {
    let &Condition { field: Field::Meta(NFT_META_MARK), mask, operand: Operand::Value(op @ (CmpOp::Eq | CmpOp::Neq), value) } = condition
    else {
        return None;
    };
    let number = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.try_into().ok()?));
    let mask = mask.map_or(Some(u32::MAX), number)?;
    Some(Test { negated: op == CmpOp::Neq, value: marks::Mark { value: number(value)?, mask } })
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--mark {}", self.test.bang(), self.test.value)
    }
}
