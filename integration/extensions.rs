//! Laws over the list of all extensions, from their examples.

use dockgate::{
    attr::Writer,
    expr::{Expr, Item, fold, read_all},
    extension::{Context, Cursor, Listed, Sets},
    matches::{self, Match},
    model::{Counters, Dialect, Family},
    rule::{LinearizeError, Parsed, Parser, Reader, Reading, Rule},
    syntax::{Example, Outcome, SyntaxError, split},
    targets::{self, Target},
};

/// The sets that examples may name.
fn sets() -> Sets {
    Sets::new([(0, "office".into()), (1, "services".into())])
}

fn parse(line: &str, family: Family) -> Result<Parsed, SyntaxError> {
    let mut words = Vec::new();
    split(line, &mut words)?;
    Parser::parse(&words, family)
}

/// All examples with the extension they come from, once for each family they hold for.
pub fn examples() -> Vec<(&'static str, &'static Example, Family)> {
    fn of<T>(list: &'static [Listed<T>]) -> impl Iterator<Item = (&'static str, &'static [Example], &'static [Family])> {
        list.iter().map(|one| (one.name, one.examples, one.families))
    }
    of(matches::ALL)
        .chain(of(targets::ALL))
        .flat_map(|(name, examples, families)| {
            examples.iter().flat_map(move |example| {
                let both = move |family: &&Family| families.contains(family);
                example.families.iter().filter(both).map(move |&family| (name, example, family))
            })
        })
        .collect()
}

/// The rules of all examples that are taken.
fn rules() -> Vec<(Family, Rule)> {
    examples()
        .into_iter()
        .filter(|(_, example, _)| matches!(example.outcome, Outcome::Saved(_)))
        .flat_map(|(_, example, family)| parse(example.input, family).unwrap().rules.into_iter().map(move |rule| (family, rule)))
        .collect()
}

#[test]
fn examples_are_taken_and_printed_or_refused_as_they_say() {
    let mut wrong = Vec::new();
    for (name, example, family) in examples() {
        let got = parse(example.input, family);
        let line = match (&got, example.outcome) {
            (Ok(parsed), Outcome::Saved(saved)) => {
                let printed: Vec<_> = parsed.rules.iter().map(ToString::to_string).collect();
                (printed.join("\n") != saved).then(|| format!("is printed as {}", printed.join("\n")))
            }
            (Err(error), Outcome::Refused(message)) => (error.message != message).then(|| format!("is refused with: {error}")),
            (Ok(parsed), Outcome::Refused(_)) => Some(format!("is taken: {}", parsed.rules[0])),
            (Err(error), Outcome::Saved(_)) => Some(format!("is refused: {error}")),
        };
        wrong.extend(line.map(|line| format!("{name} ({family}): {}\n  {line}", example.input)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_list_is_complete_and_every_extension_has_its_examples() {
    fn check<T>(list: &'static [Listed<T>]) {
        for (index, one) in list.iter().enumerate() {
            let clash = list[..index].iter().any(|other| other.name == one.name && other.families.iter().any(|f| one.families.contains(f)));
            assert!(!clash, "{} is there twice", one.name);
            let has = |test: &dyn Fn(&Example) -> bool| one.examples.iter().any(test);
            assert!(has(&|example| matches!(example.outcome, Outcome::Saved(_))), "{} shows nothing that works", one.name);
            assert!(has(&|example| matches!(example.outcome, Outcome::Refused(_))), "{} shows nothing that fails", one.name);
            if one.options.iter().any(|option| option.negates) {
                assert!(has(&|example| example.input.contains("! --")), "{} shows no negation", one.name);
            }
            assert!(!one.summary.is_empty() && !one.summary.ends_with('.'), "{}", one.name);
            for option in one.options {
                let called = |word: &str| word.strip_prefix("--").is_some_and(|word| option.is_called(word));
                let shown = has(&|example| example.input.split_whitespace().any(called));
                assert!(shown, "{} has no example of --{}", one.name, option.name);
            }
        }
    }
    check(matches::ALL);
    check(targets::ALL);
}

#[test]
fn what_is_printed_is_read_as_the_same_rule() {
    for (family, rule) in rules() {
        let again = parse(&rule.to_string(), family).unwrap();
        assert_eq!(again.rules, [rule]);
    }
}

#[test]
fn every_dialect_is_read_as_the_rule_that_was_written() {
    let sets = sets();
    let mut reader = Reader::default();
    for (family, rule) in rules() {
        for dialect in Dialect::ALL {
            let context = Context { family, dialect, sets: &sets };
            let mut list = Vec::new();
            let counters = Counters { packets: 7, bytes: 700 };
            rule.linearize(context, counters, &mut Writer::new(&mut list)).unwrap();
            assert!(rule.landmarks().may_be_in(&list), "{family} {dialect:?}: {rule}");
            for first in Dialect::ALL {
                let read = reader.read(&list, None, Context { dialect: first, ..context });
                assert_eq!(read, (Reading::Rule(rule.clone()), Some(counters)), "{family} {dialect:?}: {rule}");
            }
        }
    }
}

/// Up to 1.8.7 a prefix of NFLOG has 63 bytes. A longer one is not cut but refused, where it may be that version that
/// has to read it.
#[test]
fn a_prefix_that_a_dialect_has_no_room_for_is_not_written() {
    for (prefix, fits) in
        [("x".repeat(63), true), ("x".repeat(64), false), (format!("{}☃", "x".repeat(61)), false), ("x".repeat(127), false)]
    {
        let rule = parse(&format!("-j NFLOG --nflog-prefix {prefix}"), Family::Ip).unwrap().rules.remove(0);
        for dialect in Dialect::ALL {
            let context = Context { family: Family::Ip, dialect, sets: Sets::NONE };
            let mut list = Vec::new();
            let written = rule.linearize(context, Counters::default(), &mut Writer::new(&mut list));
            if fits || dialect.native() {
                assert_eq!(written, Ok(()), "{dialect:?} {prefix}");
                assert_eq!(Reader::default().read(&list, None, context).0, Reading::Rule(rule.clone()), "{dialect:?}");
            } else {
                assert_eq!(written, Err(LinearizeError::TooLong { option: "nflog-prefix", max: 63 }), "{dialect:?} {prefix}");
            }
        }
    }
}

#[test]
fn no_two_extensions_claim_the_same_expressions() {
    let sets = sets();
    for (family, rule) in rules() {
        for dialect in Dialect::ALL {
            let context = Context { family, dialect, sets: &sets };
            let mut list = Vec::new();
            rule.linearize(context, Counters::default(), &mut Writer::new(&mut list)).unwrap();
            let (mut exprs, mut items) = (Vec::new(), Vec::new());
            read_all(&list, &mut exprs).unwrap();
            assert!(fold(&exprs, &mut items), "{rule}");
            for start in 0..items.len() {
                let mut cursor = Cursor::new(&items[start..], context);
                rule.base.protocol.iter().for_each(|&protocol| cursor.set_protocol(protocol));
                let mut claims = Match::claims(&cursor);
                claims.extend(Target::claims(&cursor));
                let expected = matches!(items[start], Item::Match(_) | Item::Target(_) | Item::Limit(_) | Item::Log(_));
                assert!(claims.len() <= 1 && (claims.len() == 1 || !expected), "{rule}: {} is claimed by {claims:?}", exprs[start]);
            }
        }
    }
}

/// Turns over one bit after the other of what a target has in the kernel.
#[test]
fn strange_bytes_of_a_target_are_foreign_or_a_rule_that_can_be_said() {
    let sets = sets();
    let mut reader = Reader::default();
    let mut wrong = Vec::new();
    let (mut said, mut foreign) = (0, 0);
    for (family, rule) in rules() {
        let context = Context { family, dialect: Dialect::D, sets: &sets };
        let mut list = Vec::new();
        rule.linearize(context, Counters::default(), &mut Writer::as_dumped(&mut list)).unwrap();
        let mut exprs = Vec::new();
        read_all(&list, &mut exprs).unwrap();
        let Some(Expr::Target(xt)) = exprs.last() else { continue };
        let start = xt.info.as_ptr().addr() - list.as_ptr().addr();
        for at in start..start + xt.info.len() {
            for bit in 0..8 {
                list[at] ^= 1 << bit;
                match reader.read(&list, None, context).0 {
                    Reading::Foreign => foreign += 1,
                    Reading::Rule(read) => {
                        said += 1;
                        match parse(&read.to_string(), family) {
                            Ok(parsed) if parsed.rules == [read.clone()] => {}
                            other => wrong.push(format!("{family} {rule}, byte {at}, bit {bit}: {read}\n  {other:?}")),
                        }
                    }
                }
                list[at] ^= 1 << bit;
            }
        }
    }
    println!("{said} rules, {foreign} foreign");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
