//! The rules of our table, as bytes that equal the kernel's own dump of them.
//!
//! Source: `nft_lookup_dump`, `nft_ct_get_dump`, `nft_bitwise_dump` and their like
//! (`net/netfilter/nft_*.c`).

use super::{Kind, slot::TRIAL};
use crate::{
    attr::Writer,
    expr::{Base, Cmp, CmpOp, Expr, Immediate, Meta, MetaSet, Payload, Unknown, Verdict},
    model::{Family, Protocol},
    uapi::*,
};

/// Puts expressions together.
#[derive(Debug, Default)]
pub(super) struct Rule(Vec<u8>);

impl Rule {
    fn push(mut self, expr: Expr<'_>) -> Self {
        expr.write(&mut Writer::as_dumped(&mut self.0));
        self
    }

    fn raw(self, name: &str, fill: impl FnOnce(&mut Writer<'_>)) -> Self {
        let mut data = Vec::new();
        fill(&mut Writer::as_dumped(&mut data));
        self.push(Expr::Unknown(Unknown { name, data: &data }))
    }

    /// `[ ct load KEY => reg REG ]`, of the original direction where that matters.
    fn ct(self, key: u32, reg: u32, direction: Option<u8>) -> Self {
        self.raw("ct", |w| {
            w.be32(NFTA_CT_DREG, reg);
            w.be32(NFTA_CT_KEY, key);
            if let Some(direction) = direction {
                w.u8(NFTA_CT_DIRECTION, direction);
            }
        })
    }

    /// `[ bitwise reg 1 = ( reg 1 & MASK ) ^ XOR ]`
    fn bitwise(self, mask: u32, xor: u32) -> Self {
        self.raw("bitwise", |w| {
            w.be32(NFTA_BITWISE_SREG, NFT_REG_1);
            w.be32(NFTA_BITWISE_DREG, NFT_REG_1);
            w.be32(NFTA_BITWISE_LEN, 4);
            w.be32(NFTA_BITWISE_OP, 0);
            w.nest(NFTA_BITWISE_MASK, |w| w.bytes(NFTA_DATA_VALUE, &mask.to_ne_bytes()));
            w.nest(NFTA_BITWISE_XOR, |w| w.bytes(NFTA_DATA_VALUE, &xor.to_ne_bytes()));
        })
    }

    fn cmp(self, op: CmpOp, value: &[u8]) -> Self {
        self.push(Expr::Cmp(Cmp { sreg: NFT_REG_1, op, value }))
    }

    fn lookup(self, set: Kind, into: Option<u32>) -> Self {
        self.look_up(&set.name(), into)
    }

    /// `[ lookup reg 1 set NAME dreg REG ]`
    fn look_up(self, set: &str, into: Option<u32>) -> Self {
        self.raw("lookup", |w| {
            w.string(NFTA_LOOKUP_SET, set);
            w.be32(NFTA_LOOKUP_SREG, NFT_REG_1);
            if let Some(reg) = into {
                w.be32(NFTA_LOOKUP_DREG, reg);
            }
            w.be32(NFTA_LOOKUP_FLAGS, 0);
        })
    }

    fn mark(self) -> Self {
        self.push(Expr::Meta(Meta { dreg: NFT_REG_1, key: NFT_META_MARK }))
    }

    fn set_mark(self) -> Self {
        self.push(Expr::MetaSet(MetaSet { sreg: NFT_REG_1, key: NFT_META_MARK }))
    }

    /// `goto CHAIN`
    pub(super) fn goto(self, chain: &str) -> Self {
        self.push(Expr::Immediate(Immediate::Verdict(Verdict::Goto(chain))))
    }

    /// `accept`: as far as this base chain goes.
    pub(super) fn accept(self) -> Self {
        self.push(Expr::Immediate(Immediate::Verdict(Verdict::Accept)))
    }

    /// `ct state established,related`
    pub(super) fn known(self) -> Self {
        let states = NF_CT_STATE_ESTABLISHED | NF_CT_STATE_RELATED;
        self.ct(NFT_CT_STATE, NFT_REG_1, None).bitwise(states, 0).cmp(CmpOp::Neq, &[0; 4])
    }

    /// `ip saddr`, into register 1.
    pub(super) fn source(self, family: Family) -> Self {
        let (offset, len) = if family == Family::Ip { (12, 4) } else { (8, 16) };
        self.push(Expr::Payload(Payload { dreg: NFT_REG_1, base: Base::Network, offset, len }))
    }

    /// `meta protocol @trial`
    pub(super) fn in_trial(self) -> Self {
        let protocol = self.push(Expr::Meta(Meta { dreg: NFT_REG_1, key: NFT_META_PROTOCOL }));
        protocol.look_up(TRIAL, None)
    }

    /// Goes on if register 1 is in the set.
    pub(super) fn within(self, set: Kind) -> Self {
        self.lookup(set, None)
    }

    /// Goes to the chain that stands behind register 1.
    pub(super) fn vmap(self, set: Kind) -> Self {
        self.lookup(set, Some(NFT_REG_VERDICT))
    }

    /// `ct direction original`
    pub(super) fn original(self) -> Self {
        self.ct(NFT_CT_DIRECTION, NFT_REG_1, None).cmp(CmpOp::Eq, &[IP_CT_DIR_ORIGINAL])
    }

    /// `meta l4proto PROTOCOL ct original proto-dst`, the port into register 1. (nft has no word for both of
    /// them as one key.)
    pub(super) fn port(self, protocol: Protocol) -> Self {
        let protocol_is = self.push(Expr::Meta(Meta { dreg: NFT_REG_1, key: NFT_META_L4PROTO })).cmp(CmpOp::Eq, &[protocol.0]);
        protocol_is.ct(NFT_CT_PROTO_DST, NFT_REG_1, Some(IP_CT_DIR_ORIGINAL))
    }

    /// `meta mark set meta mark & ~MASK ^ VALUE`
    pub(super) fn give(self, mask: u32, value: u32) -> Self {
        self.mark().bitwise(!mask, value).set_mark()
    }

    /// `meta mark & MASK != 0 meta mark set meta mark & ~MASK`: nobody else's mark is taken for ours.
    pub(super) fn clear(self, mask: u32) -> Self {
        self.mark().bitwise(mask, 0).cmp(CmpOp::Neq, &[0; 4]).give(mask, 0)
    }

    pub(super) fn finish(self) -> Box<[u8]> {
        self.0.into()
    }
}
