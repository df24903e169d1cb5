//! Names of what a rule shares with others by a file in `/proc/net`.

use crate::syntax::{Given, SyntaxError};

/// The name behind an option, up to `max` bytes.
///
/// # Errors
/// At the word.
pub fn parse(given: &Given<'_>, max: usize) -> Result<String, SyntaxError> {
    let name = given.text(0);
    if name.len() > max {
        return Err(given.error(format!("the name has {max} bytes at most, this has {}", name.len())));
    }
    if !is_valid(name, max) {
        return Err(given.error("this is the name of a file in /proc, and can't be so"));
    }
    Ok(name.to_owned())
}

/// Does the kernel take it?
///
/// Source: `net/netfilter/x_tables.c`, `xt_check_proc_name`.
pub fn is_valid(name: &str, max: usize) -> bool {
    (1..=max).contains(&name.len()) && !name.contains(['/', '\0', '\n']) && !matches!(name, "." | "..")
}
