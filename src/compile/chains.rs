use super::{
    Origin,
    names::{self, Names},
    rules::{Head, ends, parse, word},
};
use crate::{
    matches::{Comment, Match},
    model::{ChainName, Counters, Family, Interface, Test},
    policy::{Action, Policy, PolicyRule, Verdict},
    rule::Rule,
    save::{SavedChain, SavedRule},
};

/// Builds the chains of one family.
#[derive(Debug)]
pub(super) struct Builder<'p> {
    policy: &'p Policy,
    family: Family,
    names: Names,
    chains: Vec<SavedChain>,
    origins: &'p mut Vec<Origin>,
    /// How many rules have been said by [`Way::Goto`].
    gotos: usize,
}

/// How a rule with several tests and several sources is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Every combination, in a row.
    Flat,
    /// The tests jump to a chain of the sources. What matches none of them comes back.
    Jump,
    /// As [`Way::Jump`], but by goto: a RETURN there, which is what `allow` is, leaves our chains.
    /// What matches none goes on in a chain with all that comes behind the rule.
    Goto,
}

/// Up to so many combinations stand in a row.
const FEW: usize = 6;
/// Up to so many where the other way is [`Way::Goto`].
const MANY: usize = 64;
/// So many times at most: each takes two of the 16 levels that the kernel follows jumps for, and
/// doubles the ways it looks at (`nft_chain_validate`).
const GOTOS: usize = 3;

impl<'p> Builder<'p> {
    pub(super) fn new(policy: &'p Policy, family: Family, origins: &'p mut Vec<Origin>) -> Self {
        Self { policy, family, names: Names::default(), chains: Vec::new(), origins, gotos: 0 }
    }

    pub(super) fn build(mut self) -> Vec<SavedChain> {
        let policy = self.policy;
        let root = self.chain(names::root());
        self.replies(root);
        let outside = (!policy.external.is_empty()).then(|| self.chain(names::outside()));
        if outside.is_some() {
            for name in &policy.external {
                self.words(root, Origin::Way, &format!("-i {name} -g {}", names::outside()));
            }
        }
        // A packet goes through one of the two lists, each with the rules for it, in order.
        let mut lists = [outside, Some(root)];
        for (index, rule) in policy.rules.iter().enumerate() {
            for (list, external) in lists.iter_mut().zip([true, false]) {
                let Some(chain) = list else { continue };
                if let Some(inward) = meant(rule, &policy.external, external) {
                    *chain = self.rule(*chain, index, rule, &inward);
                }
            }
        }
        if let (Some(chain), Some(end)) = (lists[0], default(policy.default)) {
            let comment = format!("default: {}", policy.default.word());
            let rule = Head::default().rule(self.family, None, &comment, end);
            self.push(chain, Origin::Default, rule);
        }
        self.chains
    }

    /// What belongs to known connections: back to Docker, which lets it pass; through a host that
    /// routes it is ours to accept.
    fn replies(&mut self, root: usize) {
        if !self.policy.established {
            return;
        }
        let known = "-m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment replies";
        let mut routed: Vec<(Option<Interface>, Option<Interface>)> = Vec::new();
        for rule in self.policy.rules.iter().filter(|rule| rule.action == Action::Accept) {
            for inward in options(&rule.inward) {
                for outward in options(&rule.outward) {
                    for way in [(inward, outward), (outward, inward)] {
                        if way != (None, None) && !routed.contains(&way) {
                            routed.push(way);
                        }
                    }
                }
            }
        }
        for (inward, outward) in routed {
            let inward = inward.map_or_else(String::new, |name| format!("-i {name} "));
            let outward = outward.map_or_else(String::new, |name| format!("-o {name} "));
            self.words(root, Origin::Replies, &format!("{inward}{outward}{known} -j ACCEPT"));
        }
        self.words(root, Origin::Replies, &format!("{known} -j RETURN"));
    }

    /// Adds the rule to a chain; which chain the next one goes to.
    fn rule(&mut self, chain: usize, index: usize, rule: &PolicyRule, inward: &[Interface]) -> usize {
        let (family, origin, title) = (self.family, Origin::Rule(index), rule.title());
        if let Action::Raw(rules) = &rule.action {
            for (_, rule) in rules.iter().filter(|(of, _)| *of == family) {
                self.push(chain, origin, commented(rule, &title));
            }
            return chain;
        }
        let from = rule.from.as_ref().map(|from| from.addresses.of(family));
        let to = rule.to.as_ref().map(|to| to.addresses.of(family));
        if from.is_some_and(<[_]>::is_empty) || to.is_some_and(<[_]>::is_empty) {
            return chain;
        }
        let sources: Vec<_> = from.map_or_else(|| vec![None], |blocks| blocks.iter().map(Some).collect());
        let (heads, ends) = (Head::all(rule, family, inward), ends(rule));
        let way = self.way(rule, heads.len(), sources.len());
        if way == Way::Flat {
            for head in &heads {
                self.sources(chain, origin, head, &sources, &title, &ends);
            }
            return chain;
        }
        let (own, past) = self.names.of(rule);
        let to = if way == Way::Jump { "-j" } else { "-g" };
        for head in &heads {
            let rule = head.rule(family, None, &title, &format!("{to} {own}"));
            self.push(chain, origin, rule);
        }
        let own = self.chain(own);
        self.sources(own, origin, &Head::default(), &sources, &title, &ends);
        if way == Way::Jump {
            return chain;
        }
        for from in [chain, own] {
            self.words(from, Origin::Way, &format!("-g {past}"));
        }
        self.chain(past)
    }

    /// How to say so many tests with so many sources each.
    fn way(&mut self, rule: &PolicyRule, heads: usize, sources: usize) -> Way {
        let product = heads * sources;
        if heads == 1 || sources == 1 || product <= FEW {
            return Way::Flat;
        }
        if rule.action != Action::Decide(Verdict::Allow) {
            return Way::Jump;
        }
        if product <= MANY || self.gotos == GOTOS {
            return Way::Flat;
        }
        self.gotos += 1;
        Way::Goto
    }

    fn sources(
        &mut self,
        chain: usize,
        origin: Origin,
        head: &Head,
        sources: &[Option<&crate::policy::Block>],
        title: &str,
        ends: &[String],
    ) {
        for from in sources {
            for end in ends {
                let rule = head.rule(self.family, *from, title, end);
                self.push(chain, origin, rule);
            }
        }
    }

    fn chain(&mut self, name: ChainName) -> usize {
        self.chains.push(SavedChain { name, declared: true, rules: Vec::new() });
        self.chains.len() - 1
    }

    fn words(&mut self, chain: usize, origin: Origin, words: &str) {
        let rule = parse(words, self.family);
        self.push(chain, origin, rule);
    }

    fn push(&mut self, chain: usize, origin: Origin, rule: Rule) {
        let line = self.origins.len();
        self.origins.push(origin);
        self.chains[chain].rules.push(SavedRule { rule, counters: Counters::default(), line });
    }
}

/// The interfaces to be tested for packets from outside, or for all others; `None` if the rule can
/// match none of them.
fn meant(rule: &PolicyRule, external: &[Interface], outside: bool) -> Option<Vec<Interface>> {
    if let Action::Raw(rules) = &rule.action {
        let possible = match rules.first().and_then(|(_, rule)| rule.base.in_interface) {
            None | Some(Test { negated: true, .. }) => true,
            Some(test) if outside => external.iter().any(|one| one.overlaps(&test.value)),
            Some(test) => !external.iter().any(|one| one.covers(&test.value)),
        };
        return possible.then(Vec::new);
    }
    if rule.inward.is_empty() {
        return outside.then(Vec::new);
    }
    let possible = |name: &&Interface| match outside {
        true => external.iter().any(|one| one.overlaps(name)),
        false => !external.iter().any(|one| one.covers(name)),
    };
    let names: Vec<Interface> = rule.inward.iter().filter(possible).copied().collect();
    (!names.is_empty()).then_some(names)
}

fn options(names: &[Interface]) -> Vec<Option<Interface>> {
    if names.is_empty() { vec![None] } else { names.iter().copied().map(Some).collect() }
}

fn default(verdict: Verdict) -> Option<&'static str> {
    (verdict != Verdict::Allow).then(|| word(verdict))
}

/// The line as it was written, with its name where it has none.
fn commented(rule: &Rule, title: &str) -> Rule {
    let mut rule = rule.clone();
    let named = rule.matches.iter().any(|one| matches!(one, Match::Comment(_)));
    if !named && !title.starts_with("iptables ") {
        rule.matches.extend(Comment::new(title).map(Match::Comment));
    }
    rule
}
