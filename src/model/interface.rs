use std::fmt;

/// The name of a network interface, or the beginning of one (`eth+`), as `-i` and `-o` take it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interface {
    /// The name without `+`, padded with NUL.
    name: [u8; Self::MAX],
    len: u8,
    prefix: bool,
}

/// Why a text is not the name of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInterface {
    /// No characters at all.
    #[error("an interface's name can't be empty")]
    Empty,
    /// 16 or more bytes.
    #[error("an interface's name has 15 characters at most")]
    TooLong,
    /// One that no interface can have, or that a rule's text could not hold.
    #[error("an interface's name has no blanks, quotes, backslashes or slashes")]
    Character,
}

impl Interface {
    /// `IFNAMSIZ` less the NUL (`include/uapi/linux/if.h`).
    pub const MAX: usize = 15;

    /// The interface `text`; a `+` at the end makes it a prefix.
    ///
    /// # Errors
    /// [`InvalidInterface`].
    pub fn new(text: &str) -> Result<Self, InvalidInterface> {
        match text.len() {
            0 => Err(InvalidInterface::Empty),
            1..=Self::MAX if !is_plain(text.as_bytes()) => Err(InvalidInterface::Character),
            1..=Self::MAX => Ok(match text.strip_suffix('+') {
                Some(start) => Self::from_bytes(start.as_bytes(), true),
                None => Self::from_bytes(text.as_bytes(), false),
            }),
            _ => Err(InvalidInterface::TooLong),
        }
    }

    /// All interfaces whose name begins with these bytes; `None` if they are too many, or not plain.
    pub fn prefix(start: &[u8]) -> Option<Self> {
        (start.len() < Self::MAX && is_plain(start)).then(|| Self::from_bytes(start, true))
    }

    /// The interface with just these bytes as its name; `None` if there are none or too many, if they
    /// are not plain, or end in the `+` that would make it a prefix when it is printed.
    pub fn exact(name: &[u8]) -> Option<Self> {
        ((1..=Self::MAX).contains(&name.len()) && is_plain(name) && !name.ends_with(b"+")).then(|| Self::from_bytes(name, false))
    }

    fn from_bytes(bytes: &[u8], prefix: bool) -> Self {
        let mut name = [0; Self::MAX];
        name[..bytes.len()].copy_from_slice(bytes);
        Self { name, len: bytes.len() as u8, prefix }
    }

    /// The name without `+`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.name[..self.len as usize]
    }

    /// Does it stand for all interfaces that begin so?
    pub fn is_prefix(&self) -> bool {
        self.prefix
    }

    /// Is it `+`, which every interface's name begins with?
    pub fn is_any(&self) -> bool {
        self.prefix && self.len == 0
    }
}

impl Interface {
    /// Does every interface that is `other` pass this one, too?
    pub fn covers(&self, other: &Self) -> bool {
        match self.prefix {
            true => other.as_bytes().starts_with(self.as_bytes()),
            false => self == other,
        }
    }

    /// Is there an interface that passes both?
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

/// Can a rule's text hold it as it is? The kernel refuses white space and slashes itself
/// (`net/core/dev.c`, `dev_valid_name`).
fn is_plain(name: &[u8]) -> bool {
    std::str::from_utf8(name)
        .is_ok_and(|name| !name.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '"' | '\'' | '\\')))
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", String::from_utf8_lossy(self.as_bytes()), if self.prefix { "+" } else { "" })
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interface({self})")
    }
}
