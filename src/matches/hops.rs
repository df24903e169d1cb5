//! Tests of how many routers a packet may still pass, for both families.

use std::fmt;

use crate::{
    extension::{Cursor, Linearizer},
    syntax::{Args, SyntaxError, number},
};

/// The options of the match of that name.
macro_rules! options {
    ($name:literal) => {
        &[
            opt(concat!($name, "-eq"), &["NUMBER"], "it is that").aliases(&[$name]).negates(),
            opt(concat!($name, "-lt"), &["NUMBER"], "it is less"),
            opt(concat!($name, "-gt"), &["NUMBER"], "it is greater"),
        ]
    };
}
pub(super) use options;

/// How the packet's number has to compare, and with which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hops {
    mode: Mode,
    value: u8,
}

/// `IPT_TTL_…`, `IP6T_HL_…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Equal = 0,
    NotEqual = 1,
    Less = 2,
    Greater = 3,
}

const MODES: [Mode; 4] = [Mode::Equal, Mode::NotEqual, Mode::Less, Mode::Greater];

impl Hops {
    /// Reads `--NAME-eq`, `--NAME-lt` or `--NAME-gt`.
    ///
    /// # Errors
    /// If there is not just one of them, or at its word.
    pub fn parse(args: &mut Args<'_>, name: &str) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error(format!("needs `--{name}-eq`, `--{name}-lt` or `--{name}-gt`")))?;
        if let Some(second) = args.next() {
            return Err(second.error_here("one of these is enough").hint(format!("for a range write `-m {name}` again in front of it")));
        }
        let mode = match given.name().rsplit('-').next() {
            Some("lt") => Mode::Less,
            Some("gt") => Mode::Greater,
            _ if given.negated => Mode::NotEqual,
            _ => Mode::Equal,
        };
        Ok(Self { mode, value: number(&given.values[0], u8::MAX.into())? as u8 })
    }

    /// Writes an xt match of that name.
    pub fn linearize(self, name: &str, out: &mut Linearizer<'_, '_>) {
        // struct ipt_ttl_info, struct ip6t_hl_info: mode, value
        out.xt_match(name, 0, &[self.mode as u8, self.value, 0, 0, 0, 0, 0, 0]);
    }

    /// Reads an xt match of that name.
    pub fn delinearize(name: &str, cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[mode, value, 0, 0, 0, 0, 0, 0] = cursor.take_match(name, 0)? else { return None };
        let mode = MODES.into_iter().find(|&known| known as u8 == mode)?;
        Some(Self { mode, value })
    }

    /// Prints the save form.
    pub fn save(self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let (bang, mode) = match self.mode {
            Mode::Equal => ("", "eq"),
            Mode::NotEqual => ("! ", "eq"),
            Mode::Less => ("", "lt"),
            Mode::Greater => ("", "gt"),
        };
        write!(f, "{bang}--{name}-{mode} {}", self.value)
    }

    /// Prints what `iptables -n -L` does.
    pub fn list(self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let mode = match self.mode {
            Mode::Equal => "==",
            Mode::NotEqual => "!=",
            Mode::Less => "<",
            Mode::Greater => ">",
        };
        write!(f, "{name} match {name} {mode} {}", self.value)
    }
}
