//! Tests of a security parameter index (SPI), which says by what a packet of IPsec's is protected.

use std::fmt;

use super::{ports::Colon, ranges};
use crate::{
    model::Test,
    syntax::{Given, SyntaxError},
};

/// `--ahspi` and `--espspi`. Every SPI is `None`, as it tests nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spis(Option<Test<(u32, u32)>>);

/// Every SPI.
const ANY: (u32, u32) = (0, u32::MAX);
/// `IPT_AH_INV_SPI`, `IP6T_AH_INV_SPI`, `XT_ESP_INV_SPI`
const INV_SPI: u8 = 1;

impl Spis {
    /// Reads the option.
    ///
    /// # Errors
    /// At the word.
    pub fn parse(given: &Given<'_>) -> Result<Self, SyntaxError> {
        let value = ranges::parse(&given.values[0], ANY, "an SPI")?;
        Ok(Self::new(Test { negated: given.negated, value }))
    }

    fn new(test: Test<(u32, u32)>) -> Self {
        Self((test.negated || test.value != ANY).then_some(test))
    }

    /// How the structs begin (`spis[2]`), and the bit in their `invflags`.
    pub fn to_xt(self) -> ([u8; 8], u8) {
        let Test { negated, value: (low, high) } = self.0.unwrap_or(Test::is(ANY));
        let ([a, b, c, d], [e, f, g, h]) = (low.to_ne_bytes(), high.to_ne_bytes());
        ([a, b, c, d, e, f, g, h], if negated { INV_SPI } else { 0 })
    }

    /// From those; other bits of `invflags` are not looked at.
    pub fn from_xt([a, b, c, d, e, f, g, h]: [u8; 8], invflags: u8) -> Option<Self> {
        let (low, high) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        (low <= high).then_some(Self::new(Test { negated: invflags & INV_SPI != 0, value: (low, high) }))
    }

    /// Is every SPI right?
    pub fn is_any(self) -> bool {
        self.0.is_none()
    }

    /// Prints the save form, the option being called `name`.
    pub fn save(self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        self.0.map_or(Ok(()), |test| write!(f, "{}--{name} {}", test.bang(), Colon(test.value)))
    }

    /// Prints what `iptables -n -L` does.
    pub fn list(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Test { negated, value: (low, high) }) = self.0 else { return Ok(()) };
        let several = if low == high { "" } else { "s" };
        write!(f, "spi{several}:{}{}", if negated { "!" } else { "" }, Colon((low, high)))
    }
}
