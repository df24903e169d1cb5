//! From the tables of TOML to a [`Policy`].

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Action, File, Lines, Place, Policy, Problem, Read, Strategy, Verdict, check,
    groups::Group,
    table::{At, Problems, nearest},
};
use crate::model::Interface;

pub(super) const TOP: &[&str] = &["external", "default", "established", "strategy", "mark", "groups", "rule", "test"];

/// Those without which it says too little.
const NEEDED: [&str; 2] = ["external", "default"];

impl Policy {
    /// Reads the texts of files. Those of groups are read from where the names of the files lead.
    pub fn parse(mut files: Vec<File>) -> Read {
        if files.is_empty() {
            files.push(File::default());
        }
        let texts: Vec<String> = files.iter().map(|file| file.text.clone()).collect();
        let mut reader = Reader::new(files, &texts);
        let parsed: Vec<Spanned<DeTable<'_>>> = texts.iter().enumerate().map(|(file, text)| reader.toml(file, text)).collect();
        // What can't be parsed makes the rest of it mean something else.
        if !reader.problems.is_empty() {
            return Read { policy: reader.policy, problems: reader.problems, ..Read::default() };
        }
        // Groups first: a rule may name those of a later file.
        for (file, table) in parsed.iter().enumerate() {
            reader.groups(file, table.get_ref());
        }
        for (file, table) in parsed.iter().enumerate() {
            reader.file(file, table.get_ref());
        }
        reader.finish()
    }
}

/// Words that mean the same here and there.
const SAME: [&[&str]; 2] = [&["allow", "accept", "pass", "permit", "return"], &["drop", "deny", "block", "discard"]];

/// What has been read so far.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    pub(super) policy: Policy,
    pub(super) problems: Vec<Problem>,
    pub(super) groups: BTreeMap<String, Group>,
    /// Of each file of the policy.
    pub(super) texts: &'t [String],
    lines: Vec<Lines<'t>>,
    /// Where the keys that may come once were met: a file, and the bytes there.
    met: BTreeMap<&'static str, (usize, Range<usize>)>,
    /// The interfaces that the packets of tests come in by: a file, and the bytes there.
    pub(super) tested: Vec<(Interface, usize, Range<usize>)>,
    /// Where each rule stands, as [`Policy::rules`]; `None` if something is wrong with it.
    spans: Vec<Option<Range<usize>>>,
}

impl<'t> Reader<'t> {
    fn new(files: Vec<File>, texts: &'t [String]) -> Self {
        Self {
            policy: Policy { files, established: true, mark: Policy::MARK, ..Policy::default() },
            problems: Vec::new(),
            groups: BTreeMap::new(),
            texts,
            lines: texts.iter().map(|text| Lines::new(text)).collect(),
            met: BTreeMap::new(),
            tested: Vec::new(),
            spans: Vec::new(),
        }
    }

    pub(super) fn problems(&mut self, file: usize) -> Problems<'_> {
        Problems { file, all: &mut self.problems }
    }

    fn toml(&mut self, file: usize, text: &'t str) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error.span().unwrap_or_default();
            // What comes behind another on its line comes of it.
            let line = |at: usize| self.lines[file].of(at);
            if self.problems.last().is_none_or(|last| last.file != file || line(last.span.start) != line(span.start)) {
                self.problems(file).error(span, format!("this is not TOML: {}", error.message()), None);
            }
        }
        table
    }

    pub(super) fn place(&self, file: usize, span: &Range<usize>) -> Place {
        Place { file, line: self.lines[file].of(span.start) + 1 }
    }

    fn file(&mut self, file: usize, table: &DeTable<'_>) {
        self.problems(file).only(table, "a policy", TOP);
        for key in table.keys() {
            // What is misspelt is not missing as well.
            let meant = NEEDED.iter().find(|needed| nearest(&[needed], key.get_ref()).is_some());
            if let Some(meant) = meant.filter(|_| !TOP.contains(&key.get_ref().as_ref())) {
                self.met.insert(meant, (file, key.span()));
            }
        }
        if let Some(value) = table.get("external") {
            self.once(file, value.span(), "external");
            self.policy.external = self.interfaces(file, value);
            self.warn_of_bridges(file, value);
        }
        if let Some(value) = table.get("default") {
            self.once(file, value.span(), "default");
            let known = [("allow", Verdict::Allow), ("drop", Verdict::Drop), ("reject", Verdict::Reject)];
            self.policy.default = self.word(file, value, &known).unwrap_or_default();
        }
        if let Some(value) = table.get("established") {
            self.once(file, value.span(), "established");
            self.policy.established = self.problems(file).boolean(value).unwrap_or(true);
        }
        if let Some(value) = table.get("strategy") {
            self.once(file, value.span(), "strategy");
            self.policy.strategy = self.word(file, value, &Strategy::WORDS).unwrap_or_default();
        }
        if let Some(value) = table.get("mark") {
            self.once(file, value.span(), "mark");
            self.policy.mark = self.problems(file).mask(value).unwrap_or(Policy::MARK);
        }
        for (rule, span) in self.tables(file, table, "rule") {
            let before = self.problems.len();
            let read = self.rule(file, rule, span.clone());
            let (rule, known) = read.map_or((None, false), |(rule, known)| (Some(rule), known));
            if let Some(rule) = rule {
                self.policy.rules.push(rule);
                let sound = self.problems[before..].iter().all(|problem| problem.warning);
                self.spans.push((known && sound).then_some(span));
            }
        }
        for (test, span) in self.tables(file, table, "test") {
            let test = self.test(file, test, span);
            self.policy.tests.extend(test);
        }
    }

    fn tables<'v, 'i>(&mut self, file: usize, table: &'v DeTable<'i>, key: &str) -> Vec<At<&'v DeTable<'i>>> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let texts = self.texts;
        self.problems(file).tables(&texts[file], key, value)
    }

    fn once(&mut self, file: usize, span: Range<usize>, name: &'static str) {
        if let Some((other, at)) = self.met.insert(name, (file, span.clone())) {
            let at = self.policy.at(self.place(other, &at));
            self.problems(file).error(span, format!("`{name}` is said already"), Some(format!("the other is at {at}")));
        }
    }

    pub(super) fn word<T: Copy>(&mut self, file: usize, value: &Spanned<DeValue<'_>>, known: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let words = names.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let (text, span) = self.problems(file).string(value, &format!("one of {words}"))?;
        let found = known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let same = || SAME.iter().find(|same| same.contains(&text))?.iter().find(|word| names.contains(word)).copied();
            let hint = nearest(&names, text).or_else(same).map(|near| format!("did you mean \"{near}\"?"));
            self.problems(file).error(span, format!("`{text}` is none of {words}"), hint);
        }
        found
    }

    /// One interface, or a list without any twice.
    pub(super) fn interfaces(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Vec<Interface> {
        let words = self.problems(file).strings(value, "the name of an interface");
        if matches!(value.get_ref(), DeValue::Array(all) if all.is_empty()) {
            self.problems(file).error(value.span(), "this is no interface at all", Some("name one, like \"eth0\"".to_owned()));
        }
        let mut all: Vec<Interface> = Vec::new();
        for (text, span) in words {
            let Some(one) = self.interface(file, (text, span.clone())) else { continue };
            match all.iter().find(|other| other.overlaps(&one)) {
                Some(other) => {
                    let message = format!("`{other}` and `{one}` have interfaces in common");
                    self.problems(file).error(span, message, Some("say each interface once".to_owned()));
                }
                None => all.push(one),
            }
        }
        all
    }

    pub(super) fn interface(&mut self, file: usize, (text, span): At<&str>) -> Option<Interface> {
        let cure = if let Some((name, _)) = text.split_once(':') {
            Some(format!("an alias is no interface of its own: packets come in by \"{name}\""))
        } else if let Some((name, _)) = text.split_once('@') {
            Some(format!("write it without the @ and what is behind: \"{name}\""))
        } else if text.starts_with(['-', '!']) {
            Some("there is no \"all but\"; name the interfaces".to_owned())
        } else {
            text.strip_suffix('*').map(|start| format!("all that begin so are \"{start}+\""))
        };
        match Interface::new(text) {
            Ok(interface) if cure.is_none() => return Some(interface),
            Ok(_) => self.problems(file).error(span, format!("`{text}` is not the name of an interface"), cure),
            Err(error) => self.problems(file).error(span, error.to_string(), cure),
        }
        None
    }

    /// What comes in by a bridge of Docker's is no outside.
    fn warn_of_bridges(&mut self, file: usize, value: &Spanned<DeValue<'_>>) {
        let words = match value.get_ref() {
            DeValue::Array(all) => all.iter().collect(),
            _ => vec![value],
        };
        for word in words {
            let name = word.get_ref().as_str().unwrap_or_default();
            let hex = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let bridge = name.strip_prefix("br-").is_some_and(hex) || name.strip_suffix('+').is_some_and(|start| "br-".starts_with(start));
            if bridge || Interface::new(name).is_ok_and(|name| name.covers(&Interface::new("docker0").expect("a name"))) {
                let message = format!("by `{name}` containers' own packets come in as well");
                let hint = "name only what faces the outside, or `default` stops the containers' own connections";
                self.problems(file).warning(word.span(), message, hint);
            }
        }
    }

    fn finish(mut self) -> Read {
        self.say_what_is_missing();
        self.say_unnamed_interfaces();
        check::rules(&self.policy, &self.spans, &|word| self.groups.contains_key(word), &mut self.problems);
        self.problems.sort_by_key(|problem| (problem.file, problem.span.start));
        Read { policy: self.policy, problems: self.problems, groups: self.groups.into_keys().collect(), tried: Vec::new() }
    }

    fn say_what_is_missing(&mut self) {
        let policy = &self.policy;
        let unsaid = !self.met.contains_key("default");
        let outside = unsaid
            || policy.default != Verdict::Allow
            || policy.rules.iter().any(|rule| rule.inward.is_empty() && !matches!(rule.action, Action::Raw(_)));
        if outside && !self.met.contains_key("external") {
            let hint = "write the interfaces that face the outside: external = [\"eth0\"]".to_owned();
            self.problems(0).error(0..0, "the policy has no `external`", Some(hint));
        }
        if unsaid {
            let hint = "write default = \"drop\" to close what no rule opens, or default = \"allow\"".to_owned();
            self.problems(0).error(0..0, "the policy has no `default`", Some(hint));
        }
        for (name, group) in self.groups.iter().filter(|(_, group)| group.sound && !group.used) {
            let hint = "name it in a rule's `from` or `to`, or take it out";
            let (file, span) = group.at.clone();
            Problems { file, all: &mut self.problems }.warning(span, format!("no rule names the group `{name}`"), hint);
        }
    }
}
