//! What a policy changes, in the policy's own terms.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::{Display, Write as _},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::{faults, look::Look, policy::Loaded};
use crate::{
    compile::{Origin, is_ours},
    live::{Fault, Outcome},
    marks::{self, Element, Kind, Table},
    model::{ChainName, DOCKER_USER, Family},
    plan::{
        Step,
        ours::{Change, ChangeKind},
    },
    policy::Policy,
    targets::Target,
};

/// Is it done, or only said?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It would be done.
    Planned,
    /// It was.
    Done,
    /// It was, for a time.
    OnTrial,
}

/// What a group of rules is there for, in the order in which they are shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// A part of the policy.
    Of(Origin),
    /// What is no part of it, by its comment.
    Gone(String),
    /// The jump in `DOCKER-USER`.
    Jump,
    /// The jump in `FORWARD`.
    Forward,
}

/// How many rules become what, and how many senders in our own table come and go.
#[derive(Debug, Default)]
struct Counts([usize; 4], [usize; 2]);

impl Counts {
    fn of(&self, kind: ChangeKind) -> usize {
        self.0[kind as usize]
    }

    fn sign(&self) -> char {
        let [kept, moved, added, removed] = self.0;
        match (added + self.1[0], removed + self.1[1], moved, kept) {
            (0, 0, 0, _) => ' ',
            (_, 0, 0, 0) => '+',
            (0, _, 0, 0) => '-',
            (0, 0, _, 0) => '>',
            _ => '~',
        }
    }

    /// `+2 -1 >3`
    fn signed(&self, look: Look) -> String {
        let kinds = [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Moved];
        let part = |kind: ChangeKind| {
            let style = style(sign(kind), look);
            (self.of(kind) > 0).then(|| format!("{style}{}{}{style:#}", sign(kind), self.of(kind)))
        };
        let mut parts: Vec<String> = kinds.into_iter().filter_map(part).collect();
        let senders = ['+', '-'].into_iter().zip(self.1).filter(|(_, count)| *count > 0);
        let senders: Vec<String> = senders.map(|(sign, count)| format!("{0}{sign}{count}{0:#}", style(sign, look))).collect();
        if !senders.is_empty() {
            parts.push(format!("({} senders)", senders.join(" ")));
        }
        parts.join(" ")
    }

    /// `5 rules added, 1 moved, 20 kept`
    fn words(&self, mood: Mood) -> String {
        let words = match mood {
            Mood::Planned => ["to add", "to remove", "to move", "stay"],
            Mood::Done | Mood::OnTrial => ["added", "removed", "moved", "kept"],
        };
        let kinds = [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Moved, ChangeKind::Kept];
        let mut parts: Vec<String> = Vec::new();
        for (kind, word) in kinds.into_iter().zip(words).filter(|(kind, _)| self.of(*kind) > 0) {
            let count = self.of(kind);
            parts.push(if parts.is_empty() { format!("{} {word}", number(count, "rule")) } else { format!("{count} {word}") });
        }
        let senders = self.1.into_iter().zip(words).filter(|(count, _)| *count > 0);
        let senders: Vec<String> = senders.map(|(count, word)| format!("{} {word}", number(count, "sender"))).collect();
        let between = if parts.is_empty() || senders.is_empty() { "" } else { "; " };
        parts.join(", ") + between + &senders.join(", ")
    }
}

/// `1 rule`, `2 rules`
pub fn number<N: Display + PartialEq + From<u8>>(count: N, one: &str) -> String {
    let end = if count == N::from(1) { "" } else { "s" };
    match one.split_once(' ') {
        Some((noun, rest)) if noun == "step" => format!("{count} {noun}{end} {rest}"),
        _ => format!("{count} {one}{end}"),
    }
}

fn sign(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Added => '+',
        ChangeKind::Removed => '-',
        ChangeKind::Moved => '>',
        ChangeKind::Kept => ' ',
    }
}

fn style(sign: char, look: Look) -> Style {
    look.style(match sign {
        '+' => AnsiColor::Green.on_default(),
        '-' => AnsiColor::Red.on_default(),
        '~' | '>' => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    })
}

/// One line of the difference.
struct Line<'o> {
    sign: char,
    /// Where in the policy.
    place: String,
    what: String,
    counts: String,
    changes: Vec<&'o Change>,
}

/// For people. With `verbose` every rule that changes, as iptables has it.
pub fn text(loaded: &Loaded, outcome: &Outcome, mood: Mood, verbose: bool, look: Look) -> String {
    let mut all = Counts::default();
    outcome.changes.iter().for_each(|change| all.0[change.kind as usize] += 1);
    senders(loaded, outcome, |_, [added, removed]| all.1 = [all.1[0] + added, all.1[1] + removed]);
    let identity = &loaded.compiled.identity;
    if outcome.plan.is_empty() {
        let rules = number(all.of(ChangeKind::Kept), "rule");
        let senders: usize = Family::BOTH.into_iter().filter_map(|family| loaded.compiled.table(family)).map(Table::senders).sum();
        let senders = if senders > 0 { format!(" and {}", number(senders, "sender")) } else { String::new() };
        return format!("policy {identity} holds already, nothing to do: {rules}{senders} as they should be\n");
    }
    let holds = match mood {
        Mood::Planned => "",
        Mood::Done => " holds",
        Mood::OnTrial => " is on trial",
    };
    let mut text = format!("policy {identity}{holds}: {}\n", all.words(mood));
    let lines = lines(loaded, outcome, mood, look);
    let places = lines.iter().map(|line| line.place.width()).max().unwrap_or(0);
    let whats = lines.iter().map(|line| line.what.width()).max().unwrap_or(0).min(72);
    for line in &lines {
        let Line { sign, place, what, counts, changes } = line;
        let style = style(*sign, look);
        let gap = if places > 0 { places + 2 - place.width() } else { 0 };
        let pad = whats.saturating_sub(what.width()) + 2;
        let line = format!("  {style}{sign}{style:#} {place}{:gap$}{what}{:pad$}{counts}", "", "");
        writeln!(text, "{}", line.trim_end()).expect("a string takes everything");
        let changed = changes.iter().filter(|change| verbose && change.kind != ChangeKind::Kept);
        changed.for_each(|change| write_rule(&mut text, change, look));
    }
    text
}

fn lines<'o>(loaded: &Loaded, outcome: &'o Outcome, mood: Mood, look: Look) -> Vec<Line<'o>> {
    let policy = &loaded.read.policy;
    let mut titles = HashMap::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        titles.entry(rule.title()).or_insert(index);
    }
    let mut groups: BTreeMap<Group, (Counts, Vec<&Change>)> = BTreeMap::new();
    for change in &outcome.changes {
        let (counts, changes) = groups.entry(group(loaded, &titles, change)).or_default();
        counts.0[change.kind as usize] += 1;
        changes.push(change);
    }
    senders(loaded, outcome, |group, [added, removed]| {
        let Counts(_, senders) = &mut groups.entry(group).or_default().0;
        *senders = [senders[0] + added, senders[1] + removed];
    });
    let line = |(group, (counts, changes)): (Group, (Counts, Vec<&'o Change>))| {
        let (place, what) = title(policy, &group);
        Line { sign: counts.sign(), place, what, counts: counts.signed(look), changes }
    };
    let mut lines: Vec<Line<'_>> = groups.into_iter().map(line).filter(|line| line.sign != ' ').collect();
    let plain =
        |sign: char, what: &str| Line { sign, place: String::new(), what: what.to_owned(), counts: String::new(), changes: Vec::new() };
    let made = |step: &Step| matches!(step, Step::NewChain(_, chain) if chain.as_str() == DOCKER_USER);
    if outcome.steps().iter().any(made) {
        lines.insert(0, plain('+', "the chain DOCKER-USER, as Docker makes it"));
    }
    let anew = |step: &&Step| matches!(step, Step::DeleteMarks(_));
    for step in outcome.steps().iter().filter(anew) {
        let made = outcome.steps().iter().any(|other| matches!(other, Step::NewMarks(family, _) if *family == step.family()));
        let (sign, what) = if made { ('~', ", made anew") } else { ('-', "") };
        lines.push(plain(sign, &format!("the table {} {}{what}", step.family(), marks::TABLE)));
    }
    // Chains that no rule of the policy was in.
    let known: HashSet<_> = outcome.changes.iter().map(|change| (change.family, &change.chain)).collect();
    let gone = |step: &Step| match step {
        Step::DeleteChain(family, chain) => !known.contains(&(*family, chain)),
        step => matches!(step, Step::EndTrial(..)),
    };
    if mood != Mood::OnTrial && outcome.steps().iter().any(gone) {
        lines.push(plain('-', "what is left of a trial"));
    }
    lines
}

/// Calls `each` with how many senders come and go, by what they are there for. A table that is made anew is
/// not counted: what went with the old one is not in the plan.
fn senders(loaded: &Loaded, outcome: &Outcome, mut each: impl FnMut(Group, [usize; 2])) {
    let steps = outcome.steps();
    let is_anew = |family| steps.iter().any(|step| matches!(step, Step::DeleteMarks(of) if *of == family));
    let mut count = |family, kind: Kind, added: &[Element], removed: &[Element]| {
        let class = match kind {
            Kind::Hosts(_, class) | Kind::Networks(_, class) => class as usize,
            Kind::Ports(..) | Kind::Hash => return,
        };
        let rule = loaded.compiled.marks(family).and_then(|marks| marks.classes.get(class)?.rule);
        let number = |all: &[Element]| all.iter().filter(|element| !element.end).count();
        each(rule.map_or(Group::Of(Origin::Way), |index| Group::Of(Origin::Rule(index))), [number(added), number(removed)]);
    };
    for step in steps {
        match step {
            Step::Elements(family, difference) => count(*family, difference.kind, &difference.added, &difference.removed),
            Step::NewMarks(family, table) if !is_anew(*family) => {
                table.sets.iter().for_each(|set| count(*family, set.kind, &set.elements, &[]));
            }
            _ => {}
        }
    }
}

fn write_rule(text: &mut String, change: &Change, look: Look) {
    let style = style(sign(change.kind), look);
    let rule = change.rule.as_ref().map_or_else(|| "(it can't be read; `dockgate list` shows it)".to_owned(), ToString::to_string);
    let Change { family, chain, kind, .. } = change;
    let option = if *chain == ChainName::forward() { "-I" } else { "-A" };
    writeln!(text, "      {style}{} {} {option} {chain} {rule}{style:#}", sign(*kind), family.command())
        .expect("a string takes everything");
}

/// A rule that goes belongs to the part of the policy that it was made for, if that is there still.
fn group(loaded: &Loaded, titles: &HashMap<String, usize>, change: &Change) -> Group {
    if let Some(origin) = change.line.and_then(|line| loaded.compiled.origin(line)) {
        return Group::Of(origin);
    }
    if change.chain.as_str() == DOCKER_USER {
        return Group::Jump;
    }
    if change.chain == ChainName::forward() {
        return Group::Forward;
    }
    let Some(rule) = &change.rule else { return Group::Gone("rules that can't be read".to_owned()) };
    match (rule.comment(), &rule.target) {
        (Some("replies"), _) => Group::Of(Origin::Replies),
        (Some(comment), _) if comment.starts_with("default: ") => Group::Of(Origin::Default),
        (Some(comment), _) => titles.get(comment).map_or_else(|| Group::Gone(comment.to_owned()), |index| Group::Of(Origin::Rule(*index))),
        (None, Some(Target::Jump(to) | Target::Goto(to))) if is_ours(to) => Group::Of(Origin::Way),
        (None, _) => Group::Gone(format!("-A {} {rule}", change.chain)),
    }
}

/// Its place in the policy, and what it says.
fn title(policy: &Policy, group: &Group) -> (String, String) {
    let plain = |text: &str| (String::new(), text.to_owned());
    match group {
        Group::Of(Origin::Replies) => plain("replies pass"),
        Group::Of(Origin::Way) => plain("the ways between our chains"),
        Group::Of(Origin::Default) => plain(&format!("default: {}", policy.default.word())),
        Group::Of(Origin::Rule(index)) => policy.rules.get(*index).map_or_else(Default::default, |rule| {
            let comment = rule.comment.as_ref().or(rule.name.as_ref()).map_or_else(String::new, |comment| format!(" ({comment})"));
            (policy.at(rule.place), format!("{rule}{comment}"))
        }),
        Group::Jump => plain("the jump from DOCKER-USER"),
        Group::Forward => plain("the jump from FORWARD to DOCKER-USER, on top again"),
        Group::Gone(comment) => plain(&format!("no longer in the policy: {comment}")),
    }
}

/// For programs; `faults` is what keeps the policy from being in force, `trial` the length of its trial.
pub fn json(loaded: &Loaded, outcome: &Outcome, faults: &[(Family, Fault)], trial: Option<Duration>) -> Value {
    let policy = &loaded.read.policy;
    let change = |change: &Change| {
        let origin = change.line.and_then(|line| loaded.compiled.origin(line));
        let rule = match origin {
            Some(Origin::Rule(index)) => policy.rules.get(index),
            _ => None,
        };
        json!({
            "family": change.family.to_string(),
            "chain": change.chain.as_str(),
            "change": match change.kind {
                ChangeKind::Kept => "kept",
                ChangeKind::Moved => "moved",
                ChangeKind::Added => "added",
                ChangeKind::Removed => "removed",
            },
            "rule": change.rule.as_ref().map(ToString::to_string),
            "at": rule.map(|rule| policy.at(rule.place)),
            "says": rule.map(ToString::to_string),
        })
    };
    let mut counts = [0, 0];
    senders(loaded, outcome, |_, [added, removed]| counts = [counts[0] + added, counts[1] + removed]);
    json!({
        "policy": { "name": loaded.compiled.identity.name, "hash": loaded.compiled.identity.hash },
        "messages": outcome.plan.messages(),
        "families": outcome.plan.families().map(Family::command).collect::<Vec<_>>(),
        "changes": outcome.changes.iter().map(change).collect::<Vec<_>>(),
        "senders": { "added": counts[0], "removed": counts[1] },
        "trial": trial.map(|length| json!({ "seconds": length.as_secs() })),
        "faults": faults.iter().map(|(family, fault)| faults::as_json(fault, *family, "")).collect::<Vec<_>>(),
    })
}
