//! Numbers as iptables reads them, for the words behind options.

use std::fmt::Display;

use super::{SyntaxError, Word};

/// A number in decimal, `0x…` or (with a leading 0) octal, at most `max`.
///
/// # Errors
/// At the word, with the range.
pub fn number(word: &Word<'_>, max: u64) -> Result<u64, SyntaxError> {
    parse_number(&word.text).filter(|&n| n <= max).ok_or_else(|| word.error(format!("this must be a number from 0 to {max}")))
}

/// A number as `strtoul` with base 0 reads it.
pub fn parse_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    digits.starts_with(|c: char| c.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, radix).ok())?
}

/// `VALUE` or `VALUE/MASK`, both 32 bits in any base; the mask is all ones if left out.
///
/// # Errors
/// At the word.
pub fn masked(word: &Word<'_>) -> Result<(u32, Option<u32>), SyntaxError> {
    let one = |text: &str| {
        parse_number(text)
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| word.error("this must be a number, or a number and a mask: 0x10, 0x10/0xf0"))
    };
    match word.text.split_once('/') {
        Some((value, mask)) => Ok((one(value)?, Some(one(mask)?))),
        None => Ok((one(&word.text)?, None)),
    }
}

/// A port's number, or the name of a service.
///
/// # Errors
/// At the word.
pub fn port(word: &Word<'_>, text: &str) -> Result<u16, SyntaxError> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return parse_number(text)
            .and_then(|n| u16::try_from(n).ok())
            .ok_or_else(|| word.error(format!("`{text}` is not a port: those go from 0 to 65535")));
    }
    service(text).ok_or_else(|| word.error(format!("no service is called `{text}`")).hint("write the port's number"))
}

/// `PORT`, `LOW:HIGH`, `LOW:`, `:HIGH`; both ends belong to the range.
///
/// # Errors
/// At the word; also if the range runs backwards.
pub fn port_range(word: &Word<'_>) -> Result<(u16, u16), SyntaxError> {
    let Some((low, high)) = word.text.split_once(':') else {
        let port = port(word, &word.text)?;
        return Ok((port, port));
    };
    let low = if low.is_empty() { 0 } else { port(word, low)? };
    let high = if high.is_empty() { u16::MAX } else { port(word, high)? };
    ordered(word, low, high, ':')
}

/// The two ends of a range, `between` which stands that character.
///
/// # Errors
/// At the word, if the low end is not the lower one.
pub fn ordered<T: PartialOrd + Display>(word: &Word<'_>, low: T, high: T, between: char) -> Result<(T, T), SyntaxError> {
    if low > high {
        let error = word.error(format!("the range runs backwards: {low} is more than {high}"));
        return Err(error.hint(format!("write {high}{between}{low}")));
    }
    Ok((low, high))
}

/// The port of a service by `/etc/services`, or by a short list where a host has none.
fn service(name: &str) -> Option<u16> {
    const COMMON: &[(&str, u16)] = &[
        ("ftp", 21),
        ("ssh", 22),
        ("telnet", 23),
        ("smtp", 25),
        ("domain", 53),
        ("http", 80),
        ("pop3", 110),
        ("ntp", 123),
        ("imap", 143),
        ("imap2", 143),
        ("snmp", 161),
        ("ldap", 389),
        ("https", 443),
        ("submission", 587),
        ("ldaps", 636),
        ("imaps", 993),
        ("pop3s", 995),
        ("mysql", 3306),
        ("postgresql", 5432),
        ("http-alt", 8080),
    ];
    let listed = std::fs::read_to_string("/etc/services").unwrap_or_default();
    let found = listed.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let first = words.next()?;
        let port = words.next()?.split_once('/')?.0.parse().ok()?;
        (first == name || words.any(|alias| alias == name)).then_some(port)
    });
    found.or_else(|| COMMON.iter().find(|(known, _)| *known == name).map(|&(_, port)| port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word<'_> {
        Word { text: text.into(), span: 0..text.len() }
    }

    #[test]
    fn numbers_have_three_bases() {
        for (text, number) in
            [("10", Some(10)), ("0x1f", Some(31)), ("010", Some(8)), ("0", Some(0)), ("", None), ("1x", None), ("+1", None)]
        {
            assert_eq!(parse_number(text), number, "{text}");
        }
    }

    #[test]
    fn ranges_of_ports() {
        for (text, range) in [("80", (80, 80)), ("1024:", (1024, 65535)), (":1023", (0, 1023)), ("https", (443, 443)), ("20:21", (20, 21))]
        {
            assert_eq!(port_range(&word(text)), Ok(range), "{text}");
        }
        for text in ["", "65536", "90:80", "nosuchservice", "1:2:3"] {
            assert!(port_range(&word(text)).is_err(), "{text}");
        }
    }
}
