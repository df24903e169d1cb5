//! Numbers that a file of the host may give names to: groups of interfaces, realms of routes, labels.
//!
//! iptables also prints the names; here the numbers are printed, which mean the same on every host
//! and to every iptables.

use super::marks::Mark;
use crate::{
    model::Test,
    syntax::{Given, SyntaxError, masked, parse_number},
};

/// The number that the file at `path` has for a name: lines of a number and its name.
pub fn find(path: &str, name: &str) -> Option<u64> {
    let listed = std::fs::read_to_string(path).ok()?;
    listed.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let number = parse_number(words.next()?)?;
        (words.next()? == name).then_some(number)
    })
}

/// Reads `VALUE`, `VALUE/MASK` or a name by the file at `path`.
///
/// # Errors
/// At the word.
pub fn parse(given: &Given<'_>, path: &str) -> Result<Test<Mark>, SyntaxError> {
    let text = given.text(0);
    let test = |value, mask| Ok(Test { negated: given.negated, value: Mark { value, mask } });
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let (value, mask) = masked(&given.values[0])?;
        return test(value, mask.unwrap_or(u32::MAX));
    }
    match find(path, text).and_then(|n| u32::try_from(n).ok()) {
        Some(value) => test(value, u32::MAX),
        None => {
            let error = given.error(format!("`{text}` is neither a number nor a name"));
            Err(error.hint(format!("write the number, or give one the name in {path}")))
        }
    }
}
