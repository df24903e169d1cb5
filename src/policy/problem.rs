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
        let (begin, text) = lines.line(line);
        let within = |at: usize| at.saturating_sub(begin).min(text.len());
        (line, within(self.span.start)..within(self.span.end))
    }
}

/// Where the lines of a text begin, found once for all who ask.
#[derive(Debug, Clone)]
pub struct Lines<'t> {
    text: &'t str,
    /// Of every [`STEP`]th line: lists have millions, and may be empty lines alone.
    starts: Vec<usize>,
}

const STEP: usize = 64;

impl<'t> Lines<'t> {
    /// The lines of this text.
    pub fn new(text: &'t str) -> Self {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes());
        let starts = ends.skip(STEP - 1).step_by(STEP).map(|at| at + 1);
        Self { text, starts: std::iter::once(0).chain(starts).collect() }
    }

    /// The line, counted from 0, that has the byte at this place.
    pub fn of(&self, at: usize) -> usize {
        let step = self.starts.partition_point(|&start| start <= at) - 1;
        let before = &self.text.as_bytes()[self.starts[step]..at.min(self.text.len())];
        step * STEP + memchr::memchr_iter(b'\n', before).count()
    }

    /// A line without its end; empty if there is no such line.
    pub fn text(&self, line: usize) -> &'t str {
        self.line(line).1
    }

    /// Where a line begins, and the line without its end.
    fn line(&self, line: usize) -> (usize, &'t str) {
        let none = (self.text.len(), "");
        let Some(&start) = self.starts.get(line / STEP) else { return none };
        let mut begins = std::iter::once(start).chain(memchr::memchr_iter(b'\n', &self.text.as_bytes()[start..]).map(|at| start + at + 1));
        let Some(begin) = begins.nth(line % STEP) else { return none };
        let end = begins.next().map_or(self.text.len(), |next| next - 1);
        let text = &self.text[begin..end];
        (begin, text.strip_suffix('\r').unwrap_or(text))
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
    fn every_line_of_a_long_text_is_found() {
        let text: String = (0..1000).map(|line| format!("{}\n", "x".repeat(line % 3))).collect();
        let lines = Lines::new(&text);
        let mut begin = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            assert_eq!((lines.of(begin), lines.of(begin + line.len() - 1), lines.text(number)), (number, number, line.trim_end()));
            begin += line.len();
        }
        assert_eq!((lines.of(begin), lines.text(1000), lines.text(1001), lines.text(9999)), (1000, "", "", ""));
    }

    #[test]
    fn a_problem_of_the_whole_file_has_no_place() {
        assert!(Problem::new(0, 0..0, "").is_general());
        assert!(!Problem::new(0, 0..1, "").is_general());
    }
}
