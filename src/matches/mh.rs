use std::fmt;

use super::ports::Colon;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Protocol, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, ordered, parse_number},
};

/// `-m mh`: the type of a message of Mobile IPv6's. Kernel: `net/ipv6/netfilter/ip6t_mh.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mh {
    /// Both ends included. Every type is `None`, as it tests nothing.
    types: Option<Test<(u8, u8)>>,
}

/// Every type.
const ANY: (u8, u8) = (0, u8::MAX);

/// By number, each with its short name.
const NAMES: [[&str; 2]; 8] = [
    ["binding-refresh-request", "brr"],
    ["home-test-init", "hoti"],
    ["careof-test-init", "coti"],
    ["home-test", "hot"],
    ["careof-test", "cot"],
    ["binding-update", "bu"],
    ["binding-acknowledgement", "ba"],
    ["binding-error", "be"],
];

impl Extension for Mh {
    const NAME: &'static str = "mh";
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const PROTOCOL: Option<Protocol> = Some(Protocol::MH);
    const SUMMARY: &'static str = "the type of a message of Mobile IPv6's";
    const OPTIONS: &'static [OptionSpec] = &[opt("mh-type", &["TYPE[:TYPE]"], "the type by name or number, or a range of them").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-p mobility-header -m mh -j DROP"),
        Example::ok("-p mh --mh-type 1 -j DROP", "-p mobility-header -m mh --mh-type 1 -j DROP"),
        Example::ok("-p mh -m mh ! --mh-type Careof-Test -j DROP", "-p mobility-header -m mh ! --mh-type 4 -j DROP"),
        Example::ok("-p 135 -m mh --mh-type hot:binding-a -j DROP", "-p mobility-header -m mh --mh-type 3:6 -j DROP"),
        Example::ok("-p mh -m mh --mh-type :0x3 -j DROP", "-p mobility-header -m mh --mh-type 0:3 -j DROP"),
        Example::ok("-p mh -m mh ! --mh-type be: -j DROP", "-p mobility-header -m mh ! --mh-type 7:255 -j DROP"),
        Example::ok("-p mh -m mh --mh-type : -j DROP", "-p mobility-header -m mh -j DROP"),
        Example::same("-p mobility-header -m mh ! --mh-type 0:255 -j DROP"),
        Example::fails("-m mh --mh-type 1 -j DROP", "needs `-p mobility-header`"),
        Example::fails("! -p mh -m mh -j DROP", "needs `-p mobility-header`"),
        Example::fails("-p mh --mh-type 4:3 -j DROP", "the range runs backwards: 4 is more than 3"),
        Example::fails("-p mh --mh-type 256 -j DROP", "`256` is not a type of Mobile IPv6's messages"),
        Example::fails("-p mh --mh-type hello -j DROP", "`hello` is not a type of Mobile IPv6's messages"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::MH])?;
        args.next().map_or(Ok(Self::default()), |given| Ok(Self::new(Test { negated: given.negated, value: parse_types(&given)? })))
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct ip6t_mh: u8 types[2], u8 invflags
        let Test { negated, value: (low, high) } = self.types.unwrap_or(Test::is(ANY));
        out.xt_match(Self::NAME, 0, &[low, high, negated.into(), 0, 0, 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::MH) {
            return None;
        }
        let &[low, high, inverted @ (0 | 1), 0, 0, 0, 0, 0] = cursor.take_match(Self::NAME, 0)? else { return None };
        (low <= high).then_some(Self::new(Test { negated: inverted != 0, value: (low, high) }))
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mh")?;
        self.types.map_or(Ok(()), |test| write!(f, " {}{}", if test.negated { "!" } else { "" }, Colon(test.value)))
    }
}

impl Mh {
    fn new(test: Test<(u8, u8)>) -> Self {
        Self { types: (test.negated || test.value != ANY).then_some(test) }
    }
}

fn parse_types(given: &Given<'_>) -> Result<(u8, u8), SyntaxError> {
    let one = |text: &str, missing: Option<u8>| {
        let wrong = || {
            let names: Vec<_> = NAMES.iter().map(|[name, _]| *name).collect();
            let error = given.error(format!("`{text}` is not a type of Mobile IPv6's messages"));
            error.hint(format!("write a number from 0 to 255, or one of {}", names.join(", ")))
        };
        if text.is_empty() { missing } else { find(text) }.ok_or_else(wrong)
    };
    let word = &given.values[0];
    match word.text.split_once(':') {
        None => one(&word.text, None).map(|only| (only, only)),
        Some((low, high)) => ordered(word, one(low, Some(ANY.0))?, one(high, Some(ANY.1))?, ':'),
    }
}

/// By name, of which the beginning is enough, in any case: where several begin so, the first is meant.
fn find(text: &str) -> Option<u8> {
    let all = || (0..).zip(NAMES).flat_map(|(number, names)| names.map(|name| (number, name)));
    let begins = |name: &str| name.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let exact = all().find(|(_, name)| name.eq_ignore_ascii_case(text));
    let named = exact.or_else(|| all().find(|(_, name)| begins(name))).map(|(number, _)| number);
    named.or_else(|| parse_number(text)?.try_into().ok())
}

impl fmt::Display for Mh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.types.map_or(Ok(()), |test| write!(f, "{}--mh-type {}", test.bang(), Colon(test.value)))
    }
}
