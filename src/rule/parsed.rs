use std::ops::Range;

use smallvec::SmallVec;

use super::Rule;
use crate::model::Counters;

/// Where the parts of a rule stand in its line, for carets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans {
    /// By option.
    pub(super) base: [Option<Range<usize>>; 6],
    pub(super) matches: SmallVec<[Range<usize>; 2]>,
    pub(super) target: Option<Range<usize>>,
}

impl Spans {
    /// The bytes of the line that made this part.
    pub fn of(&self, origin: super::Origin) -> Option<Range<usize>> {
        match origin {
            super::Origin::Base(option) => self.base[option as usize].clone(),
            super::Origin::Match(index) => self.matches.get(index).cloned(),
            super::Origin::Target => self.target.clone(),
            super::Origin::Counter => None,
        }
    }
}

/// A line's rules: more than one where `-s` or `-d` have lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The rules, in the order in which they are added.
    pub rules: Vec<Rule>,
    /// `-c`
    pub counters: Option<Counters>,
    /// Where their parts stand.
    pub spans: Spans,
}
