//! The rules that are measured: `-s 10.x.y.z/32 -j DROP`, a block list, all different.
//!
//! Each is payload, cmp, counter and immediate: four expressions, 240 bytes or so of netlink.

use std::net::Ipv4Addr;

use dockgate::{
    attr::Writer,
    extension::{Context, Sets},
    message::{Batch, Place},
    model::{ChainName, Counters, Dialect, Family},
    rule::{Parser, Rule},
    syntax::split,
};

/// The address that rule number `index` (below 2^24) drops.
pub fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 | index as u32)
}

/// The words of rule number `index`, as `iptables -S` prints them.
pub fn words(index: usize) -> String {
    format!("-s {}/32 -j DROP", address(index))
}

/// Reads the words of one rule.
pub fn parse(words: &str, family: Family) -> Rule {
    let mut split_words = Vec::new();
    split(words, &mut split_words).expect("words are split");
    Parser::parse(&split_words, family).expect("words are read").rules.remove(0)
}

/// The rules with these numbers.
pub fn rules(numbers: std::ops::Range<usize>) -> Vec<Rule> {
    numbers.map(|index| parse(&words(index), Family::Ip)).collect()
}

/// How rules are written where nothing tells the host's iptables, and no ipset is named.
pub const CONTEXT: Context<'static> = Context { family: Family::Ip, dialect: Dialect::Portable, sets: Sets::NONE };

/// Appends a rule to a chain.
pub fn append(batch: &mut Batch, chain: &ChainName, rule: &Rule, context: Context<'_>) {
    batch.rule(context.family, chain, Place::Last, rule.compat(), |writer: &mut Writer<'_>| {
        rule.linearize(context, Counters::default(), writer).expect("all sets are there");
    });
}
