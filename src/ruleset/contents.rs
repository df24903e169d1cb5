//! What stands in the table besides chains, which iptables knows nothing of.

use crate::{
    attr::{self, Attr, Attrs, be32, string},
    expr::Verdict,
    message::{Message, Request},
    model::{Family, TABLE},
    netlink::{Netlink, NetlinkError},
    notation::{self, Element, NativeSet},
    uapi::*,
};

/// Sets, maps, objects and flowtables of `filter`, and whether it is asleep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Is the table dormant: do its chains hang nowhere?
    pub dormant: bool,
    /// Sets and maps; the elements of anonymous ones.
    pub sets: Vec<NativeSet>,
    /// Named counters, quotas, …: what each is, and its name.
    pub objects: Vec<(&'static str, String)>,
    /// Flowtables' names.
    pub flowtables: Vec<String>,
}

impl Contents {
    /// Reads them: a dump for each kind, and one for each anonymous set. To be called in a
    /// [`Netlink::snapshot`], where others may change them meanwhile.
    ///
    /// # Errors
    /// [`NetlinkError`]; `ENOENT` if a set is gone when its elements are asked for.
    pub fn read(netlink: &mut Netlink, family: Family) -> Result<Self, NetlinkError> {
        let Some(flags) = netlink.table_flags(family, TABLE)? else { return Ok(Self::default()) };
        let dormant = flags & NFT_TABLE_F_DORMANT != 0;
        let mut sets = gather(netlink, &Request::native_sets(family, TABLE), native_set)?;
        for set in sets.iter_mut().filter(|set| set.anonymous) {
            set.elements = gather(netlink, &Request::elements(family, TABLE, &set.name), elements)?.into_iter().flatten().collect();
        }
        Ok(Self {
            dormant,
            sets,
            objects: gather(netlink, &Request::objects(family), object)?,
            flowtables: gather(netlink, &Request::flowtables(family), flowtable)?,
        })
    }
}

/// What the messages of a dump hold; nothing where the kernel has no such thing.
fn gather<T>(netlink: &mut Netlink, request: &Request, each: fn(Message<'_>) -> Option<T>) -> Result<Vec<T>, NetlinkError> {
    match netlink.dump(request, |found: &mut Vec<T>, message| found.extend(each(message))) {
        Err(NetlinkError::Refused { errno: libc::EOPNOTSUPP, .. }) => Ok(Vec::new()),
        other => other,
    }
}

/// A message's attributes, if it is of this kind and tells of `filter`.
fn of_filter(message: Message<'_>, number: u16) -> Option<Attrs<'_>> {
    let attrs = Attrs::new(message.attributes());
    let table = attrs.clone().flatten().find(|attr| attr.kind == NFTA_SET_TABLE)?;
    (message.is_nftables(number) && string(table.payload) == Some(TABLE)).then_some(attrs)
}

fn native_set(message: Message<'_>) -> Option<NativeSet> {
    let (mut name, mut flags, mut key_len) = (None, 0, 0);
    for Attr { kind, payload } in of_filter(message, NFT_MSG_NEWSET)?.flatten() {
        match kind {
            NFTA_SET_NAME => name = string(payload),
            NFTA_SET_FLAGS => flags = be32(payload)?,
            NFTA_SET_KEY_LEN => key_len = be32(payload)?,
            _ => {}
        }
    }
    Some(NativeSet {
        name: name?.to_owned(),
        anonymous: flags & NFT_SET_ANONYMOUS != 0,
        map: flags & (NFT_SET_MAP | NFT_SET_OBJECT) != 0,
        interval: flags & NFT_SET_INTERVAL != 0,
        key_len,
        elements: Vec::new(),
    })
}

fn elements(message: Message<'_>) -> Option<Vec<Element>> {
    let list = of_filter(message, NFT_MSG_NEWSETELEM)?.flatten().find(|attr| attr.kind == NFTA_SET_ELEM_LIST_ELEMENTS)?;
    Attrs::new(list.payload).flatten().map(|attr| element(attr.payload)).collect()
}

fn element(content: &[u8]) -> Option<Element> {
    let value = |nest: &[u8]| Some(attr::table::<2>(nest).ok()?[NFTA_DATA_VALUE as usize]?.to_vec());
    let mut element = Element { key: Vec::new(), key_end: None, end: false, verdict: None };
    for Attr { kind, payload } in Attrs::new(content).flatten() {
        match kind {
            NFTA_SET_ELEM_KEY => element.key = value(payload)?,
            NFTA_SET_ELEM_KEY_END => element.key_end = value(payload),
            NFTA_SET_ELEM_FLAGS => element.end = be32(payload)? & NFT_SET_ELEM_INTERVAL_END != 0,
            NFTA_SET_ELEM_DATA => {
                let data = attr::table::<3>(payload).ok()?;
                element.verdict = data[NFTA_DATA_VERDICT as usize].and_then(Verdict::read).map(notation::verdict);
            }
            _ => {}
        }
    }
    Some(element)
}

fn object(message: Message<'_>) -> Option<(&'static str, String)> {
    let (mut name, mut number) = (None, 0);
    for Attr { kind, payload } in of_filter(message, NFT_MSG_NEWOBJ)?.flatten() {
        match kind {
            NFTA_OBJ_NAME => name = string(payload),
            NFTA_OBJ_TYPE => number = be32(payload)?,
            _ => {}
        }
    }
    const KINDS: [&str; 6] = ["object", "counter", "quota", "ct helper", "limit", "connlimit"];
    Some((KINDS.get(number as usize).copied().unwrap_or("object"), name?.to_owned()))
}

fn flowtable(message: Message<'_>) -> Option<String> {
    let name = of_filter(message, NFT_MSG_NEWFLOWTABLE)?.flatten().find(|attr| attr.kind == NFTA_FLOWTABLE_NAME)?;
    string(name.payload).map(str::to_owned)
}
