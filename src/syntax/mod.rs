//! The words of one rule, each with its place in the line, and what an extension says of its
//! options. Knows no match and no target by name.

mod args;
mod line;
mod options;
mod parse;

pub use args::{Args, Given};
pub use line::{Line, Word, quote, readable, split};
pub use options::{Example, OptionSpec, Outcome, looks_like_option, opt};
pub use parse::*;

use std::ops::Range;

/// What is wrong with a line, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// The bytes of the line that are meant; empty at the end where something is missing.
    pub span: Range<usize>,
    /// What is wrong with them: lower case, no final period.
    pub message: String,
    /// What to write instead, if that can be said.
    pub hint: Option<String>,
}

impl SyntaxError {
    /// An error at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    /// The same with the cure.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
