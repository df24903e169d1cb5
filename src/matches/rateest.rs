use std::fmt;

use super::bits;
use crate::{
    extension::{self, Cursor, Extension, Linearizer, Refused},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt, readable},
};

/// `-m rateest`: how a rate that `-j RATEEST` estimates compares with a number, or with another such
/// rate. Kernel: `net/netfilter/xt_rateest.c`.
///
/// The estimators are made before the rule, by a rule with `-j RATEEST --rateest-name NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rateest {
    /// One to [`NAME_MAX`] bytes, as the other's name.
    name: String,
    negated: bool,
    comparison: Comparison,
    unit: Unit,
    with: With,
}

/// `XT_RATEEST_MATCH_EQ`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal = 1,
    Less = 2,
    Greater = 3,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Bytes in a second; people write and read bits.
    Bytes,
    /// Packets in a second.
    Packets,
}

/// With what.
#[derive(Debug, Clone, PartialEq, Eq)]
enum With {
    Rate(u32),
    /// What is left of the first rate, with the second.
    Left(u32, u32),
    Estimator(String),
    /// What the estimator leaves of the first rate, with what the other leaves of the second.
    BothLeft(u32, String, u32),
}

const LEN: usize = 72;
/// `IFNAMSIZ` less the NUL.
const NAME_MAX: usize = 15;
/// `XT_RATEEST_MATCH_…`
const INVERT: u16 = 1;
const ABS: u16 = 2;
const REL: u16 = 4;
const DELTA: u16 = 8;
const BPS: u16 = 0x10;
const PPS: u16 = 0x20;

impl Extension for Rateest {
    const NAME: &'static str = "rateest";
    const SUMMARY: &'static str = "how a rate that RATEEST estimates compares with another";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("rateest1", &["NAME"], "the estimator").aliases(&["rateest"]),
        opt("rateest2", &["NAME"], "another one, to compare the first with"),
        opt("rateest-delta", &[], "compares what the estimators leave of the given rates"),
        opt("rateest-bps1", &["[RATE]"], "compares bits in a second; with delta: of so many, what the first leaves"),
        opt("rateest-bps2", &["[RATE]"], "compares them with this rate: 8bit, 5kbit, 2.5mbit, 1MBps; with delta: what is left of it")
            .aliases(&["rateest-bps"]),
        opt("rateest-pps1", &["[NUMBER]"], "the same as bps1 in packets"),
        opt("rateest-pps2", &["[NUMBER]"], "the same as bps2 in packets").aliases(&["rateest-pps"]),
        opt("rateest-lt", &[], "the first is less").negates(),
        opt("rateest-gt", &[], "the first is greater").negates(),
        opt("rateest-eq", &[], "they are equal").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m rateest --rateest RE1 --rateest-lt --rateest-bps 8bit -j DROP"),
        Example::ok("-m rateest --rateest-pps2 5 --rateest1 RE1 ! --rateest-eq -j DROP", "-m rateest --rateest RE1 ! --rateest-eq --rateest-pps 5 -j DROP"),
        Example::ok(
            "-m rateest --rateest RE1 --rateest-gt --rateest-bps 2.5mbit -j DROP",
            "-m rateest --rateest RE1 --rateest-gt --rateest-bps 2500Kbit -j DROP",
        ),
        Example::ok(
            "-m rateest --rateest RE1 --rateest-gt --rateest-bps 1GBps -j DROP",
            "-m rateest --rateest RE1 --rateest-gt --rateest-bps 8000Mbit -j DROP",
        ),
        Example::same("-m rateest --rateest-delta --rateest RE1 --rateest-bps1 8bit ! --rateest-lt --rateest-bps2 16bit -j DROP"),
        Example::same("-m rateest --rateest-delta --rateest RE1 --rateest-pps1 8 --rateest-eq --rateest-pps2 9 -j DROP"),
        Example::ok(
            "-m rateest --rateest1 RE1 --rateest-bps1 --rateest-lt --rateest-bps2 --rateest2 RE2 -j DROP",
            "-m rateest --rateest1 RE1 --rateest-lt --rateest-bps --rateest2 RE2 -j DROP",
        ),
        Example::same("-m rateest --rateest1 RE1 ! --rateest-gt --rateest-pps --rateest2 RE2 -j DROP"),
        Example::same("-m rateest --rateest-delta --rateest1 RE1 --rateest-pps1 0 --rateest-lt --rateest-pps2 42 --rateest2 RE2 -j DROP"),
        Example::same("-m rateest --rateest-delta --rateest1 RE1 --rateest-bps1 2500Kbit --rateest-gt --rateest-bps2 2000Kbit --rateest2 RE2 -j DROP"),
        Example::fails("-m rateest --rateest-lt --rateest-bps 8bit -j DROP", "needs `--rateest1`"),
        Example::fails("-m rateest --rateest RE1 --rateest-bps 8bit -j DROP", "needs `--rateest-lt`, `--rateest-gt` or `--rateest-eq`"),
        Example::fails("-m rateest --rateest RE1 --rateest-lt -j DROP", "needs `--rateest-bps` or `--rateest-pps`"),
        Example::fails(
            "-m rateest --rateest RE1 --rateest-lt --rateest-gt --rateest-bps 8bit -j DROP",
            "one of `--rateest-lt`, `--rateest-gt` and `--rateest-eq` is enough",
        ),
        Example::fails(
            "-m rateest --rateest RE1 --rateest-lt --rateest-bps 8bit --rateest-pps 5 -j DROP",
            "iptables does not read what it prints for bits and packets together",
        ),
        Example::fails("-m rateest --rateest RE1 --rateest-lt --rateest-bps -j DROP", "without `--rateest2`, this needs a rate"),
        Example::fails(
            "-m rateest --rateest RE1 --rateest-lt --rateest-bps1 5bit --rateest-bps 8bit -j DROP",
            "this rate needs `--rateest-delta`",
        ),
        Example::fails(
            "-m rateest --rateest1 RE1 --rateest2 RE2 --rateest-lt --rateest-bps 8bit -j DROP",
            "this rate needs `--rateest-delta`",
        ),
        Example::fails(
            "-m rateest --rateest-delta --rateest RE1 --rateest-lt --rateest-pps 8 -j DROP",
            "`--rateest-delta` needs two rates, `--rateest-pps1` and `--rateest-pps2`",
        ),
        Example::fails("-m rateest --rateest RE1 --rateest-lt --rateest-bps 8baud -j DROP", "`8baud` is not a rate"),
        Example::fails("-m rateest --rateest RE1 --rateest-lt --rateest-bps 35gbit -j DROP", "this is too fast: less than 4 gigabytes in a second is the most"),
        Example::fails("-m rateest --rateest sixteen-letters. --rateest-lt --rateest-bps 8bit -j DROP", "an estimator's name has 1 to 15 bytes, this has 16"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut first, mut second, mut delta, mut comparison) = (None, None, None, None);
        let (mut unit, mut rates) = (None, [None, None]);
        for given in args.by_ref() {
            match given.name() {
                "rateest1" => first = Some(parse_name(&given)?),
                "rateest2" => second = Some(parse_name(&given)?),
                "rateest-delta" => delta = Some(given),
                name if let Some(which) = name.strip_prefix("rateest-").and_then(Comparison::named) => {
                    if comparison.replace((which, given.negated)).is_some() {
                        return Err(given.error_here("one of `--rateest-lt`, `--rateest-gt` and `--rateest-eq` is enough"));
                    }
                }
                name => {
                    let own = if name.contains("bps") { Unit::Bytes } else { Unit::Packets };
                    if *unit.get_or_insert(own) != own {
                        let error = given.error_here("iptables does not read what it prints for bits and packets together");
                        return Err(error.hint("write a second `-m rateest`"));
                    }
                    rates[usize::from(name.ends_with('2'))] = Some(given);
                }
            }
        }
        let name = first.ok_or_else(|| args.error("needs `--rateest1`").hint("its name, as given to `-j RATEEST --rateest-name`"))?;
        let (comparison, negated) =
            comparison.ok_or_else(|| args.error("needs `--rateest-lt`, `--rateest-gt` or `--rateest-eq`"))?;
        let unit = unit.ok_or_else(|| args.error("needs `--rateest-bps` or `--rateest-pps`"))?;
        let with = With::parse(unit, delta.as_ref(), rates.each_ref().map(Option::as_ref), second)?;
        with.map(|with| Self { name, negated, comparison, unit, with }).ok_or_else(|| args.error("needs a rate, or `--rateest2`"))
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        let name = |at: usize| extension::name(&info[at..at + NAME_MAX + 1]).filter(|name| (1..=NAME_MAX).contains(&name.len()));
        let half = |at: usize| u16::from_ne_bytes([info[at], info[at + 1]]);
        let (flags, mode) = (half(32), half(34));
        let (unit, at) = if flags & BPS != 0 { (Unit::Bytes, [36, 44]) } else { (Unit::Packets, [40, 48]) };
        let [one, two] = at.map(|at| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]));
        let with = match (flags & REL != 0, flags & DELTA != 0) {
            (false, false) => With::Rate(two),
            (false, true) => With::Left(one, two),
            (true, false) => With::Estimator(name(16)?.to_owned()),
            (true, true) => With::BothLeft(one, name(16)?.to_owned(), two),
        };
        let comparison = [Comparison::Equal, Comparison::Less, Comparison::Greater].into_iter().find(|one| *one as u16 == mode)?;
        let own = Self { name: name(0)?.to_owned(), negated: flags & INVERT != 0, comparison, unit, with };
        (own.to_xt() == *info).then_some(own)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = format!("{}{}", if self.negated { "! " } else { "" }, self.comparison.name());
        let (unit, name) = (self.unit.name(), &self.name);
        match (&self.with, self.unit) {
            (With::Rate(two), Unit::Bytes) => write!(f, "rateest match {name} {unit} {two} {comparison}"),
            (With::Rate(two), Unit::Packets) => write!(f, "rateest match {name} {unit} {comparison} {two}"),
            (With::Left(one, two), Unit::Bytes) => write!(f, "rateest match {name} delta {unit} {one} {two} {comparison}"),
            (With::Left(one, two), Unit::Packets) => write!(f, "rateest match {name} delta {unit} {one} {comparison} {two}"),
            (With::Estimator(other), _) => write!(f, "rateest match {name} {unit} {comparison} {other} {unit}"),
            (With::BothLeft(one, other, two), _) => {
                write!(f, "rateest match {name} delta {unit} {one} {comparison} {other} {unit} {two}")
            }
        }
    }

    fn refused(&self, errno: i32) -> Option<Refused> {
        let names = match &self.with {
            With::Estimator(other) | With::BothLeft(_, other, _) => format!("`{}` or no `{other}`", self.name),
            _ => format!("`{}`", self.name),
        };
        (errno == libc::ENOENT).then(|| Refused {
            reason: format!("there is no rate estimator {names}, or this kernel has no match `rateest`"),
            hint: "make it first by a rule with `-j RATEEST --rateest-name NAME`; the match is CONFIG_NETFILTER_XT_MATCH_RATEEST".into(),
        })
    }
}

impl Comparison {
    fn name(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::Less => "lt",
            Self::Greater => "gt",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Equal, Self::Less, Self::Greater].into_iter().find(|one| one.name() == name)
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bps",
            Self::Packets => "pps",
        }
    }

    fn parse(self, given: &Given<'_>) -> Result<u32, SyntaxError> {
        match self {
            Self::Bytes => bits::parse(given),
            Self::Packets => number(&given.values[0], u32::MAX.into()).map(|packets| packets as u32),
        }
    }

    fn show(self, rate: u32) -> String {
        match self {
            Self::Bytes => bits::Bits(rate).to_string(),
            Self::Packets => rate.to_string(),
        }
    }
}

impl With {
    /// `None`: no rate is there, and no other estimator.
    fn parse(
        unit: Unit,
        delta: Option<&Given<'_>>,
        rates: [Option<&Given<'_>>; 2],
        other: Option<String>,
    ) -> Result<Option<Self>, SyntaxError> {
        let has_value = |given: &&Given<'_>| !given.values.is_empty();
        let [one, two] = rates.map(|given| given.filter(has_value));
        if let Some(delta) = delta {
            let (Some(one), Some(two)) = (one, two) else {
                let unit = unit.name();
                return Err(delta.error_here(format!("`--rateest-delta` needs two rates, `--rateest-{unit}1` and `--rateest-{unit}2`")));
            };
            let (one, two) = (unit.parse(one)?, unit.parse(two)?);
            return Ok(Some(other.map_or(Self::Left(one, two), |other| Self::BothLeft(one, other, two))));
        }
        match (one, two, other) {
            // The kernel would not look at it, and iptables not print it.
            (Some(given), ..) | (None, Some(given), Some(_)) => Err(given.error("this rate needs `--rateest-delta`")),
            (None, None, Some(other)) => Ok(Some(Self::Estimator(other))),
            (None, Some(two), None) => Ok(Some(Self::Rate(unit.parse(two)?))),
            (None, None, None) => rates[1].or(rates[0]).map_or(Ok(None), |given| Err(given.error_here("without `--rateest2`, this needs a rate"))),
        }
    }
}

impl Rateest {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_rateest_match_info: char name1[16], name2[16], u16 flags, mode, u32 bps1, pps1, bps2, pps2, two pointers
        let mut info = [0; LEN];
        let (mut flags, other, rates) = match &self.with {
            With::Rate(two) => (ABS, "", [0, *two]),
            With::Left(one, two) => (ABS | DELTA, "", [*one, *two]),
            With::Estimator(other) => (REL, other.as_str(), [0, 0]),
            With::BothLeft(one, other, two) => (REL | DELTA, other.as_str(), [*one, *two]),
        };
        let (bit, at) = match self.unit {
            Unit::Bytes => (BPS, [36, 44]),
            Unit::Packets => (PPS, [40, 48]),
        };
        flags |= bit | if self.negated { INVERT } else { 0 };
        info[..self.name.len()].copy_from_slice(self.name.as_bytes());
        info[16..16 + other.len()].copy_from_slice(other.as_bytes());
        info[32..34].copy_from_slice(&flags.to_ne_bytes());
        info[34..36].copy_from_slice(&(self.comparison as u16).to_ne_bytes());
        for (at, rate) in at.into_iter().zip(rates) {
            info[at..at + 4].copy_from_slice(&rate.to_ne_bytes());
        }
        info
    }
}

fn parse_name(given: &Given<'_>) -> Result<String, SyntaxError> {
    let name = given.text(0);
    match name.len() {
        1..=NAME_MAX => Ok(name.to_owned()),
        len => Err(given.error(format!("an estimator's name has 1 to {NAME_MAX} bytes, this has {len}"))),
    }
}

impl fmt::Display for Rateest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = format!("{}--rateest-{}", if self.negated { "! " } else { "" }, self.comparison.name());
        let (unit, name) = (self.unit.name(), readable(&self.name));
        let show = |rate: u32| self.unit.show(rate);
        match &self.with {
            With::Rate(two) => write!(f, "--rateest {name} {comparison} --rateest-{unit} {}", show(*two)),
            With::Estimator(other) => write!(f, "--rateest1 {name} {comparison} --rateest-{unit} --rateest2 {}", readable(other)),
            With::Left(one, two) => {
                write!(f, "--rateest-delta --rateest {name} --rateest-{unit}1 {} {comparison} --rateest-{unit}2 {}", show(*one), show(*two))
            }
            With::BothLeft(one, other, two) => {
                write!(f, "--rateest-delta --rateest1 {name} --rateest-{unit}1 {} {comparison} ", show(*one))?;
                write!(f, "--rateest-{unit}2 {} --rateest2 {}", show(*two), readable(other))
            }
        }
    }
}
