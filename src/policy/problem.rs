use std::ops::Range;

/// Something wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The index of its file in [`Policy::files`](super::Policy::files).
    pub file: usize,
    /// The bytes of that file that are meant.
    pub span: Range<usize>,
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Does the policy hold all the same?
    pub warning: bool,
}

impl Problem {
    /// An error at these bytes.
    pub fn new(file: usize, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { file, span, message: message.into(), hint: None, warning: false }
    }

    /// The same with its cure.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Its line, counted from 0, and the bytes of that line.
    pub fn line(&self, text: &str) -> (usize, Range<usize>) {
        let start = self.span.start.min(text.len());
        let before = &text.as_bytes()[..start];
        let begin = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let end = text[begin..].find('\n').map_or(text.len(), |at| begin + at);
        let line = before.iter().filter(|&&byte| byte == b'\n').count();
        (line, start - begin..self.span.end.clamp(start, end) - begin)
    }
}
