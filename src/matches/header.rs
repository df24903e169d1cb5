//! Tests of numbers and of ranges of them, as the matches of IPv6's extension headers have them.

use std::fmt;

use super::ports::space;
use crate::{
    model::Test,
    syntax::{Given, SyntaxError, number, ordered, parse_number},
};

/// Every number.
const ANY: (u32, u32) = (0, u32::MAX);

/// A number, of any size: a length, a type.
///
/// # Errors
/// At the word.
pub fn number_test(given: &Given<'_>) -> Result<Test<u32>, SyntaxError> {
    Ok(Test { negated: given.negated, value: number(&given.values[0], u32::MAX.into())? as u32 })
}

/// A range, perhaps every number, which is no test and not printed.
///
/// iptables notes whether the option was there at all; the kernel ignores that, and so does `==`.
#[derive(Debug, Clone, Copy, Eq)]
pub struct SpanTest {
    test: Test<(u32, u32)>,
    /// Was the option there?
    pub given: bool,
}

impl Default for SpanTest {
    fn default() -> Self {
        Self { test: Test::is(ANY), given: false }
    }
}

impl PartialEq for SpanTest {
    fn eq(&self, other: &Self) -> bool {
        self.test == other.test
    }
}

impl SpanTest {
    /// `NUMBER`, `LOW:HIGH`, `LOW:`, `:HIGH`, `:`.
    ///
    /// # Errors
    /// At the word.
    pub fn parse(given: &Given<'_>) -> Result<Self, SyntaxError> {
        let word = &given.values[0];
        let one = |text: &str, missing: Option<u32>| {
            let number = if text.is_empty() { missing } else { parse_number(text).and_then(|number| number.try_into().ok()) };
            number.ok_or_else(|| word.error(format!("this must be a number from 0 to {}, or two with a colon between", u32::MAX)))
        };
        let (low, high) = match word.text.split_once(':') {
            Some((low, high)) => (one(low, Some(ANY.0))?, one(high, Some(ANY.1))?),
            None => (one(&word.text, None)?, one(&word.text, None)?),
        };
        Ok(Self { test: Test { negated: given.negated, value: ordered(word, low, high, ':')? }, given: true })
    }

    /// `u32 low, u32 high` of a struct.
    pub fn to_xt(self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.test.value.0.to_ne_bytes(), self.test.value.1.to_ne_bytes());
        [a, b, c, d, e, f, g, h]
    }

    /// From those.
    pub fn from_xt(&[a, b, c, d, e, f, g, h]: &[u8; 8], given: bool, negated: bool) -> Self {
        let value = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        Self { test: Test { negated, value }, given }
    }

    /// Could an option have made it?
    pub fn is_valid(&self) -> bool {
        self.test.value.0 <= self.test.value.1 && (self.given || self.test == Test::is(ANY))
    }

    /// Is it a test of all other numbers?
    pub fn negated(&self) -> bool {
        self.test.negated
    }

    /// Does it test anything?
    pub fn tests(&self) -> bool {
        self.test != Test::is(ANY)
    }

    /// The save form, if it tests anything.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn save(&self, f: &mut fmt::Formatter<'_>, first: &mut bool, name: &str) -> fmt::Result {
        if !self.tests() {
            return Ok(());
        }
        space(f, first)?;
        write!(f, "{}--{name} {self}", self.test.bang())
    }

    /// What `-L` prints, if it tests anything: `NAME:5`, `NAMEs:!5:9`.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn list(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        if !self.tests() {
            return Ok(());
        }
        let plural = if self.test.value.0 == self.test.value.1 { "" } else { "s" };
        write!(f, "{name}{plural}:{}{self}", if self.test.negated { "!" } else { "" })
    }
}

impl fmt::Display for SpanTest {
    /// A number, or two with a colon between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.test.value {
            (low, high) if low == high => low.fmt(f),
            (low, high) => write!(f, "{low}:{high}"),
        }
    }
}
