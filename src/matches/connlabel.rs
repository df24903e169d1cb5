use std::fmt;

use super::groups;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, parse_number},
};

/// `-m connlabel`: a label that the packet's connection has, or now gets. Kernel:
/// `net/netfilter/xt_connlabel.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connlabel {
    /// The label's bit, at most [`MAX`].
    label: Test<u16>,
    /// Gives it to the connection first, if it can.
    set: bool,
}

/// `XT_CONNLABEL_MAXBIT`
const MAX: u16 = 127;
const INVERT: u16 = 1;
const SET: u16 = 2;
/// Where libnetfilter_conntrack keeps the labels' names.
const NAMES: &str = "/etc/xtables/connlabel.conf";

impl Extension for Connlabel {
    const NAME: &'static str = "connlabel";
    const SUMMARY: &'static str = "a label of the packet's connection";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("label", &["LABEL"], "it has the label with that number, or that name by /etc/xtables/connlabel.conf").negates(),
        opt("set", &[], "gives it the label; matches if that went well"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m connlabel --label 5 -j DROP", r#"-m connlabel --label "5" -j DROP"#),
        Example::ok("-m connlabel --set ! --label 0x7f -j RETURN", r#"-m connlabel ! --label "127" --set -j RETURN"#),
        Example::fails("-m connlabel --set -j DROP", "needs `--label LABEL`"),
        Example::fails("-m connlabel --label 128 -j DROP", "the labels have numbers from 0 to 127"),
        Example::fails("-m connlabel --label no-such-label -j DROP", "no label is called `no-such-label`"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut label, mut set) = (None, false);
        for given in args.by_ref() {
            match given.name() {
                "label" => label = Some(Test { negated: given.negated, value: parse_label(&given)? }),
                _ => set = true,
            }
        }
        Ok(Self { label: label.ok_or_else(|| args.error("needs `--label LABEL`"))?, set })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_connlabel_mtinfo: u16 bit, u16 options
        let options = if self.label.negated { INVERT } else { 0 } | if self.set { SET } else { 0 };
        let ([a, b], [c, d]) = (self.label.value.to_ne_bytes(), options.to_ne_bytes());
        out.xt_match(Self::NAME, 0, &[a, b, c, d, 0, 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[a, b, c, d, 0, 0, 0, 0] = cursor.take_match(Self::NAME, 0)? else { return None };
        let (value, options) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
        let known = value <= MAX && options & !(INVERT | SET) == 0;
        known.then_some(Self { label: Test { negated: options & INVERT != 0, value }, set: options & SET != 0 })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connlabel {}{}{}", self.label.bang(), self.label.value, if self.set { " set" } else { "" })
    }
}

fn parse_label(given: &Given<'_>) -> Result<u16, SyntaxError> {
    let text = given.text(0);
    let number = parse_number(text).or_else(|| groups::find(NAMES, text));
    let number = number.ok_or_else(|| {
        given.error(format!("no label is called `{text}`")).hint(format!("write its number, or give one the name in {NAMES}"))
    })?;
    u16::try_from(number).ok().filter(|&n| n <= MAX).ok_or_else(|| given.error("the labels have numbers from 0 to 127"))
}

impl fmt::Display for Connlabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In quotes always, as iptables prints it.
        write!(f, "{}--label \"{}\"{}", self.label.bang(), self.label.value, if self.set { " --set" } else { "" })
    }
}
