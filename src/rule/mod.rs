//! A rule as iptables has it: base options, matches in the user's order, a target. From its words
//! ([`Parser`]), to its save form (`Display`), to and from expressions; and lists of them.

mod base;
pub mod help;
mod kernel;
mod list;
mod normal;
mod options;
mod parse;
mod parsed;
mod tokens;
mod unknown;

pub use base::{Base, BaseOption};
pub use kernel::{Landmarks, LinearizeError, Origin, Reader, Reading};
pub use list::{Listing, Standing};
pub use parse::Parser;
pub use parsed::{Parsed, Spans};
pub use tokens::{Token, Tokens};

use std::fmt;

use crate::{matches::Match, model::Counters, targets::Target};

/// One rule.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// `-s -d -i -o -p -f`
    pub base: Base,
    /// `-m …`, in order.
    pub matches: Vec<Match>,
    /// `-j …` or `-g …`; a rule without one only counts.
    pub target: Option<Target>,
}

impl Rule {
    /// The text of its first `-m comment`.
    pub fn comment(&self) -> Option<&str> {
        self.matches.iter().find_map(|one| match one {
            Match::Comment(comment) => Some(comment.text()),
            _ => None,
        })
    }

    /// Writes the save form, with `-c PACKETS BYTES` where `iptables -v -S` has it.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn save(&self, f: &mut impl fmt::Write, counters: Option<Counters>) -> fmt::Result {
        let mut first = true;
        let mut space = |f: &mut dyn fmt::Write| if std::mem::take(&mut first) { Ok(()) } else { f.write_char(' ') };
        if !self.base.is_empty() {
            space(f)?;
            write!(f, "{}", self.base)?;
        }
        for one in &self.matches {
            space(f)?;
            f.write_str("-m ")?;
            f.write_str(one.name())?;
            write_options(f, one)?;
        }
        if let Some(Counters { packets, bytes }) = counters {
            space(f)?;
            write!(f, "-c {packets} {bytes}")?;
        }
        if let Some(target) = &self.target {
            space(f)?;
            f.write_str(if matches!(target, Target::Goto(_)) { "-g " } else { "-j " })?;
            f.write_str(target.name())?;
            write_options(f, target)?;
        }
        Ok(())
    }
}

/// The text of an extension behind a blank; nothing if it has none.
fn write_options(f: &mut impl fmt::Write, options: &impl fmt::Display) -> fmt::Result {
    /// Puts a blank before the first character that comes.
    struct Spaced<'f, W>(&'f mut W, bool);
    impl<W: fmt::Write> fmt::Write for Spaced<'_, W> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            if !text.is_empty() && !std::mem::replace(&mut self.1, true) {
                self.0.write_char(' ')?;
            }
            self.0.write_str(text)
        }
    }
    fmt::Write::write_fmt(&mut Spaced(f, false), format_args!("{options}"))
}

impl fmt::Display for Rule {
    /// The save form: what `iptables -S` prints behind `-A CHAIN `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.save(f, None)
    }
}
