//! Rates of bytes as people write them, in bits.

use std::fmt;

use crate::syntax::{Given, SyntaxError};

/// What may stand behind the number, in any case, and how many bits it is.
///
/// Source: iproute2 `lib/utils.c`, and from there iptables `extensions/libxt_rateest.c`, `suffixes`.
const UNITS: [(&str, f64); 18] = [
    ("bit", 1.0),
    ("kibit", 1024.0),
    ("kbit", 1e3),
    ("mibit", 1_048_576.0),
    ("mbit", 1e6),
    ("gibit", 1_073_741_824.0),
    ("gbit", 1e9),
    ("tibit", 1_099_511_627_776.0),
    ("tbit", 1e12),
    ("bps", 8.0),
    ("kibps", 8192.0),
    ("kbps", 8e3),
    ("mibps", 8_388_608.0),
    ("mbps", 8e6),
    ("gibps", 8_589_934_592.0),
    ("gbps", 8e9),
    ("tibps", 8_796_093_022_208.0),
    ("tbps", 8e12),
];

/// The bytes in a second that an option means; `bps` are bytes, and a number alone is one of bits.
///
/// # Errors
/// At the word.
pub fn parse(given: &Given<'_>) -> Result<u32, SyntaxError> {
    let text = given.text(0);
    let wrong = || given.error(format!("`{text}` is not a rate")).hint("write for example 8bit, 5kbit, 2.5mbit, 1MBps");
    let bytes = read(text).ok_or_else(wrong)?;
    match bytes < f64::from(u32::MAX) + 1.0 {
        true => Ok(bytes as u32),
        false => Err(given.error("this is too fast: less than 4 gigabytes in a second is the most")),
    }
}

fn read(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let bits = match unit {
        "" => 1.0,
        unit => UNITS.iter().find(|(known, _)| known.eq_ignore_ascii_case(unit)).map(|(_, bits)| *bits)?,
    };
    Some(number.parse::<f64>().ok()? * bits / 8.0)
}

/// So many bytes in a second, printed in bits: as iptables does, but where it would round so that
/// another rate is read back, then without rounding.
#[derive(Debug, Clone, Copy)]
pub struct Bits(pub u32);

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = f64::from(self.0) * 8.0;
        let rounded = match bits {
            1e9.. => format!("{:.0}Mbit", bits / 1e6),
            1e6.. => format!("{:.0}Kbit", bits / 1e3),
            _ => format!("{bits:.0}bit"),
        };
        match read(&rounded).map(|bytes| bytes as u32) {
            Some(same) if same == self.0 => f.write_str(&rounded),
            _ => write!(f, "{bits:.0}bit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_is_read_as_it_is_printed() {
        for rate in (0..300_000).chain((0..u32::MAX).step_by(99_991)).chain([u32::MAX]) {
            assert_eq!(read(&Bits(rate).to_string()).map(|bytes| bytes as u32), Some(rate));
        }
        // What iptables prints for the first two: 1235Kbit and 4Mbit.
        for (rate, text) in [(154_320, "1234560bit"), (499_999, "3999992bit"), (312_500, "2500Kbit"), (125_000_000, "1000Mbit")] {
            assert_eq!(Bits(rate).to_string(), text);
        }
    }
}
