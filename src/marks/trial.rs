//! A policy on trial in our own table: one element with a timeout says whether it goes on.
//!
//! ```text
//! table ip dockgate {
//!     set trial { type ether_type; flags timeout; elements = { ip timeout 60s } }
//!     set trial-hosts-1 { … }                               # what the policy on trial looks up
//!     chain trial {
//!         meta mark set meta mark | 0x80000000
//!         …                                                 # as in its base chain, once it is confirmed
//!     }
//!     chain forward {
//!         type filter hook forward priority -1; policy accept;
//!         meta protocol @trial goto trial
//!         meta mark & 0x80000000 != 0x0 meta mark set meta mark & 0x7fffffff
//!         …                                                 # the deployed policy's
//!     }
//! }
//! ```
//!
//! The kernel counts the timeout by its own clock, which nobody can set, and removes the element when it is
//! over: then every packet goes the deployed policy's way again, and nothing brings the element back.
//! (`xt_time` and `meta time` follow the wall clock.) The rule in front of `DOCKGATE`,
//! `-m mark --mark 0x80000000/0x80000000 -g DOCKTRIAL`, does the rest. `meta protocol` is the one key that all
//! packets of a table share and every nft can say.

use std::time::Duration;

use super::{
    Chain, Table,
    expressions::Rule,
    kernel::{self, base},
    lower::{FORWARD, chain},
    slot::{Slot, TRIAL},
};
use crate::{
    attr::{Attr, Attrs},
    message::{Batch, NewSet, Place},
    model::{ChainName, Family},
    uapi::*,
};

/// What stands in our own table for a policy on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What the policy looks up, as it stands when it is confirmed; `None` if it has no sets.
    pub table: Option<Table>,
    /// How long the trial was to last; zero when it is over.
    pub length: Duration,
    /// How much of that is left. Zero: it is over, and the deployed policy decides.
    pub left: Duration,
    /// Are the rules there that give its packets their bit, and take that from all others?
    pub entered: bool,
    /// What has to be taken away when it ends.
    pub remains: Remains,
}

/// What a trial leaves behind that has to be taken away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remains {
    pub(super) chains: Vec<ChainName>,
    pub(super) sets: Vec<String>,
}

/// What is to be put into our own table for a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTrial {
    /// What the policy looks up.
    pub table: Option<Table>,
    /// The bit that the packets get which it decides ([`super::trial_bit`]).
    pub bit: u32,
    /// How long it lasts, in milliseconds at best.
    pub length: Duration,
}

/// `meta protocol @trial goto trial`
pub(super) fn gate() -> Rule {
    Rule::default().in_trial().goto(TRIAL)
}

/// `meta mark set meta mark | BIT`
pub(super) fn marked(bit: u32) -> Box<[u8]> {
    Rule::default().give(bit, bit).finish()
}

/// The key of the one element: what `meta protocol` is for all packets of the family.
pub(super) fn key(family: Family) -> [u8; 2] {
    match family {
        Family::Ip => ETH_P_IP.to_be_bytes(),
        Family::Ip6 => ETH_P_IPV6.to_be_bytes(),
    }
}

/// What nft calls the type of the key, and its length in bytes. Source: `enum nft_datatypes` of nft.
const KEY: (u32, usize) = (10, 2);

impl NewTrial {
    /// Appends what begins it: [`NewTrial::messages`] steps.
    pub fn write(&self, family: Family, batch: &mut Batch) {
        batch.new_table(family);
        batch.new_base_chain(family, base(FORWARD));
        batch.new_set(family, NewSet { name: TRIAL, flags: NFT_SET_TIMEOUT, key: KEY, data: None, size: 0, notes: &[] });
        let table = self.table();
        kernel::write_into(Slot::Trial, &table, family, batch);
        batch.elements(family, TRIAL, true, |w| {
            w.nest(NFTA_LIST_ELEM, |w| {
                w.nest(NFTA_SET_ELEM_KEY, |w| w.bytes(NFTA_DATA_VALUE, &key(family)));
                w.be64(NFTA_SET_ELEM_TIMEOUT, u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX));
            });
        });
        // In front of all others, so the last first.
        for rule in [Rule::default().clear(self.bit), gate()] {
            write_rule(family, &chain(FORWARD), Place::First, &rule.finish(), batch);
        }
    }

    /// With the rule that tells its packets from others.
    fn table(&self) -> Table {
        let mut table = self.table.clone().unwrap_or_default();
        match table.chains.iter_mut().find(|chain| chain.base) {
            Some(base) => base.rules.insert(0, marked(self.bit)),
            None => table.chains.push(Chain { name: chain(FORWARD), base: true, rules: vec![marked(self.bit)] }),
        }
        table
    }

    /// How many messages begin it.
    pub fn messages(&self) -> usize {
        // The base chain, the set, its element, and two rules more than the table has.
        self.table().messages() + 5
    }
}

/// How a trial is ended in our own table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndTrial {
    /// What goes.
    pub remains: Remains,
    /// What stays; `None`: nothing, and the table goes as a whole.
    pub deployed: Option<Table>,
}

impl EndTrial {
    /// Appends what does it: [`EndTrial::messages`] steps.
    pub fn write(&self, family: Family, batch: &mut Batch) {
        let Some(deployed) = &self.deployed else {
            batch.delete_table(family);
            return;
        };
        let forward = chain(FORWARD);
        batch.flush_chain(family, &forward);
        for rule in rules_of(deployed) {
            write_rule(family, &forward, Place::Last, rule, batch);
        }
        // Each before what it leads to: rules to chains and maps, maps to chains.
        let (last, first): (Vec<&ChainName>, Vec<&ChainName>) = self.remains.chains.iter().partition(|name| is_mark(name));
        for name in first {
            batch.delete_chain(family, name);
        }
        for name in &self.remains.sets {
            batch.delete_set(family, name);
        }
        for name in last {
            batch.delete_chain(family, name);
        }
    }

    /// How many messages that takes.
    pub fn messages(&self) -> usize {
        let Remains { chains, sets } = &self.remains;
        1 + self.deployed.as_ref().map_or(0, |deployed| rules_of(deployed).len() + chains.len() + sets.len())
    }
}

fn rules_of(table: &Table) -> &[Box<[u8]>] {
    table.chains.iter().find(|chain| chain.base).map_or(&[], |chain| &chain.rules)
}

fn is_mark(name: &ChainName) -> bool {
    super::element::id(Slot::of_chain(name.as_str()).1).is_some()
}

pub(super) fn write_rule(family: Family, chain: &ChainName, place: Place, rule: &[u8], batch: &mut Batch) {
    batch.rule(family, chain, place, (0, false), |w| {
        Attrs::new(rule).flatten().for_each(|Attr { kind, payload }| w.bytes(kind, payload));
    });
}
