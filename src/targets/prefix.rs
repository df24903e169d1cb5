//! The text that LOG and NFLOG put before a packet.

use crate::syntax::{Given, SyntaxError};

/// The prefix that an option gives, up to `max` bytes.
///
/// # Errors
/// If there is none, if it is too long (iptables cuts it there and says nothing) or can't be shown
/// in a line.
pub(super) fn parse(given: &Given<'_>, max: usize) -> Result<String, SyntaxError> {
    let text = given.text(0);
    match text.len() {
        0 => Err(given.error("a prefix has one byte at least").hint("leave the option out for no prefix")),
        len if len > max => {
            let cut = cut(text, max);
            Err(given
                .error(format!("this prefix has {max} bytes at most, here are {len}"))
                .hint(format!("shorten it, for example to `{cut}`")))
        }
        _ if !is_printable(text) => Err(given.error("a prefix has neither line ends nor NUL")),
        _ => Ok(text.to_owned()),
    }
}

/// Can an option give this prefix (or, if it is empty, none)?
pub(super) fn is_valid(text: &str, max: usize) -> bool {
    text.len() <= max && is_printable(text)
}

/// As much of the text as `max` bytes hold, in whole characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

fn is_printable(text: &str) -> bool {
    !text.contains(['\n', '\0'])
}
