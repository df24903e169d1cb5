//! The element of an ipset that a packet stands for.

use std::fmt;

use crate::{
    extension::Cursor,
    syntax::{Given, SyntaxError, readable},
};

/// `SET src|dst[,…]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    name: String,
    sides: Sides,
}

/// From which end of the packet each part of the set's elements comes, first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sides {
    /// How many parts, from 1 to [`MAX_PARTS`].
    count: u8,
    /// Bit i is set if the i-th part, counted from 1, is the source's.
    source: u8,
}

/// `IPSET_MAXNAMELEN`, with the NUL.
const NAME_LEN: usize = 32;
/// `IPSET_DIM_MAX`
const MAX_PARTS: u8 = 6;

impl Member {
    /// Reads both words of the option.
    ///
    /// # Errors
    /// At the word.
    pub fn parse(given: &Given<'_>) -> Result<Self, SyntaxError> {
        Ok(Self { name: parse_name(given)?, sides: parse_sides(given)? })
    }

    /// The set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `struct xt_set_info`: u16 index, u8 dim, u8 flags. The first bit of the flags is free.
    pub fn to_xt(&self, index: u16) -> [u8; 4] {
        let [a, b] = index.to_ne_bytes();
        [a, b, self.sides.count, self.sides.source]
    }

    /// From that, less the first bit of the flags; `None` if there is no such set, or if `parse` could
    /// not have made it.
    pub fn from_xt([a, b, count, source]: [u8; 4], cursor: &Cursor<'_, '_>) -> Option<Self> {
        let name = cursor.set_name(u16::from_ne_bytes([a, b]))?.to_owned();
        let valid = (1..=MAX_PARTS).contains(&count) && source & 1 == 0 && source >> (count + 1) == 0;
        valid.then_some(Self { name, sides: Sides { count, source } })
    }

    /// Prints both words: the name as it is where no `dashes` stand before options, else so that it
    /// can be read again.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str) -> fmt::Result {
        match dashes {
            "" => write!(f, "{} {}", self.name, self.sides),
            _ => write!(f, "{} {}", readable(&self.name), self.sides),
        }
    }
}

fn parse_name(given: &Given<'_>) -> Result<String, SyntaxError> {
    match (given.text(0), given.text(0).len()) {
        (_, 0) => Err(given.values[0].error("a set's name can't be empty")),
        (name, 1..NAME_LEN) => Ok(name.to_owned()),
        (_, len) => Err(given.values[0].error(format!("a set's name has {} bytes at most, this has {len}", NAME_LEN - 1))),
    }
}

fn parse_sides(given: &Given<'_>) -> Result<Sides, SyntaxError> {
    let mut sides = Sides { count: 0, source: 0 };
    for side in given.text(1).split(',') {
        if sides.count == MAX_PARTS {
            return Err(given.error(format!("an element of a set has {MAX_PARTS} parts at most")));
        }
        sides.count += 1;
        match side {
            "src" => sides.source |= 1 << sides.count,
            "dst" => {}
            _ => {
                let error = given.error(format!("`{side}` is neither src nor dst"));
                return Err(error.hint("write one of them for each part of the set's elements: hash:ip,port has two, so `src,dst`"));
            }
        }
    }
    Ok(sides)
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (1..=self.count).try_for_each(|part| {
            let side = if self.source & (1 << part) != 0 { "src" } else { "dst" };
            write!(f, "{}{side}", if part == 1 { "" } else { "," })
        })
    }
}
