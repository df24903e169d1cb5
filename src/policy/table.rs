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
            let near = known.iter().find(|known| is_near(known, name));
            let hint = near.map_or_else(|| format!("it has: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
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

    pub(super) fn table<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>, what: &str) -> Option<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                self.error(value.span(), format!("this should be {what}, not {}", kind(other)), None);
                None
            }
        }
    }

    /// `[[KEY]]`: tables, each with its place.
    pub(super) fn tables<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>, what: &str) -> Vec<At<&'v DeTable<'i>>> {
        match value.get_ref() {
            DeValue::Array(all) => all.iter().filter_map(|one| Some((self.table(one, what)?, one.span()))).collect(),
            _ => {
                self.error(
                    value.span(),
                    format!("this should be {what}"),
                    Some("write it with two brackets: [[rule]], [[test]]".to_owned()),
                );
                Vec::new()
            }
        }
    }
}

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

/// One letter more, less, or other, or two of them swapped; or the same but for case and an `s`.
fn is_near(known: &str, word: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (known.chars().collect(), word.to_lowercase().chars().collect());
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (rest, other) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    matches!((rest, other), ([], []) | ([_], []) | ([], [_]) | ([_], [_])) || matches!((rest, other), ([a, b], [c, d]) if a == d && b == c)
}
