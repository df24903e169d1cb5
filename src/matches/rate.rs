//! Rates of packets and bytes as `-m hashlimit` holds them, which is not as people write them.
//!
//! Printed as iptables does, except where its text would be read back as another rate: then in the
//! largest unit in which it is not.

use std::fmt;

use crate::syntax::{Given, SyntaxError, parse_number};

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// As it is printed.
    pub name: &'static str,
    seconds: u32,
}

/// The largest first.
const UNITS: [Unit; 4] = [
    Unit { name: "day", seconds: 86_400 },
    Unit { name: "hour", seconds: 3_600 },
    Unit { name: "min", seconds: 60 },
    Unit { name: "sec", seconds: 1 },
];
/// As they are read; their beginning is enough.
const WORDS: [&str; 4] = ["day", "hour", "minute", "second"];
/// `XT_HASHLIMIT_SCALE_v2`: parts of a second.
const SCALE: u64 = 1_000_000;
/// Of bytes.
const SIZES: [(&str, u64); 3] = [("m", 1 << 20), ("k", 1 << 10), ("", 1)];
/// Milliseconds after which an entry is old where bytes are counted without a burst.
pub const EXPIRE: u32 = 15_000;
/// The same with a burst.
pub const EXPIRE_BURST: u32 = 60_000;

/// A rate as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The time between two packets in parts of a second, and the seconds of the unit that was used.
    Packets {
        /// Not 0.
        pause: u64,
        /// 1, 60, …
        seconds: u32,
    },
    /// `NUMBERb/s`
    Bytes {
        /// See [`Bytes::cost`].
        cost: u32,
    },
}

/// Bytes in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// What 16 bytes cost of the credit that comes in a second, `u32::MAX`.
    pub cost: u32,
    /// How many seconds' credit may be spent at once; 0: no burst.
    pub burst: u32,
}

impl Unit {
    /// Its length.
    pub fn milliseconds(self) -> u32 {
        self.seconds * 1_000
    }
}

/// The rate behind an option.
///
/// # Errors
/// At the word.
pub fn parse(given: &Given<'_>) -> Result<Parsed, SyntaxError> {
    let text = given.text(0).to_ascii_lowercase();
    let wrong = || {
        given.error(format!("`{}` is not a rate", given.text(0))).hint("write for example 10/sec, 5/min, 3/hour, 1/day, 100kb/s, 10mb/s")
    };
    let (number, unit) = text.split_once('/').unwrap_or((&text, "second"));
    let begins = |word: &str| !unit.is_empty() && word.starts_with(unit);
    let index = WORDS.into_iter().position(begins).ok_or_else(wrong)?;
    let seconds = UNITS[index].seconds;
    if number.ends_with('b') {
        if seconds != 1 {
            return Err(wrong());
        }
        let bytes = parse_bytes(number, |digits| digits.parse().ok()).ok_or_else(wrong)?;
        let steps = u32::try_from(bytes >> 4).ok().filter(|steps| (1..u32::MAX).contains(steps));
        let steps = steps.ok_or_else(|| given.error("this must be from 16 bytes to 64 gigabytes in a second"))?;
        return Ok(Parsed::Bytes { cost: u32::MAX / (steps + 1) });
    }
    let rate =
        number.parse::<u64>().ok().filter(|&rate| rate != 0 && number.starts_with(|c: char| c.is_ascii_digit())).ok_or_else(wrong)?;
    if rate > SCALE * u64::from(seconds) || rate / u64::from(seconds) > SCALE {
        return Err(given.error(format!("this is too fast: {SCALE} in a second is the most")));
    }
    Ok(Parsed::Packets { pause: SCALE * u64::from(seconds) / rate, seconds })
}

/// The number behind `--hashlimit-burst`: packets, or bytes with `k`, `kb`, `m`, `mb`.
///
/// # Errors
/// At the word.
pub fn parse_burst(given: &Given<'_>) -> Result<u64, SyntaxError> {
    let wrong = || given.error("this must be a number of packets, or of bytes: 20, 10kb, 1mb");
    parse_bytes(given.text(0), parse_number).filter(|&burst| burst != 0).ok_or_else(wrong)
}

fn parse_bytes(text: &str, read: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    if let Some(number) = read(text) {
        return Some(number);
    }
    let text = text.strip_suffix('b').unwrap_or(text);
    let (letter, size) = SIZES.into_iter().find(|(letter, _)| text.ends_with(letter))?;
    read(text.strip_suffix(letter)?)?.checked_mul(size)
}

/// The rate that iptables prints for a time between two packets: in the smallest unit up to which the
/// rates come out nearly even.
///
/// Source: iptables `extensions/libxt_hashlimit.c`, `print_rate`.
pub fn quantise(pause: u64) -> (u64, Unit) {
    let even = |unit: &&Unit| {
        let parts = SCALE * u64::from(unit.seconds);
        pause <= parts && parts / pause.max(1) >= parts % pause.max(1)
    };
    let unit = UNITS[1..].iter().take_while(even).last().unwrap_or(&UNITS[0]);
    (SCALE * u64::from(unit.seconds) / pause.max(1), *unit)
}

/// The rate to print, which is read back as just this time between two packets. None: there is no
/// such rate. With `rate_match`, a rate is one in a second, whatever its unit.
pub fn spell(pause: u64, rate_match: bool) -> Option<(u64, Unit)> {
    let in_unit = |unit: &Unit| (SCALE * u64::from(unit.seconds) / pause.max(1), *unit);
    let reads_back = |&(rate, unit): &(u64, Unit)| {
        let read = (SCALE * u64::from(unit.seconds)).checked_div(rate);
        read.map(|read| if rate_match { read / u64::from(unit.seconds) } else { read }) == Some(pause)
    };
    std::iter::once(quantise(pause)).chain(UNITS.iter().map(in_unit)).find(|spelt| pause != 0 && reads_back(spelt))
}

impl Bytes {
    /// From the struct, if it can be printed so that it is read back the same.
    pub fn new(cost: u64, burst: u64) -> Option<Self> {
        let bytes = Self { cost: u32::try_from(cost).ok().filter(|&cost| cost != 0)?, burst: burst.try_into().ok()? };
        let per_second = bytes.per_second();
        let rate = per_second >= 16 && cost_of(per_second) == bytes.cost;
        (rate && (burst == 0 || bytes.spell_burst().is_some())).then_some(bytes)
    }

    /// With a burst of at least so many bytes.
    ///
    /// # Errors
    /// Why not.
    pub fn with_burst(cost: u32, bytes: u64) -> Result<Self, &'static str> {
        let mut own = Self { cost, burst: 0 };
        if bytes < own.per_second() {
            return Err("the burst is smaller than what may come in a second");
        }
        own.burst = u32::try_from(bytes).map_err(|_| "a burst has less than 4 gigabytes")?.div_ceil(own.per_second() as u32);
        own.spell_burst().map(|_| own).ok_or("a burst has less than 4 gigabytes")
    }

    fn per_second(self) -> u64 {
        u64::from((u32::MAX / self.cost.max(1)).saturating_sub(1)) << 4
    }

    /// Number and size. iptables prints the largest size that there is one of, and leaves the rest away.
    fn spell_burst(self) -> Option<(u64, &'static str)> {
        let bytes = self.per_second() * u64::from(self.burst);
        let reads_back = |&(number, size): &(u64, u64)| {
            let read = number * size;
            read <= u64::from(u32::MAX) && read >= self.per_second() && read.div_ceil(self.per_second().max(1)) == u64::from(self.burst)
        };
        let found = SIZES.iter().map(|(letter, size)| ((bytes / size, *size), *letter)).find(|(spelt, _)| reads_back(spelt));
        found.map(|((number, _), letter)| (number, letter))
    }

    /// Rate and burst; `dashes` stand before the latter's name. Returns the age of old entries.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn print(self, f: &mut fmt::Formatter<'_>, dashes: &str) -> Result<u32, fmt::Error> {
        let rate = self.per_second();
        let even = |(_, size): &&(&str, u64)| rate >= *size && cost_of(rate / size * size) == self.cost;
        let (letter, size) = SIZES.iter().find(even).unwrap_or(&SIZES[2]);
        write!(f, "{}{letter}b/s", rate / size)?;
        match self.spell_burst() {
            Some((number, letter)) if self.burst != 0 => {
                write!(f, " {dashes}burst {number}{letter}b")?;
                Ok(EXPIRE_BURST)
            }
            _ => Ok(EXPIRE),
        }
    }
}

/// What 16 bytes cost if so many may come in a second.
fn cost_of(bytes: u64) -> u32 {
    u32::try_from(bytes >> 4).map_or(0, |steps| u32::MAX / steps.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_is_spelt_so_that_it_is_read_back_the_same() {
        for unit in UNITS {
            for rate in (1..3_000).chain((3_000..1_000_000).step_by(997)) {
                let pause = SCALE * u64::from(unit.seconds) / rate;
                assert!(spell(pause, false).is_some(), "{rate}/{}", unit.name);
                assert!(spell(pause / u64::from(unit.seconds), true).is_some() || pause < u64::from(unit.seconds), "{rate}/{}", unit.name);
            }
        }
    }

    #[test]
    fn every_burst_is_spelt_so_that_it_is_read_back_the_same() {
        for rate in [16, 4_096, 100 << 10, 600 << 10, 10 << 20, 1 << 30] {
            let cost = cost_of(rate);
            for burst in (rate..u64::from(u32::MAX)).step_by(((1 << 32) - rate as usize) / 100) {
                let Ok(bytes) = Bytes::with_burst(cost, burst) else { continue };
                assert_eq!(Bytes::new(bytes.cost.into(), bytes.burst.into()), Some(bytes), "{rate} {burst}");
            }
        }
        // iptables prints 1mb, which it reads as two seconds' credit.
        let bytes = Bytes::with_burst(cost_of(600 << 10), 1_800_000).unwrap();
        assert_eq!((bytes.burst, bytes.spell_burst()), (3, Some((1_800, "k"))));
    }
}
