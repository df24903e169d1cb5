use super::Batch;
use crate::{attr::Writer, model::Family, uapi::*};

/// A set or map to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSet<'a> {
    /// Its name.
    pub name: &'a str,
    /// `NFT_SET_…`
    pub flags: u32,
    /// What nft calls the type of its keys, and their length in bytes.
    pub key: (u32, usize),
    /// The same of what stands behind them in a map; [`NFT_DATA_VERDICT`] has no length.
    pub data: Option<(u32, usize)>,
    /// So many elements it can hold; 0 for any number.
    pub size: u32,
    /// nft's own notes (`enum nftnl_udata_set_types` of libnftnl); the kernel keeps them unread.
    pub notes: &'a [u8],
}

/// What is in tables of our own. Source: `nf_tables_newset`, `nft_add_set_elem` (`nf_tables_api.c`).
impl Batch {
    /// Removes the table with all that is in it.
    pub fn delete_table(&mut self, family: Family) -> u32 {
        let table = self.table;
        self.step(NFT_MSG_DELTABLE, 0, family, |w| w.string(NFTA_TABLE_NAME, table))
    }

    /// Makes a set.
    pub fn new_set(&mut self, family: Family, set: NewSet<'_>) -> u32 {
        let (table, id) = (self.table, self.len());
        self.step(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, family, |w| {
            w.string(NFTA_SET_TABLE, table);
            w.string(NFTA_SET_NAME, set.name);
            w.be32(NFTA_SET_FLAGS, set.flags);
            w.be32(NFTA_SET_KEY_TYPE, set.key.0);
            w.be32(NFTA_SET_KEY_LEN, set.key.1 as u32);
            if let Some((kind, len)) = set.data {
                w.be32(NFTA_SET_DATA_TYPE, kind);
                if kind != NFT_DATA_VERDICT {
                    w.be32(NFTA_SET_DATA_LEN, len as u32);
                }
            }
            if set.size > 0 {
                w.nest(NFTA_SET_DESC, |w| w.be32(NFTA_SET_DESC_SIZE, set.size));
            }
            w.be32(NFTA_SET_ID, id + 1);
            if !set.notes.is_empty() {
                w.bytes(NFTA_SET_USERDATA, set.notes);
            }
        })
    }

    /// Removes a set with its elements; refused (`EBUSY`) while a rule looks it up.
    pub fn delete_set(&mut self, family: Family, name: &str) -> u32 {
        let table = self.table;
        self.step(NFT_MSG_DELSET, 0, family, |w| {
            w.string(NFTA_SET_TABLE, table);
            w.string(NFTA_SET_NAME, name);
        })
    }

    /// Adds elements to a set, or removes them; `elements` writes each as one `NFTA_LIST_ELEM`, all of
    /// them together below 64 KiB.
    pub fn elements(&mut self, family: Family, set: &str, add: bool, elements: impl FnOnce(&mut Writer<'_>)) -> u32 {
        let table = self.table;
        let (number, flags) = if add { (NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL) } else { (NFT_MSG_DELSETELEM, 0) };
        self.step(number, flags, family, |w| {
            w.string(NFTA_SET_ELEM_LIST_TABLE, table);
            w.string(NFTA_SET_ELEM_LIST_SET, set);
            w.nest(NFTA_SET_ELEM_LIST_ELEMENTS, elements);
        })
    }
}
