//! Which dialect the host's own iptables writes, told from what it has written.

use super::Ruleset;
use crate::{
    attr::Attrs,
    expr::{Expr, Field, Item, fold, read_all},
    message::Request,
    model::{ChainName, Dialect, Family},
    netlink::{Netlink, NetlinkError},
    uapi::*,
};

/// The dialect, or [`Dialect::Portable`] where nothing tells.
///
/// Base chains that count: 1.8.10 or later. Else the rules of the chains that are not the
/// administrator's (Docker's own, FORWARD) tell it: a protocol read from IPv4's header, 1.8.10 or
/// later; native ports, 1.8.8 or 1.8.9; ports of xt `tcp`, up to 1.8.7.
///
/// # Errors
/// [`NetlinkError`]
pub fn detect(netlink: &mut Netlink, ruleset: &Ruleset) -> Result<Dialect, NetlinkError> {
    let mut builtin = ruleset.chains.iter().filter(|chain| chain.name.is_builtin());
    if builtin.any(|chain| chain.hook.is_some_and(|hook| hook.counters.is_some())) {
        return Ok(Dialect::D);
    }
    for chain in ruleset.chains.iter().filter(|chain| !chain.name.is_writable()) {
        if let Some(dialect) = written_in(netlink, ruleset.family, &chain.name)? {
            return Ok(dialect);
        }
    }
    Ok(Dialect::Portable)
}

fn written_in(netlink: &mut Netlink, family: Family, chain: &ChainName) -> Result<Option<Dialect>, NetlinkError> {
    netlink.dump(&Request::rules(family, chain), |found: &mut Option<Dialect>, message| {
        let mut attrs = Attrs::new(message.attributes()).flatten();
        if let Some(list) = attrs.find(|attr| attr.kind == NFTA_RULE_EXPRESSIONS)
            && found.is_none()
        {
            *found = evidence(list.payload, family);
        }
    })
}

fn evidence(list: &[u8], family: Family) -> Option<Dialect> {
    let (mut exprs, mut items) = (Vec::new(), Vec::new());
    if read_all(list, &mut exprs).is_err() || !fold(&exprs, &mut items) || exprs.iter().any(|expr| matches!(expr, Expr::Unknown(_))) {
        return None;
    }
    let tests = |field: Field| items.iter().any(|item| matches!(item, Item::Condition(condition) if condition.field == field));
    let from_header = family == Family::Ip && tests(Field::network(9, 1));
    let by_meta = tests(Field::Meta(NFT_META_L4PROTO));
    let native = [Field::transport(0, 2), Field::transport(2, 2), Field::transport(0, 4)].into_iter().any(tests);
    let xt = items.iter().any(|item| matches!(item, Item::Match(xt) if matches!(xt.name, "tcp" | "udp") && xt.info != BARE));
    match () {
        () if from_header => Some(Dialect::D),
        () if by_meta && native && family == Family::Ip => Some(Dialect::B),
        () if by_meta && xt => Some(Dialect::A),
        () => None,
    }
}

/// The struct of `-m tcp` or `-m udp` without options, which is xt in every dialect.
const BARE: [u8; 16] = [0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
