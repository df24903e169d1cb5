//! From the tables of TOML to a [`Policy`].

use std::{collections::BTreeMap, net::IpAddr, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Action, Addresses, Block, Expected, File, PacketTest, Place, Policy, PolicyRule, Ports, Problem, Read, Sources, Verdict, check,
    table::{At, Problems},
};
use crate::{
    model::{Family, Interface},
    rule::Parser,
    syntax::split,
};

const TOP: &[&str] = &["external", "default", "established", "groups", "rule", "test"];
const RULE: &[&str] = &["allow", "drop", "reject", "accept", "log", "iptables", "from", "to", "in", "out", "name", "comment"];
const TEST: &[&str] = &["name", "packet", "expect"];
const PACKET: &[&str] = &["in", "from", "to", "to_port"];

/// The keys that say what a rule does.
const ACTIONS: &[&str] = &["allow", "drop", "reject", "accept", "iptables"];

impl Policy {
    /// Reads the texts of files. Those of groups are read from where the names of the files lead.
    pub fn parse(files: Vec<File>) -> Read {
        let mut reader = Reader::default();
        reader.policy.established = true;
        let texts: Vec<String> = files.iter().map(|file| file.text.clone()).collect();
        reader.policy.files = files;
        let parsed: Vec<Spanned<DeTable<'_>>> = texts.iter().enumerate().map(|(file, text)| reader.toml(file, text)).collect();
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

/// Where something was met before: a file, and the bytes there.
type Met = Option<(usize, Range<usize>)>;

#[derive(Debug, Default)]
struct Reader {
    policy: Policy,
    problems: Vec<Problem>,
    groups: BTreeMap<String, Group>,
    /// Where the keys that may come once were met.
    external: Met,
    default: Met,
    /// Where each rule stands, as [`Policy::rules`].
    spans: Vec<Range<usize>>,
}

#[derive(Debug)]
struct Group {
    addresses: Vec<Block>,
    used: bool,
    at: (usize, Range<usize>),
}

impl Reader {
    fn problems(&mut self, file: usize) -> Problems<'_> {
        Problems { file, all: &mut self.problems }
    }

    fn toml<'t>(&mut self, file: usize, text: &'t str) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            self.problems(file).error(error.span().unwrap_or_default(), format!("this is not TOML: {}", error.message()), None);
        }
        table
    }

    fn groups(&mut self, file: usize, table: &DeTable<'_>) {
        let Some(value) = table.get("groups") else { return };
        let Some(groups) = self.problems(file).table(value, "a table of names with addresses") else { return };
        for (key, value) in groups {
            let name = key.get_ref().to_string();
            if Block::parse(&name).is_ok() || name == "any" {
                self.problems(file).error(key.span(), format!("`{name}` can't be the name of a group"), Some("take a word".to_owned()));
                continue;
            }
            let addresses = self.group(file, key.span(), value);
            let group = Group { addresses, used: false, at: (file, key.span()) };
            if let Some(before) = self.groups.insert(name.clone(), group) {
                let place = self.place(before.at.0, &before.at.1);
                let at = self.policy.at(place);
                self.problems(file).error(key.span(), format!("group `{name}` is there already"), Some(format!("the other is at {at}")));
            }
        }
    }

    fn group(&mut self, file: usize, name: Range<usize>, value: &Spanned<DeValue<'_>>) -> Vec<Block> {
        let before = self.problems.len();
        let blocks = match value.get_ref() {
            DeValue::Table(table) => {
                self.problems(file).only(table, "a group", &["file"]);
                match table.get("file") {
                    Some(path) => {
                        self.problems(file).string(path, "the name of a file").map_or_else(Vec::new, |at| self.group_file(file, at))
                    }
                    None => Vec::new(),
                }
            }
            _ => {
                let words = self.problems(file).strings(value, "an address");
                words.into_iter().filter_map(|at| self.block(file, at)).collect()
            }
        };
        if blocks.is_empty() && self.problems.len() == before {
            let hint = "a rule for nobody would never match; leave out the rule, or write who is meant".to_owned();
            self.problems(file).error(name, "this group is empty", Some(hint));
        }
        blocks
    }

    /// One address, prefix or range a line; `#` begins a comment.
    fn group_file(&mut self, file: usize, (name, span): At<&str>) -> Vec<Block> {
        let beside = Path::new(&self.policy.files[file].name).parent().unwrap_or(Path::new("")).join(name);
        let text = match std::fs::read_to_string(&beside) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("could not read `{}`: {error}", beside.display());
                self.problems(file).error(span, message, Some("a file's name is relative to the policy's folder".to_owned()));
                return Vec::new();
            }
        };
        let own = self.policy.files.len();
        let (mut blocks, mut begin) = (Vec::new(), 0);
        for line in text.split_inclusive('\n') {
            let word = line.split('#').next().unwrap_or_default();
            let start = begin + word.len() - word.trim_start().len();
            begin += line.len();
            let word = word.trim();
            if !word.is_empty() {
                blocks.extend(self.block(own, (word, start..start + word.len())));
            }
        }
        self.policy.files.push(File::new(beside.display().to_string(), text));
        blocks
    }

    fn block(&mut self, file: usize, (text, span): At<&str>) -> Option<Block> {
        Block::parse(text).map_err(|(message, hint)| self.problems(file).error(span, message, hint)).ok()
    }

    fn place(&self, file: usize, span: &Range<usize>) -> Place {
        let text = &self.policy.files[file].text;
        Place { file, line: text.as_bytes()[..span.start.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1 }
    }

    fn file(&mut self, file: usize, table: &DeTable<'_>) {
        self.problems(file).only(table, "a policy", TOP);
        if let Some(value) = table.get("external") {
            self.once(file, value.span(), "external", |reader| &mut reader.external);
            let words = self.problems(file).strings(value, "the name of an interface");
            self.policy.external = words.into_iter().filter_map(|at| self.interface(file, at)).collect();
        }
        if let Some(value) = table.get("default") {
            self.once(file, value.span(), "default", |reader| &mut reader.default);
            let known = [("allow", Verdict::Allow), ("drop", Verdict::Drop), ("reject", Verdict::Reject)];
            self.policy.default = self.word(file, value, &known).unwrap_or_default();
        }
        if let Some(value) = table.get("established") {
            self.policy.established = self.problems(file).boolean(value).unwrap_or(true);
        }
        for (rule, span) in table.get("rule").map(|value| self.problems(file).tables(value, "a rule")).unwrap_or_default() {
            if let Some(rule) = self.rule(file, rule, span.clone()) {
                self.policy.rules.push(rule);
                self.spans.push(span);
            }
        }
        for (test, span) in table.get("test").map(|value| self.problems(file).tables(value, "a test")).unwrap_or_default() {
            let test = self.test(file, test, span);
            self.policy.tests.extend(test);
        }
    }

    fn once(&mut self, file: usize, span: Range<usize>, name: &str, slot: fn(&mut Self) -> &mut Met) {
        if let Some((other, at)) = slot(self).replace((file, span.clone())) {
            let at = self.policy.at(self.place(other, &at));
            self.problems(file).error(span, format!("`{name}` is said already"), Some(format!("the other is at {at}")));
        }
    }

    fn word<T: Copy>(&mut self, file: usize, value: &Spanned<DeValue<'_>>, known: &[(&str, T)]) -> Option<T> {
        let words = known.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let (text, span) = self.problems(file).string(value, &format!("one of {words}"))?;
        let found = known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.problems(file).error(span, format!("`{text}` is none of {words}"), None);
        }
        found
    }

    fn interface(&mut self, file: usize, (text, span): At<&str>) -> Option<Interface> {
        Interface::new(text).map_err(|error| self.problems(file).error(span, error.to_string(), None)).ok()
    }

    fn rule(&mut self, file: usize, table: &DeTable<'_>, span: Range<usize>) -> Option<PolicyRule> {
        self.problems(file).only(table, "a rule", RULE);
        let mut said: Vec<_> =
            ACTIONS.iter().filter_map(|&name| table.get_key_value(name).map(|(key, value)| (name, key, value))).collect();
        said.sort_by_key(|(_, key, _)| key.span().start);
        if let Some((_, key, _)) = said.get(1) {
            let message = format!("a rule does one thing; this has `{}` already", said[0].0);
            self.problems(file).error(key.span(), message, Some("make it two rules".to_owned()));
        }
        let mut rule = PolicyRule {
            place: self.place(file, &span),
            name: self.text(file, table, "name"),
            comment: self.text(file, table, "comment"),
            action: Action::Log,
            ports: Vec::new(),
            from: self.sources(file, table, "from"),
            to: self.sources(file, table, "to"),
            inward: self.interfaces(file, table, "in"),
            outward: self.interfaces(file, table, "out"),
            log: self.text(file, table, "log"),
        };
        let Some((name, key, value)) = said.first() else {
            if rule.log.is_none() {
                let hint = format!("it has one of: {}, log", ACTIONS.join(", "));
                self.problems(file).error(span.start..span.start + 8, "this rule does nothing", Some(hint));
                return None;
            }
            return Some(rule);
        };
        rule.action = match *name {
            "allow" => Action::Decide(Verdict::Allow),
            "drop" => Action::Decide(Verdict::Drop),
            "reject" => Action::Decide(Verdict::Reject),
            "accept" => Action::Accept,
            _ => {
                for other in ["from", "to", "in", "out", "log"] {
                    if let Some((key, _)) = table.get_key_value(other) {
                        let hint = format!(
                            "say it in the line: {}",
                            [("from", "-s"), ("to", "-d"), ("in", "-i"), ("out", "-o")]
                                .iter()
                                .find(|(word, _)| *word == other)
                                .map_or("with a rule `-j LOG` before it", |(_, option)| option)
                        );
                        self.problems(file).error(key.span(), format!("`{other}` does not go with `iptables`"), Some(hint));
                    }
                }
                rule.action = Action::Raw(self.raw(file, value)?);
                return Some(rule);
            }
        };
        self.ports(file, key.get_ref(), value, &mut rule);
        Some(rule)
    }

    /// `"443/tcp"`, a list of them, `"any"`, or `{ in = …, out = …, ports = … }`.
    fn ports(&mut self, file: usize, name: &str, value: &Spanned<DeValue<'_>>, rule: &mut PolicyRule) {
        let DeValue::Table(table) = value.get_ref() else {
            let words = self.problems(file).strings(value, "ports, like \"443/tcp\", or \"any\"");
            if words.is_empty() && matches!(value.get_ref(), DeValue::Array(_)) {
                self.problems(file).error(value.span(), "no ports", Some("write \"any\" for all".to_owned()));
            }
            return self.port_words(file, words, rule);
        };
        self.problems(file).only(table, &format!("`{name}`"), &["in", "out", "ports"]);
        for (key, slot) in [("in", &mut rule.inward), ("out", &mut rule.outward)] {
            let named = self.interfaces(file, table, key);
            if !named.is_empty() {
                *slot = named;
            }
        }
        if let Some(ports) = table.get("ports") {
            self.ports(file, name, ports, rule);
        }
    }

    fn port_words(&mut self, file: usize, words: Vec<At<&str>>, rule: &mut PolicyRule) {
        let several = words.len() > 1;
        for (text, span) in words {
            match Ports::parse(text) {
                _ if text == "any" && several => self.problems(file).error(span, "`any` is all ports: it stands alone", None),
                _ if text == "any" => {}
                Ok(ports) => match rule.ports.iter().find(|before| before.overlaps(&ports)) {
                    Some(before) => {
                        let message = format!("`{ports}` and `{before}` have ports in common");
                        self.problems(file).error(span, message, Some("say each port once".to_owned()));
                    }
                    None => rule.ports.push(ports),
                },
                Err((message, hint)) => self.problems(file).error(span, message, hint),
            }
        }
    }

    fn text(&mut self, file: usize, table: &DeTable<'_>, key: &str) -> Option<String> {
        let (text, span) = self.problems(file).string(table.get(key)?, "a text")?;
        // LOG takes 29 bytes, a comment 255; ours have a few of their own.
        let most = if key == "log" { 29 } else { 200 };
        if text.len() > most {
            self.problems(file).error(span, format!("this has {} bytes; {most} at most", text.len()), None);
            return None;
        }
        if text.contains(|c: char| c.is_control()) {
            self.problems(file).error(span, "this has characters that are no text", None);
            return None;
        }
        Some(text.to_owned())
    }

    fn interfaces(&mut self, file: usize, table: &DeTable<'_>, key: &str) -> Vec<Interface> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let words = self.problems(file).strings(value, "the name of an interface");
        words.into_iter().filter_map(|at| self.interface(file, at)).collect()
    }

    /// Groups and addresses.
    fn sources(&mut self, file: usize, table: &DeTable<'_>, key: &str) -> Option<Sources> {
        let value = table.get(key)?;
        let words = self.problems(file).strings(value, "an address or the name of a group");
        if words.is_empty() && matches!(value.get_ref(), DeValue::Array(all) if all.is_empty()) {
            let hint = format!("leave `{key}` out for everybody");
            self.problems(file).error(value.span(), "this is nobody", Some(hint));
        }
        let mut blocks = Vec::new();
        for (text, span) in &words {
            if let Some(group) = self.groups.get_mut(*text) {
                group.used = true;
                blocks.extend(&group.addresses);
            } else {
                let names = self.groups.keys().cloned().collect::<Vec<_>>().join(", ");
                match Block::parse(text) {
                    Ok(block) => blocks.push(block),
                    Err((message, hint)) if text.contains(|c: char| c.is_ascii_digit() || c == ':') && text.contains(['.', ':']) => {
                        self.problems(file).error(span.clone(), message, hint)
                    }
                    Err(_) => {
                        let hint =
                            if names.is_empty() { "there are no [groups] yet".to_owned() } else { format!("the groups are: {names}") };
                        self.problems(file).error(span.clone(), format!("`{text}` is neither an address nor a group"), Some(hint));
                    }
                }
            }
        }
        Some(Sources {
            words: words.iter().map(|(text, _)| (*text).to_owned()).collect(),
            addresses: blocks.into_iter().collect::<Addresses>(),
        })
    }

    /// A line of iptables, in each family that can have it.
    fn raw(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Option<Vec<(Family, crate::rule::Rule)>> {
        let (text, span) = self.problems(file).string(value, "a line of iptables")?;
        // Where the text stands in the file, if it stands there as it is.
        let begin = self.policy.files[file].text[span.clone()].find(text).map(|at| span.start + at);
        let within = |at: Range<usize>| begin.map_or(span.clone(), |begin| begin + at.start..begin + at.end);
        let mut words = Vec::new();
        if let Err(error) = split(text, &mut words) {
            self.problems(file).error(within(error.span), error.message, error.hint);
            return None;
        }
        if let Some(word) = words.first().filter(|word| matches!(word.text.as_ref(), "-A" | "-I" | "iptables" | "ip6tables")) {
            let hint = "leave it out: the rule alone, as `-i eth0 -s 192.0.2.1 -j DROP`; its place is that of its [[rule]]";
            self.problems(file).error(within(word.span.clone()), format!("`{}` is a command", word.text), Some(hint.to_owned()));
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

    fn test(&mut self, file: usize, table: &DeTable<'_>, span: Range<usize>) -> Option<PacketTest> {
        self.problems(file).only(table, "a test", TEST);
        let place = self.place(file, &span);
        let header = span.start..span.start + 8;
        let (Some(expect), Some(value)) = (table.get("expect"), table.get("packet")) else {
            let hint = "packet = { in = \"eth0\", from = \"192.0.2.1\", to_port = \"443/tcp\" }, expect = \"drop\"".to_owned();
            self.problems(file).error(header, "a test has a `packet` and what to `expect`", Some(hint));
            return None;
        };
        let expect = self.word(file, expect, &[("pass", Expected::Pass), ("drop", Expected::Drop), ("reject", Expected::Reject)]);
        let packet = self.problems(file).table(value, "a packet")?;
        self.problems(file).only(packet, "a packet", PACKET);
        let (Some(inward), Some(from)) = (packet.get("in"), packet.get("from")) else {
            self.problems(file).error(value.span(), "a packet has an interface `in` and an address `from`", None);
            return None;
        };
        let inward = self.problems(file).string(inward, "the name of an interface").and_then(|at| self.interface(file, at));
        let from = self.address(file, from);
        let to = packet.get("to").and_then(|value| self.address(file, value));
        let to_port = packet.get("to_port").and_then(|value| self.port(file, value));
        let name = self.text(file, table, "name").unwrap_or_else(|| format!("the test at line {}", place.line));
        Some(PacketTest { place, name, inward: inward?, from: from?, to, to_port, expect: expect? })
    }

    fn address(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Option<IpAddr> {
        let (text, span) = self.problems(file).string(value, "an address")?;
        text.parse().map_err(|_| self.problems(file).error(span, format!("`{text}` is not an address"), None)).ok()
    }

    fn port(&mut self, file: usize, value: &Spanned<DeValue<'_>>) -> Option<(u16, crate::model::Protocol)> {
        let (text, span) = self.problems(file).string(value, "a port, like \"443/tcp\"")?;
        match Ports::parse(text) {
            Ok(Ports { protocol, range: Some(range) }) if range.first == range.last => Some((range.first, protocol)),
            Ok(_) => {
                self.problems(file).error(span, "a packet has one port", None);
                None
            }
            Err((message, hint)) => {
                self.problems(file).error(span, message, hint);
                None
            }
        }
    }

    fn finish(mut self) -> Read {
        if self.external.is_none() && self.policy.rules.iter().any(|rule| rule.inward.is_empty() && !matches!(rule.action, Action::Raw(_)))
        {
            let hint = "write the interfaces that face the outside: external = [\"eth0\"]".to_owned();
            self.problems(0).error(0..0, "the policy has no `external`", Some(hint));
        }
        if self.default.is_none() {
            let hint = "write default = \"drop\" to close what no rule opens, or default = \"allow\"".to_owned();
            self.problems(0).error(0..0, "the policy has no `default`", Some(hint));
        }
        let unused: Vec<_> =
            self.groups.iter().filter(|(_, group)| !group.used).map(|(name, group)| (name.clone(), group.at.clone())).collect();
        for (name, (file, span)) in unused {
            self.problems(file).warning(
                span,
                format!("no rule names the group `{name}`"),
                "name it in a rule's `from` or `to`, or take it out",
            );
        }
        check::rules(&self.policy, &self.spans, &mut self.problems);
        self.problems.sort_by_key(|problem| (problem.file, problem.span.start));
        Read { policy: self.policy, problems: self.problems, groups: self.groups.into_keys().collect() }
    }
}
