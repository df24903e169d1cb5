//! Lists of words with commas between, each word a bit: states, statuses, types of addresses.

use std::fmt;

use crate::syntax::{Given, SyntaxError};

/// The words and their bits, in the order in which they are printed. A word without a bit stands for
/// no bit at all, and is printed alone.
pub type Words = [(&'static str, u16)];

/// The bits behind an option. As for iptables, the beginning of a word is enough, in any case; where
/// several words begin so, the first is meant.
///
/// # Errors
/// At the list, with the words there are.
pub fn parse(given: &Given<'_>, words: &Words, what: &str) -> Result<u16, SyntaxError> {
    given.text(0).split(',').try_fold(0, |bits, text| {
        if text.is_empty() {
            return Err(given.error("a word of the list is missing"));
        }
        let begins = |word: &str| word.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
        words.iter().find(|(word, _)| begins(word)).map(|(_, bit)| bits | bit).ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            given.error(format!("`{text}` is not {what}")).hint(format!("write some of {}, with commas between", known.join(", ")))
        })
    })
}

/// These bits, if there are words for just them.
pub fn known(bits: u16, words: &Words) -> Option<u16> {
    let all = words.iter().fold(0, |all, (_, bit)| all | bit);
    (bits & !all == 0 && words.iter().any(|(_, bit)| shown(*bit, bits))).then_some(bits)
}

fn shown(bit: u16, bits: u16) -> bool {
    bit & bits != 0 || (bit == 0 && bits == 0)
}

/// Prints the words for some bits.
pub struct List<'w>(pub u16, pub &'w Words);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (word, _) in self.1.iter().filter(|(_, bit)| shown(*bit, self.0)) {
            write!(f, "{}{word}", std::mem::replace(&mut comma, ","))?;
        }
        Ok(())
    }
}
