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

    /// Is it about the file as a whole, and no place in it?
    pub fn is_general(&self) -> bool {
        self.span == (0..0)
    }

    /// Its line, counted from 0, and the bytes of that line. The line's end is never among them.
    pub fn line(&self, lines: &Lines<'_>) -> (usize, Range<usize>) {
        let line = lines.of(self.span.start);
        let begin = lines.starts[line];
        let within = |at: usize| at.saturating_sub(begin).min(lines.text(line).len());
        (line, within(self.span.start)..within(self.span.end))
    }
}

/// Where the lines of a text begin, found once for all who ask.
#[derive(Debug, Clone)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// The lines of this text.
    pub fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    /// The line, counted from 0, that has the byte at this place.
    pub fn of(&self, at: usize) -> usize {
        self.starts.partition_point(|&start| start <= at) - 1
    }

    /// A line without its end; empty if there is no such line.
    pub fn text(&self, line: usize) -> &'t str {
        let Some(&start) = self.starts.get(line) else { return "" };
        let end = self.starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let text = &self.text[start..end];
        text.strip_suffix('\r').unwrap_or(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_its_line_and_bytes_in_it() {
        let text = "a\nbüro = 1\r\n\nlast";
        let lines = Lines::new(text);
        let line = |span| Problem::new(0, span, "").line(&lines);
        assert_eq!(line(2..7), (1, 0..5));
        // What goes on over the end of its line is marked up to there; neither half of it is beyond.
        assert_eq!(line(10..20), (1, 8..9));
        assert_eq!(line(13..14), (2, 0..0));
        assert_eq!(line(14..99), (3, 0..4));
        assert_eq!(line(99..99), (3, 4..4));
        assert_eq!(lines.text(1), "büro = 1");
        assert_eq!((lines.text(2), lines.text(4)), ("", ""));
        assert_eq!(Problem::new(0, 0..0, "").line(&Lines::new("")), (0, 0..0));
    }

    #[test]
    fn a_problem_of_the_whole_file_has_no_place() {
        assert!(Problem::new(0, 0..0, "").is_general());
        assert!(!Problem::new(0, 0..1, "").is_general());
    }
}
