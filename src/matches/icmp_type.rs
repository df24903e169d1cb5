//! Tests of the first two bytes of an ICMP header, type and code, for both families.

use std::fmt;

use crate::{
    extension::{Cursor, Linearizer},
    model::Test,
    syntax::{Given, SyntaxError, ordered, parse_number},
};

/// Names with their types, and their codes where they mean just one.
pub type Names = [(&'static str, u8, Option<u8>)];

/// The value of `--icmp-type` and `--icmpv6-type`.
///
/// iptables takes a range of codes, but prints the first only (`extensions/libipt_icmp.c`,
/// `icmp_save`); here all of it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpType {
    number: u8,
    /// Both ends included.
    codes: (u8, u8),
}

/// Every code.
const ANY: (u8, u8) = (0, u8::MAX);

impl IcmpType {
    /// Type 255, which `-m icmp` (but not `-m icmp6`) takes for every type.
    pub const EVERY: Self = Self { number: u8::MAX, codes: ANY };

    /// Reads `NAME`, `TYPE`, `TYPE/CODE` or `TYPE/CODE:CODE`. A name may be cut short as long as no
    /// other begins so; upper and lower case are the same.
    ///
    /// # Errors
    /// At the word.
    pub fn parse(given: &Given<'_>, names: &Names) -> Result<Test<Self>, SyntaxError> {
        let text = given.text(0);
        let begins = |name: &str| name.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
        let mut known = names.iter().filter(|(name, ..)| begins(name));
        let value = match (known.next(), known.next()) {
            (Some((one, ..)), Some((other, ..))) => {
                return Err(given.error(format!("`{text}` may be `{one}` or `{other}`")).hint("write more of the name"));
            }
            (Some(&(_, number, code)), None) => Self { number, codes: code.map_or(ANY, |code| (code, code)) },
            (None, _) => Self::parse_numbers(given)?,
        };
        Ok(Test { negated: given.negated, value })
    }

    fn parse_numbers(given: &Given<'_>) -> Result<Self, SyntaxError> {
        let text = given.text(0);
        let byte = |text: &str, what: &str| {
            parse_number(text).and_then(|n| u8::try_from(n).ok()).ok_or_else(|| {
                given.error(format!("`{text}` is not {what}")).hint("write a name, or numbers from 0 to 255: TYPE or TYPE/CODE")
            })
        };
        let Some((number, codes)) = text.split_once('/') else {
            return Ok(Self { number: byte(text, "a type of ICMP")?, codes: ANY });
        };
        let (low, high) = codes.split_once(':').unwrap_or((codes, codes));
        let ends = (byte(low, "a code of ICMP")?, byte(high, "a code of ICMP")?);
        Ok(Self { number: byte(number, "a type of ICMP")?, codes: ordered(&given.values[0], ends.0, ends.1, ':')? })
    }
}

/// Writes an xt match of that name.
pub fn linearize(test: Test<IcmpType>, name: &str, out: &mut Linearizer<'_, '_>) {
    // struct ipt_icmp, struct ip6t_icmp: type, code[2], invflags
    let IcmpType { number, codes: (low, high) } = test.value;
    out.xt_match(name, 0, &[number, low, high, test.negated.into(), 0, 0, 0, 0]);
}

/// Reads an xt match of that name.
pub fn delinearize(name: &str, cursor: &mut Cursor<'_, '_>) -> Option<Test<IcmpType>> {
    let &[number, low, high, invflags @ (0 | 1), 0, 0, 0, 0] = cursor.take_match(name, 0)? else { return None };
    (low <= high).then_some(Test { negated: invflags == 1, value: IcmpType { number, codes: (low, high) } })
}

/// What `iptables -n -L` prints behind the protocol: no blank between the two, as it does.
pub fn list(test: Test<IcmpType>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}type {}", if test.negated { " !" } else { "" }, test.value.number)?;
    match test.value.codes {
        ANY => Ok(()),
        (low, high) if low == high => write!(f, " code {low}"),
        (low, high) => write!(f, " codes {low}-{high}"),
    }
}

impl fmt::Display for IcmpType {
    /// The save form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)?;
        match self.codes {
            ANY => Ok(()),
            (low, high) if low == high => write!(f, "/{low}"),
            (low, high) => write!(f, "/{low}:{high}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{OptionSpec, Word, opt};

    static OPTION: OptionSpec = opt("icmp-type", &["TYPE"], "");

    #[test]
    fn codes_are_printed_so_that_they_are_read_again() {
        for (text, saved) in [("3/1:4", "3/1:4"), ("3/4:4", "3/4"), ("3/0:255", "3"), ("3/0", "3/0"), ("UNREACH", "3")] {
            let values = [Word { text: text.into(), span: 0..text.len() }].into();
            let given = Given { spec: &OPTION, negated: false, span: 0..0, values };
            let test = IcmpType::parse(&given, &[("unreachable", 3, None)]).unwrap();
            assert_eq!(test.value.to_string(), saved, "{text}");
        }
    }
}
