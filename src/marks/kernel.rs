//! The table as messages, and back from the kernel's dumps.

use std::{collections::HashMap, fmt};

use super::{
    Chain, Difference, Element, Kind, MOST, PRIORITY, Set, TABLE, Table,
    element::{chain as chain_of, id},
    lower::class_of,
};
use crate::{
    attr::{Attr, Attrs, Writer, be32, string, table},
    expr::Verdict,
    message::{BaseChain, Batch, Message, NewSet, Place, Request},
    model::{ChainName, Family},
    netlink::{Netlink, NetlinkError},
    uapi::*,
};

impl Table {
    /// Appends what makes the table, which must not be there: [`Table::messages`] steps.
    pub fn write(&self, family: Family, batch: &mut Batch) {
        batch.new_table(family);
        for set in &self.sets {
            let Set { kind, size, .. } = *set;
            let data = kind.is_map().then_some((NFT_DATA_VERDICT, 0));
            batch.new_set(family, NewSet { name: &kind.name(), flags: kind.flags(), key: kind.key(), data, size, notes: &kind.notes() });
        }
        for chain in &self.chains {
            match chain.base {
                false => batch.new_chain(family, &chain.name),
                true => batch.new_base_chain(family, base(&chain.name)),
            };
        }
        for set in &self.sets {
            elements(family, set.kind, true, &set.elements, batch);
        }
        for chain in &self.chains {
            for rule in &chain.rules {
                batch.rule(family, &chain.name, Place::Last, (0, false), |w| {
                    Attrs::new(rule).flatten().for_each(|expr| w.bytes(expr.kind, expr.payload));
                });
            }
        }
    }

    /// Reads it; `None` if there is no such table.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn read(netlink: &mut Netlink, family: Family) -> Result<Option<Self>, NetlinkError> {
        let Some(flags) = netlink.table_flags(family, TABLE)? else { return Ok(None) };
        let mut read = Self { strange: flags != 0, ..Self::default() };
        let sets = gather(netlink, &Request::native_sets(family, TABLE), |message| set(message, family))?;
        for set in sets {
            let Some(mut set) = set else {
                read.strange = true;
                continue;
            };
            let request = Request::elements(family, TABLE, &set.kind.name());
            for list in gather(netlink, &request, |message| elements_of(message, set.kind))? {
                match list {
                    Some(mut some) => set.elements.append(&mut some),
                    None => read.strange = true,
                }
            }
            // nft adds an end before the first interval; it means nothing.
            set.elements.retain(|element| !(element.end && element.key == 0));
            set.elements.sort_unstable();
            read.sets.push(set);
        }
        let mut rules: HashMap<String, Vec<Box<[u8]>>> = HashMap::new();
        for (chain, list) in gather(netlink, &Request::all_rules(family, TABLE), rule)? {
            rules.entry(chain).or_default().push(list);
        }
        for chain in gather(netlink, &Request::chains(family), chain)? {
            match chain {
                Some((name, base)) => {
                    let rules = rules.remove(name.as_str()).unwrap_or_default();
                    read.chains.push(Chain { name, base, rules });
                }
                None => read.strange = true,
            }
        }
        read.sets.sort_by_key(|set| set.kind);
        read.chains.sort_by(|a, b| a.order().cmp(&b.order()));
        Ok(Some(read))
    }
}

impl Difference {
    /// Writes the commands of nft that would do it, a long one not to its end.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn commands(&self, family: Family, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        let parts = [("delete", &self.removed), ("add", &self.added)].into_iter().filter(|(_, all)| !all.is_empty());
        for (index, (word, all)) in parts.enumerate() {
            let shown = all.iter().take(SHOWN).map(|element| self.kind.show(element)).collect::<Vec<_>>().join(", ");
            let more = if all.len() > SHOWN { format!(", … ({} in all)", all.len()) } else { String::new() };
            let gap = if index > 0 { "\n" } else { "" };
            write!(f, "{gap}nft {word} element {family} {TABLE} {} {{ {shown}{more} }}", self.kind)?;
        }
        Ok(())
    }

    /// Appends what makes it: [`Difference::messages`] steps.
    pub fn write(&self, family: Family, batch: &mut Batch) {
        elements(family, self.kind, false, &self.removed, batch);
        elements(family, self.kind, true, &self.added, batch);
    }
}

impl Chain {
    /// By what chains are ordered: those that others lead to first.
    pub(super) fn order(&self) -> (u8, Option<u32>, &str) {
        let name = self.name.as_str();
        match (id(name), class_of(name)) {
            (Some(id), _) => (0, Some(id), name),
            (_, Some(class)) => (1, Some(class), name),
            _ => (2, None, name),
        }
    }
}

fn base(name: &ChainName) -> BaseChain<'_> {
    BaseChain { name: name.as_str(), kind: "filter", hook: NF_INET_FORWARD, priority: PRIORITY, policy: NF_ACCEPT, counters: false }
}

fn elements(family: Family, kind: Kind, add: bool, all: &[Element], batch: &mut Batch) {
    let name = kind.name();
    for some in all.chunks(MOST) {
        batch.elements(family, &name, add, |w| some.iter().for_each(|element| write(kind, element, add, w)));
    }
}

/// Writes an element; to remove one its key is enough.
fn write(kind: Kind, element: &Element, add: bool, w: &mut Writer<'_>) {
    w.nest(NFTA_LIST_ELEM, |w| {
        let (bytes, from) = kind.bytes(element.key);
        w.nest(NFTA_SET_ELEM_KEY, |w| w.bytes(NFTA_DATA_VALUE, &bytes[from..]));
        if element.end {
            w.be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
        }
        if add && kind.is_map() {
            w.nest(NFTA_SET_ELEM_DATA, |w| {
                w.nest(NFTA_DATA_VERDICT, |w| {
                    w.be32(NFTA_VERDICT_CODE, NFT_GOTO as u32);
                    w.string(NFTA_VERDICT_CHAIN, &chain_of(element.id));
                });
            });
        }
    });
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

/// A set, without its elements; the inner `None` is one that is not ours.
fn set(message: Message<'_>, family: Family) -> Option<Option<Set>> {
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
    let kind = name.and_then(|name| Kind::of(name, flags, family)).filter(|kind| kind.key().1 == len);
    Some(kind.map(|kind| Set { kind, size, elements: Vec::new() }))
}

/// The elements in one message; the inner `None` if there is one that is not ours.
fn elements_of(message: Message<'_>, kind: Kind) -> Option<Option<Vec<Element>>> {
    if !message.is_nftables(NFT_MSG_NEWSETELEM) {
        return None;
    }
    let list = Attrs::new(message.attributes()).flatten().find(|attr| attr.kind == NFTA_SET_ELEM_LIST_ELEMENTS)?;
    Some(Attrs::new(list.payload).flatten().map(|attr| element(attr.payload, kind)).collect())
}

fn element(content: &[u8], kind: Kind) -> Option<Element> {
    let mut read = Element { key: 0, end: false, id: 0 };
    for Attr { kind: attr, payload } in Attrs::new(content).flatten() {
        match attr {
            NFTA_SET_ELEM_KEY => read.key = kind.number(table::<2>(payload).ok()?[NFTA_DATA_VALUE as usize]?)?,
            NFTA_SET_ELEM_FLAGS => read.end = be32(payload)? == NFT_SET_ELEM_INTERVAL_END,
            NFTA_SET_ELEM_DATA => match Verdict::read(table::<3>(payload).ok()?[NFTA_DATA_VERDICT as usize]?)? {
                Verdict::Goto(chain) => read.id = id(chain)?,
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

/// A chain's name, and whether it hangs where ours does; the inner `None` if it hangs elsewhere.
fn chain(message: Message<'_>) -> Option<Option<(ChainName, bool)>> {
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
    let right = hook.is_none_or(|hook| {
        number(hook, NFTA_HOOK_HOOKNUM) == Some(NF_INET_FORWARD)
            && number(hook, NFTA_HOOK_PRIORITY) == Some(PRIORITY as u32)
            && policy == Some(NF_ACCEPT as u32)
    });
    Some(name.filter(|_| right).map(|name| (name, hook.is_some())))
}
