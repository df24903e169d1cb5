use std::fmt;

use super::{Hex, read_value, write_value};
use crate::{
    attr::{self, Writer},
    uapi::*,
};

/// `[ bitwise reg DREG = ( reg SREG & MASK ) ^ XOR ]`; mask and xor have the same length.
///
/// The kernel dumps `NFTA_BITWISE_OP` (0, mask and xor), which iptables doesn't send and neither
/// do we.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bitwise<'a> {
    /// The register read.
    pub sreg: u32,
    /// The register written.
    pub dreg: u32,
    /// The bits kept.
    pub mask: &'a [u8],
    /// The bits turned over afterwards.
    pub xor: &'a [u8],
}

impl<'a> Bitwise<'a> {
    pub(super) const NAME: &'static str = "bitwise";

    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let t = attr::table::<7>(data).ok()?;
        if t[NFTA_BITWISE_OP as usize].is_some_and(|op| op != [0; 4]) {
            return None;
        }
        let out = Self {
            sreg: attr::be32(t[NFTA_BITWISE_SREG as usize]?)?,
            dreg: attr::be32(t[NFTA_BITWISE_DREG as usize]?)?,
            mask: read_value(t[NFTA_BITWISE_MASK as usize]?)?,
            xor: read_value(t[NFTA_BITWISE_XOR as usize]?)?,
        };
        let len = attr::be32(t[NFTA_BITWISE_LEN as usize]?)? as usize;
        (out.mask.len() == len && out.xor.len() == len).then_some(out)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.be32(NFTA_BITWISE_SREG, self.sreg);
        w.be32(NFTA_BITWISE_DREG, self.dreg);
        w.be32(NFTA_BITWISE_LEN, self.mask.len() as u32);
        write_value(w, NFTA_BITWISE_MASK, self.mask);
        write_value(w, NFTA_BITWISE_XOR, self.xor);
    }
}

impl fmt::Display for Bitwise<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[ bitwise reg {} = ( reg {} & {} ) ^ {} ]", self.dreg, self.sreg, Hex(self.mask), Hex(self.xor))
    }
}
