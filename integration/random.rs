//! Random lines made from the tables of options: with values that examples give those options, and
//! with others. What is taken keeps the laws of `never_crashes`, and survives the kernel.

use std::collections::BTreeMap;

use dockgate::{
    apply::{ApplyError, Options, transact},
    model::{ChainName, Counters, Dialect, Family},
    netlink::Netlink,
    plan,
    rule::{Parser, Rule},
    ruleset::{Ruleset, Which},
    syntax::{OptionSpec, quote, split},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree as _,
    test_runner::TestRunner,
};

use crate::{extensions::examples, never_crashes, support::in_netns};

/// Values that many options could take, and many could not.
const VALUES: &[&str] = &[
    "0",
    "1",
    "7",
    "32",
    "64",
    "255",
    "256",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "0x1f",
    "010",
    "0x1/0xff",
    "1:2",
    ":5",
    "5:",
    "2:1",
    "1,2",
    "1/2",
    "1-2",
    "10.0.0.1",
    "10.0.0.0/8",
    "10.0.0.1-10.0.0.9",
    "2001:db8::1",
    "2001:db8::/32",
    "eth0",
    "eth+",
    "+",
    "NEW",
    "ALL",
    "NONE",
    "tcp",
    "a b",
    "it's",
    "\"",
    "\\",
    "☃",
    "",
    "-",
    "--",
    "!",
    "any",
    "5/s",
    "10kb/s",
    "50%",
    "0.5",
    "1d",
];

/// What may stand in a line.
#[derive(Debug)]
struct Part {
    /// `-m NAME` or `-j NAME`, behind the protocol of one of its examples.
    call: String,
    protocol: Option<String>,
    options: &'static [OptionSpec],
    /// What examples have behind an option.
    values: BTreeMap<&'static str, Vec<Vec<String>>>,
}

fn parts(letter: char) -> Vec<Part> {
    fn part(letter: char, name: &str, options: &'static [OptionSpec]) -> Part {
        let mut part = Part { call: format!("-{letter} {name}"), protocol: None, options, values: BTreeMap::new() };
        for (_, example, _) in examples().into_iter().filter(|(of, ..)| *of == name) {
            let mut words = Vec::new();
            if split(example.input, &mut words).is_err() {
                continue;
            }
            let words: Vec<&str> = words.iter().map(|word| word.text.as_ref()).collect();
            for (at, word) in words.iter().enumerate() {
                if *word == "-p" && part.protocol.is_none() && at + 1 < words.len() {
                    part.protocol = Some(words[at + 1].to_owned());
                }
                let called = |option: &&OptionSpec| word.strip_prefix("--").is_some_and(|word| option.is_called(word));
                if let Some(option) = options.iter().find(called) {
                    let values = words[at + 1..].iter().take(option.values.len()).map(|word| (*word).to_owned());
                    part.values.entry(option.name).or_default().push(values.collect());
                }
            }
        }
        part
    }
    match letter {
        'm' => dockgate::matches::ALL.iter().map(|one| part('m', one.name, one.options)).collect(),
        _ => dockgate::targets::ALL.iter().map(|one| part('j', one.name, one.options)).collect(),
    }
}

/// An option with its words, by chance.
#[derive(Debug, Clone)]
struct Choice {
    option: Index,
    bang: bool,
    value: Index,
    /// Instead of an example's value.
    other: Option<&'static str>,
}

fn any_choices() -> impl Strategy<Value = Vec<Choice>> {
    let other = prop_oneof![3 => Just(None), 1 => select(VALUES).prop_map(Some)];
    let choice = (any::<Index>(), prop::bool::weighted(0.2), any::<Index>(), other);
    vec(choice.prop_map(|(option, bang, value, other)| Choice { option, bang, value, other }), 0..5)
}

/// `-m NAME --OPTION VALUE …`
fn write(part: &Part, choices: &[Choice]) -> String {
    let mut line = part.call.clone();
    let mut given = Vec::new();
    for choice in choices.iter().filter(|_| !part.options.is_empty()) {
        let option = choice.option.get(part.options);
        // Most options come once; some of the time it is tried all the same.
        if given.contains(&option.name) && choice.other.is_none() {
            continue;
        }
        given.push(option.name);
        let known = part.values.get(option.name).map(|all| choice.value.get(all).clone()).unwrap_or_default();
        let values = match choice.other {
            Some(other) => vec![other.to_owned(); option.values.len()],
            None => known,
        };
        line += if choice.bang && option.negates { " ! --" } else { " --" };
        line += option.name;
        values.iter().for_each(|value| line += &format!(" {}", quote(value)));
    }
    line
}

fn any_line() -> impl Strategy<Value = String> {
    let matches = parts('m');
    let targets = parts('j');
    let chosen = vec((any::<Index>(), any_choices()), 1..3);
    let target = (any::<Index>(), any_choices(), prop::bool::weighted(0.3));
    (chosen, target).prop_map(move |(chosen, (target, choices, plain))| {
        let chosen: Vec<(&Part, Vec<Choice>)> = chosen.into_iter().map(|(index, choices)| (index.get(&matches), choices)).collect();
        let target_part = (!plain).then(|| target.get(&targets));
        let all = || chosen.iter().map(|(part, _)| *part).chain(target_part);
        let protocol = all().find_map(|part| part.protocol.as_ref());
        let mut line = protocol.map(|name| format!("-p {name} ")).unwrap_or_default();
        chosen.iter().for_each(|(part, choices)| line += &format!("{} ", write(part, choices)));
        line + &target_part.map_or("-j DROP".to_owned(), |part| write(part, &choices))
    })
}

fn parse(line: &str, family: Family) -> Vec<Rule> {
    let mut words = Vec::new();
    let parsed = split(line, &mut words).and_then(|()| Parser::parse(&words, family));
    parsed.map(|parsed| parsed.rules).unwrap_or_default()
}

/// So many lines, always the same.
fn sample(count: usize) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let lines = any_line();
    std::iter::repeat_with(|| lines.new_tree(&mut runner).unwrap().current()).take(count).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_is_printed_written_and_read_as_the_same(line in any_line()) {
        never_crashes::rule(line.as_bytes());
    }
}

#[test]
fn every_match_and_target_is_taken_in_some_line() {
    let lines = sample(6000);
    let taken: Vec<Rule> = Family::BOTH.into_iter().flat_map(|family| lines.iter().flat_map(move |line| parse(line, family))).collect();
    assert!(taken.len() > 1000, "{}", taken.len());
    let mut never = Vec::new();
    for part in parts('m').iter().chain(&parts('j')) {
        let has = |rule: &Rule| {
            let target = rule.target.iter().map(|target| format!("-j {}", target.name()));
            rule.matches.iter().map(|one| format!("-m {}", one.name())).chain(target).any(|call| call == part.call)
        };
        if !taken.iter().any(has) {
            never.push(part.call.clone());
        }
    }
    // What needs three options that go together is left to the examples.
    let few = ["-m policy", "-m rateest", "-m statistic", "-j HMARK"];
    never.retain(|call| !few.contains(&call.as_str()));
    assert_eq!(never, [""; 0]);
}

#[test]
fn random_rules_survive_the_kernel() {
    const NAME: &str = "random::random_rules_survive_the_kernel";
    in_netns(NAME, || {
        let chain = ChainName::for_iptables("mine").unwrap();
        let mut netlink = Netlink::open().unwrap();
        for family in Family::BOTH {
            for dialect in Dialect::ALL {
                let make = |netlink: &mut Netlink| Ok(plan::new_chain(&Ruleset::read(netlink, family, Which::None)?, &chain)?);
                transact(&mut netlink, Options::default(), make).unwrap();
                let (mut written, mut refused) = (Vec::new(), 0);
                for rule in sample(1500).iter().flat_map(|line| parse(line, family)) {
                    let add = |netlink: &mut Netlink| {
                        let ruleset = Ruleset::read(netlink, family, Which::None)?;
                        Ok(plan::append(&ruleset, &chain, vec![rule.clone()], Counters::default())?)
                    };
                    match transact(&mut netlink, Options { dialect: Some(dialect), dry_run: false }, add) {
                        Ok(_) => written.push(rule),
                        // There are no ipsets here, and not every kernel has every match.
                        Err(ApplyError::Refused { .. } | ApplyError::Linearize { .. }) => refused += 1,
                        Err(error) => panic!("{rule}: {error}"),
                    }
                }
                let ruleset = Ruleset::read(&mut netlink, family, Which::Of(&chain)).unwrap();
                let entries = ruleset.chain("mine").unwrap().rules();
                assert_eq!(entries.len(), written.len());
                for (entry, rule) in entries.iter().zip(&written) {
                    assert_eq!(entry.rule(), Some(rule), "{family} {dialect:?} {rule}");
                }
                println!("{family} {dialect:?}: {} rules, {refused} refused", written.len());
                assert!(written.len() > 40, "{}", written.len());
                let flush = |netlink: &mut Netlink| Ok(plan::flush(&Ruleset::read(netlink, family, Which::Of(&chain))?, &chain)?.0);
                transact(&mut netlink, Options::default(), flush).unwrap();
                let remove = |netlink: &mut Netlink| Ok(plan::delete_chain(&Ruleset::read(netlink, family, Which::None)?, &chain)?);
                transact(&mut netlink, Options::default(), remove).unwrap();
            }
        }
    });
}
