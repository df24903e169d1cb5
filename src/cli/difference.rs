//! What a policy changes, in the policy's own terms.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use super::policy::Loaded;
use crate::{
    compile::Origin,
    live::Outcome,
    matches::Match,
    model::Family,
    plan::ours::{Change, ChangeKind},
    policy::Policy,
};

/// What a group of rules is there for, in the order in which they are shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// A part of the policy.
    Of(Origin),
    /// The jump in `DOCKER-USER`.
    Jump,
    /// What is no part of it, by its comment.
    Gone(String),
}

/// How many rules become what.
#[derive(Debug, Default)]
struct Counts {
    kept: usize,
    moved: usize,
    added: usize,
    removed: usize,
    foreign: usize,
}

impl Counts {
    fn count(&mut self, kind: ChangeKind) {
        *match kind {
            ChangeKind::Kept => &mut self.kept,
            ChangeKind::Moved => &mut self.moved,
            ChangeKind::Added => &mut self.added,
            ChangeKind::Removed => &mut self.removed,
            ChangeKind::Foreign => &mut self.foreign,
        } += 1;
    }

    fn sign(&self) -> char {
        match (self.added, self.removed, self.moved, self.kept + self.foreign) {
            (0, 0, 0, _) => ' ',
            (_, 0, 0, 0) => '+',
            (0, _, 0, 0) => '-',
            (0, 0, _, 0) => '>',
            _ => '~',
        }
    }

    fn text(&self) -> String {
        let parts =
            [(self.added, "added"), (self.removed, "removed"), (self.moved, "moved"), (self.kept, "kept"), (self.foreign, "foreign")];
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect::<Vec<_>>().join(", ")
    }
}

/// For people. With `lines` every rule that changes, as iptables has it.
pub fn text(loaded: &Loaded, outcome: &Outcome, lines: bool) -> String {
    let mut all = Counts::default();
    outcome.changes.iter().for_each(|change| all.count(change.kind));
    let identity = &loaded.compiled.identity;
    if outcome.plan.is_empty() {
        let foreign = if all.foreign > 0 { format!(" and {} that can't be read", all.foreign) } else { String::new() };
        return format!("policy {identity}: nothing to do, {} rules stand as they should{foreign}\n", all.kept);
    }
    let mut text = format!("policy {identity}: rules {}\n", all.text());
    let mut groups: BTreeMap<Group, (Counts, Vec<&Change>)> = BTreeMap::new();
    for change in &outcome.changes {
        let (counts, changes) = groups.entry(group(loaded, change)).or_default();
        counts.count(change.kind);
        changes.push(change);
    }
    let titles: Vec<_> = groups.iter().map(|(group, entry)| (title(&loaded.read.policy, group), entry)).collect();
    let shown = || titles.iter().filter(|(_, (counts, _))| counts.sign() != ' ');
    let wide = shown().map(|((place, title), _)| place.chars().count() + title.chars().count()).max().unwrap_or(0).min(90);
    for ((place, title), (counts, changes)) in shown() {
        let gap = if place.is_empty() { "" } else { "  " };
        let pad = wide.saturating_sub(place.chars().count() + title.chars().count()) + 2 - gap.len();
        writeln!(text, "  {} {place}{gap}{title}{:pad$}  {}", counts.sign(), "", counts.text()).expect("a string takes everything");
        if lines {
            for change in changes.iter().filter(|change| change.kind != ChangeKind::Kept) {
                line(&mut text, change);
            }
        }
    }
    text
}

fn line(text: &mut String, change: &Change) {
    let sign = match change.kind {
        ChangeKind::Added => '+',
        ChangeKind::Removed => '-',
        ChangeKind::Moved => '>',
        ChangeKind::Kept => ' ',
        ChangeKind::Foreign => '?',
    };
    let rule = change.rule.as_ref().map_or_else(|| "a rule that can't be read; `dockgate list` shows it".to_owned(), ToString::to_string);
    writeln!(text, "      {sign} {} -A {} {rule}", change.family.command(), change.chain).expect("a string takes everything");
}

fn group(loaded: &Loaded, change: &Change) -> Group {
    let is_jump = change.chain.as_str() == crate::model::DOCKER_USER;
    match change.line.and_then(|line| loaded.compiled.origin(line)) {
        Some(origin) => Group::Of(origin),
        None if is_jump => Group::Jump,
        None => Group::Gone(comment(change)),
    }
}

fn comment(change: &Change) -> String {
    let Some(rule) = &change.rule else { return "rules that can't be read".to_owned() };
    let comment = rule.matches.iter().find_map(|one| match one {
        Match::Comment(comment) => Some(comment.text().to_owned()),
        _ => None,
    });
    comment.unwrap_or_else(|| format!("-A {} {rule}", change.chain))
}

/// Its place in the policy, and what it says.
fn title(policy: &Policy, group: &Group) -> (String, String) {
    match group {
        Group::Of(Origin::Replies) => (String::new(), "replies pass".to_owned()),
        Group::Of(Origin::Way) => (String::new(), "the ways between chains".to_owned()),
        Group::Of(Origin::Default) => (String::new(), format!("default: {}", policy.default.word())),
        Group::Of(Origin::Rule(index)) => {
            policy.rules.get(*index).map_or_else(Default::default, |rule| (policy.at(rule.place), rule.to_string()))
        }
        Group::Jump => (String::new(), "the jump from DOCKER-USER".to_owned()),
        Group::Gone(comment) => (String::new(), comment.clone()),
    }
}

/// For programs.
pub fn json(loaded: &Loaded, outcome: &Outcome) -> Value {
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
                ChangeKind::Foreign => "foreign",
            },
            "rule": change.rule.as_ref().map(ToString::to_string),
            "at": rule.map(|rule| policy.at(rule.place)),
            "says": rule.map(ToString::to_string),
        })
    };
    json!({
        "policy": { "name": loaded.compiled.identity.name, "hash": loaded.compiled.identity.hash },
        "messages": outcome.plan.messages(),
        "families": outcome.plan.families().map(Family::command).collect::<Vec<_>>(),
        "changes": outcome.changes.iter().map(change).collect::<Vec<_>>(),
    })
}
