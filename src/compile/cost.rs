//! What a new connection from a stranger pays, as far as it differs by how senders are found.

use super::{
    chains::{Item, MANY},
    marked::Found,
    ports,
};
use crate::model::Family;

// In tenths of what one comparison of an address takes (`-s`), as `benches/packets` measured them one
// by one on kernel 6.18: the ratios of one machine hold for others.

/// `-s ADDRESS`
pub(super) const ADDRESS: usize = 10;
/// `-p tcp -m conntrack --ctorigdstport`
pub(super) const PORT: usize = 170;
/// `goto`
const GOTO: usize = 65;
/// One of 16 ways: half of them are tested, then a goto.
const STEP: usize = 190;
/// Our base chain, and the test of the connection's state.
const TABLE: usize = 130;
/// A look-up in a set.
const LOOKUP: usize = 95;
/// Protocol and port out of the connection.
const KEY: usize = 120;
/// To set the mark, for those who get one.
const MARK: usize = 100;
/// `-m mark`
const TEST: usize = 35;

/// So few rules are better read in a row by people.
const FEW: usize = 20;

/// Do marks cost clearly less than rows, or a tree?
pub(super) fn is_worth_it(found: &Found, items: &[Item<'_>], family: Family) -> bool {
    let sources = |item: &Item<'_>| item.rule.from.as_ref().map_or(0, |from| from.addresses.of(family).len());
    let senders: usize = items.iter().map(sources).sum();
    let ports: usize = items.iter().filter(|item| sources(item) == 0).map(|item| item.ports.len()).sum();
    let rows: usize = items.iter().map(|item| item.rows(family)).sum();
    let by_sender = match senders {
        0 => 0,
        _ if rows <= MANY => senders * ADDRESS,
        // Where the last step leads to, about five are tested in a row.
        _ => ((senders.max(5) / 5).ilog2() as usize + 2) / 4 * STEP + 5 * ADDRESS + STEP / 2,
    };
    // The longest list of ports that a known sender meets.
    let own = items.iter().filter(|item| sources(item) > 0 && !item.ports.is_empty()).map(|item| item.ports.len()).sum::<usize>();
    let alone = by_sender + by_port(ports) + by_port(own.min(longest(found)));
    let lookups = found.marks.classes.len() - 1;
    if rows < FEW {
        return false;
    }
    let with = TABLE + lookups * LOOKUP + if longest(found) > 0 { KEY + LOOKUP } else { 0 } + MARK / 2 + found.lists.len().min(6) * TEST;
    with * 5 < alone * 4
}

/// So many ports, in a row or by steps: each of four ways is for two bits of the way, and takes 2¼ tests; where
/// the last leads to, four or five are tested.
fn by_port(count: usize) -> usize {
    match count {
        0..=ports::ROW => count * PORT,
        _ => GOTO + (count / 4).ilog2() as usize * (PORT * 9 / 4 + GOTO) / 2 + PORT * 9 / 2,
    }
}

/// The most ports that are looked up for one class.
fn longest(found: &Found) -> usize {
    found.marks.classes.iter().map(|class| class.ports.len()).max().unwrap_or_default()
}
