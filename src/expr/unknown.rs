use std::fmt;

use super::Hex;

/// An expression that we don't read, as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unknown<'a> {
    /// The kernel's name.
    pub name: &'a str,
    /// The content of `NFTA_EXPR_DATA`.
    pub data: &'a [u8],
}

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[ {} {} ]", self.name, Hex(self.data))
    }
}
