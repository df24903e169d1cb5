use std::fmt;

use super::{Hex, read_value, write_value};
use crate::{
    attr::{self, Writer},
    uapi::*,
};

/// `[ cmp OP reg SREG VALUE ]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cmp<'a> {
    /// The register compared.
    pub sreg: u32,
    /// How.
    pub op: CmpOp,
    /// With what, as the bytes stand in the packet (marks: in host order).
    pub value: &'a [u8],
}

/// `NFT_CMP_…`, in the kernel's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
}

impl CmpOp {
    const ALL: [Self; 6] = [Self::Eq, Self::Neq, Self::Lt, Self::Lte, Self::Gt, Self::Gte];

    /// `Neq` if negated, else `Eq`.
    pub const fn eq_unless(negated: bool) -> Self {
        if negated { Self::Neq } else { Self::Eq }
    }
}

impl<'a> Cmp<'a> {
    pub(super) const NAME: &'static str = "cmp";

    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let t = attr::table::<4>(data).ok()?;
        Some(Self {
            sreg: attr::be32(t[NFTA_CMP_SREG as usize]?)?,
            op: *CmpOp::ALL.get(attr::be32(t[NFTA_CMP_OP as usize]?)? as usize)?,
            value: read_value(t[NFTA_CMP_DATA as usize]?)?,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.be32(NFTA_CMP_SREG, self.sreg);
        w.be32(NFTA_CMP_OP, self.op as u32);
        write_value(w, NFTA_CMP_DATA, self.value);
    }
}

impl fmt::Display for Cmp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[ cmp {} reg {} {} ]", format!("{:?}", self.op).to_lowercase(), self.sreg, Hex(self.value))
    }
}
