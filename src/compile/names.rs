//! The names of our chains. Whoever has one of them is taken for ours.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::chain;
use crate::{model::ChainName, policy::PolicyRule};

/// The first chain of a policy.
pub const ROOT: &str = "DOCKGATE";

/// The first chain of a policy on trial: as [`ROOT`], and so for all chains behind it.
pub const TRIAL: &str = "DOCKTRIAL";

/// Is this a chain of ours?
pub fn is_ours(name: &ChainName) -> bool {
    begins(name, ROOT) || is_trial(name)
}

/// Is it one of a policy on trial?
pub fn is_trial(name: &ChainName) -> bool {
    begins(name, TRIAL)
}

fn begins(name: &ChainName, root: &str) -> bool {
    name.as_str().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The same chain's name on trial, or if `back`, its name for good. Others' names stay.
pub fn on_trial(name: &ChainName, back: bool) -> ChainName {
    let (from, to) = if back { (TRIAL, ROOT) } else { (ROOT, TRIAL) };
    match begins(name, from) {
        true => chain(&name.as_str().replacen(from, to, 1)),
        false => name.clone(),
    }
}

/// [`ROOT`]
pub fn root() -> ChainName {
    chain(ROOT)
}

/// [`TRIAL`]
pub fn trial() -> ChainName {
    chain(TRIAL)
}

pub(super) fn outside() -> ChainName {
    chain("DOCKGATE-OUTSIDE")
}

/// What stands behind [`ROOT`] in the name of a rule's chain.
pub(super) fn end(name: &ChainName) -> &str {
    &name.as_str()[ROOT.len() + 1..]
}

/// Names for the chains of rules, each once.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<ChainName>);

/// What iptables takes, less `DOCKTRIAL-`.
const LONGEST: usize = ChainName::IPTABLES_MAX - TRIAL.len() - 1;

impl Names {
    /// A chain for what this rule begins.
    pub(super) fn of(&mut self, rule: &PolicyRule) -> ChainName {
        let text = rule.name.as_ref().or(rule.comment.as_ref()).cloned().unwrap_or_else(|| rule.to_string());
        let mut slug = String::new();
        for c in text.chars().map(|c| c.to_ascii_lowercase()) {
            match c {
                'a'..='z' | '0'..='9' => slug.push(c),
                _ if slug.is_empty() || slug.ends_with('-') => {}
                _ => slug.push('-'),
            }
        }
        slug.truncate(LONGEST);
        let slug = if slug.is_empty() { "rule".to_owned() } else { slug.trim_end_matches('-').to_owned() };
        self.first(&slug, |number| {
            let end = (number + 2).to_string();
            format!("{}-{end}", &slug[..slug.len().min(LONGEST - 1 - end.len())])
        })
    }

    /// A chain for the senders whose address begins so: `DOCKGATE-o.c0a8`, its hexadecimal digits.
    pub(super) fn of_prefix(&mut self, mark: char, digits: &str) -> ChainName {
        self.first(&format!("{mark}.{digits}"), |number| {
            // The end tells chains of one network from each other.
            let hash = Sha256::digest(format!("{digits} {number}"));
            let end = hash.iter().take(5).fold(0, |all, byte| all << 8 | u64::from(*byte));
            format!("{mark}.{}..{end:010x}", &digits[..4])
        })
    }

    /// A chain behind another, for a part of its packets: `DOCKGATE-web.t8000-8063`.
    pub(super) fn of_part(&mut self, of: &str, part: &str) -> ChainName {
        self.first(&format!("{of}.{part}"), |number| {
            // Digits tell it from others that begin so.
            let hash = Sha256::digest(format!("{of} {number}"));
            let kept = of.len().min(LONGEST - 5 - part.len());
            format!("{}{:02x}{:02x}.{part}", &of[..kept], hash[0], hash[1])
        })
    }

    /// The name that ends so, else the first that ends as `other` says of numbers from 0.
    fn first(&mut self, end: &str, other: impl Fn(u32) -> String) -> ChainName {
        let name = self.take(end).or_else(|| (0..).find_map(|number| self.take(&other(number))));
        name.expect("there are more numbers than chains")
    }

    /// The name that ends so, unless it is too long or taken.
    fn take(&mut self, end: &str) -> Option<ChainName> {
        let name = (end.len() <= LONGEST).then(|| chain(&format!("{ROOT}-{end}")))?;
        self.0.insert(name.clone()).then_some(name)
    }
}
