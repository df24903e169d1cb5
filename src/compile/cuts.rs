//! Numbers in a row, addresses or ports, cut where it changes which items they are of.

use std::{collections::BTreeSet, rc::Rc};

/// Where the numbers of items begin, and behind where they end.
#[derive(Debug)]
pub(super) struct Cuts(Vec<(u128, usize, bool)>);

/// Numbers that are of the same items.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) first: u128,
    pub(super) last: u128,
    pub(super) list: Rc<[usize]>,
}

impl Cuts {
    /// For so many ranges.
    pub(super) fn with_room(ranges: usize) -> Self {
        Self(Vec::with_capacity(2 * ranges))
    }

    /// The numbers of an item: ranges with both ends, by their first.
    pub(super) fn add(&mut self, item: usize, ranges: impl Iterator<Item = (u128, u128)>) {
        let mut open: Option<(u128, u128)> = None;
        for (first, last) in ranges {
            match &mut open {
                Some((_, end)) if *end == u128::MAX || first <= *end + 1 => *end = last.max(*end),
                _ => self.close(item, open.replace((first, last))),
            }
        }
        self.close(item, open);
    }

    fn close(&mut self, item: usize, range: Option<(u128, u128)>) {
        let Some((first, last)) = range else { return };
        self.0.push((first, item, true));
        self.0.extend(last.checked_add(1).map(|behind| (behind, item, false)));
    }

    /// The parts of all numbers up to `end` that are of any item, in order. `list` says what an item's list
    /// is that has these items.
    pub(super) fn parts(mut self, end: u128, list: impl Fn(&[usize]) -> Rc<[usize]>) -> Vec<Part> {
        // Those of one item are in order.
        self.0.sort();
        let mut parts: Vec<Part> = Vec::with_capacity(self.0.len());
        let mut active: BTreeSet<usize> = BTreeSet::new();
        // Mostly the list is that of the part before.
        let (mut of, mut last_list): (Vec<usize>, Rc<[usize]>) = Default::default();
        for (at, &(first, item, begins)) in self.0.iter().enumerate() {
            match begins {
                true => active.insert(item),
                false => active.remove(&item),
            };
            let next = self.0.get(at + 1).map(|(next, ..)| *next);
            if active.is_empty() || next == Some(first) {
                continue;
            }
            let last = next.map_or(end, |next| next - 1);
            if !active.iter().eq(&of) {
                of = active.iter().copied().collect();
                last_list = list(&of);
            }
            match parts.last_mut() {
                Some(before) if before.list == last_list && before.last + 1 == first => before.last = last,
                _ => parts.push(Part { first, last, list: last_list.clone() }),
            }
        }
        parts
    }
}
