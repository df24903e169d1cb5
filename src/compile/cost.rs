//! What the first packet of a connection pays, as far as it differs by how senders are found.

use super::{
    chains::{Item, MANY},
    marked::{Found, ROW},
    ports,
};
use crate::{marks::Class, model::Family};

// In tenths of what one comparison of an address takes (`-s`), as `benches/packets` measured them one
// by one on kernel 6.18: the ratios of one machine hold for others.

/// `-s ADDRESS`
pub(super) const ADDRESS: usize = 10;
/// `-p tcp -m conntrack --ctorigdstport`
pub(super) const PORT: usize = 170;
/// `goto`
const GOTO: usize = 65;
/// One of 16 ways: half of them are tested, then a goto. As whole trees took it: it is 150 by its parts, but
/// the rules of each step are seldom in the nearest cache.
const STEP: usize = 300;
/// Our base chain, and the test of the connection's state.
const TABLE: usize = 130;
/// A look-up in a set.
const LOOKUP: usize = 95;
/// Protocol and port out of the connection, as whole policies took it; by its parts it is half of that.
const KEY: usize = 240;
/// To set the mark, for those who get one.
const MARK: usize = 100;
/// The jump to our chains, and `-i`
const VISIT: usize = 130;
/// `-m mark`
const TEST: usize = 35;

/// So few rules are better read in a row by people.
const FEW: usize = 20;

/// Do marks cost clearly less than rows, or a tree? Asked for a packet of somebody whom no rule names, and
/// one of somebody whom the most rules name.
pub(super) fn is_worth_it(found: &Found, items: &[Item<'_>], family: Family, has_default: bool) -> bool {
    let rows: usize = items.iter().map(|item| item.rows(family)).sum();
    if rows < FEW {
        return false;
    }
    let ports = |sourced: bool| {
        let some = items.iter().filter(|item| item.from.is_some() == sourced);
        some.map(|item| item.ports.len()).sum::<usize>()
    };
    let by_sender = match found.marks.senders.len() {
        0 => 0,
        senders if rows <= MANY => senders * ADDRESS,
        // Where the last step leads to, about five are tested in a row.
        senders => ((senders.max(5) / 5).ilog2() as usize + 2) / 4 * STEP + 5 * ADDRESS + STEP / 2,
    };
    let stranger = by_sender + by_port(ports(false));
    let alone = [stranger, stranger + by_port(ports(true).min(longest(&found.marks.classes)))];
    let classes = &found.marks.classes;
    let key = |classes: &[Class]| if longest(classes) > 0 { KEY + LOOKUP + GOTO } else { 0 };
    let ids = found.lists.len();
    let (none, one) = if ids > ROW { (TEST, 8 * TEST + GOTO + 4 * TEST) } else { (ids * TEST, ids.div_ceil(2) * TEST) };
    let lookups = (classes.len() - 1) * LOOKUP;
    // Who is in no list does not come to the chains.
    let unvisited = if has_default || !found.rest.is_empty() { 0 } else { VISIT };
    let with = [TABLE + lookups + key(&classes[..1]) + none - unvisited, TABLE + lookups + key(classes) + MARK + one];
    with.iter().sum::<usize>() * 20 < alone.iter().sum::<usize>() * 13
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
fn longest(classes: &[Class]) -> usize {
    classes.iter().map(|class| class.ports.len()).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::{
        compile::docker_user,
        model::Family,
        policy::{File, Policy, Strategy},
    };

    /// Addresses without order, the same in each run.
    fn senders(count: u32) -> String {
        let address = |number: u32| std::net::Ipv4Addr::from_bits(number.wrapping_mul(2_654_435_769) & 0x7fff_ffff | 0x0100_0000);
        (1..=count).map(|number| format!("'{}',", address(number))).collect()
    }

    fn list(action: &str, count: u32) -> String {
        let default = if action == "drop" { "allow" } else { "drop" };
        format!("default = '{default}'\n[[rule]]\n{action} = 'any'\nfrom = [{}]\n", senders(count))
    }

    fn ports(count: u16, from: &str) -> String {
        let rules: String = (0..count).map(|number| format!("[[rule]]\nallow = '{}/tcp'\n{from}\n", 8000 + number)).collect();
        format!("default = 'drop'\n{rules}")
    }

    #[test]
    fn what_was_measured_to_cost_less_is_chosen() {
        for (text, sets) in [
            (list("drop", 10), false),
            (list("drop", 100), true),
            (list("allow", 100), true),
            (list("allow", 10_000), true),
            (ports(10, ""), false),
            (ports(100, ""), true),
            (ports(100, &format!("from = [{}]", senders(10))), false),
        ] {
            let policy = Policy::parse(vec![File::new("cost.toml", format!("external = 'eth0'\n{text}"))]).policy;
            let compiled = docker_user(&policy, "cost", Some(Strategy::Auto));
            assert_eq!(compiled.table(Family::Ip).is_some(), sets, "{text:.200}");
        }
    }
}
