//! What a policy's rule tests, as words of iptables.

use crate::{
    model::{Address, Family, Interface, Protocol, Test},
    policy::{Action, Block, PolicyRule, PortRange, Ports, Verdict},
    rule::{Parser, Rule},
    syntax::{quote, split},
};

/// All tests of a rule but the source.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) inward: Option<Interface>,
    pub(super) outward: Option<Interface>,
    pub(super) protocol: Option<Protocol>,
    pub(super) range: Option<PortRange>,
    pub(super) to: Option<Address>,
}

impl Head {
    /// Every combination of what the rule says, for packets that come in by `inward`, for these of its ports.
    pub(super) fn all(rule: &PolicyRule, family: Family, inward: &[Interface], ports: &[Ports]) -> Vec<Self> {
        let to = rule.to.as_ref().map(|to| to.addresses.of(family).iter().flat_map(prefixes).collect::<Vec<_>>());
        let mut heads = vec![Self::default()];
        heads = product(heads, inward, |head, &inward| head.inward = Some(inward));
        heads = product(heads, &rule.outward, |head, &outward| head.outward = Some(outward));
        heads = product(heads, ports, |head, ports| (head.protocol, head.range) = (Some(ports.protocol), ports.range));
        product(heads, to.as_deref().unwrap_or_default(), |head, &to| head.to = Some(to))
    }

    /// A rule with these tests, behind them the words of `end`.
    pub(super) fn rule(&self, family: Family, from: Option<&Block>, comment: &str, end: &str) -> Rule {
        let mut words = String::new();
        let mut word = |text: String| words.extend([text.as_str(), " "]);
        let source = from.map(|block| (block.prefix(), block.ends()));
        self.inward.iter().for_each(|name| word(format!("-i {name}")));
        self.outward.iter().for_each(|name| word(format!("-o {name}")));
        self.protocol.iter().for_each(|protocol| word(format!("-p {protocol}")));
        if let Some((None, (first, last))) = source {
            word(format!("-m iprange --src-range {first}-{last}"));
        }
        if self.range.is_some() || self.to.is_some() {
            word(asked(self.to, self.range));
        }
        let mut rule = parse(&format!("{words}-m comment --comment {} {end}", quote(comment)), family);
        if let Some((Some(prefix), _)) = source {
            rule.base.source = (prefix.prefix_len() != Some(0)).then_some(Test::is(prefix));
        }
        rule
    }
}

/// The words for what the client asked for.
///
/// In DOCKER-USER the destination is rewritten: that is known to connection tracking. Its own direction only,
/// or a container's connection to the same port outside would be meant as well. iptables takes ports here
/// without `-p`.
pub(super) fn asked(to: Option<Address>, range: Option<PortRange>) -> String {
    let to = to.map_or_else(String::new, |to| format!(" --ctorigdst {to}"));
    let range = range.map_or_else(String::new, |range| format!(" --ctorigdstport {}", range.to_string().replace('-', ":")));
    format!("-m conntrack{to}{range} --ctdir ORIGINAL")
}

fn product<T>(heads: Vec<Head>, all: &[T], set: impl Fn(&mut Head, &T)) -> Vec<Head> {
    if all.is_empty() {
        return heads;
    }
    let with = |head: &Head, one: &T| {
        let mut head = head.clone();
        set(&mut head, one);
        head
    };
    heads.iter().flat_map(|head| all.iter().map(|one| with(head, one)).collect::<Vec<_>>()).collect()
}

/// The prefixes that make up a block, in order.
pub(super) fn prefixes(block: &Block) -> impl Iterator<Item = Address> + use<> {
    let (block, width) = (*block, if block.family == Family::Ip { 32 } else { 128 });
    let mut next = Some(block.first);
    std::iter::from_fn(move || {
        let first = next?;
        // The longest that begins here and does not go beyond the end.
        let from_here = |bits| Block::around(block.family, first, bits);
        let longest = (0..=first.trailing_zeros().min(width)).rev().map(from_here).find(|prefix| prefix.last <= block.last);
        let prefix = longest.unwrap_or_else(|| from_here(0));
        next = prefix.last.checked_add(1).filter(|_| prefix.last < block.last);
        prefix.prefix()
    })
}

/// What a rule does, as words: `-j LOG …` first where it logs.
pub(super) fn ends(rule: &PolicyRule) -> Vec<String> {
    let log = rule.log.iter().map(|prefix| format!("-j LOG --log-prefix {}", quote(prefix)));
    let verdict = match &rule.action {
        Action::Decide(verdict) => Some(word(*verdict).to_owned()),
        Action::Accept => Some("-j ACCEPT".to_owned()),
        Action::Log | Action::Raw(_) => None,
    };
    log.chain(verdict).collect()
}

pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        // Docker decides.
        Verdict::Allow => "-j RETURN",
        Verdict::Drop => "-j DROP",
        Verdict::Reject => "-j REJECT",
    }
}

/// A rule from words that we have put together.
pub(super) fn parse(text: &str, family: Family) -> Rule {
    let mut words = Vec::new();
    let parsed = split(text, &mut words).and_then(|()| Parser::parse(&words, family));
    let mut rules = parsed.unwrap_or_else(|error| panic!("`{text}`: {error}")).rules;
    rules.swap_remove(0)
}

/// The same rule with these matches in front.
pub(super) fn also(words: &str, family: Family, mut rule: Rule) -> Rule {
    rule.matches.splice(0..0, parse(words, family).matches);
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_made_up_of_prefixes() {
        for (range, expected) in [
            ("10.0.0.1-10.0.0.6", &["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"][..]),
            ("10.0.0.0/8", &["10.0.0.0/8"]),
            ("0.0.0.0/0", &["0.0.0.0/0"]),
            ("255.255.255.254-255.255.255.255", &["255.255.255.254/31"]),
            ("::/0", &["::/0"]),
            ("::1-::2", &["::1/128", "::2/128"]),
        ] {
            let all: Vec<String> = prefixes(&Block::parse(range).unwrap()).map(|prefix| prefix.to_string()).collect();
            assert_eq!(all, expected, "{range}");
        }
    }
}
