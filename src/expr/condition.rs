//! Load, mask and compare, folded into one [`Condition`]: extensions match on meaning, not on
//! registers.

use super::{Base, CmpOp, Expr, Immediate, Limit, Log, Verdict, Xt};
use crate::{model::Counters, uapi::*};

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// Bytes of the packet.
    Payload {
        /// From which header.
        base: Base,
        /// Where.
        offset: u32,
        /// How many.
        len: u32,
    },
    /// What the kernel knows of it (`NFT_META_…`).
    Meta(u32),
}

impl Field {
    /// Bytes of the network header.
    pub const fn network(offset: u32, len: u32) -> Self {
        Self::Payload { base: Base::Network, offset, len }
    }

    /// Bytes of the transport header.
    pub const fn transport(offset: u32, len: u32) -> Self {
        Self::Payload { base: Base::Transport, offset, len }
    }
}

/// What a field is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operand<'a> {
    /// One value.
    Value(CmpOp, &'a [u8]),
    /// A range, both ends included.
    Range {
        /// Matches outside of it instead.
        negated: bool,
        /// The lowest value.
        from: &'a [u8],
        /// The highest value.
        to: &'a [u8],
    },
}

/// One test of the packet that has no state: it may be evaluated at any place with the same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Condition<'a> {
    /// What is looked at.
    pub field: Field,
    /// The bits compared; all where `None`.
    pub mask: Option<&'a [u8]>,
    /// What with.
    pub operand: Operand<'a>,
}

/// A rule's expressions after folding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// A native test.
    Condition(Condition<'a>),
    /// A load that nothing compares: iptables up to 1.8.9 writes one for `-i +`.
    Stray(Field),
    /// An xt match.
    Match(Xt<'a>),
    /// A token bucket.
    Limit(Limit),
    /// The rule's counter.
    Counter(Counters),
    /// NFLOG.
    Log(Log<'a>),
    /// An xt target.
    Target(Xt<'a>),
    /// `[ immediate reg 9 0x01 ][ meta set nftrace with reg 9 ]`: TRACE.
    SetTrace,
    /// The end.
    Verdict(Verdict<'a>),
}

/// Folds a rule's expressions into `out`. False where there is one that does not fit: such a rule
/// is nobody's iptables rule.
pub fn fold<'a>(exprs: &[Expr<'a>], out: &mut Vec<Item<'a>>) -> bool {
    let mut rest = exprs;
    while !rest.is_empty() {
        let Some((item, used)) = fold_one(rest) else { return false };
        out.push(item);
        rest = &rest[used..];
    }
    true
}

fn fold_one<'a>(exprs: &[Expr<'a>]) -> Option<(Item<'a>, usize)> {
    Some(match *exprs {
        [Expr::Payload(load), ref rest @ ..] => {
            let field = Field::Payload { base: load.base, offset: load.offset, len: load.len };
            let (condition, used) = fold_condition(field, load.dreg, rest)?;
            (Item::Condition(condition), used + 1)
        }
        [Expr::Meta(load), ref rest @ ..] => {
            let field = Field::Meta(load.key);
            match fold_condition(field, load.dreg, rest) {
                Some((condition, used)) => (Item::Condition(condition), used + 1),
                None => (Item::Stray(field), 1),
            }
        }
        [Expr::Immediate(Immediate::Value { dreg, value: [1] }), Expr::MetaSet(set), ..]
            if set.sreg == dreg && set.key == NFT_META_NFTRACE && dreg == NFT_REG32_01 =>
        {
            (Item::SetTrace, 2)
        }
        [Expr::Match(xt), ..] => (Item::Match(xt), 1),
        [Expr::Target(xt), ..] => (Item::Target(xt), 1),
        [Expr::Limit(limit), ..] => (Item::Limit(limit), 1),
        [Expr::Counter(counter), ..] => (Item::Counter(counter.0), 1),
        [Expr::Log(log), ..] => (Item::Log(log), 1),
        [Expr::Immediate(Immediate::Verdict(verdict)), ..] => (Item::Verdict(verdict), 1),
        _ => return None,
    })
}

fn fold_condition<'a>(field: Field, reg: u32, rest: &[Expr<'a>]) -> Option<(Condition<'a>, usize)> {
    let (mask, rest, used) = match *rest {
        [Expr::Bitwise(bits), ref rest @ ..] => {
            if bits.sreg != reg || bits.dreg != reg || bits.xor.iter().any(|&byte| byte != 0) {
                return None;
            }
            (Some(bits.mask), rest, 1)
        }
        ref rest => (None, rest, 0),
    };
    let operand = match *rest {
        [Expr::Cmp(cmp), ..] if cmp.sreg == reg => Operand::Value(cmp.op, cmp.value),
        [Expr::Range(range), ..] if range.sreg == reg => Operand::Range { negated: range.negated, from: range.from, to: range.to },
        _ => return None,
    };
    Some((Condition { field, mask, operand }, used + 1))
}
