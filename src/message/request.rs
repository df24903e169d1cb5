use super::{kind, write};
use crate::{
    model::{ChainName, Family, TABLE},
    uapi::*,
};

/// A question to the kernel. Its sequence number is set when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) buf: Vec<u8>,
    pub(crate) dump: bool,
    /// What it asks, for errors: "the rules of DOCKER-USER".
    pub(crate) what: String,
}

impl Request {
    fn new(kind: u16, flags: u16, family: u8, what: impl Into<String>, fill: impl FnOnce(&mut crate::attr::Writer<'_>)) -> Self {
        let mut buf = Vec::with_capacity(128);
        write(&mut buf, kind, flags, 0, family, 0, fill);
        Self { buf, dump: flags & NLM_F_DUMP == NLM_F_DUMP, what: what.into() }
    }

    /// The present generation.
    pub fn generation() -> Self {
        Self::new(kind(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN), 0, 0, "the generation", |_| {})
    }

    /// The table of that name.
    pub fn table(family: Family, name: &str) -> Self {
        let what = format!("the table `{family} {name}`");
        Self::new(kind(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE), 0, family.nfproto(), what, |w| w.string(NFTA_TABLE_NAME, name))
    }

    /// The chains of all tables of a family.
    pub fn chains(family: Family) -> Self {
        let what = format!("the chains of family {family}");
        Self::new(kind(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN), NLM_F_DUMP, family.nfproto(), what, |_| {})
    }

    /// One chain of `filter`.
    pub fn chain(family: Family, chain: &ChainName) -> Self {
        let what = format!("the chain {chain} of `{family} {TABLE}`");
        Self::new(kind(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN), 0, family.nfproto(), what, |w| {
            w.string(NFTA_CHAIN_TABLE, TABLE);
            w.string(NFTA_CHAIN_NAME, chain.as_str());
        })
    }

    /// The rules of one chain of `filter`.
    pub fn rules(family: Family, chain: &ChainName) -> Self {
        Self::rules_of(family, TABLE, chain)
    }

    /// The rules of one chain of a table.
    pub fn rules_of(family: Family, table: &str, chain: &ChainName) -> Self {
        let what = format!("the rules of {chain} in `{family} {table}`");
        Self::new(kind(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE), NLM_F_DUMP, family.nfproto(), what, |w| {
            w.string(NFTA_RULE_TABLE, table);
            w.string(NFTA_RULE_CHAIN, chain.as_str());
        })
    }

    /// All rules of a table.
    pub fn all_rules(family: Family, table: &str) -> Self {
        let what = format!("the rules of `{family} {table}`");
        Self::new(kind(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE), NLM_F_DUMP, family.nfproto(), what, |w| {
            w.string(NFTA_RULE_TABLE, table);
        })
    }

    /// All sets and maps of nf_tables in a table, without their elements.
    pub fn native_sets(family: Family, table: &str) -> Self {
        Self::contents(family, table, NFT_MSG_GETSET, "the sets")
    }

    /// All named counters, quotas, … of `filter`.
    pub fn objects(family: Family) -> Self {
        Self::contents(family, TABLE, NFT_MSG_GETOBJ, "the objects")
    }

    /// All flowtables of `filter`.
    pub fn flowtables(family: Family) -> Self {
        Self::contents(family, TABLE, NFT_MSG_GETFLOWTABLE, "the flowtables")
    }

    /// What stands in a table besides chains; the table's name is attribute 1 for all of it.
    fn contents(family: Family, table: &str, number: u16, what: &str) -> Self {
        let what = format!("{what} of `{family} {table}`");
        Self::new(kind(NFNL_SUBSYS_NFTABLES, number), NLM_F_DUMP, family.nfproto(), what, |w| w.string(NFTA_SET_TABLE, table))
    }

    /// The elements of one set of a table.
    pub fn elements(family: Family, table: &str, set: &str) -> Self {
        let what = format!("the elements of {set} in `{family} {table}`");
        Self::new(kind(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM), NLM_F_DUMP, family.nfproto(), what, |w| {
            w.string(NFTA_SET_ELEM_LIST_TABLE, table);
            w.string(NFTA_SET_ELEM_LIST_SET, set);
        })
    }

    /// The ipset of that name.
    pub fn set_by_name(name: &str) -> Self {
        Self::new(kind(NFNL_SUBSYS_IPSET, IPSET_CMD_GET_BYNAME), NLM_F_ACK, 0, format!("the ipset {name}"), |w| {
            w.u8(IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL);
            w.string(IPSET_ATTR_SETNAME, name);
        })
    }

    /// The ipset with that number.
    pub fn set_by_index(index: u16) -> Self {
        Self::new(kind(NFNL_SUBSYS_IPSET, IPSET_CMD_GET_BYINDEX), NLM_F_ACK, 0, format!("the ipset number {index}"), |w| {
            w.u8(IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL);
            w.be16(IPSET_ATTR_INDEX, index);
        })
    }
}
