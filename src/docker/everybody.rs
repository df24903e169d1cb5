//! Does `DOCKER-USER` let everybody reach a port? Then nobody gets past it who comes another way.

use super::{
    Guarded, Served,
    act::{Act, Effect},
};
use crate::{
    matches::Match,
    model::{Protocol, Test},
    rule::Rule,
    ruleset::Entry,
};

/// A rule of either kind.
#[derive(Debug, Clone, Copy)]
pub enum OneRule<'r> {
    /// As it is.
    There(&'r Entry),
    /// As it is to be.
    Desired(&'r Rule),
}

/// Lets this chain, and those that it leads to, pass every first packet of a connection to that port which
/// comes in from outside? `rules` are the rules of a chain by its name; `None` where they were not read.
/// What depends on the sender, or on a mark, may be stopped.
pub fn lets_everybody<'r>(chain: &str, served: &Served, guarded: &Guarded, rules: &dyn Fn(&str) -> Option<Vec<OneRule<'r>>>) -> bool {
    let protocol = match served.protocol.as_str() {
        "tcp" => Protocol(6),
        "udp" => Protocol(17),
        "sctp" => Protocol(132),
        _ => return false,
    };
    Walk { protocol, port: served.port, guarded, rules }.comes_back(chain, 0).is_some()
}

/// A walk through chains with the first packets of connections to one port.
struct Walk<'w, 'r> {
    protocol: Protocol,
    port: u16,
    guarded: &'w Guarded,
    rules: &'w dyn Fn(&str) -> Option<Vec<OneRule<'r>>>,
}

impl<'r> Walk<'_, 'r> {
    /// Do some of the packets come back from that chain, the others being accepted? `None` if some may be
    /// stopped.
    fn comes_back(&self, chain: &str, depth: u32) -> Option<bool> {
        // What the kernel takes at most (`NFT_JUMP_STACK_SIZE`).
        const DEEPEST: u32 = 16;
        let mut back = false;
        for rule in (self.rules)(chain).filter(|_| depth <= DEEPEST)? {
            let (act, matches) = match rule {
                OneRule::There(entry) => (Act::of(entry), entry.rule().and_then(|rule| self.matches(rule))),
                OneRule::Desired(rule) => (Act::of_rule(rule), self.matches(rule)),
            };
            if matches == Some(false) {
                continue;
            }
            let surely = matches == Some(true);
            match act.effect {
                Effect::GoesOn => {}
                Effect::Stops | Effect::Unknown => return None,
                Effect::Accepts if surely => return Some(back),
                Effect::Returns if surely => return Some(true),
                Effect::Accepts => {}
                Effect::Returns => back = true,
                Effect::Jump(to) => {
                    if !self.comes_back(to, depth + 1)? && surely {
                        return Some(back);
                    }
                }
                Effect::Goto(to) => {
                    back |= self.comes_back(to, depth + 1)?;
                    if surely {
                        return Some(back);
                    }
                }
            }
        }
        Some(true)
    }

    /// Does a rule match all of the packets, or none? `None` if it depends.
    fn matches(&self, rule: &Rule) -> Option<bool> {
        let base = &rule.base;
        let protocol = base.protocol.map(|test: Test<Protocol>| Some((test.value == self.protocol) != test.negated));
        let inward = base.in_interface.map(|_| self.guarded.all_or_none(base.in_interface));
        let depends = base.source.is_some() || base.destination.is_some() || base.out_interface.is_some() || base.fragment.is_some();
        let tests = rule.matches.iter().map(|one| match one {
            Match::Comment(_) => Some(true),
            Match::Conntrack(test) => test.is_for_new(self.protocol, self.port),
            Match::State(test) => test.is_for_new(self.protocol, self.port),
            _ => None,
        });
        let all: Vec<Option<bool>> = protocol.into_iter().chain(inward).chain(tests).collect();
        match () {
            () if all.contains(&Some(false)) => Some(false),
            () if depends || all.contains(&None) => None,
            () => Some(true),
        }
    }
}
