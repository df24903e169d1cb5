use std::fmt;

use super::{Hex, optional, write_value};
use crate::{
    attr::{self, Writer},
    uapi::*,
};

/// `[ immediate reg 0 VERDICT ]` or `[ immediate reg DREG VALUE ]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Immediate<'a> {
    /// The rule's verdict.
    Verdict(Verdict<'a>),
    /// Data for a register.
    Value {
        /// The register loaded into.
        dreg: u32,
        /// The data.
        value: &'a [u8],
    },
}

/// What becomes of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict<'a> {
    /// Passes this hook for good.
    Accept,
    /// Is gone.
    Drop,
    /// Goes on after the jump that led here.
    Return,
    /// Goes on with the next rule (as without any verdict).
    Continue,
    /// Goes through that chain, and comes back.
    Jump(&'a str),
    /// Goes through that chain, and does not come back here.
    Goto(&'a str),
}

impl<'a> Immediate<'a> {
    pub(super) const NAME: &'static str = "immediate";

    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let t = attr::table::<3>(data).ok()?;
        let dreg = attr::be32(t[NFTA_IMMEDIATE_DREG as usize]?)?;
        let content = attr::table::<3>(t[NFTA_IMMEDIATE_DATA as usize]?).ok()?;
        if dreg != NFT_REG_VERDICT {
            return Some(Self::Value { dreg, value: content[NFTA_DATA_VALUE as usize]? });
        }
        Verdict::read(content[NFTA_DATA_VERDICT as usize]?).map(Self::Verdict)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        match *self {
            Self::Value { dreg, value } => {
                w.be32(NFTA_IMMEDIATE_DREG, dreg);
                write_value(w, NFTA_IMMEDIATE_DATA, value);
            }
            Self::Verdict(verdict) => {
                let (code, chain) = match verdict {
                    Verdict::Accept => (NF_ACCEPT, None),
                    Verdict::Drop => (NF_DROP, None),
                    Verdict::Return => (NFT_RETURN, None),
                    Verdict::Continue => (NFT_CONTINUE, None),
                    Verdict::Jump(chain) => (NFT_JUMP, Some(chain)),
                    Verdict::Goto(chain) => (NFT_GOTO, Some(chain)),
                };
                w.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
                w.nest(NFTA_IMMEDIATE_DATA, |w| {
                    w.nest(NFTA_DATA_VERDICT, |w| {
                        w.be32(NFTA_VERDICT_CODE, code as u32);
                        if let Some(chain) = chain {
                            w.string(NFTA_VERDICT_CHAIN, chain);
                        }
                    });
                });
            }
        }
    }
}

impl<'a> Verdict<'a> {
    /// Reads the content of an `NFTA_DATA_VERDICT`.
    pub fn read(nest: &'a [u8]) -> Option<Self> {
        let verdict = attr::table::<3>(nest).ok()?;
        let chain = optional(verdict[NFTA_VERDICT_CHAIN as usize], attr::terminated)?;
        Some(match (attr::be32(verdict[NFTA_VERDICT_CODE as usize]?)? as i32, chain) {
            (NF_ACCEPT, None) => Self::Accept,
            (NF_DROP, None) => Self::Drop,
            (NFT_RETURN, None) => Self::Return,
            (NFT_CONTINUE, None) => Self::Continue,
            (NFT_JUMP, Some(chain)) => Self::Jump(chain),
            (NFT_GOTO, Some(chain)) => Self::Goto(chain),
            _ => return None,
        })
    }
}

impl fmt::Display for Immediate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict(verdict) => write!(f, "[ immediate reg 0 {verdict} ]"),
            Self::Value { dreg, value } => write!(f, "[ immediate reg {dreg} {} ]", Hex(value)),
        }
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Continue => f.write_str("continue"),
            Self::Jump(chain) => write!(f, "jump -> {chain}"),
            Self::Goto(chain) => write!(f, "goto -> {chain}"),
        }
    }
}
