//! How MARK and CONNMARK set, clear and turn over bits of a mark.

use std::fmt;

use crate::syntax::{Given, OptionSpec, SyntaxError, masked, number, opt};

/// What becomes of a mark: `(mark & !mask) ^ value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) value: u32,
    pub(super) mask: u32,
}

/// The options that give one.
pub(super) const OPTIONS: [OptionSpec; 5] = [
    opt("set-xmark", &["VALUE[/MASK]"], "clears the bits of MASK, then turns those of VALUE over"),
    opt("set-mark", &["VALUE[/MASK]"], "clears the bits of MASK and VALUE, then sets those of VALUE"),
    opt("and-mark", &["BITS"], "keeps these bits only"),
    opt("or-mark", &["BITS"], "sets these bits"),
    opt("xor-mark", &["BITS"], "turns these bits over"),
];

impl Change {
    /// What one of [`OPTIONS`] gives.
    ///
    /// # Errors
    /// At its word.
    pub(super) fn parse(given: &Given<'_>) -> Result<Self, SyntaxError> {
        if let "set-xmark" | "set-mark" = given.name() {
            let (value, mask) = masked(&given.values[0])?;
            let mask = mask.unwrap_or(u32::MAX);
            return Ok(Self { value, mask: if given.name() == "set-mark" { mask | value } else { mask } });
        }
        let bits = number(&given.values[0], u32::MAX.into())? as u32;
        Ok(match given.name() {
            "and-mark" => Self { value: 0, mask: !bits },
            "or-mark" => Self { value: bits, mask: bits },
            _ => Self { value: bits, mask: 0 },
        })
    }

    /// Prints what `iptables -n -L` does.
    pub(super) fn list(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { value: 0, mask } => write!(f, "and 0x{:x}", !mask),
            Self { value, mask } if value == mask => write!(f, "or 0x{value:x}"),
            Self { value, mask: 0 } => write!(f, "xor 0x{value:x}"),
            Self { value, mask: u32::MAX } => write!(f, "set 0x{value:x}"),
            Self { value, mask } => write!(f, "xset 0x{value:x}/0x{mask:x}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--set-xmark 0x{:x}/0x{:x}", self.value, self.mask)
    }
}
