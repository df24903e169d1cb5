//! What holds for any input whatever: the bodies of the fuzz targets in `integration/fuzz`, which
//! `integration/crashes.rs` runs as well, over all that they have found. Where a law is broken they
//! panic.

mod meaning;

use std::{str, sync::LazyLock};

use dockgate::{
    apply::{ApplyError, Explained, RefusedStep},
    attr::Writer,
    cli::{
        Failure, Source,
        words::{self, Action},
    },
    expr::{Counter, Expr, Item, copy_zeroed, fold, read_all},
    extension::{Context, Sets},
    message::{Batch, Messages, Place, SealedBatch},
    model::{ChainName, Counters, Dialect, Family, Generation, Handle},
    rule::{BaseOption, Origin, Parsed, Parser, Reader, Reading, Rule},
    ruleset::{Chain, Entry, Ruleset},
    save::{self, Saved},
    syntax::{Line, SyntaxError, Word, split},
};

/// The body of a fuzz target.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 5] =
    [("expressions", expressions), ("netlink", netlink), ("rule", rule), ("save", save), ("words", words)];

/// The sets that examples and fixtures name.
pub static SETS: LazyLock<Sets> = LazyLock::new(|| Sets::new((0..).zip(["office", "services", "s4", "sp", "s6"].map(str::to_owned))));

const COUNTERS: Counters = Counters { packets: 7, bytes: 700 };

/// So many rules of one text are looked at; the others are just read.
const RULES: usize = 8;

/// The text of a rule, in both families.
pub fn rule(data: &[u8]) {
    let Ok(line) = str::from_utf8(data) else { return };
    for family in Family::BOTH {
        match parse(line, family) {
            Ok(parsed) => parsed.rules.iter().take(RULES).for_each(|rule| reads_back(rule, family)),
            Err(error) => points_into(line, &error),
        }
    }
}

/// A text of `iptables-save`.
pub fn save(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    for (only, counters) in [(None, true), (Some(Family::Ip), false), (Some(Family::Ip6), true)] {
        match save::read(text, only, counters) {
            Ok(saved) => is_written(saved),
            Err(errors) => {
                for error in &errors {
                    points_into(text.lines().nth(error.line).unwrap_or_default(), &error.error);
                }
                let source = Source { label: "stdin", numbered: true, lines: text, family: Family::Ip };
                assert!(Failure::syntax(&source, &errors).to_string().ends_with('\n'));
            }
        }
    }
}

/// What was read is written, and read again as the same.
fn is_written(saved: Vec<Saved>) {
    let saved: Vec<Saved> = saved.into_iter().filter(|saved| !saved.chains.is_empty()).collect();
    let mut text = String::new();
    for Saved { family, chains, .. } in &saved {
        let mut looked_at = 0;
        let mut chain = |saved: &save::SavedChain| {
            let entry = |saved: &save::SavedRule| {
                looked_at += 1;
                if looked_at <= RULES {
                    reads_back(&saved.rule, *family);
                }
                let reading = Reading::Rule(saved.rule.clone());
                Entry { handle: Handle(1), counters: Some(saved.counters), reading, raw: None, userdata: None }
            };
            let rules = saved.rules.iter().map(entry).collect();
            Chain { name: saved.name.clone(), handle: Handle(1), hook: None, uses: 0, rules: Some(rules) }
        };
        let chains = chains.iter().map(&mut chain).collect();
        let ruleset = Ruleset { family: *family, generation: Generation(1), chains, sets: Sets::default() };
        assert_eq!(save::write(&mut text, &ruleset, true, |_| true), Ok(0));
    }
    let again = save::read(&text, None, true).unwrap_or_else(|errors| panic!("{errors:?} in\n{text}"));
    // Lines stand elsewhere, and every chain is declared.
    let says = |saved: &[Saved]| -> Vec<_> {
        let rule = |rule: &save::SavedRule| (rule.rule.clone(), rule.counters);
        let chain = |chain: &save::SavedChain| (chain.name.clone(), chain.rules.iter().map(rule).collect::<Vec<_>>());
        saved.iter().map(|saved| (saved.family, saved.chains.iter().map(chain).collect::<Vec<_>>())).collect()
    };
    assert_eq!(says(&again), says(&saved), "{text}");
}

/// Messages of netlink: answers of the kernel to a dump, or to a batch that it refuses.
pub fn netlink(data: &[u8]) {
    let mut reader = Reader::default();
    for message in Messages::new(data).flatten() {
        let refusal = message.refusal();
        let offset = refusal.offset.unwrap_or_default();
        BATCH.step(refusal.seq).and_then(|step| BATCH.expression_at(step, offset));
        message.generation();
        let mut chains: Vec<Chain> = Chain::read(message).into_iter().collect();
        let name = ChainName::docker_user();
        chains.push(Chain { name, handle: Handle(1), hook: None, uses: 0, rules: None });
        for family in Family::BOTH {
            let context = Context { family, dialect: Dialect::D, sets: &SETS };
            let entry = Entry::read(message, &mut reader, context, true, &|_| true);
            entry.iter().filter_map(Entry::rule).for_each(|rule| reads_back(rule, family));
            let mut chains = chains.clone();
            chains.iter_mut().for_each(|chain| chain.rules = entry.clone().map(|entry| vec![entry]));
            is_shown(&Ruleset { family, generation: Generation(1), chains, sets: Sets::default() });
        }
    }
}

/// A batch that the kernel may refuse.
static BATCH: LazyLock<SealedBatch> = LazyLock::new(|| {
    let mut batch = Batch::new(Some(Generation(1)));
    let context = Context { family: Family::Ip, dialect: Dialect::D, sets: &SETS };
    for line in ["-s 10.0.0.0/8 -p tcp -m limit --limit 3/min -j DROP", "-p udp --dport 53 -j REJECT"] {
        let rule = parse(line, Family::Ip).unwrap().rules.remove(0);
        batch.rule(Family::Ip, &ChainName::docker_user(), Place::Last, rule.compat(), |writer| {
            rule.linearize(context, COUNTERS, writer).unwrap();
        });
    }
    batch.seal().unwrap()
});

/// Whatever stands in the kernel can be printed.
fn is_shown(ruleset: &Ruleset) {
    let mut text = String::new();
    save::save_lines(&mut text, ruleset, None, None, true).unwrap();
    save::write(&mut text, ruleset, true, |_| true).unwrap();
}

/// A rule's expressions (content of `NFTA_RULE_EXPRESSIONS`), in both families.
pub fn expressions(data: &[u8]) {
    let mut exprs = Vec::new();
    let whole = read_all(data, &mut exprs).is_ok();
    for expr in &exprs {
        assert!(expr.to_string().ends_with(']'));
        is_kept(&[*expr], |w| expr.write(w));
    }
    if whole {
        let zeroed: Vec<_> = exprs.iter().map(uncounted).collect();
        is_kept(&zeroed, |w| copy_zeroed(data, w));
    }
    for family in Family::BOTH {
        let context = Context { family, dialect: Dialect::D, sets: &SETS };
        let (Reading::Rule(rule), counters) = Reader::default().read(data, None, context) else { continue };
        assert!(whole, "{rule}");
        assert!(rule.landmarks().may_be_in(data), "{rule}");
        reads_back(&rule, family);
        let dialects = Dialect::ALL.map(|dialect| Context { dialect, ..context });
        let says_so = |context: &Context<'_>| meaning::is_same(&items(data), &items(&linearize(&rule, *context, counters)), family);
        assert!(dialects.iter().any(says_so), "is read as `{rule}`: {}", meaning::show(data));
    }
}

fn uncounted<'a>(expr: &Expr<'a>) -> Expr<'a> {
    match expr {
        Expr::Counter(_) => Expr::Counter(Counter::default()),
        other => *other,
    }
}

/// What `write` writes are just these.
fn is_kept(exprs: &[Expr<'_>], write: impl FnOnce(&mut Writer<'_>)) {
    let mut list = Vec::new();
    let mut writer = Writer::new(&mut list);
    write(&mut writer);
    // Nobody sends it then.
    if !writer.overflowed() {
        let mut again = Vec::new();
        assert!(read_all(&list, &mut again).is_ok() && again == exprs, "{exprs:?}\n{again:?}");
    }
}

fn linearize(rule: &Rule, context: Context<'_>, counters: Option<Counters>) -> Vec<u8> {
    let mut list = Vec::new();
    let _ = rule.linearize(context, counters.unwrap_or_default(), &mut Writer::new(&mut list));
    list
}

fn items(list: &[u8]) -> Vec<Item<'_>> {
    let (mut exprs, mut items) = (Vec::new(), Vec::new());
    assert!(read_all(list, &mut exprs).is_ok() && fold(&exprs, &mut items));
    items
}

/// The words of a command line, a NUL between each and the next; nothing is done.
pub fn words(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let given: Vec<&str> = text.split('\0').collect();
    let line = Line::from_words(&given);
    let mut split_words = Vec::new();
    split(&line.text, &mut split_words).unwrap();
    assert!(split_words.iter().map(|word| word.text.as_ref()).eq(given.iter().copied()), "{given:?} became {}", line.text);
    for family in Family::BOTH {
        let source = Source { label: family.command(), numbered: false, lines: &line.text, family };
        match words::parse(&split_words, family) {
            Ok(invocation) => match &invocation.action {
                Action::Append(_, rules, _) | Action::Insert(_, _, rules, _) | Action::Delete(_, rules) | Action::Check(_, rules) => {
                    rules.iter().take(RULES).for_each(|rule| reads_back(rule, family));
                    rules.first().into_iter().for_each(|rule| is_refused(&source, rule));
                }
                _ => {}
            },
            Err(error) => {
                points_into(&line.text, &error);
                assert!(Failure::usage(&source, error).to_string().ends_with('\n'));
            }
        }
    }
}

/// Whatever part the kernel refuses is shown.
fn is_refused(source: &Source<'_>, rule: &Rule) {
    use BaseOption::*;
    let base = [Source, Destination, InInterface, OutInterface, Protocol, Fragment].map(Origin::Base);
    let matches = (0..rule.matches.len()).map(Origin::Match);
    for origin in base.into_iter().chain(matches).chain([Origin::Counter, Origin::Target]) {
        let explained = Explained { reason: "the kernel does not take this".into(), hint: None };
        let step = RefusedStep {
            step: Some(0),
            text: rule.to_string(),
            line: Some(0),
            origin: Some(origin),
            errno: 22,
            nowhere: false,
            explained,
        };
        let text = Failure::apply(source, &ApplyError::Refused { refused: vec![step], steps: 1 }).to_string();
        assert!(text.contains("^ the kernel does not take this"), "{text}");
    }
}

fn parse(line: &str, family: Family) -> Result<Parsed, SyntaxError> {
    let mut words: Vec<Word<'_>> = Vec::new();
    split(line, &mut words)?;
    Parser::parse(&words, family)
}

/// An error is about a part of its line, and says something.
fn points_into(line: &str, error: &SyntaxError) {
    assert!(line.get(error.span.clone()).is_some(), "{:?} is not in the line: {error}\n{line}", error.span);
    assert!(!error.message.is_empty() && error.hint.as_deref() != Some(""));
}

/// A rule is read as what it is from what is printed for it, and from what is written in each
/// dialect.
fn reads_back(rule: &Rule, family: Family) {
    let text = rule.to_string();
    // iptables 1.8.7 prints a number that nobody looks at; we take the words, and forget it.
    if text.contains("--nflog-range") {
        return;
    }
    assert_eq!(parse(&text, family).map(|parsed| parsed.rules).as_deref(), Ok(&[rule.clone()][..]), "{family} {text}");
    rule.list(family, true, &mut String::new()).unwrap();
    for dialect in Dialect::ALL {
        let context = Context { family, dialect, sets: &SETS };
        let mut list = Vec::new();
        let mut writer = Writer::new(&mut list);
        // There is not every set, and not room for every text.
        let Ok(()) = rule.linearize(context, COUNTERS, &mut writer) else { continue };
        assert!(!writer.overflowed(), "{family} {text}");
        assert!(rule.landmarks().may_be_in(&list), "{family} {text}");
        let read = Reader::default().read(&list, None, context);
        let show = || format!("{family} {dialect:?} {text}: {}", meaning::show(&list));
        assert_eq!(read, (Reading::Rule(rule.clone()), Some(COUNTERS)), "{}", show());
        let parts = items(&list).len();
        assert!((0..parts).all(|index| rule.origin(context, false, index).is_some()), "{}", show());
    }
}
