use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, parse_number},
};

/// `-m u32`: four bytes from anywhere in the packet, by a small formula. Kernel:
/// `net/netfilter/xt_u32.c`.
#[derive(Debug, Clone, PartialEq)]
pub struct U32 {
    /// One to [`MAX`].
    comparisons: Test<Vec<Comparison>>,
}

/// `START OP NUMBER …=LOW:HIGH,…`
#[derive(Debug, Clone, PartialEq, Default)]
struct Comparison {
    /// One to [`MAX`]; the operator of the first means nothing, and is 0.
    steps: Vec<(u8, u32)>,
    /// One to [`MAX`] ranges, ends included.
    values: Vec<(u32, u32)>,
}

/// By the kernel's numbers (`enum xt_u32_ops`).
const OPERATORS: [&str; 4] = ["&", "<<", ">>", "@"];
/// `XT_U32_MAXSIZE`: how many tests, steps, and values iptables writes. There is room for one more.
const MAX: usize = 10;

/// `struct xt_u32_test`: location[11] of { u32 number, u8 nextop }, value[11] of { u32 min, u32 max },
/// u8 nnums, u8 nvalues
const TEST_LEN: usize = 180;
const VALUES_AT: usize = 88;
const LEN: usize = 1984;

impl Extension for U32 {
    const NAME: &'static str = "u32";
    const SUMMARY: &'static str = "four bytes from anywhere in the packet, by a formula";
    const OPTIONS: &'static [OptionSpec] =
        &[opt("u32", &["FORMULA"], "`START=VALUES` for four bytes; steps between by & << >> @; VALUES are 1,4:7; && between tests").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m u32 --u32 '6 & 0xFF = 1 && 4 & 0x1FFF = 0' -j DROP", "-m u32 --u32 \"0x6&0xff=0x1&&0x4&0x1fff=0x0\" -j DROP"),
        Example::ok("-m u32 ! --u32 '0>>22&0x3C@12=1:5,7 , 010 : 9' -j DROP", "-m u32 ! --u32 \"0x0>>0x16&0x3c@0xc=0x1:0x5,0x7,0x8:0x9\" -j DROP"),
        Example::ok("-m u32 --u32 0<<8=4294967295:4294967295 -j DROP", "-m u32 --u32 \"0x0<<0x8=0xffffffff\" -j DROP"),
        Example::same("-m u32 --u32 \"0x0=0x1,0x2,0x3,0x4,0x5,0x6,0x7,0x8,0x9,0xa\" -j DROP"),
        Example::fails("-m u32 -j DROP", "needs `--u32 FORMULA`"),
        Example::fails("-m u32 --u32 '6&0xFF' -j DROP", "`=` and values are missing at the end"),
        Example::fails("-m u32 --u32 '6=' -j DROP", "a number is missing at the end"),
        Example::fails("-m u32 --u32 '6=1&5=2' -j DROP", "`&5=2`: here comes `,`, `&&` or the end"),
        Example::fails("-m u32 --u32 '6<1=2' -j DROP", "`<1=2`: here comes `&`, `<<`, `>>`, `@` or `=`"),
        Example::fails("-m u32 --u32 '6=4294967296' -j DROP", "`4294967296` is not a number from 0 to 4294967295"),
        Example::fails("-m u32 --u32 '0=0,1,2,3,4,5,6,7,8,9,10' -j DROP", "there can be 10 values at most"),
        Example::fails("-m u32 --u32 '0&0&0&0&0&0&0&0&0&0&0=0' -j DROP", "there can be 10 steps at most"),
        Example::fails(
            "-m u32 --u32 '0=0&&0=0&&0=0&&0=0&&0=0&&0=0&&0=0&&0=0&&0=0&&0=0&&0=0' -j DROP",
            "there can be 10 tests at most",
        ),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--u32 FORMULA`"))?;
        let value = parse_formula(&given)?;
        Ok(Self { comparisons: Test { negated: given.negated, value } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        let (count, invert) = (usize::from(info[LEN - 4]), info[LEN - 3]);
        let tests = info.chunks_exact(TEST_LEN).take(count).map(Comparison::from_xt);
        let value = tests.collect::<Option<Vec<_>>>().filter(|tests| (1..=MAX).contains(&count) && tests.len() == count)?;
        let own = Self { comparisons: Test { negated: invert != 0, value } };
        (own.to_xt() == *info).then_some(own)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u32 {}{}", self.comparisons.bang(), Formula(&self.comparisons.value))
    }
}

impl U32 {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_u32: tests[11], u8 ntests, u8 invert
        let mut info = [0; LEN];
        for (slot, test) in info.chunks_exact_mut(TEST_LEN).zip(&self.comparisons.value) {
            let (locations, values) = slot.split_at_mut(VALUES_AT);
            for (slot, (operator, number)) in locations.chunks_exact_mut(8).zip(&test.steps) {
                slot[..4].copy_from_slice(&number.to_ne_bytes());
                slot[4] = *operator;
            }
            for (slot, (low, high)) in values.chunks_exact_mut(8).zip(&test.values) {
                slot[..4].copy_from_slice(&low.to_ne_bytes());
                slot[4..].copy_from_slice(&high.to_ne_bytes());
            }
            slot[TEST_LEN - 4] = test.steps.len() as u8;
            slot[TEST_LEN - 3] = test.values.len() as u8;
        }
        info[LEN - 4] = self.comparisons.value.len() as u8;
        info[LEN - 3] = self.comparisons.negated.into();
        info
    }
}

impl Comparison {
    fn from_xt(info: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?));
        let (steps, values) = (usize::from(*info.get(TEST_LEN - 4)?), usize::from(*info.get(TEST_LEN - 3)?));
        if !(1..=MAX).contains(&steps) || !(1..=MAX).contains(&values) {
            return None;
        }
        let step = |index: usize| {
            let operator = *info.get(8 * index + 4)?;
            let known = if index == 0 { operator == 0 } else { usize::from(operator) < OPERATORS.len() };
            known.then_some((operator, number(8 * index)?))
        };
        let value = |index: usize| Some((number(VALUES_AT + 8 * index)?, number(VALUES_AT + 8 * index + 4)?));
        Some(Self { steps: (0..steps).map(step).collect::<Option<_>>()?, values: (0..values).map(value).collect::<Option<_>>()? })
    }
}

fn parse_formula(given: &Given<'_>) -> Result<Vec<Comparison>, SyntaxError> {
    let mut rest = Rest { text: given.text(0), given };
    let mut tests = Vec::new();
    loop {
        let mut test = Comparison { steps: vec![(0, rest.number()?)], values: Vec::new() };
        while !rest.take("=") {
            test.steps.push((rest.operator()?, rest.number()?));
        }
        while test.values.is_empty() || rest.take(",") {
            let low = rest.number()?;
            test.values.push((low, if rest.take(":") { rest.number()? } else { low }));
        }
        rest.few(&test.steps, "steps")?;
        rest.few(&test.values, "values")?;
        tests.push(test);
        rest.few(&tests, "tests")?;
        if rest.text.is_empty() {
            return Ok(tests);
        }
        if !rest.take("&&") {
            return Err(given.error(format!("`{}`: here comes `,`, `&&` or the end", rest.text)));
        }
    }
}

/// What of a formula is still to be read.
struct Rest<'g, 'a> {
    text: &'g str,
    given: &'g Given<'a>,
}

impl Rest<'_, '_> {
    fn take(&mut self, token: &str) -> bool {
        self.text = self.text.trim_ascii_start();
        let rest = self.text.strip_prefix(token);
        self.text = rest.unwrap_or(self.text).trim_ascii_start();
        rest.is_some()
    }

    fn operator(&mut self) -> Result<u8, SyntaxError> {
        for (operator, code) in OPERATORS.into_iter().zip(0..) {
            if self.take(operator) {
                return Ok(code);
            }
        }
        Err(match self.text {
            "" => self.given.error("`=` and values are missing at the end"),
            text => self.given.error(format!("`{text}`: here comes `&`, `<<`, `>>`, `@` or `=`")),
        })
    }

    fn number(&mut self) -> Result<u32, SyntaxError> {
        self.take("");
        let end = self.text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.text.len());
        let (text, rest) = self.text.split_at(end);
        let number = parse_number(text).and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| match self.text {
            "" => self.given.error("a number is missing at the end"),
            _ => self.given.error(format!("`{}` is not a number from 0 to {}", if end == 0 { rest } else { text }, u32::MAX)),
        });
        self.text = rest.trim_ascii_start();
        number
    }

    fn few<T>(&self, list: &[T], what: &str) -> Result<(), SyntaxError> {
        if list.len() > MAX { Err(self.given.error(format!("there can be {MAX} {what} at most"))) } else { Ok(()) }
    }
}

/// In quotes, all numbers in hexadecimal.
struct Formula<'t>(&'t [Comparison]);

impl fmt::Display for Formula<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for (index, test) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "&&" })?;
            for (index, (operator, number)) in test.steps.iter().enumerate() {
                let operator = if index == 0 { "" } else { OPERATORS.get(usize::from(*operator)).copied().unwrap_or_default() };
                write!(f, "{operator}0x{number:x}")?;
            }
            for (index, (low, high)) in test.values.iter().enumerate() {
                write!(f, "{}0x{low:x}", if index == 0 { "=" } else { "," })?;
                if low != high {
                    write!(f, ":0x{high:x}")?;
                }
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Display for U32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--u32 {}", self.comparisons.bang(), Formula(&self.comparisons.value))
    }
}
