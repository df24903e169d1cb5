//! When two rules do the same, though they are written otherwise.

use crate::{
    expr::{Base, CmpOp, Condition, Field, Item, Operand, Xt},
    matches::{Tcp, Udp, xt_upwards},
    model::Family,
    uapi::{NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_META_OIFNAME},
};

/// An item in the form that all items with the same meaning have.
#[derive(Debug, PartialEq)]
pub(super) enum Normal<'a> {
    /// A native test of a port, however it is written.
    Port {
        offset: u32,
        negated: bool,
        low: u16,
        high: u16,
    },
    /// `-m tcp` or `-m udp` as xt.
    Xt(&'a str, [u8; 16]),
    Condition(Condition<'a>),
    Item(Item<'a>),
}

/// Two rules with equal normal forms do the same and are printed the same: no counters (at most one
/// is read), no load that nothing uses, native tests between two others in one order, interfaces'
/// names without padding, ports as ranges that are not negated where they need not be.
pub(super) fn normalize<'a>(items: &[Item<'a>], family: Family) -> Vec<Normal<'a>> {
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        match *item {
            Item::Counter(_) | Item::Stray(_) => {}
            Item::Condition(condition) => normalize_condition(condition, family, &mut out),
            Item::Match(xt) => out.push(xt_ports(&xt).unwrap_or(Normal::Item(*item))),
            item => out.push(Normal::Item(item)),
        }
    }
    for run in out.split_mut(|item| matches!(item, Normal::Item(_) | Normal::Xt(..))) {
        run.sort_unstable_by(|a, b| match (a, b) {
            (Normal::Condition(a), Normal::Condition(b)) => a.cmp(b),
            (Normal::Port { offset: a, .. }, Normal::Port { offset: b, .. }) => a.cmp(b),
            (a, b) => matches!(a, Normal::Port { .. }).cmp(&matches!(b, Normal::Port { .. })),
        });
    }
    out
}

fn xt_ports<'a>(xt: &Xt<'a>) -> Option<Normal<'a>> {
    let invflags = match xt.name {
        "tcp" => Tcp::INVFLAGS,
        "udp" => Udp::INVFLAGS,
        _ => return None,
    };
    Some(Normal::Xt(xt.name, xt_upwards(*xt.info(xt.name, 0)?, invflags)))
}

fn normalize_condition<'a>(mut condition: Condition<'a>, family: Family, out: &mut Vec<Normal<'a>>) {
    if family == Family::Ip && condition.field == Field::network(9, 1) {
        condition.field = Field::Meta(NFT_META_L4PROTO);
    }
    if let (Field::Payload { base: Base::Network, offset, .. }, Some(mask), Operand::Value(_, value)) =
        (condition.field, condition.mask, &mut condition.operand)
    {
        // A mask of whole bytes is a shorter load without one.
        let whole = mask.iter().take_while(|&&byte| byte == 0xff).count();
        if whole > 0 && mask[whole..].iter().all(|&byte| byte == 0) && value.len() == mask.len() {
            condition.field = Field::network(offset, whole as u32);
            condition.mask = None;
            *value = &value[..whole];
        }
    }
    if let (Field::Meta(NFT_META_IIFNAME | NFT_META_OIFNAME), Operand::Value(_, value)) = (condition.field, &mut condition.operand)
        && let Some(end) = value.iter().position(|&byte| byte == 0)
    {
        *value = &value[..=end];
    }
    if let (Field::Payload { base: Base::Transport, offset, .. }, None) = (condition.field, condition.mask) {
        let port = |offset, negated, low: [u8; 2], high: [u8; 2]| Normal::Port {
            offset,
            negated,
            low: u16::from_be_bytes(low),
            high: u16::from_be_bytes(high),
        };
        let (min, max) = ([0; 2], [0xff; 2]);
        match condition.operand {
            Operand::Value(CmpOp::Eq, &[a, b, c, d]) => {
                return out.extend([port(offset, false, [a, b], [a, b]), port(offset + 2, false, [c, d], [c, d])]);
            }
            Operand::Value(op, &[a, b]) => {
                let value = u16::from_be_bytes([a, b]);
                let (negated, low, high) = match op {
                    CmpOp::Eq => (false, [a, b], [a, b]),
                    CmpOp::Neq => (true, [a, b], [a, b]),
                    CmpOp::Lte => (false, min, [a, b]),
                    CmpOp::Gte => (false, [a, b], max),
                    CmpOp::Lt => (false, min, value.saturating_sub(1).to_be_bytes()),
                    CmpOp::Gt => (false, value.saturating_add(1).to_be_bytes(), max),
                };
                return out.push(port(offset, negated, low, high));
            }
            Operand::Range { negated, from: &[a, b], to: &[c, d] } => return out.push(port(offset, negated, [a, b], [c, d])),
            _ => {}
        }
    }
    out.push(Normal::Condition(condition));
}
