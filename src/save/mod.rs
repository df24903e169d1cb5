//! The text of `iptables-save`: read into the chains it wants, and written from what is there.

mod read;
mod write;

pub use read::{LineError, read};
pub use write::{save_lines, write};

use crate::{
    model::{ChainName, Counters, Family},
    rule::Rule,
};

/// What a text wants in the table `filter` of one family.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The family.
    pub family: Family,
    /// The chains that may be written, in the order of the text.
    pub chains: Vec<SavedChain>,
    /// What was passed over, and why: chains of Docker and of the kernel, with their number of rules.
    pub passed_over: Vec<(ChainName, usize)>,
}

/// A chain as a text wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedChain {
    /// Its name.
    pub name: ChainName,
    /// Has it a line `:NAME`?
    pub declared: bool,
    /// Its rules in order.
    pub rules: Vec<SavedRule>,
}

/// A rule as a text wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedRule {
    /// The rule.
    pub rule: Rule,
    /// What its counters begin with.
    pub counters: Counters,
    /// Its line, counted from 0.
    pub line: usize,
}
