//! Ranges of numbers as most options take them.

use std::fmt::Display;

use crate::syntax::{SyntaxError, Word, ordered, parse_number};

/// `NUMBER`, `LOW:HIGH`, `LOW:` or `:HIGH`, each between those `ends`; both ends belong to the range.
///
/// # Errors
/// At the word; `what` says what a number of it is.
pub fn parse<T>(word: &Word<'_>, ends: (T, T), what: &str) -> Result<(T, T), SyntaxError>
where
    T: TryFrom<u64> + PartialOrd + Display + Copy,
{
    let one = |text: &str| {
        let number = parse_number(text).and_then(|n| T::try_from(n).ok()).filter(|n| (ends.0..=ends.1).contains(n));
        number.ok_or_else(|| word.error(format!("`{text}` is not {what}: those go from {} to {}", ends.0, ends.1)))
    };
    let Some((low, high)) = word.text.split_once(':') else {
        let number = one(&word.text)?;
        return Ok((number, number));
    };
    let low = if low.is_empty() { ends.0 } else { one(low)? };
    let high = if high.is_empty() { ends.1 } else { one(high)? };
    ordered(word, low, high, ':')
}
