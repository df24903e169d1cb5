use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m string`: these bytes stand somewhere in the packet. Kernel: `net/netfilter/xt_string.c`.
#[derive(Debug, Clone, PartialEq)]
pub struct String {
    search: Box<Search>,
}

#[derive(Debug, Clone, PartialEq)]
struct Search {
    /// One to [`MAX`] bytes.
    pattern: Test<Vec<u8>>,
    /// One of [`ALGORITHMS`].
    algorithm: &'static str,
    from: u16,
    to: u16,
    ignore_case: bool,
}

/// Those of the kernel's that search for a text (`lib/ts_*.c`).
const ALGORITHMS: [&str; 2] = ["bm", "kmp"];

const LEN: usize = 160;
/// `XT_STRING_MAX_PATTERN_SIZE`; there is no NUL at the end.
const MAX: usize = 128;
const INVERT: u8 = 1;
const IGNORECASE: u8 = 2;

impl Extension for String {
    const NAME: &'static str = "string";
    const SUMMARY: &'static str = "these bytes stand somewhere in the packet";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("from", &["OFFSET"], "the search begins here, counted from the network header; 0 if left out"),
        opt("to", &["OFFSET"], "the search ends here; 65535 if left out"),
        opt("algo", &["bm|kmp"], "how to search: Boyer-Moore or Knuth-Pratt-Morris; only kmp finds what two fragments share"),
        opt("string", &["TEXT"], "these letters, up to 128 bytes").negates(),
        opt("hex-string", &["TEXT"], "the same, with bytes in hexadecimal between bars: GET|0d 0a|").negates(),
        opt("icase", &[], "capital or small letters are the same"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m string --algo bm --string GET -j DROP", "-m string --string \"GET\" --algo bm -j DROP"),
        Example::ok(
            "-m string --icase --to 100 --from 0x28 --algo kmp ! --string 'Host: it'\\''s \"a\\\\b\"' -j DROP",
            r#"-m string ! --string "Host: it's \"a\\b\"" --algo kmp --from 40 --to 100 --icase -j DROP"#,
        ),
        Example::ok("-m string --hex-string '|41 42|xyz' --algo bm -j DROP", "-m string --string \"ABxyz\" --algo bm -j DROP"),
        Example::ok("-m string --hex-string 'a\\\\|b|  0d0A 20 |' --algo bm -j DROP", "-m string --hex-string \"|617c620d0a20|\" --algo bm -j DROP"),
        Example::same("-m string ! --hex-string \"|00ff|\" --algo kmp -j DROP"),
        Example::ok("-m string --string ü --algo bm --from 0 --to 65535 -j DROP", "-m string --hex-string \"|c3bc|\" --algo bm -j DROP"),
        Example::fails("-m string --algo bm -j DROP", "needs `--string` or `--hex-string`"),
        Example::fails("-m string --string GET -j DROP", "needs `--algo bm` or `--algo kmp`"),
        Example::fails("-m string --string GET --algo regex -j DROP", "`regex` is neither bm nor kmp"),
        Example::fails("-m string --string '' --algo bm -j DROP", "there is nothing to search for"),
        Example::fails("-m string --string a --hex-string '|00|' --algo bm -j DROP", "one of `--string` and `--hex-string` is enough"),
        Example::fails("-m string --hex-string '|0|' --algo bm -j DROP", "between bars stand bytes of two hexadecimal digits each"),
        Example::fails("-m string --hex-string '|00' --algo bm -j DROP", "the second bar is missing"),
        Example::fails("-m string --hex-string '|00||01|' --algo bm -j DROP", "a bar or backslash can't follow a bar"),
        Example::fails("-m string --string a --algo bm --from 9 --to 5 -j DROP", "the search would end before it begins"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut pattern, mut algorithm, mut from, mut to, mut ignore_case) = (None, None, 0, u16::MAX, false);
        let mut wrong = None;
        for given in args.by_ref() {
            let offset = || number(&given.values[0], u16::MAX.into()).map(|offset| offset as u16);
            match given.name() {
                "from" => from = offset()?,
                "to" => to = offset()?,
                "algo" => algorithm = Some(parse_algorithm(&given)?),
                "icase" => ignore_case = true,
                _ if pattern.is_some() => return Err(given.error_here("one of `--string` and `--hex-string` is enough")),
                _ => pattern = Some(Test { negated: given.negated, value: parse_pattern(&given)? }),
            }
            if from > to && wrong.is_none() {
                wrong = Some(given.error("the search would end before it begins"));
            }
        }
        let Some(pattern) = pattern else { return Err(args.error("needs `--string` or `--hex-string`")) };
        let Some(algorithm) = algorithm else { return Err(args.error("needs `--algo bm` or `--algo kmp`")) };
        let search = Search { pattern, algorithm, from, to, ignore_case };
        wrong.map_or(Ok(Self { search: Box::new(search) }), Err)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &self.search.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let search = Search::from_xt(cursor.take_match(Self::NAME, 1)?)?;
        Some(Self { search: Box::new(search) })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let search = &*self.search;
        let bang = if search.pattern.negated { "!" } else { "" };
        write!(f, "STRING match {bang} {} ALGO name {}", Pattern(&search.pattern.value), search.algorithm)?;
        search.limits(f, [" FROM ", " TO ", " ICASE"])
    }
}

impl Search {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_string_info: u16 from_offset, u16 to_offset, algo[16], pattern[128], u8 patlen, u8 flags, config
        let (pattern, algorithm) = (&self.pattern.value, self.algorithm.as_bytes());
        let mut info = [0; LEN];
        info[..2].copy_from_slice(&self.from.to_ne_bytes());
        info[2..4].copy_from_slice(&self.to.to_ne_bytes());
        info[4..4 + algorithm.len()].copy_from_slice(algorithm);
        info[20..20 + pattern.len()].copy_from_slice(pattern);
        info[148] = pattern.len() as u8;
        info[149] = if self.pattern.negated { INVERT } else { 0 } | if self.ignore_case { IGNORECASE } else { 0 };
        info
    }

    fn from_xt(info: &[u8; LEN]) -> Option<Self> {
        let (len, flags) = (usize::from(info[148]), info[149]);
        let name = info[4..20].split(|&byte| byte == 0).next()?;
        let search = Self {
            pattern: Test { negated: flags & INVERT != 0, value: info[20..148].get(..len)?.to_vec() },
            algorithm: ALGORITHMS.into_iter().find(|known| known.as_bytes() == name)?,
            from: u16::from_ne_bytes([info[0], info[1]]),
            to: u16::from_ne_bytes([info[2], info[3]]),
            ignore_case: flags & IGNORECASE != 0,
        };
        (len != 0 && search.from <= search.to && search.to_xt() == *info).then_some(search)
    }

    fn limits(&self, f: &mut fmt::Formatter<'_>, [from, to, ignore_case]: [&str; 3]) -> fmt::Result {
        if self.from != 0 {
            write!(f, "{from}{}", self.from)?;
        }
        if self.to != u16::MAX {
            write!(f, "{to}{}", self.to)?;
        }
        f.write_str(if self.ignore_case { ignore_case } else { "" })
    }
}

fn parse_algorithm(given: &Given<'_>) -> Result<&'static str, SyntaxError> {
    let text = given.text(0);
    let known = ALGORITHMS.into_iter().find(|known| *known == text);
    known.ok_or_else(|| given.error(format!("`{text}` is neither bm nor kmp")))
}

fn parse_pattern(given: &Given<'_>) -> Result<Vec<u8>, SyntaxError> {
    let pattern = match given.name() {
        "string" => given.text(0).as_bytes().to_vec(),
        _ => parse_hex(given.text(0).as_bytes()).map_err(|message| given.error(message))?,
    };
    match pattern.len() {
        0 => Err(given.error("there is nothing to search for")),
        1..=MAX => Ok(pattern),
        len => Err(given.error(format!("the pattern has {MAX} bytes at most, this has {len}"))),
    }
}

/// Text with bytes in hexadecimal between bars; a backslash takes the next letter as it is.
fn parse_hex(mut text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut pattern = Vec::new();
    loop {
        text = match text {
            [] => return Ok(pattern),
            [b'\\'] => return Err("there is nothing after the backslash"),
            [b'|', block @ ..] => {
                let rest = parse_block(block, &mut pattern)?;
                // iptables takes these for letters.
                if let [b'|' | b'\\', ..] = rest {
                    return Err("a bar or backslash can't follow a bar");
                }
                rest
            }
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                pattern.push(*byte);
                rest
            }
        };
    }
}

/// Bytes up to a bar, perhaps with a blank behind each; what follows the bar.
fn parse_block<'a>(text: &'a [u8], pattern: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    const WRONG: &str = "between bars stand bytes of two hexadecimal digits each";
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(WRONG);
    let mut text = text.trim_ascii_start();
    let mut empty = true;
    loop {
        text = match text {
            [] => return Err("the second bar is missing"),
            [b'|', ..] if empty => return Err(WRONG),
            [b'|', rest @ ..] => return Ok(rest),
            [high, low, rest @ ..] => {
                pattern.push((digit(*high)? << 4 | digit(*low)?) as u8);
                rest.strip_prefix(b" ").unwrap_or(rest)
            }
            [_] => return Err(WRONG),
        };
        empty = false;
    }
}

/// In quotes: letters as they are, if all can be printed, else all in hexadecimal.
struct Pattern<'p>(&'p [u8]);

impl Pattern<'_> {
    fn is_hex(&self) -> bool {
        self.0.ends_with(b"\\") || !self.0.iter().all(|byte| matches!(byte, b' '..=b'~'))
    }
}

impl fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_hex() {
            f.write_str("\"|")?;
            self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            return f.write_str("|\"");
        }
        f.write_str("\"")?;
        for &byte in self.0 {
            f.write_str(if matches!(byte, b'"' | b'\\') { "\\" } else { "" })?;
            write!(f, "{}", char::from(byte))?;
        }
        f.write_str("\"")
    }
}

impl fmt::Display for String {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let search = &*self.search;
        let pattern = Pattern(&search.pattern.value);
        let hex = if pattern.is_hex() { "hex-" } else { "" };
        write!(f, "{}--{hex}string {pattern} --algo {}", search.pattern.bang(), search.algorithm)?;
        search.limits(f, [" --from ", " --to ", " --icase"])
    }
}
