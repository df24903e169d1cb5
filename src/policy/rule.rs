//! `[[rule]]`

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Action, PolicyRule, Ports, Verdict, read::Reader};
use crate::{
    model::Family,
    rule::{Parser, Rule},
    syntax::split,
};

pub(super) const RULE: &[&str] = &["allow", "drop", "reject", "accept", "log", "iptables", "from", "to", "in", "out", "name", "comment"];

/// The keys that say what a rule does.
pub(super) const ACTIONS: &[&str] = &["allow", "drop", "reject", "accept", "iptables"];

/// The keys of the table behind such a key.
pub(super) const WAY: &[&str] = &["in", "out", "ports"];

/// What comes before a rule in a shell's line.
const COMMANDS: &[&str] = &["-A", "-I", "-D", "-R", "-C", "--append", "--insert", "--delete", "iptables", "ip6tables", "dockgate", "sudo"];

impl Reader<'_> {
    /// A rule; are its groups as they should be?
    pub(super) fn rule(&mut self, file: usize, table: &DeTable<'_>, span: Range<usize>) -> Option<(PolicyRule, bool)> {
        self.problems(file).only(table, "a rule", RULE);
        let mut said: Vec<_> =
            ACTIONS.iter().filter_map(|&name| table.get_key_value(name).map(|(key, value)| (name, key, value))).collect();
        said.sort_by_key(|(_, key, _)| key.span().start);
        if let Some((_, key, _)) = said.get(1) {
            let message = format!("a rule does one thing; this has `{}` already", said[0].0);
            self.problems(file).error(key.span(), message, Some("make it two rules".to_owned()));
        }
        let (from, to) = (self.sources(file, table, "from"), self.sources(file, table, "to"));
        let known = [&from, &to].into_iter().flatten().all(|(_, sound)| *sound);
        let mut rule = PolicyRule {
            place: self.place(file, &span),
            name: self.text(file, table, "name"),
            comment: self.text(file, table, "comment"),
            action: Action::Log,
            ports: Vec::new(),
            from: from.map(|(sources, _)| sources),
            to: to.map(|(sources, _)| sources),
            inward: table.get("in").map(|value| self.interfaces(file, value)).unwrap_or_default(),
            outward: table.get("out").map(|value| self.interfaces(file, value)).unwrap_or_default(),
            log: self.text(file, table, "log"),
        };
        let Some((name, _, value)) = said.first() else {
            // A key that is none may be the action.
            if !table.contains_key("log") && table.keys().all(|key| RULE.contains(&key.get_ref().as_ref())) {
                let hint = format!("it has one of: {}, log", ACTIONS.join(", "));
                self.problems(file).error(span, "this rule does nothing", Some(hint));
            }
            return table.contains_key("log").then_some((rule, known));
        };
        rule.action = match *name {
            "allow" => Action::Decide(Verdict::Allow),
            "drop" => Action::Decide(Verdict::Drop),
            "reject" => Action::Decide(Verdict::Reject),
            "accept" => Action::Accept,
            _ => {
                self.only_the_line(file, table);
                rule.action = Action::Raw(self.raw(file, value)?);
                return Some((rule, known));
            }
        };
        if let DeValue::Table(way) = value.get_ref() {
            if way.is_empty() {
                self.problems(file).error(value.span(), "this says nothing", Some("write \"any\" for all".to_owned()));
            }
            self.way(file, name, table, way, &mut rule);
        } else {
            self.ports(file, value, &mut rule);
        }
        Some((rule, known))
    }

    /// `{ in = …, out = …, ports = … }`
    fn way(&mut self, file: usize, name: &str, beside: &DeTable<'_>, way: &DeTable<'_>, rule: &mut PolicyRule) {
        self.problems(file).only(way, &format!("`{name}`"), WAY);
        for (key, slot) in [("in", &mut rule.inward), ("out", &mut rule.outward)] {
            if let Some(value) = way.get(key) {
                *slot = self.interfaces(file, value);
                if let Some((again, _)) = beside.get_key_value(key) {
                    self.problems(file).error(again.span(), format!("`{key}` is said already"), Some(format!("it stands in `{name}`")));
                }
            }
        }
        if let Some(value) = way.get("ports") {
            self.ports(file, value, rule);
        }
    }

    /// `"443/tcp"`, a list of them, or `"any"`.
    fn ports(&mut self, file: usize, value: &Spanned<DeValue<'_>>, rule: &mut PolicyRule) {
        let words = self.problems(file).strings(value, "ports, like \"443/tcp\", or \"any\"");
        if matches!(value.get_ref(), DeValue::Array(all) if all.is_empty()) {
            self.problems(file).error(value.span(), "no ports", Some("write \"any\" for all".to_owned()));
        }
        let several = words.len() > 1;
        // By protocol and first port, to look only at the neighbours of each.
        let mut taken: BTreeMap<(u8, u16), Ports> = BTreeMap::new();
        for (text, span) in words {
            let ports = match Ports::parse(text) {
                _ if text == "any" => {
                    if several {
                        self.problems(file).error(
                            span,
                            "`any` is all ports: it stands alone",
                            Some("leave out the others, or it".to_owned()),
                        );
                    }
                    continue;
                }
                Ok(ports) => ports,
                Err((message, hint)) => {
                    self.problems(file).error(span, message, hint);
                    continue;
                }
            };
            let first = (ports.protocol.0, ports.range.map_or(0, |range| range.first));
            let neighbours = [taken.range(..=first).next_back(), taken.range(first..).next()];
            let other = neighbours.into_iter().flatten().map(|(_, other)| *other).find(|other| other.overlaps(&ports));
            match other {
                Some(other) => {
                    let message = format!("`{ports}` and `{other}` have ports in common");
                    self.problems(file).error(span, message, Some("say each port once".to_owned()));
                }
                None => {
                    taken.insert(first, ports);
                    rule.ports.push(ports);
                }
            }
        }
    }

    pub(super) fn text(&mut self, file: usize, table: &DeTable<'_>, key: &str) -> Option<String> {
        let (text, span) = self.problems(file).string(table.get(key)?, "a text")?;
        // LOG takes 29 bytes, a comment 255; ours have a few of their own.
        let most = if key == "log" { 29 } else { 200 };
        let (message, hint) = if text.len() > most {
            (format!("this has {} bytes; {most} at most", text.len()), "make it shorter".to_owned())
        } else if text.contains(|c: char| c.is_control()) {
            ("this has characters that are no text".to_owned(), "make it one line, without tabs".to_owned())
        } else if text.is_empty() || (key != "log" && text.trim().is_empty()) {
            ("this is empty".to_owned(), format!("say something, or leave `{key}` out"))
        } else if text == "!" {
            ("a `!` alone is no text to iptables".to_owned(), format!("say something, or leave `{key}` out"))
        } else {
            return Some(text.to_owned());
        };
        self.problems(file).error(span, message, Some(hint));
        None
    }

    /// What a line of iptables says itself can't stand beside it.
    fn only_the_line(&mut self, file: usize, table: &DeTable<'_>) {
        for (key, cure) in [
            ("from", "say it in the line: -s"),
            ("to", "say it in the line: -d"),
            ("in", "say it in the line: -i"),
            ("out", "say it in the line: -o"),
            ("log", "make it a rule of its own before this: \"… -j LOG\""),
        ] {
            if let Some((key, _)) = table.get_key_value(key) {
                self.problems(file).error(key.span(), format!("`{key}` does not go with `iptables`"), Some(cure.to_owned()));
            }
        }
    }

    /// A line of iptables, in each family that can have it.
    fn raw(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Option<Vec<(Family, Rule)>> {
        let (text, span) = self.problems(file).string(value, "a line of iptables")?;
        // Where the text stands in the file, if it stands there as it is.
        let begin = self.texts[file].get(span.clone()).and_then(|all| all.find(text)).map(|at| span.start + at);
        let within = |at: Range<usize>| begin.map_or(span.clone(), |begin| begin + at.start..begin + at.end);
        let mut words = Vec::new();
        if let Err(error) = split(text, &mut words) {
            self.problems(file).error(within(error.span), error.message, error.hint);
            return None;
        }
        let Some(first) = words.first() else {
            self.problems(file).error(span, "this line is empty", Some("write the rule, as `-s 192.0.2.1 -j DROP`".to_owned()));
            return None;
        };
        if COMMANDS.contains(&first.text.as_ref()) {
            let hint = "the rule alone, as `-i eth0 -s 192.0.2.1 -j DROP`; its place is that of its [[rule]]";
            self.problems(file).error(within(first.span.clone()), format!("`{}` is a command", first.text), Some(hint.to_owned()));
            return None;
        }
        let parsed = Family::BOTH.map(|family| Parser::parse(&words, family));
        if let [Err(error), Err(other)] = &parsed {
            // The one that got further knows better.
            let error = if other.span.start > error.span.start { other } else { error };
            self.problems(file).error(within(error.span.clone()), error.message.clone(), error.hint.clone());
            return None;
        }
        let rules = Family::BOTH.into_iter().zip(parsed).filter_map(|(family, parsed)| Some((family, parsed.ok()?.rules)));
        Some(rules.flat_map(|(family, rules)| rules.into_iter().map(move |rule| (family, rule))).collect())
    }
}
