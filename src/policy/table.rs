//! Tables of TOML, taken apart with all their mistakes written down.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::Problem;

/// Collects what is wrong in one file.
#[derive(Debug)]
pub(super) struct Problems<'p> {
    pub(super) file: usize,
    pub(super) all: &'p mut Vec<Problem>,
}

/// A word of the file, and where it stands.
pub(super) type At<T> = (T, Range<usize>);

impl Problems<'_> {
    pub(super) fn error(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let problem = Problem::new(self.file, span, message);
        self.all.push(Problem { hint, ..problem });
    }

    pub(super) fn warning(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.all.push(Problem { warning: true, ..Problem::new(self.file, span, message).hint(hint) });
    }

    /// Every key must be one of these.
    pub(super) fn only(&mut self, table: &DeTable<'_>, what: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref();
            let meant = MEANT.iter().find(|(words, instead, _)| words.contains(&name.as_ref()) && known.contains(instead));
            let hint = match (nearest(known, name), meant) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some((_, _, hint))) => (*hint).to_owned(),
                _ => format!("it has: {}", known.join(", ")),
            };
            self.error(key.span(), format!("{what} has no key `{name}`"), Some(hint));
        }
    }

    pub(super) fn string<'v>(&mut self, value: &'v Spanned<DeValue<'_>>, what: &str) -> Option<At<&'v str>> {
        match value.get_ref() {
            DeValue::String(text) => Some((text.as_ref(), value.span())),
            other => {
                self.error(value.span(), format!("this should be {what}, not {}", kind(other)), None);
                None
            }
        }
    }

    /// A string, or an array of strings.
    pub(super) fn strings<'v>(&mut self, value: &'v Spanned<DeValue<'_>>, what: &str) -> Vec<At<&'v str>> {
        match value.get_ref() {
            DeValue::Array(all) => all.iter().filter_map(|one| self.string(one, what)).collect(),
            _ => self.string(value, what).into_iter().collect(),
        }
    }

    pub(super) fn boolean(&mut self, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => {
                self.error(value.span(), format!("this should be true or false, not {}", kind(other)), None);
                None
            }
        }
    }

    /// Bits of a mark that stand side by side, two at least.
    pub(super) fn mask(&mut self, value: &Spanned<DeValue<'_>>) -> Option<u32> {
        let DeValue::Integer(number) = value.get_ref() else {
            let hint = "write the bits as a number: mark = 0xff000000".to_owned();
            self.error(value.span(), format!("this should be a number, not {}", kind(value.get_ref())), Some(hint));
            return None;
        };
        let mask = u32::from_str_radix(number.as_str(), number.radix()).unwrap_or_default();
        let bits = mask >> mask.trailing_zeros().min(31);
        if bits & bits.wrapping_add(1) == 0 && bits >= 3 {
            return Some(mask);
        }
        let hint = "two at least, with no other between them, like 0xff000000: one of them is for trials, the others tell lists of rules from each other (127 lists with 8 bits)";
        self.error(value.span(), "these are not bits of a mark (32 bits) that stand side by side".to_owned(), Some(hint.to_owned()));
        None
    }

    pub(super) fn table<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>, what: &str) -> Option<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                self.error(value.span(), format!("this should be {what}, not {}", kind(other)), None);
                None
            }
        }
    }

    /// `[[KEY]]`: tables, each with its place: the bytes of the header.
    pub(super) fn tables<'v, 'i>(&mut self, text: &str, key: &str, value: &'v Spanned<DeValue<'i>>) -> Vec<At<&'v DeTable<'i>>> {
        let DeValue::Array(all) = value.get_ref() else {
            let hint = format!("write it with two brackets: [[{key}]]");
            self.error(header(text, value.span()), format!("there may be several of `{key}`, so this should be a list"), Some(hint));
            return Vec::new();
        };
        let what = format!("a table, as [[{key}]] begins one");
        all.iter().filter_map(|one| Some((self.table(one, &what)?, header(text, one.span())))).collect()
    }
}

/// Of `[[rule]] …` the brackets and what is within them; of anything else the first line.
fn header(text: &str, span: Range<usize>) -> Range<usize> {
    let Some(rest) = text.get(span.clone()) else { return span };
    let line = rest.lines().next().unwrap_or_default();
    let close = if line.starts_with("[[") { "]]" } else { "]" };
    let end = line.find(close).filter(|_| line.starts_with('[')).map_or(line.len(), |end| end + close.len());
    span.start..span.start + end
}

/// Words that are not ours, the key that may be meant, and what is said where there is such a key.
const MEANT: &[(&[&str], &str, &str)] = &[
    (
        &["port", "ports", "dport", "protocol", "proto"],
        "allow",
        "ports stand behind what is done with them: allow = \"443/tcp\", drop = \"8000-8010/udp\"",
    ),
    (
        &["action", "verdict", "target", "policy", "type"],
        "allow",
        "what is done is a key of its own: allow = …, drop = …, reject = …, accept = …, with the ports behind it",
    ),
    (&["deny", "block"], "drop", "did you mean `drop`?"),
    (&["permit", "pass"], "allow", "did you mean `allow`?"),
    (&["source", "src", "saddr", "client"], "from", "did you mean `from`?"),
    (&["destination", "dest", "dst", "daddr"], "to", "did you mean `to`?"),
    (&["interface", "iface", "dev"], "in", "did you mean `in`?"),
    (&["port", "dport"], "to_port", "did you mean `to_port`?"),
    (&["interface", "interfaces", "iface", "wan"], "external", "did you mean `external`?"),
    (&["policy"], "default", "did you mean `default`?"),
    (&["description", "title"], "comment", "did you mean `comment`?"),
];

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The one that may be meant.
pub(super) fn nearest<'k>(known: &[&'k str], word: &str) -> Option<&'k str> {
    known.iter().copied().find(|known| is_near(known, word))
}

/// One letter more, less, or other, or two of them swapped; or the same but for case and an `s`.
fn is_near(known: &str, word: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (known.chars().collect(), word.to_lowercase().chars().collect());
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (rest, other) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let other_letter = matches!((rest, other), ([_], [_])) && a.len() > 2;
    let swapped = matches!((rest, other), ([a, b], [c, d]) if a == d && b == c) && a.len() > 2;
    let more_or_less = matches!((rest, other), ([], []) | ([_], []) | ([], [_])) && b.len() > 1;
    other_letter || swapped || more_or_less
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_meant_is_near() {
        for (word, near) in [
            ("alow", Some("allow")),
            ("allwo", Some("allow")),
            ("alllow", Some("allow")),
            ("Allow", Some("allow")),
            ("form", Some("from")),
            ("rules", Some("rule")),
            ("comments", Some("comment")),
            ("no", None),
            ("x", None),
            ("", None),
            ("wall", None),
        ] {
            assert_eq!(nearest(&["allow", "from", "to", "in", "rule", "comment"], word), near, "{word}");
        }
    }

    #[test]
    fn a_header_is_what_stands_in_brackets() {
        for (text, expected) in [
            ("[[rule]]\nallow", "[[rule]]"),
            ("[[ rule ]] # the first]", "[[ rule ]]"),
            ("{ allow = \"any\" }", "{ allow = \"any\" }"),
            ("{ from = [\n1] }", "{ from = ["),
        ] {
            assert_eq!(&text[header(text, 0..text.len())], expected);
        }
    }
}
