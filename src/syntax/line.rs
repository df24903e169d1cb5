use std::{borrow::Cow, ops::Range};

use super::SyntaxError;

/// One word of a line: what it means, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a> {
    /// The word without its quotes and backslashes.
    pub text: Cow<'a, str>,
    /// Its bytes in the line, quotes included.
    pub span: Range<usize>,
}

impl Word<'_> {
    /// An error at this word.
    pub fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.span.clone(), message)
    }
}

/// A line made from words that a shell has split already, so that a caret can be put under them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// The words with a space between, quoted where needed.
    pub text: String,
}

impl Line {
    /// The line that these words would be.
    pub fn from_words<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Self {
        let mut text = String::new();
        for word in words {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&readable(word.as_ref()));
        }
        Self { text }
    }
}

/// A word as iptables' save form writes it: as it is if it has only letters, digits, `_` and `-`,
/// else in double quotes with `"`, `\` and `'` escaped by a backslash.
///
/// Source: iptables `libxtables/xtables.c`, `xtables_save_string`.
pub fn quote(word: &str) -> Cow<'_, str> {
    if !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Cow::Borrowed(word);
    }
    let mut out = String::with_capacity(word.len() + 2);
    out.push('"');
    let mut begin = 0;
    for (at, _) in word.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'"' | b'\\' | b'\'')) {
        out.push_str(&word[begin..at]);
        out.push('\\');
        begin = at;
    }
    out.push_str(&word[begin..]);
    out.push('"');
    Cow::Owned(out)
}

/// A word that iptables prints without quotes whatever it is: as it is, too, but in quotes where it
/// would be read back as something else.
pub fn readable(word: &str) -> Cow<'_, str> {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\');
    if !word.is_empty() && word.chars().all(plain) { Cow::Borrowed(word) } else { quote(word) }
}

/// What a plain word ends at: blanks, quotes, a backslash, a NUL.
const ENDS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let ends = b"\0 \t\n\r\x0c\"'\\";
    let mut index = 0;
    while index < ends.len() {
        table[ends[index] as usize] = true;
        index += 1;
    }
    table
};

/// Splits a line as `iptables-restore` does, into `words` (which is cleared first): at blanks,
/// double quotes (and, as people write them by hand, single ones) hold blanks together, a backslash
/// takes the next character as it is.
///
/// # Errors
/// A quote that isn't closed, a backslash at the end; a NUL, at which iptables would take the line to
/// end.
pub fn split<'a>(line: &'a str, words: &mut Vec<Word<'a>>) -> Result<(), SyntaxError> {
    words.clear();
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let start = at;
        at = bytes[at..].iter().position(|&byte| ENDS_WORD[usize::from(byte)]).map_or(bytes.len(), |length| start + length);
        if at == bytes.len() || bytes[at].is_ascii_whitespace() {
            words.push(Word { text: Cow::Borrowed(&line[start..at]), span: start..at });
            continue;
        }
        let (text, end) = unquote(line, start)?;
        if let Some(at) = line[start..end].find('\0') {
            return Err(SyntaxError::new(start + at..start + at + 1, "a NUL can't stand in a line"));
        }
        at = end;
        words.push(Word { text: Cow::Owned(text), span: start..end });
    }
    Ok(())
}

fn unquote(line: &str, start: usize) -> Result<(String, usize), SyntaxError> {
    let mut text = String::new();
    let mut open: Option<(char, usize)> = None;
    let mut chars = line[start..].char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, open) {
            ('\\', _) => match chars.next() {
                Some((_, next)) => text.push(next),
                None => return Err(SyntaxError::new(start + at..line.len(), "there is nothing after the backslash")),
            },
            ('"' | '\'', None) => open = Some((c, start + at)),
            (c, Some((quote, _))) if c == quote => open = None,
            (c, None) if c.is_ascii_whitespace() => return Ok((text, start + at)),
            (c, _) => text.push(c),
        }
    }
    match open {
        Some((quote, at)) => Err(SyntaxError::new(at..line.len(), format!("the quote {quote} is not closed"))),
        None => Ok((text, line.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        split(line, &mut words).unwrap();
        words.into_iter().map(|word| word.text.into_owned()).collect()
    }

    #[test]
    fn lines_split_as_iptables_restore_splits_them() {
        assert_eq!(words(r#"  -m comment --comment "a \"b\" \\ \'c"  -j X "#), ["-m", "comment", "--comment", r#"a "b" \ 'c"#, "-j", "X"]);
        assert_eq!(words(r#"--comment "" x"y z"w"#), ["--comment", "", "xy zw"]);
    }

    #[test]
    fn what_is_quoted_splits_back() {
        for word in ["a", "", "a b", "it's", r#"\"#, "ünïcode ☃"] {
            assert_eq!(words(&quote(word)), [word]);
            assert_eq!(words(&readable(word)), [word]);
            assert_eq!(words(&Line::from_words([word, "x"]).text), [word, "x"]);
        }
    }

    #[test]
    fn a_nul_has_a_place() {
        for (line, at) in [("-j \0DROP", 3), ("-j DR\0P", 5), ("-m x --y 'a \0'", 12), ("x\\\0y", 2)] {
            assert_eq!(split(line, &mut Vec::new()).unwrap_err().span, at..at + 1, "{line:?}");
        }
    }

    #[test]
    fn an_open_quote_has_a_place() {
        let error = split(r#"--comment "abc"#, &mut Vec::new()).unwrap_err();
        assert_eq!(error.span, 10..14);
    }
}
