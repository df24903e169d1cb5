//! Our own table, `ip dockgate` and `ip6 dockgate`: its sets look a sender up, and its one base chain,
//! just before Docker's (hook forward, priority −1), gives the packet a mark that says what was found.
//! It decides nothing: that is for rules in `DOCKGATE`, `-m mark --mark ID/MASK`, which iptables
//! reads as any other. (A set in `ip filter` itself is something iptables leaves out when it prints.)
//!
//! ```text
//! table ip dockgate {
//!     set hosts-1    { type ipv4_addr; size 189; }                    # senders of class 1
//!     set networks-1 { type ipv4_addr; flags interval; }
//!     set hosts-2    { type ipv4_addr; size 76; }
//!     map tcp-2      { type inet_service : verdict; size 68; }        # what is told apart by port
//!     set hash       { type mark; size 65; elements = { 0x2b5c0d41 } } # of all senders
//!     chain forward {
//!         type filter hook forward priority -1; policy accept;
//!         ct state established,related accept
//!         ip saddr @hosts-1 meta mark set meta mark & 0x80ffffff ^ 0x23000000 accept
//!         ip saddr @networks-1 meta mark set meta mark & 0x80ffffff ^ 0x23000000 accept
//!         ip saddr @hosts-2 goto class-2
//!         meta mark & 0x7f000000 != 0x0 meta mark set meta mark & 0x80ffffff
//!     }
//!     chain class-2 {
//!         meta l4proto tcp ct original proto-dst vmap @tcp-2
//!         meta mark set meta mark & 0x80ffffff ^ 0x4a000000
//!     }
//!     chain mark-101 { meta mark set meta mark & 0x80ffffff ^ 0x65000000 }
//! }
//! ```
//!
//! The jump in `DOCKER-USER` says which policy it is, by a hash of all rules; which senders, says the element
//! of `hash`. So another address changes elements, and no rule.
//!
//! A policy on trial stands beside it in the same table ([`Trial`]); the highest bit of the mark, `0x80000000`
//! here, is left to that.
//!
//! nft lists all of it, and takes its own listing back. That rules out one map from address to class: it
//! can't say a look-up of what was looked up (1.0.6 aborts), nor a mark that is put together from a map and
//! the bits of others. Nor may a map with many elements have verdicts: the kernel validates all of it
//! whenever one is added (`nft_table_validate`, `nf_tables_api.c`).

mod element;
mod expressions;
mod kernel;
mod lower;
mod read;
mod slot;
mod text;
mod trial;

pub use element::{Element, Kind, MOST};
pub use read::trial_time;
pub use text::Damaged;
pub(crate) use text::Frame;
pub use trial::{EndTrial, NewTrial, Remains, Trial};

use sha2::{Digest as _, Sha256};

use crate::{
    expr::{self, Expr, MetaSet},
    model::{ChainName, Family, Protocol},
    policy::Block,
    uapi::NFT_META_MARK,
};

/// The table's name in both families.
pub const TABLE: &str = "dockgate";

/// Which packets get which mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// The family.
    pub family: Family,
    /// The bits of the mark that hold an id, side by side ([`id_bits`]). All other bits stay as they are.
    pub mask: u32,
    /// Are packets of known connections left alone?
    pub established: bool,
    /// Senders in order, none of them twice, and the index of their class, from 1. Each class costs a
    /// look-up or two.
    pub senders: Vec<(Block, u32)>,
    /// What is known of each class of senders; the first is for all others.
    pub classes: Vec<Class>,
}

/// The bits of a policy's mark that hold ids: all but [`trial_bit`].
pub fn id_bits(mask: u32) -> u32 {
    mask & !trial_bit(mask)
}

/// The highest bit of a policy's mark: it is set on the packets that a policy on trial decides, and on no
/// other. 0 where the mark has no bits.
pub fn trial_bit(mask: u32) -> u32 {
    mask.checked_ilog2().map_or(0, |bit| 1 << bit)
}

/// The bit above those that hold ids: the trial bit of the policy whose ids they are.
pub fn bit_above(ids: u32) -> u32 {
    trial_bit(ids) << 1
}

/// Senders for whom the same rules hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Class {
    /// Protocol, port that the client asked for, and the id that such a packet gets; in order.
    pub ports: Vec<(Protocol, u16, u32)>,
    /// The id of all other packets; 0 for none.
    pub id: u32,
    /// The index of the policy's rule that names them; `None` for all others.
    pub rule: Option<usize>,
}

/// The table as it is in the kernel, or should be: nothing but what [`Marks::table`] makes, unless it
/// is `strange`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// In the order in which they can be made: no chain names a later one.
    pub chains: Vec<Chain>,
    /// In the order of their kinds.
    pub sets: Vec<Set>,
    /// Is there something in it that is not of this kind?
    pub strange: bool,
}

/// Our own table in one family as it is in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnTable {
    /// What stands there for the deployed policy; `None` if nothing does.
    pub deployed: Option<Table>,
    /// What stands there for a policy on trial, or is left of one.
    pub trial: Option<Trial>,
}

/// A chain of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: ChainName,
    /// Does it hang at hook forward, priority [`PRIORITY`]?
    pub base: bool,
    /// The content of each rule's `NFTA_RULE_EXPRESSIONS`, as the kernel dumps it.
    pub rules: Vec<Box<[u8]>>,
}

/// Before `filter`'s 0.
pub const PRIORITY: i32 = -1;

/// A set or map of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// What it holds; its name tells.
    pub kind: Kind,
    /// So many elements it can hold; 0 where it does not matter.
    pub size: u32,
    /// In order.
    pub elements: Vec<Element>,
}

/// What is to be changed in the elements of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Of which set.
    pub kind: Kind,
    /// They go.
    pub removed: Vec<Element>,
    /// They come.
    pub added: Vec<Element>,
}

impl Table {
    /// How many addresses, prefixes and ranges it looks up.
    pub fn senders(&self) -> usize {
        let of = |set: &Set| match set.kind {
            Kind::Hosts(..) => set.elements.len(),
            Kind::Networks(..) => set.elements.iter().filter(|element| !element.end).count(),
            Kind::Ports(..) | Kind::Hash => 0,
        };
        self.sets.iter().map(of).sum()
    }

    /// Does the hash in it fit the senders that are in it?
    pub fn is_sound(&self) -> bool {
        let own = self.sets.iter().find(|set| set.kind == Kind::Hash);
        own.is_some_and(|own| own.elements == [self.hash()])
    }

    /// The element of `hash`: what tells its senders from others, as it was written.
    pub fn senders_hash(&self) -> Option<u32> {
        let own = self.sets.iter().find(|set| set.kind == Kind::Hash)?;
        Some(own.elements.first()?.key as u32)
    }

    /// What tells its senders from others: the first 32 bits of the SHA-256 of them all.
    fn hash(&self) -> Element {
        let (mut hash, mut bytes) = (Sha256::new(), Vec::new());
        for Set { kind, elements, .. } in self.sets.iter().filter(|set| set.kind.has_senders()) {
            bytes.clear();
            bytes.extend(kind.name().bytes());
            for element in elements {
                let (key, from) = kind.bytes(element.key);
                bytes.push(element.end.into());
                bytes.extend(&key[from..]);
            }
            hash.update(&bytes);
        }
        let key = hash.finalize().iter().take(4).fold(0, |key, byte| key << 8 | u128::from(*byte));
        Element { key, end: false, id: 0 }
    }

    /// The bits of the mark that its rules give ids in; `None` if it gives none.
    pub fn id_bits(&self) -> Option<u32> {
        let of = |rule: &[u8]| {
            let mut exprs = Vec::new();
            expr::read_all(rule, &mut exprs).ok()?;
            exprs.windows(2).find_map(|pair| match pair {
                [Expr::Bitwise(kept), Expr::MetaSet(MetaSet { key: NFT_META_MARK, .. })] => {
                    kept.mask.try_into().ok().map(|mask| !u32::from_ne_bytes(mask))
                }
                _ => None,
            })
        };
        self.chains.iter().flat_map(|chain| &chain.rules).find_map(|rule| of(rule))
    }

    /// What makes this table hold what `desired` does, if that can be had by changing elements alone.
    pub fn difference(&self, desired: &Self) -> Option<Vec<Difference>> {
        let same = !self.strange && !desired.strange && self.chains == desired.chains && self.sets.len() == desired.sets.len();
        let fits = |(a, b): (&Set, &Set)| a.kind == b.kind && (a.size == b.size || (a.size > 0 && a.size as usize >= b.elements.len()));
        if !same || !self.sets.iter().zip(&desired.sets).all(fits) {
            return None;
        }
        let between = |(a, b): (&Set, &Set)| {
            let (removed, added) = element::between(&a.elements, &b.elements);
            (!removed.is_empty() || !added.is_empty()).then_some(Difference { kind: a.kind, removed, added })
        };
        Some(self.sets.iter().zip(&desired.sets).filter_map(between).collect())
    }

    /// How many messages make it: those of [`Table::write`].
    pub fn messages(&self) -> usize {
        let rules: usize = self.chains.iter().map(|chain| chain.rules.len()).sum();
        let elements: usize = self.sets.iter().map(|set| element::messages(&set.elements)).sum();
        1 + self.sets.len() + self.chains.len() + elements + rules
    }
}

impl Difference {
    /// How many messages make it.
    pub fn messages(&self) -> usize {
        element::messages(&self.removed) + element::messages(&self.added)
    }
}
