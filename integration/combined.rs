//! Random rules made of the parts of all examples: what is printed is read again as the same, and so
//! is what is written.

use std::sync::LazyLock;

use dockgate::{
    attr::Writer,
    extension::{Context, Sets},
    matches::{self, Match},
    model::{Counters, Dialect, Family},
    rule::{Parser, Reader, Reading, Rule},
    syntax::split,
};
use proptest::{collection::vec, prelude::*, sample::Index, strategy::ValueTree as _, test_runner::TestRunner};

use crate::iptables::rules;

static RULES: LazyLock<[Vec<Rule>; 2]> = LazyLock::new(|| Family::BOTH.map(rules));

/// A rule with the base options of one, matches of some, and the target of another, as far as they
/// go with its protocol.
fn combine(all: &[Rule], base: &Index, matches: &[Index], target: &Index) -> Rule {
    let base = base.get(all).base;
    let fits = |rule: &Rule| rule.base.protocol.is_none_or(|protocol| base.protocol == Some(protocol));
    let mut rule = Rule { base, ..Rule::default() };
    for index in matches {
        let from = index.get(all);
        for one in from.matches.iter().filter(|_| fits(from)) {
            // Of native tests of ports nobody can tell which match they came from: two are read as one
            // where that can be.
            let merges = |before: &Match| before.clone().merge(one);
            if !rule.matches.iter().any(merges) && !confuses(&rule.matches, one) {
                rule.matches.push(one.clone());
            }
        }
    }
    let from = target.get(all);
    rule.target = from.target.clone().filter(|_| fits(from));
    rule
}

/// Would this be a match that comes again behind another with the same option? Neither iptables nor
/// we take such words.
fn confuses(before: &[Match], one: &Match) -> bool {
    let options = |name| matches::ALL.iter().filter(move |listed| listed.name == name).flat_map(|listed| listed.options);
    let shares = |other: &Match| options(one.name()).any(|own| options(other.name()).any(|option| option.is_called(own.name)));
    let first = before.iter().position(|other| other.name() == one.name());
    first.is_some_and(|first| before[first..].iter().any(|other| other.name() != one.name() && shares(other)))
}

fn any_rule() -> impl Strategy<Value = (Family, Rule)> {
    (any::<bool>(), any::<Index>(), vec(any::<Index>(), 0..6), any::<Index>()).prop_map(|(ip6, base, matches, target)| {
        let all = &RULES[usize::from(ip6)];
        (Family::BOTH[usize::from(ip6)], combine(all, &base, &matches, &target))
    })
}

/// So many of them, always the same.
pub fn sample(family: Family, count: usize) -> Vec<Rule> {
    let mut runner = TestRunner::deterministic();
    let all = any_rule();
    let rules = std::iter::repeat_with(|| all.new_tree(&mut runner).unwrap().current());
    rules.filter(|(of, _)| *of == family).map(|(_, rule)| rule).take(count).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_as_the_same((family, rule) in any_rule()) {
        let text = rule.to_string();
        let mut words = Vec::new();
        split(&text, &mut words).unwrap();
        let parsed = Parser::parse(&words, family);
        prop_assert_eq!(parsed.map(|parsed| parsed.rules), Ok(vec![rule]), "{} {}", family, text);
    }

    #[test]
    fn what_is_written_is_read_as_the_same((family, rule) in any_rule(), packets: u64, bytes: u64) {
        let sets = Sets::new([(0, "office".into()), (1, "services".into())]);
        let counters = Counters { packets, bytes };
        for dialect in Dialect::ALL {
            let context = Context { family, dialect, sets: &sets };
            let mut list = Vec::new();
            rule.linearize(context, counters, &mut Writer::new(&mut list)).unwrap();
            let read = Reader::default().read(&list, None, Context { dialect: Dialect::D, ..context });
            prop_assert_eq!(read, (Reading::Rule(rule.clone()), Some(counters)), "{} {:?}: {}", family, dialect, rule);
        }
    }
}
