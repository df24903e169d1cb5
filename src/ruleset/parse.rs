//! Messages of a dump to values.

use super::{Chain, ChainType, Entry, Hook};
use crate::{
    attr::{Attr, Attrs, be32, be64, string},
    expr::{Expr, Xt, read_all},
    extension::Context,
    message::Message,
    model::{ChainName, Counters, Handle, TABLE},
    rule::{Reader, Reading},
    uapi::*,
};

impl Chain {
    /// The chain in a `NEWCHAIN` of a dump, if it is one of `filter`; its rules come by themselves.
    pub fn read(message: Message<'_>) -> Option<Self> {
        if !message.is_nftables(NFT_MSG_NEWCHAIN) {
            return None;
        }
        let (mut table, mut name, mut handle, mut uses) = (None, None, None, 0);
        let (mut hook, mut policy, mut counters) = (None, None, None);
        let mut kind = ChainType::Filter;
        for Attr { kind: attr, payload } in Attrs::new(message.attributes()).flatten() {
            match attr {
                NFTA_CHAIN_TABLE => table = string(payload),
                NFTA_CHAIN_NAME => name = string(payload),
                NFTA_CHAIN_HANDLE => handle = be64(payload),
                NFTA_CHAIN_USE => uses = be32(payload).unwrap_or_default(),
                NFTA_CHAIN_HOOK => hook = Some(payload),
                NFTA_CHAIN_TYPE => {
                    kind = match string(payload) {
                        Some("route") => ChainType::Route,
                        Some("nat") => ChainType::Nat,
                        _ => ChainType::Filter,
                    }
                }
                NFTA_CHAIN_POLICY => policy = be32(payload),
                NFTA_CHAIN_COUNTERS => counters = read_counters(payload),
                _ => {}
            }
        }
        if table != Some(TABLE) {
            return None;
        }
        let hook = hook.map(|hook| {
            let number = |wanted| Attrs::new(hook).flatten().find(|attr| attr.kind == wanted).and_then(|attr| be32(attr.payload));
            Hook {
                kind,
                number: number(NFTA_HOOK_HOOKNUM).unwrap_or(u32::MAX),
                priority: number(NFTA_HOOK_PRIORITY).unwrap_or_default() as i32,
                accepts: policy != Some(NF_DROP as u32),
                counters,
            }
        });
        Some(Self { name: ChainName::from_kernel(name?).ok()?, handle: Handle(handle?), hook, uses, rules: None })
    }
}

fn read_counters(nest: &[u8]) -> Option<Counters> {
    let mut counters = Counters::default();
    for Attr { kind, payload } in Attrs::new(nest).flatten() {
        match kind {
            NFTA_COUNTER_BYTES => counters.bytes = be64(payload)?,
            NFTA_COUNTER_PACKETS => counters.packets = be64(payload)?,
            _ => {}
        }
    }
    Some(counters)
}

impl Entry {
    /// The rule in a `NEWRULE` of a dump, if its expressions (content of `NFTA_RULE_EXPRESSIONS`) are
    /// `wanted`. They are kept where the rule is foreign, or all if `keep_raw`.
    pub fn read(
        message: Message<'_>,
        reader: &mut Reader,
        context: Context<'_>,
        keep_raw: bool,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Option<Self> {
        if !message.is_nftables(NFT_MSG_NEWRULE) {
            return None;
        }
        let (mut handle, mut list, mut userdata) = (None, &[][..], None);
        for Attr { kind, payload } in Attrs::new(message.attributes()).flatten() {
            match kind {
                NFTA_RULE_HANDLE => handle = be64(payload),
                NFTA_RULE_EXPRESSIONS => list = payload,
                NFTA_RULE_USERDATA => userdata = Some(payload),
                _ => {}
            }
        }
        if !wanted(list) {
            return None;
        }
        let (reading, counters) = reader.read(list, userdata, context);
        let raw = (keep_raw || reading == Reading::Foreign).then(|| list.into());
        Some(Self { handle: Handle(handle?), counters, reading, raw, userdata: userdata.map(Into::into) })
    }
}

/// The expressions of the rule in a `NEWRULE` of a dump, unless it has user data: iptables writes none.
pub(super) fn expressions_alone(message: Message<'_>) -> Option<&[u8]> {
    let attrs = || Attrs::new(message.attributes()).flatten();
    let plain = message.is_nftables(NFT_MSG_NEWRULE) && attrs().all(|attr| attr.kind != NFTA_RULE_USERDATA);
    let list = attrs().find(|attr| attr.kind == NFTA_RULE_EXPRESSIONS)?;
    plain.then_some(list.payload)
}

/// The numbers of the ipsets in a rule's expressions.
pub(super) fn sets_of(list: &[u8]) -> Vec<u16> {
    let mut exprs = Vec::new();
    if read_all(list, &mut exprs).is_err() {
        return Vec::new();
    }
    // struct xt_set_info begins with the number; in the target's struct there are three, of 4 bytes
    // each (revision 2 and 3), unused ones being IPSET_INVALID_ID.
    let number = |info: &[u8], at: usize| info.get(at..at + 2).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
    let numbers = exprs.iter().flat_map(|expr| match expr {
        Expr::Match(Xt { name: "set", info, .. }) => vec![number(info, 0)],
        Expr::Target(Xt { name: "SET", info, .. }) => (0..3).map(|at| number(info, 4 * at)).collect(),
        _ => Vec::new(),
    });
    numbers.flatten().filter(|&index| index != u16::MAX).collect()
}
