//! Tests of a mark, the packet's or its connection's: 32 bits, of which some are compared.

use std::fmt;

use crate::{
    model::Test,
    syntax::{Args, SyntaxError, masked},
};

/// `VALUE[/MASK]`: the mark's bits in MASK are VALUE. A bit of VALUE outside of MASK is kept; then
/// no mark is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What the bits are.
    pub value: u32,
    /// Which bits; all if left out.
    pub mask: u32,
}

/// Reads `--mark`, the only option.
///
/// # Errors
/// If it is missing or wrong.
pub fn parse(args: &mut Args<'_>) -> Result<Test<Mark>, SyntaxError> {
    let given = args.next().ok_or_else(|| args.error("needs `--mark VALUE`"))?;
    let (value, mask) = masked(&given.values[0])?;
    Ok(Test { negated: given.negated, value: Mark { value, mask: mask.unwrap_or(u32::MAX) } })
}

/// `struct xt_mark_mtinfo1`, `struct xt_connmark_mtinfo1`: mark, mask, invert.
pub fn to_xt(test: Test<Mark>) -> [u8; 16] {
    let mut info = [0; 16];
    info[..4].copy_from_slice(&test.value.value.to_ne_bytes());
    info[4..8].copy_from_slice(&test.value.mask.to_ne_bytes());
    info[8] = test.negated.into();
    info
}

/// From those.
pub fn from_xt(info: &[u8; 16]) -> Option<Test<Mark>> {
    let &[a, b, c, d, e, f, g, h, invert @ (0 | 1), 0, 0, 0, 0, 0, 0, 0] = info else { return None };
    let value = Mark { value: u32::from_ne_bytes([a, b, c, d]), mask: u32::from_ne_bytes([e, f, g, h]) };
    Some(Test { negated: invert == 1, value })
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { value, mask: u32::MAX } => write!(f, "0x{value:x}"),
            Self { value, mask } => write!(f, "0x{value:x}/0x{mask:x}"),
        }
    }
}
