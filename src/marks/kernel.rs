//! The table as messages.

use std::fmt;

use super::{
    Chain, Difference, Element, Kind, MOST, PRIORITY, Set, TABLE, Table,
    element::{chain as chain_of, id},
    lower::class_of,
    slot::Slot,
    trial::write_rule,
};
use crate::{
    attr::Writer,
    message::{BaseChain, Batch, NewSet, Place},
    model::{ChainName, Family},
    uapi::*,
};

impl Table {
    /// Appends what makes the table, which must not be there: [`Table::messages`] steps.
    pub fn write(&self, family: Family, batch: &mut Batch) {
        batch.new_table(family);
        write_into(Slot::Deployed, self, family, batch);
    }
}

/// The same under the names of a slot, in a table that is there: a step less. Only the deployed policy's base
/// chain is one to the kernel.
pub(super) fn write_into(slot: Slot, table: &Table, family: Family, batch: &mut Batch) {
    for set in &table.sets {
        let Set { kind, size, .. } = *set;
        let data = kind.is_map().then_some((NFT_DATA_VERDICT, 0));
        let name = kind.name();
        batch.new_set(family, NewSet { name: &slot.set(&name), flags: kind.flags(), key: kind.key(), data, size, notes: &kind.notes() });
    }
    let name = |chain: &Chain| ChainName::from_kernel(&slot.chain(chain.name.as_str())).expect("our names are plain and short");
    for chain in &table.chains {
        match chain.base && slot == Slot::Deployed {
            false => batch.new_chain(family, &name(chain)),
            true => batch.new_base_chain(family, base(chain.name.as_str())),
        };
    }
    for set in &table.sets {
        elements(family, slot, set.kind, true, &set.elements, batch);
    }
    for chain in &table.chains {
        let own = name(chain);
        for rule in &chain.rules {
            write_rule(family, &own, Place::Last, &slot.rule(rule), batch);
        }
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
        elements(family, Slot::Deployed, self.kind, false, &self.removed, batch);
        elements(family, Slot::Deployed, self.kind, true, &self.added, batch);
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

pub(super) fn base(name: &str) -> BaseChain<'_> {
    BaseChain { name, kind: "filter", hook: NF_INET_FORWARD, priority: PRIORITY, policy: NF_ACCEPT, counters: false }
}

fn elements(family: Family, slot: Slot, kind: Kind, add: bool, all: &[Element], batch: &mut Batch) {
    let name = kind.name();
    for some in all.chunks(MOST) {
        batch.elements(family, &slot.set(&name), add, |w| some.iter().for_each(|element| write(slot, kind, element, add, w)));
    }
}

/// Writes an element; to remove one its key is enough.
fn write(slot: Slot, kind: Kind, element: &Element, add: bool, w: &mut Writer<'_>) {
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
                    w.string(NFTA_VERDICT_CHAIN, &slot.chain(&chain_of(element.id)));
                });
            });
        }
    });
}
