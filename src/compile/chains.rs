use super::{
    Origin, cost,
    marked::doubled,
    names::{self, Names},
    ports::{Behind, Place},
    rules::{Head, ends, parse, word},
    tree::Tree,
};
use crate::{
    marks::{Marks, id_bits},
    matches::{Comment, Match},
    model::{ChainName, Counters, Family, Interface, Test},
    policy::{Action, Addresses, Policy, PolicyRule, PortRange, Ports, Strategy, Verdict},
    rule::Rule,
    save::{SavedChain, SavedRule},
    targets::Target,
};

/// Builds the chains of one family.
#[derive(Debug)]
pub(super) struct Builder<'p> {
    policy: &'p Policy,
    pub(super) family: Family,
    strategy: Strategy,
    pub(super) names: Names,
    chains: Vec<SavedChain>,
    origins: &'p mut Vec<Origin>,
}

/// So many chains can follow each other, ours the first: the kernel follows 16, a goto as a jump
/// (`net/netfilter/nf_tables_api.c`, `nft_chain_validate`); before ours come `FORWARD` and
/// `DOCKER-USER`, and on trial one more.
pub(super) const LEVELS: usize = 13;

/// Up to so many rules stand in a row; more of them are found by the sender's address.
pub(super) const MANY: usize = 48;

/// A rule of the policy in one of the two lists.
#[derive(Debug, Clone)]
pub(super) struct Item<'p> {
    pub(super) index: usize,
    pub(super) rule: &'p PolicyRule,
    /// The interfaces that it must test still.
    pub(super) inward: Vec<Interface>,
    /// The ports that it must test still.
    pub(super) ports: &'p [Ports],
    /// The same, of packets whose protocol is known.
    pub(super) range: Option<PortRange>,
    /// The senders that it must test still.
    pub(super) from: Option<&'p Addresses>,
}

/// What becomes of a packet at the end of a list.
pub(super) type End = (Origin, Rule);

/// It goes on in that chain.
pub(super) fn goto(to: ChainName) -> End {
    way(Target::Goto(to))
}

/// What is said, else back to Docker.
pub(super) fn or_back(end: Option<&End>) -> End {
    end.cloned().unwrap_or_else(|| way(Target::Return))
}

fn way(target: Target) -> End {
    (Origin::Way, Rule { target: Some(target), ..Rule::default() })
}

impl Item<'_> {
    /// The same for packets that are known to be for its ports, or for one of its protocols: then it tests `range`.
    pub(super) fn for_port(&self, range: Option<PortRange>) -> Self {
        Self { ports: &[], range, ..self.clone() }
    }

    /// The same for packets that are known to be of its senders.
    pub(super) fn for_sender(&self) -> Self {
        Self { from: None, ..self.clone() }
    }

    /// How many rules it is in a row.
    pub(super) fn rows(&self, family: Family) -> usize {
        let sources = self.from.map_or(1, |from| from.of(family).len());
        Head::all(self.rule, family, &self.inward, self.ports).len() * sources * ends(self.rule).len().max(1)
    }

    /// Does it decide what becomes of every packet that it is asked for?
    pub(super) fn decides(&self) -> bool {
        let ways = !self.inward.is_empty() || !self.rule.outward.is_empty();
        let ports = !self.ports.is_empty() || self.range.is_some();
        !(ways || ports || self.rule.to.is_some() || self.from.is_some()) && matches!(self.rule.action, Action::Decide(_) | Action::Accept)
    }
}

impl<'p> Builder<'p> {
    pub(super) fn new(policy: &'p Policy, family: Family, strategy: Strategy, origins: &'p mut Vec<Origin>) -> Self {
        Self { policy, family, strategy, names: Names::default(), chains: Vec::new(), origins }
    }

    pub(super) fn build(mut self) -> (Vec<SavedChain>, Option<Marks>) {
        let policy = self.policy;
        let root = self.chain(names::root());
        // A packet goes through one of the two lists, each with the rules for it, in order.
        let (outer, inner) = (self.items(true), self.items(false));
        let comment = format!("default: {}", policy.default.word());
        let end = default(policy.default).map(|end| (Origin::Default, Head::default().rule(self.family, None, &comment, end)));
        let has_outside = !policy.external.is_empty() && (end.is_some() || !outer.is_empty());
        if has_outside || !inner.is_empty() {
            self.replies(root);
        }
        let mut marks = None;
        if has_outside {
            let outside = self.chain(names::outside());
            // Where others have no rules, they leave as those do who are allowed.
            let early = inner.is_empty().then_some(root);
            marks = self.marked(outside, &outer, end.as_ref(), early);
            if marks.is_none() {
                self.list(outside, 'o', &outer, end.as_ref());
            }
            self.ways(root, outside, marks.is_some());
        }
        self.list(root, 'i', &inner, None);
        (self.chains, marks)
    }

    /// What comes in from outside goes on in its chain; where marks have left one rule there at most, that
    /// stands in its place: every rule and every goto is paid by packets.
    fn ways(&mut self, root: usize, outside: usize, short: bool) {
        let policy = self.policy;
        if !short || self.chains[outside].rules.len() > 1 {
            for name in &policy.external {
                self.words(root, Origin::Way, &format!("-i {name} -g {}", names::outside()));
            }
            return;
        }
        let rules = self.chains.remove(outside).rules;
        for (name, saved) in policy.external.iter().flat_map(|name| rules.iter().map(move |saved| (name, saved))) {
            let mut rule = saved.rule.clone();
            rule.base.in_interface = Some(Test::is(*name));
            self.push(root, self.origins[saved.line], rule);
        }
    }

    /// The list of rules by marks, if that is wanted or costs packets less.
    fn marked(&mut self, chain: usize, items: &[Item<'p>], end: Option<&End>, early: Option<usize>) -> Option<Marks> {
        let Policy { established, mark, .. } = *self.policy;
        if self.strategy == Strategy::Tree || items.iter().any(|item| self.changes(item, mark)) {
            return None;
        }
        let doubled = doubled(items);
        let found = Tree::new(self, 'o', &doubled, end).find(id_bits(mark), established)?;
        if self.strategy == Strategy::Auto && !cost::is_worth_it(&found, items, self.family, end.is_some()) {
            return None;
        }
        Some(Tree::new(self, 'o', &doubled, end).rows_by_mark(chain, early, found))
    }

    /// Is it a line of iptables that may change these bits of a packet's mark, which rules behind it would test?
    fn changes(&self, item: &Item<'_>, bits: u32) -> bool {
        let Action::Raw(rules) = &item.rule.action else { return false };
        let own = rules.iter().filter(|(family, _)| *family == self.family);
        own.filter_map(|(_, rule)| rule.target.as_ref()).any(|target| target.marks() & bits != 0)
    }

    /// The rules for packets from outside, or for all others.
    fn items(&self, outside: bool) -> Vec<Item<'p>> {
        let all = self.policy.rules.iter().enumerate().filter(|(_, rule)| rule.is_for(self.family));
        let item = |(index, rule): (usize, &'p PolicyRule)| {
            let inward = meant(rule, &self.policy.external, outside)?;
            let from = rule.from.as_ref().map(|from| &from.addresses);
            Some(Item { index, rule, inward, ports: &rule.ports, range: None, from })
        };
        all.filter_map(item).collect()
    }

    /// Rules in order, and what becomes of a packet that none of them decides.
    fn list(&mut self, chain: usize, mark: char, items: &[Item<'p>], end: Option<&End>) {
        let rows: usize = items.iter().map(|item| item.rows(self.family)).sum();
        let left = if mark == 'o' { LEVELS - 1 } else { LEVELS };
        if rows > MANY && items.iter().any(|item| item.from.is_some()) {
            let items: Vec<Item<'_>> = items.iter().map(Item::for_sender).collect();
            return Tree::new(self, mark, &items, end).build(chain, left);
        }
        let items: Vec<&Item<'_>> = items.iter().collect();
        self.fill(&items, Place { chain, left, head: &mark.to_string() }, Behind::End(end, 0));
    }

    pub(super) fn end(&mut self, chain: usize, end: Option<&End>) {
        if let Some((origin, rule)) = end {
            self.push(chain, *origin, rule.clone());
        }
    }

    /// What belongs to known connections: back to Docker, which lets it pass; through a host that
    /// routes it is ours to accept.
    fn replies(&mut self, root: usize) {
        if !self.policy.established {
            return;
        }
        let known = "-m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment replies";
        let mut ways: Vec<Way> = Vec::new();
        for (inward, outward) in self.policy.rules.iter().flat_map(|rule| accepted(rule, self.family, &self.policy.external)) {
            for way in [(inward, outward), (outward, inward)] {
                if !ways.contains(&way) {
                    ways.push(way);
                }
            }
        }
        for (inward, outward) in &ways {
            let inward = inward.map_or_else(String::new, |name| format!("-i {name} "));
            let outward = outward.map_or_else(String::new, |name| format!("-o {name} "));
            self.words(root, Origin::Replies, &format!("{inward}{outward}{known} -j ACCEPT"));
        }
        if !ways.contains(&(None, None)) {
            self.words(root, Origin::Replies, &format!("{known} -j RETURN"));
        }
    }

    /// The rule for all packets that this item is asked for, if it is one alone.
    pub(super) fn verdict(&self, item: &Item<'_>) -> Option<End> {
        let ends = ends(item.rule);
        let [end] = ends.as_slice() else { return None };
        let rule = || Head::default().rule(self.family, None, &item.rule.title(), end);
        item.decides().then(|| (Origin::Rule(item.index), rule()))
    }

    /// Adds a rule in all its combinations.
    pub(super) fn rows(&mut self, chain: usize, item: &Item<'_>) {
        let (family, origin, title) = (self.family, Origin::Rule(item.index), item.rule.title());
        if let Action::Raw(rules) = &item.rule.action {
            for (_, rule) in rules.iter().filter(|(of, _)| *of == family) {
                self.push(chain, origin, commented(rule, &title));
            }
            return;
        }
        let sources: Vec<_> = item.from.map_or_else(|| vec![None], |from| from.of(family).iter().map(Some).collect());
        for mut head in Head::all(item.rule, family, &item.inward, item.ports) {
            head.range = head.range.or(item.range);
            for from in &sources {
                for end in ends(item.rule) {
                    let rule = head.rule(family, *from, &title, &end);
                    self.push(chain, origin, rule);
                }
            }
        }
    }

    pub(super) fn chain(&mut self, name: ChainName) -> usize {
        self.chains.push(SavedChain { name, declared: true, rules: Vec::new() });
        self.chains.len() - 1
    }

    /// Makes room for so many more rules.
    pub(super) fn expect(&mut self, chain: usize, rules: usize) {
        self.chains[chain].rules.reserve_exact(rules);
    }

    pub(super) fn words(&mut self, chain: usize, origin: Origin, words: &str) {
        let rule = parse(words, self.family);
        self.push(chain, origin, rule);
    }

    pub(super) fn push(&mut self, chain: usize, origin: Origin, rule: Rule) {
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

/// Where packets come in and go out; `None` for anywhere.
type Way = (Option<Interface>, Option<Interface>);

/// By which interfaces the rule lets connections come and go for good. Their later packets must not
/// be handed to Docker either: it would drop what it doesn't know.
fn accepted(rule: &PolicyRule, family: Family, external: &[Interface]) -> Vec<Way> {
    let named = |test: Option<Test<Interface>>| test.filter(|test| !test.negated).map(|test| test.value);
    match &rule.action {
        Action::Accept if rule.is_for(family) => {
            let inward = options(if rule.inward.is_empty() { external } else { &rule.inward });
            let outward = options(&rule.outward);
            inward.iter().flat_map(|&inward| outward.iter().map(move |&outward| (inward, outward))).collect()
        }
        Action::Raw(rules) => {
            let accepts = rules.iter().filter(|(of, rule)| *of == family && rule.target == Some(Target::Accept));
            accepts.map(|(_, rule)| (named(rule.base.in_interface), named(rule.base.out_interface))).collect()
        }
        _ => Vec::new(),
    }
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
    if rule.comment().is_none() && !title.starts_with("iptables ") {
        rule.matches.extend(Comment::new(title).map(Match::Comment));
    }
    rule
}
