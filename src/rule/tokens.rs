//! Words to options, as `getopt_long` takes them apart for iptables.

use std::{borrow::Cow, ops::Range};

use crate::syntax::{SyntaxError, Word};

/// What stands next on the line.
#[derive(Debug, Clone, PartialEq)]
pub enum Token<'a> {
    /// `!`
    Bang(Range<usize>),
    /// An option of iptables itself, by its letter (`--line-numbers` has none and is `0`).
    Letter(char, Range<usize>),
    /// `--NAME`, not one of iptables itself.
    Long(Cow<'a, str>, Range<usize>),
    /// A word without dashes that no option has taken.
    Plain(Word<'a>),
}

/// iptables' own long options. Source: iptables `xtables.c`, `original_opts`.
pub(super) const LONG: &[(&str, char)] = &[
    ("append", 'A'),
    ("delete", 'D'),
    ("check", 'C'),
    ("insert", 'I'),
    ("replace", 'R'),
    ("list", 'L'),
    ("list-rules", 'S'),
    ("flush", 'F'),
    ("zero", 'Z'),
    ("new-chain", 'N'),
    ("delete-chain", 'X'),
    ("rename-chain", 'E'),
    ("policy", 'P'),
    ("source", 's'),
    ("destination", 'd'),
    ("src", 's'),
    ("dst", 'd'),
    ("protocol", 'p'),
    ("in-interface", 'i'),
    ("jump", 'j'),
    ("table", 't'),
    ("match", 'm'),
    ("numeric", 'n'),
    ("out-interface", 'o'),
    ("verbose", 'v'),
    ("wait", 'w'),
    ("wait-interval", 'W'),
    ("exact", 'x'),
    ("fragments", 'f'),
    ("version", 'V'),
    ("help", 'h'),
    ("line-numbers", '0'),
    ("modprobe", 'M'),
    ("set-counters", 'c'),
    ("goto", 'g'),
    ("ipv4", '4'),
    ("ipv6", '6'),
];

/// Takes a line's words apart.
#[derive(Debug)]
pub struct Tokens<'w, 'a> {
    words: &'w [Word<'a>],
    /// What is left of a word like `-nvL`, or the value in `-ieth0` and `--dport=80`.
    attached: Option<(Word<'a>, Attached)>,
    end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Attached {
    /// More letters, or this letter's value.
    Letters,
    /// The value behind `=`.
    Value,
}

impl<'w, 'a> Tokens<'w, 'a> {
    /// Begins at the first of `words`.
    pub fn new(words: &'w [Word<'a>]) -> Self {
        Self { words, attached: None, end: words.last().map_or(0, |word| word.span.end) }
    }

    /// The next option or word.
    ///
    /// # Errors
    /// A value behind `=` that the option before did not take.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend itself for values between two steps")]
    pub fn next(&mut self) -> Result<Option<Token<'a>>, SyntaxError> {
        match self.attached.take() {
            Some((word, Attached::Letters)) => return Ok(Some(self.letter(word))),
            Some((word, Attached::Value)) => return Err(word.error("this option takes no value")),
            None => {}
        }
        let Some((word, rest)) = self.words.split_first() else { return Ok(None) };
        self.words = rest;
        Ok(Some(match word.text.as_bytes() {
            b"!" => Token::Bang(word.span.clone()),
            [b'-', b'-', _, ..] => self.long(word),
            [b'-', next, ..] if *next != b'-' => self.letter(Word { text: cut(&word.text, 1), span: word.span.clone() }),
            _ => Token::Plain(word.clone()),
        }))
    }

    fn letter(&mut self, word: Word<'a>) -> Token<'a> {
        let letter = word.text.chars().next().unwrap_or_default();
        let rest = cut(&word.text, letter.len_utf8());
        if !rest.is_empty() {
            self.attached = Some((Word { text: rest, span: word.span.clone() }, Attached::Letters));
        }
        Token::Letter(letter, word.span)
    }

    fn long(&mut self, word: &Word<'a>) -> Token<'a> {
        let text = cut(&word.text, 2);
        let (name, value) = match text.find('=') {
            Some(at) => (take(&text, at), Some(cut(&text, at + 1))),
            None => (text, None),
        };
        if let Some(text) = value {
            self.attached = Some((Word { text, span: word.span.clone() }, Attached::Value));
        }
        match LONG.iter().find(|(known, _)| *known == name) {
            Some(&(_, letter)) => Token::Letter(letter, word.span.clone()),
            None => Token::Long(name, word.span.clone()),
        }
    }

    /// The word that belongs to the option before.
    ///
    /// # Errors
    /// At the end of the line if there is none.
    pub fn value(&mut self, what: &str) -> Result<Word<'a>, SyntaxError> {
        if let Some((word, _)) = self.attached.take() {
            return Ok(word);
        }
        let missing = || SyntaxError::new(self.end..self.end, format!("here should be {what}"));
        let (word, rest) = self.words.split_first().ok_or_else(missing)?;
        self.words = rest;
        Ok(word.clone())
    }

    /// The word that may belong to the option before: one that does not begin with `-` or `!`.
    pub fn optional_value(&mut self) -> Option<Word<'a>> {
        if let Some((word, _)) = self.attached.take() {
            return Some(word);
        }
        let (word, rest) = self.words.split_first()?;
        if word.text.starts_with(['-', '!']) {
            return None;
        }
        self.words = rest;
        Some(word.clone())
    }

    /// The word that may belong to the option before, if it is a number.
    pub fn optional_number(&mut self) -> Option<Word<'a>> {
        let is_number = |word: &Word<'_>| word.text.bytes().all(|byte| byte.is_ascii_digit());
        match (&self.attached, self.words.first()) {
            (None, Some(word)) if !is_number(word) => None,
            _ => self.optional_value(),
        }
    }

    /// Where the line ends.
    pub fn end(&self) -> Range<usize> {
        self.end..self.end
    }
}

/// The text from `at` on, borrowed if it was.
fn cut<'a>(text: &Cow<'a, str>, at: usize) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[at..]),
        Cow::Owned(text) => Cow::Owned(text[at..].to_owned()),
    }
}

/// The text up to `at`, borrowed if it was.
fn take<'a>(text: &Cow<'a, str>, at: usize) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..at]),
        Cow::Owned(text) => Cow::Owned(text[..at].to_owned()),
    }
}
