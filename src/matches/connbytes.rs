use std::fmt;

use super::ranges;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt},
};

/// `-m connbytes`: how much the packet's connection has carried so far. Kernel:
/// `net/netfilter/xt_connbytes.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connbytes {
    /// Both ends included. Never 0 alone, and negated never one number alone: the kernel's struct has
    /// no place for the `!` but the order of the ends, and iptables prints `0` for `0:0`.
    range: Test<(u64, u64)>,
    /// `XT_CONNBYTES_…`: place in [`MODES`].
    mode: u8,
    /// `XT_CONNBYTES_DIR_…`: place in [`DIRECTIONS`].
    direction: u8,
}

const MODES: [&str; 3] = ["packets", "bytes", "avgpkt"];
const DIRECTIONS: [&str; 3] = ["original", "reply", "both"];

impl Extension for Connbytes {
    const NAME: &'static str = "connbytes";
    const SUMMARY: &'static str = "how much the connection has carried so far";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("connbytes", &["FROM[:TO]"], "so many or more, up to TO if given").negates(),
        opt("connbytes-dir", &["DIRECTION"], "counts what went in the original direction, the reply direction, or both"),
        opt("connbytes-mode", &["WHAT"], "counts packets, bytes, or the bytes of an average packet (avgpkt)"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m connbytes --connbytes 1000:2000 --connbytes-mode packets --connbytes-dir original -j DROP"),
        Example::ok(
            "-m connbytes --connbytes-dir both --connbytes-mode bytes --connbytes 0x400: -j DROP",
            "-m connbytes --connbytes 1024 --connbytes-mode bytes --connbytes-dir both -j DROP",
        ),
        Example::ok(
            "-m connbytes --connbytes :5 --connbytes-dir reply --connbytes-mode avgpkt -j DROP",
            "-m connbytes --connbytes 0:5 --connbytes-mode avgpkt --connbytes-dir reply -j DROP",
        ),
        Example::same("-m connbytes ! --connbytes 10:20 --connbytes-mode bytes --connbytes-dir both -j DROP"),
        Example::same("-m connbytes ! --connbytes 10 --connbytes-mode bytes --connbytes-dir both -j DROP"),
        Example::same("-m connbytes --connbytes 10:10 --connbytes-mode bytes --connbytes-dir both -j DROP"),
        Example::fails("-m connbytes --connbytes 1 --connbytes-dir both -j DROP", "needs `--connbytes-mode`"),
        Example::fails("-m connbytes --connbytes 1 --connbytes-mode bytes -j DROP", "needs `--connbytes-dir`"),
        Example::fails("-m connbytes --connbytes-mode bytes --connbytes-dir both -j DROP", "needs `--connbytes`"),
        Example::fails(
            "-m connbytes --connbytes 1 --connbytes-mode octets --connbytes-dir both -j DROP",
            "`octets` is none of packets, bytes, avgpkt",
        ),
        Example::fails(
            "-m connbytes ! --connbytes 5:5 --connbytes-mode bytes --connbytes-dir both -j DROP",
            "one number can't be negated: the kernel would take it without the `!`",
        ),
        Example::fails(
            "-m connbytes --connbytes 0:0 --connbytes-mode bytes --connbytes-dir both -j DROP",
            "iptables prints `0:0` as `0`, which is every number",
        ),
        Example::fails(
            "-m connbytes --connbytes 9:5 --connbytes-mode bytes --connbytes-dir both -j DROP",
            "the range runs backwards: 9 is more than 5",
        ),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut range, mut mode, mut direction) = (None, None, None);
        for given in args.by_ref() {
            match given.name() {
                "connbytes" => range = Some(Test { negated: given.negated, value: parse_range(&given)? }),
                "connbytes-mode" => mode = Some(parse_word(&given, &MODES)?),
                _ => direction = Some(parse_word(&given, &DIRECTIONS)?),
            }
        }
        let needs = |name: &str, hint: String| args.error(format!("needs `--{name}`")).hint(hint);
        Ok(Self {
            range: range.ok_or_else(|| needs("connbytes", "write `--connbytes FROM:TO`".into()))?,
            mode: mode.ok_or_else(|| needs("connbytes-mode", format!("it is one of {}", MODES.join(", "))))?,
            direction: direction.ok_or_else(|| needs("connbytes-dir", format!("it is one of {}", DIRECTIONS.join(", "))))?,
        })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_connbytes_info: u64 from, u64 to, u8 what, u8 direction; negated: from > to
        let (low, high) = self.range.value;
        let (from, to) = if self.range.negated { (high, low) } else { (low, high) };
        let mut info = [0; 24];
        info[..8].copy_from_slice(&from.to_ne_bytes());
        info[8..16].copy_from_slice(&to.to_ne_bytes());
        info[16] = self.mode;
        info[17] = self.direction;
        out.xt_match(Self::NAME, 0, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let (from, rest) = cursor.take_match::<24>(Self::NAME, 0)?.split_first_chunk()?;
        let (to, &[mode @ 0..=2, direction @ 0..=2, 0, 0, 0, 0, 0, 0]) = rest.split_first_chunk()? else { return None };
        let (from, to) = (u64::from_ne_bytes(*from), u64::from_ne_bytes(*to));
        let range = Test { negated: from > to, value: (from.min(to), from.max(to)) };
        (range.value != (0, 0)).then_some(Self { range, mode, direction })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, direction) = (MODES[usize::from(self.mode)], DIRECTIONS[usize::from(self.direction)]);
        write!(f, "{}connbytes {} connbytes mode {mode} connbytes direction {direction}", self.range.bang(), End(self.range.value))
    }
}

fn parse_range(given: &Given<'_>) -> Result<(u64, u64), SyntaxError> {
    let (low, high) = ranges::parse(&given.values[0], (0, u64::MAX), "a number of bytes or packets")?;
    let high = if given.text(0).contains(':') { high } else { u64::MAX };
    if high == 0 {
        return Err(given.error("iptables prints `0:0` as `0`, which is every number").hint("write `:1`, or count the other direction"));
    }
    if given.negated && low == high {
        let error = given.error("one number can't be negated: the kernel would take it without the `!`");
        return Err(error.hint("write two rules, for less and for more"));
    }
    Ok((low, high))
}

/// The place of a word.
fn parse_word(given: &Given<'_>, words: &[&str; 3]) -> Result<u8, SyntaxError> {
    let found = (0..).zip(words).find(|(_, word)| **word == given.text(0)).map(|(place, _)| place);
    found.ok_or_else(|| given.error(format!("`{}` is none of {}", given.text(0), words.join(", "))))
}

/// `10:20`, or `10` without an end.
struct End((u64, u64));

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (low, u64::MAX) => write!(f, "{low}"),
            (low, high) => write!(f, "{low}:{high}"),
        }
    }
}

impl fmt::Display for Connbytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, direction) = (MODES[usize::from(self.mode)], DIRECTIONS[usize::from(self.direction)]);
        let bang = self.range.bang();
        write!(f, "{bang}--connbytes {} --connbytes-mode {mode} --connbytes-dir {direction}", End(self.range.value))
    }
}
