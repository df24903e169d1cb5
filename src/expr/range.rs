use std::fmt;

use super::{Hex, read_value, write_value};
use crate::{
    attr::{self, Writer},
    uapi::*,
};

/// `[ range OP reg SREG FROM TO ]`; both ends belong to the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range<'a> {
    /// The register compared.
    pub sreg: u32,
    /// Matches outside of the range instead.
    pub negated: bool,
    /// The lowest value.
    pub from: &'a [u8],
    /// The highest value.
    pub to: &'a [u8],
}

impl<'a> Range<'a> {
    pub(super) const NAME: &'static str = "range";

    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let t = attr::table::<5>(data).ok()?;
        Some(Self {
            sreg: attr::be32(t[NFTA_RANGE_SREG as usize]?)?,
            negated: match attr::be32(t[NFTA_RANGE_OP as usize]?)? {
                0 => false,
                1 => true,
                _ => return None,
            },
            from: read_value(t[NFTA_RANGE_FROM_DATA as usize]?)?,
            to: read_value(t[NFTA_RANGE_TO_DATA as usize]?)?,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.be32(NFTA_RANGE_SREG, self.sreg);
        w.be32(NFTA_RANGE_OP, self.negated.into());
        write_value(w, NFTA_RANGE_FROM_DATA, self.from);
        write_value(w, NFTA_RANGE_TO_DATA, self.to);
    }
}

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = if self.negated { "neq" } else { "eq" };
        write!(f, "[ range {op} reg {} {} {} ]", self.sreg, Hex(self.from), Hex(self.to))
    }
}
