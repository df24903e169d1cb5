//! The table back from the kernel's dumps.

use std::{collections::HashMap, time::Duration};

use super::{
    Chain, Element, Kind, OwnTable, PRIORITY, Remains, Set, TABLE, Table, Trial,
    element::id,
    expressions::Rule,
    lower::{FORWARD, chain as named},
    slot::{self, Slot},
    trial,
};
use crate::{
    attr::{Attr, Attrs, be32, be64, string, table},
    expr::Verdict,
    message::{Message, Request},
    model::{ChainName, Family},
    netlink::{Netlink, NetlinkError},
    uapi::*,
};

/// How long the trial was to last and what is left of it, by its element alone: at once, and without reading
/// what it looks up. `None` if it is over, or there is none.
///
/// # Errors
/// [`NetlinkError`]
pub fn trial_time(netlink: &mut Netlink, family: Family) -> Result<Option<(Duration, Duration)>, NetlinkError> {
    let request = Request::elements(family, TABLE, slot::TRIAL);
    match gather(netlink, &request, |message| lasting(message, &trial::key(family))) {
        Err(NetlinkError::Refused { errno: libc::ENOENT, .. }) => Ok(None),
        found => Ok(found?.into_iter().flatten().next()),
    }
}

/// What was read of each slot.
#[derive(Debug, Default)]
struct Parts {
    deployed: Table,
    on_trial: Table,
    remains: Remains,
    /// The trial's length and what is left of it, while its element is there.
    element: Option<(Duration, Duration)>,
}

impl Parts {
    fn table(&mut self, slot: Slot) -> &mut Table {
        match slot {
            Slot::Deployed => &mut self.deployed,
            Slot::Trial => &mut self.on_trial,
        }
    }
}

impl OwnTable {
    /// Reads it. To be called in a [`Netlink::snapshot`], where others may change it meanwhile.
    ///
    /// # Errors
    /// [`NetlinkError`]; `ENOENT` if a set is gone when its elements are asked for; [`NetlinkError::Torn`].
    pub fn read(netlink: &mut Netlink, family: Family) -> Result<Self, NetlinkError> {
        let read = Self::read_once(netlink, family)?;
        // Somebody has changed the senders; or a transaction that was given up meanwhile made the kernel leave
        // some out, and then they are others the next time.
        let unsound = read.tables().any(|table| !table.is_sound());
        if unsound && !Self::read_once(netlink, family)?.tables().eq(read.tables()) {
            return Err(NetlinkError::Torn(format!("the table `{family} {TABLE}`")));
        }
        Ok(read)
    }

    /// What the deployed policy and that on trial look up.
    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.deployed.iter().chain(self.trial.iter().filter_map(|trial| trial.table.as_ref()))
    }

    fn read_once(netlink: &mut Netlink, family: Family) -> Result<Self, NetlinkError> {
        let Some(flags) = netlink.table_flags(family, TABLE)? else { return Ok(Self::default()) };
        let mut parts = Parts::default();
        parts.deployed.strange = flags != 0;
        read_sets(netlink, family, &mut parts)?;
        read_chains(netlink, family, &mut parts)?;
        for table in [&mut parts.deployed, &mut parts.on_trial] {
            table.sets.sort_by_key(|set| set.kind);
            table.chains.sort_by(|a, b| a.order().cmp(&b.order()));
        }
        Ok(parts.finish())
    }
}

fn read_sets(netlink: &mut Netlink, family: Family, parts: &mut Parts) -> Result<(), NetlinkError> {
    for (name, set) in gather(netlink, &Request::native_sets(family, TABLE), |message| set(message, family))? {
        let request = Request::elements(family, TABLE, &name);
        if name == slot::TRIAL {
            let elements = gather(netlink, &request, |message| lasting(message, &trial::key(family)))?;
            parts.element = elements.into_iter().flatten().next();
            parts.remains.sets.push(name);
            continue;
        }
        let slot = Slot::of_set(&name).0;
        if let Some(mut set) = set {
            for list in gather(netlink, &request, |message| elements_of(message, set.kind, slot))? {
                match list {
                    Some(mut some) => set.elements.append(&mut some),
                    None => parts.table(slot).strange = true,
                }
            }
            // nft adds an end before the first interval; it means nothing.
            set.elements.retain(|element| !(element.end && element.key == 0));
            set.elements.sort_unstable();
            if set.elements.windows(2).any(|two| (two[0].key, two[0].end) == (two[1].key, two[1].end)) {
                return Err(NetlinkError::Torn(request.what));
            }
            parts.table(slot).sets.push(set);
        } else {
            parts.table(slot).strange = true;
        }
        if slot == Slot::Trial {
            parts.remains.sets.push(name);
        }
    }
    Ok(())
}

fn read_chains(netlink: &mut Netlink, family: Family, parts: &mut Parts) -> Result<(), NetlinkError> {
    let mut rules: HashMap<String, Vec<Box<[u8]>>> = HashMap::new();
    for (chain, list) in gather(netlink, &Request::all_rules(family, TABLE), rule)? {
        rules.entry(chain).or_default().push(list);
    }
    for (name, hook) in gather(netlink, &Request::chains(family), chain)? {
        let Some(name) = name else {
            parts.deployed.strange = true;
            continue;
        };
        let (slot, own) = Slot::of_chain(name.as_str());
        // To the kernel only the deployed policy's base chain is one.
        let base = match slot {
            Slot::Deployed => hook == Hook::Ours,
            Slot::Trial => own == FORWARD,
        };
        let right = hook == Hook::None || (hook == Hook::Ours && slot == Slot::Deployed);
        if right {
            let rules = rules.remove(name.as_str()).unwrap_or_default();
            let rules = rules.into_iter().map(|rule| slot.rule_back(&rule)).collect();
            parts.table(slot).chains.push(Chain { name: named(own), base, rules });
        } else {
            parts.table(slot).strange = true;
        }
        if slot == Slot::Trial {
            parts.remains.chains.push(name);
        }
    }
    // There are rules of a chain that was left out.
    if !rules.is_empty() && !parts.deployed.strange && !parts.on_trial.strange {
        return Err(NetlinkError::Torn(format!("the table `{family} {TABLE}`")));
    }
    // A chain goes before those that it leads to.
    let order = |name: &ChainName| {
        let own = named(Slot::of_chain(name.as_str()).1);
        let (kind, number, _) = Chain { name: own, base: false, rules: Vec::new() }.order();
        std::cmp::Reverse((kind, number))
    };
    parts.remains.chains.sort_by_key(order);
    Ok(())
}

impl Parts {
    fn finish(mut self) -> OwnTable {
        let gated = strip(&mut self.deployed, |rule| *rule == trial::gate().finish());
        if self.remains == Remains::default() && !gated {
            return OwnTable { deployed: Some(self.deployed), trial: None };
        }
        let cleared = gated && strip(&mut self.deployed, |rule| bits().any(|bit| *rule == Rule::default().clear(bit).finish()));
        // The packets' bit is the first thing that they get.
        let marked = strip(&mut self.on_trial, |rule| bits().any(|bit| *rule == trial::marked(bit)));
        let entered = cleared && marked && !self.on_trial.strange;
        let (length, left) = self.element.unwrap_or_default();
        let table = (!is_bare(&self.on_trial)).then_some(self.on_trial);
        let deployed = (self.deployed.strange || !is_bare(&self.deployed)).then_some(self.deployed);
        OwnTable { deployed, trial: Some(Trial { table, length, left, entered, remains: self.remains }) }
    }
}

/// Takes away the first rule of the base chain if it is that one.
fn strip(table: &mut Table, is: impl Fn(&Box<[u8]>) -> bool) -> bool {
    let base = table.chains.iter_mut().find(|chain| chain.base && chain.rules.first().is_some_and(&is));
    base.map(|base| base.rules.remove(0)).is_some()
}

fn bits() -> impl Iterator<Item = u32> {
    (0..u32::BITS).rev().map(|bit| 1 << bit)
}

/// Nothing but an empty base chain?
fn is_bare(table: &Table) -> bool {
    table.sets.is_empty() && table.chains.iter().all(|chain| chain.base && chain.rules.is_empty())
}

/// What the messages of a dump hold that are about our table.
fn gather<T>(netlink: &mut Netlink, request: &Request, each: impl Fn(Message<'_>) -> Option<T>) -> Result<Vec<T>, NetlinkError> {
    let ours = |message: &Message<'_>| {
        // The table's name is attribute 1 of them all.
        let name = Attrs::new(message.attributes()).flatten().find(|attr| attr.kind == NFTA_SET_TABLE);
        name.and_then(|name| string(name.payload)) == Some(TABLE)
    };
    netlink.dump(request, |found: &mut Vec<T>, message| found.extend(ours(&message).then(|| each(message)).flatten()))
}

/// A set's name, and the set without its elements; no set where it is not ours.
fn set(message: Message<'_>, family: Family) -> Option<(String, Option<Set>)> {
    if !message.is_nftables(NFT_MSG_NEWSET) {
        return None;
    }
    let (mut name, mut flags, mut size, mut len) = (None, 0, 0, 0);
    for Attr { kind, payload } in Attrs::new(message.attributes()).flatten() {
        let number = || be32(payload).unwrap_or_default();
        match kind {
            NFTA_SET_NAME => name = string(payload),
            NFTA_SET_FLAGS => flags = number(),
            NFTA_SET_KEY_LEN => len = number() as usize,
            NFTA_SET_DESC => {
                let attr = Attrs::new(payload).flatten().find(|attr| attr.kind == NFTA_SET_DESC_SIZE);
                size = attr.and_then(|attr| be32(attr.payload)).unwrap_or_default();
            }
            _ => {}
        }
    }
    let name = name?;
    let kind = Kind::of(Slot::of_set(name).1, flags, family).filter(|kind| kind.key().1 == len);
    Some((name.to_owned(), kind.map(|kind| Set { kind, size, elements: Vec::new() })))
}

/// The elements in one message; the inner `None` if there is one that is not ours.
fn elements_of(message: Message<'_>, kind: Kind, slot: Slot) -> Option<Option<Vec<Element>>> {
    if !message.is_nftables(NFT_MSG_NEWSETELEM) {
        return None;
    }
    let list = Attrs::new(message.attributes()).flatten().find(|attr| attr.kind == NFTA_SET_ELEM_LIST_ELEMENTS)?;
    Some(Attrs::new(list.payload).flatten().map(|attr| element(attr.payload, kind, slot)).collect())
}

fn element(content: &[u8], kind: Kind, slot: Slot) -> Option<Element> {
    let mut read = Element { key: 0, end: false, id: 0 };
    for Attr { kind: attr, payload } in Attrs::new(content).flatten() {
        match attr {
            NFTA_SET_ELEM_KEY => read.key = kind.number(table::<2>(payload).ok()?[NFTA_DATA_VALUE as usize]?)?,
            NFTA_SET_ELEM_FLAGS => read.end = be32(payload)? == NFT_SET_ELEM_INTERVAL_END,
            NFTA_SET_ELEM_DATA => match Verdict::read(table::<3>(payload).ok()?[NFTA_DATA_VERDICT as usize]?)? {
                Verdict::Goto(chain) if Slot::of_chain(chain).0 == slot => read.id = id(Slot::of_chain(chain).1)?,
                _ => return None,
            },
            // Comments, and nft's note that an interval has no end.
            NFTA_SET_ELEM_USERDATA => {}
            // Timeouts, counters, …: nothing that we write.
            _ => return None,
        }
    }
    Some(read)
}

/// The length of the trial and what is left of it, by the element with that key.
fn lasting(message: Message<'_>, key: &[u8]) -> Option<Option<(Duration, Duration)>> {
    let list = Attrs::new(message.attributes()).flatten().find(|attr| attr.kind == NFTA_SET_ELEM_LIST_ELEMENTS)?;
    let one = |content: &[u8]| {
        let attrs = table::<7>(content).ok()?;
        let own = table::<2>(attrs[NFTA_SET_ELEM_KEY as usize]?).ok()?[NFTA_DATA_VALUE as usize]?;
        let millis = |kind: u16| attrs[kind as usize].and_then(be64).map(Duration::from_millis);
        let length = millis(NFTA_SET_ELEM_TIMEOUT)?;
        // In its first moment.
        (own == key).then(|| (length, millis(NFTA_SET_ELEM_EXPIRATION).unwrap_or(length)))
    };
    Some(Attrs::new(list.payload).flatten().find_map(|attr| one(attr.payload)))
}

/// A rule's chain and its expressions.
fn rule(message: Message<'_>) -> Option<(String, Box<[u8]>)> {
    if !message.is_nftables(NFT_MSG_NEWRULE) {
        return None;
    }
    let (mut chain, mut list) = (None, &[][..]);
    for Attr { kind, payload } in Attrs::new(message.attributes()).flatten() {
        match kind {
            NFTA_RULE_CHAIN => chain = string(payload),
            NFTA_RULE_EXPRESSIONS => list = payload,
            _ => {}
        }
    }
    Some((chain?.to_owned(), list.into()))
}

/// Where a chain of the table hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    /// Nowhere: jumps lead to it.
    None,
    /// Where our base chain does.
    Ours,
    /// Elsewhere.
    Other,
}

/// A chain's name, if it is one that we can write, and where it hangs.
fn chain(message: Message<'_>) -> Option<(Option<ChainName>, Hook)> {
    if !message.is_nftables(NFT_MSG_NEWCHAIN) {
        return None;
    }
    let (mut name, mut hook, mut policy) = (None, None, None);
    for Attr { kind, payload } in Attrs::new(message.attributes()).flatten() {
        match kind {
            NFTA_CHAIN_NAME => name = string(payload).and_then(|name| ChainName::from_kernel(name).ok()),
            NFTA_CHAIN_HOOK => hook = Some(payload),
            NFTA_CHAIN_POLICY => policy = be32(payload),
            _ => {}
        }
    }
    let number = |hook, wanted| Attrs::new(hook).flatten().find(|attr| attr.kind == wanted).and_then(|attr| be32(attr.payload));
    let ours = |hook| {
        number(hook, NFTA_HOOK_HOOKNUM) == Some(NF_INET_FORWARD)
            && number(hook, NFTA_HOOK_PRIORITY) == Some(PRIORITY as u32)
            && policy == Some(NF_ACCEPT as u32)
    };
    let hook = match hook {
        None => Hook::None,
        Some(hook) if ours(hook) => Hook::Ours,
        Some(_) => Hook::Other,
    };
    Some((name, hook))
}
