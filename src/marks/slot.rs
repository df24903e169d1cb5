//! Two policies can stand in the table: the deployed one under the names of [`super::Table`], one on trial
//! beside it under the same names behind `trial-`.

use std::borrow::Cow;

use super::lower::FORWARD;
use crate::{
    attr::{Attr, Attrs, Writer},
    expr::{Expr, Immediate, Unknown, Verdict},
    uapi::NFTA_LOOKUP_SET,
};

/// Whose a set or chain of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The deployed policy's.
    Deployed,
    /// The policy's that is on trial.
    Trial,
}

/// The set with the element that lasts as long as a trial, and the chain that takes the place of the base
/// chain for it.
pub(super) const TRIAL: &str = "trial";

const PREFIX: &str = "trial-";

impl Slot {
    /// The slot of a set, and its name as the deployed policy would have it.
    pub(super) fn of_set(name: &str) -> (Self, &str) {
        match name.strip_prefix(PREFIX).filter(|own| !own.is_empty()) {
            Some(own) => (Self::Trial, own),
            None => (Self::Deployed, name),
        }
    }

    /// The same of a chain.
    pub(super) fn of_chain(name: &str) -> (Self, &str) {
        if name == TRIAL { (Self::Trial, FORWARD) } else { Self::of_set(name) }
    }

    /// A set's name in this slot.
    pub(super) fn set(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Deployed => name.into(),
            Self::Trial => format!("{PREFIX}{name}").into(),
        }
    }

    /// A chain's name in this slot.
    pub(super) fn chain(self, name: &str) -> Cow<'_, str> {
        if self == Self::Trial && name == FORWARD { TRIAL.into() } else { self.set(name) }
    }

    /// A rule of the deployed policy with the names of this slot.
    pub(super) fn rule(self, rule: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Deployed => rule.into(),
            Self::Trial => renamed(rule, |name| self.set(name), |name| self.chain(name)).into(),
        }
    }

    /// The reverse of [`Slot::rule`].
    pub(super) fn rule_back(self, rule: &[u8]) -> Box<[u8]> {
        match self {
            Self::Deployed => rule.into(),
            Self::Trial => renamed(rule, |name| Self::of_set(name).1.into(), |name| Self::of_chain(name).1.into()).into(),
        }
    }
}

/// The same expressions (content of `NFTA_RULE_EXPRESSIONS`) with other names for the sets that they look up
/// and the chains that they go to.
fn renamed<'n>(rule: &'n [u8], set: impl Fn(&'n str) -> Cow<'n, str>, chain: impl Fn(&'n str) -> Cow<'n, str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(rule.len() + 16);
    let mut w = Writer::as_dumped(&mut out);
    for Attr { kind, payload } in Attrs::new(rule).flatten() {
        match Expr::read(payload) {
            Ok(Expr::Immediate(Immediate::Verdict(Verdict::Goto(to)))) => {
                Expr::Immediate(Immediate::Verdict(Verdict::Goto(&chain(to)))).write(&mut w);
            }
            Ok(Expr::Unknown(Unknown { name: name @ "lookup", data })) => {
                Expr::Unknown(Unknown { name, data: &lookup(data, &set) }).write(&mut w);
            }
            _ => w.bytes(kind, payload),
        }
    }
    out
}

fn lookup<'n>(data: &'n [u8], set: impl Fn(&'n str) -> Cow<'n, str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 8);
    let mut w = Writer::as_dumped(&mut out);
    for Attr { kind, payload } in Attrs::new(data).flatten() {
        match crate::attr::string(payload) {
            Some(name) if kind == NFTA_LOOKUP_SET => w.string(kind, &set(name)),
            _ => w.bytes(kind, payload),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        marks::{Kind, expressions::Rule},
        model::Family,
    };

    #[test]
    fn a_rule_keeps_all_but_its_names() {
        let hosts = Rule::default().source(Family::Ip).within(Kind::Hosts(Family::Ip, 2)).goto("class-2").finish();
        let moved = Slot::Trial.rule(&hosts);
        assert!(moved.windows(13).any(|bytes| bytes == b"trial-hosts-2") && moved.windows(13).any(|bytes| bytes == b"trial-class-2"));
        assert_eq!(Slot::Trial.rule_back(&moved), hosts);
        assert_eq!(*Slot::Deployed.rule(&hosts), *hosts);
        let given = Rule::default().give(0x7f00_0000, 0x2300_0000).accept().finish();
        assert_eq!(*Slot::Trial.rule(&given), *given);
    }

    #[test]
    fn names_go_there_and_back() {
        for name in ["forward", "class-2", "mark-101"] {
            assert_eq!(Slot::of_chain(&Slot::Trial.chain(name)), (Slot::Trial, name));
            assert_eq!(Slot::of_chain(&Slot::Deployed.chain(name)), (Slot::Deployed, name));
        }
        assert_eq!(Slot::Trial.chain("forward"), TRIAL);
        assert_eq!(Slot::of_set(&Slot::Trial.set("hash")), (Slot::Trial, "hash"));
    }
}
