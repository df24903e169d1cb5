//! `[groups]`, and where rules name them.

use std::{ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    Addresses, Block, File, Problem, Sources,
    block::Mistake,
    list,
    read::Reader,
    table::{At, nearest},
};

pub(super) const GROUP: &[&str] = &["file"];

/// What to do about a word that is no address and nothing like one.
const ADDRESS: &str = "write an address (192.0.2.1), a prefix (192.0.2.0/24) or a range (192.0.2.1-192.0.2.9)";

#[derive(Debug)]
pub(super) struct Group {
    addresses: Addresses,
    /// Is nothing wrong with it?
    pub(super) sound: bool,
    pub(super) used: bool,
    pub(super) at: (usize, Range<usize>),
}

impl Reader<'_> {
    pub(super) fn groups(&mut self, file: usize, table: &DeTable<'_>) {
        let Some(value) = table.get("groups") else { return };
        let Some(groups) = self.problems(file).table(value, "a table of names with addresses") else { return };
        for (key, value) in groups {
            let name = key.get_ref().to_string();
            let before = self.problems.len();
            if Block::parse(&name).is_ok() || ["any", ""].contains(&name.as_str()) || name.contains(|c: char| c.is_control()) {
                let hint = "take a word, like `office`".to_owned();
                self.problems(file).error(key.span(), format!("`{}` can't be the name of a group", name.escape_debug()), Some(hint));
            }
            let addresses = self.group(file, key, value, groups);
            let group = Group {
                addresses,
                sound: self.problems[before..].iter().all(|problem| problem.warning),
                used: false,
                at: (file, key.span()),
            };
            if let Some(before) = self.groups.insert(name.clone(), group) {
                let at = self.policy.at(self.place(before.at.0, &before.at.1));
                self.problems(file).error(key.span(), format!("group `{name}` is there already"), Some(format!("the other is at {at}")));
            }
        }
    }

    fn group(&mut self, file: usize, name: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>, all: &DeTable<'_>) -> Addresses {
        let before = self.problems.len();
        let blocks: Addresses = match value.get_ref() {
            DeValue::Table(table) => {
                self.problems(file).only(table, "a group", GROUP);
                if table.is_empty() {
                    let hint = "write addresses, [] for nobody, or { file = \"list.txt\" }".to_owned();
                    self.problems(file).error(value.span(), "this says nothing", Some(hint));
                }
                let path = table.get("file").and_then(|path| self.problems(file).string(path, "the name of a file"));
                path.map_or_else(Vec::new, |at| self.group_file(file, name.get_ref(), at))
            }
            _ => {
                let words = self.problems(file).strings(value, "an address");
                words.into_iter().filter_map(|at| self.member(file, at, all)).collect()
            }
        }
        .into_iter()
        .collect();
        // What a list holds may change at any time, and must not keep the rest of the policy from being applied.
        if blocks.is_empty() && self.problems.len() == before {
            let hint = "a rule for it alone matches no packet, whatever it does";
            self.problems(file).warning(name.span(), "nobody is in this group", hint);
        }
        blocks
    }

    fn group_file(&mut self, file: usize, group: &str, (name, span): At<&str>) -> Vec<Block> {
        let beside = Path::new(&self.policy.files[file].name).parent().unwrap_or(Path::new("")).join(name);
        let read = match File::read_list(&beside) {
            Ok(read) => read,
            Err(error) => {
                self.problems(file).error(span, error.to_string(), error.hint);
                return Vec::new();
            }
        };
        let own = self.policy.files.len();
        let (blocks, remarks) = list::read(&read.text);
        self.policy.lists.insert(group.to_owned(), own);
        self.policy.files.push(read);
        self.problems.extend(remarks.into_iter().map(|list::Remark { span, mistake: (message, hint), warning }| Problem {
            hint,
            warning,
            ..Problem::new(own, span, message)
        }));
        blocks
    }

    /// An address in the list of a group.
    fn member(&mut self, file: usize, (text, span): At<&str>, all: &DeTable<'_>) -> Option<Block> {
        if all.contains_key(text) && Block::parse(text).is_err() {
            let hint = "groups don't hold groups: a rule may name several of them".to_owned();
            self.problems(file).error(span, format!("`{text}` is a group"), Some(hint));
            return None;
        }
        let names: Vec<&str> = all.keys().take(100).map(|name| name.get_ref().as_ref()).collect();
        let cure = || match nearest(&names, text) {
            Some(near) => format!("if the group `{near}` is meant: groups don't hold groups, but a rule may name several of them"),
            None => ADDRESS.to_owned(),
        };
        let said = |(message, hint): Mistake| self.problems(file).error(span, message, hint.or_else(|| Some(cure())));
        Block::parse(text).map_err(said).ok()
    }

    /// Groups and addresses; are all of them as they should be?
    pub(super) fn sources(&mut self, file: usize, table: &DeTable<'_>, key: &str) -> Option<(Sources, bool)> {
        let value = table.get(key)?;
        let words = self.problems(file).strings(value, "an address or the name of a group");
        if matches!(value.get_ref(), DeValue::Array(all) if all.is_empty()) {
            let hint = format!("leave `{key}` out for everybody");
            self.problems(file).warning(value.span(), "this is nobody: the rule matches no packet", hint);
        }
        let (mut blocks, mut sound) = (Vec::new(), true);
        for (text, span) in &words {
            match self.groups.get_mut(*text) {
                Some(group) => {
                    group.used = true;
                    sound &= group.sound;
                    if words.len() == 1 {
                        return Some((Sources { words: vec![(*text).to_owned()], addresses: group.addresses.clone() }, sound));
                    }
                    blocks.extend(&group.addresses);
                }
                None => blocks.extend(self.source(file, key, (text, span.clone()))),
            }
        }
        let words = words.iter().map(|(text, _)| (*text).to_owned()).collect();
        Some((Sources { words, addresses: blocks.into_iter().collect() }, sound))
    }

    /// What is no group is an address.
    fn source(&mut self, file: usize, key: &str, (text, span): At<&str>) -> Option<Block> {
        let error = match Block::parse(text) {
            Ok(block) => return Some(block),
            Err(error) => error,
        };
        // Of very many groups none is guessed.
        let names: Vec<&str> = self.groups.keys().take(100).map(String::as_str).collect();
        let (message, hint) = match nearest(&names, text) {
            Some(near) => (format!("there is no group `{text}`"), format!("did you mean `{near}`?")),
            None if is_like_an_address(text) => {
                self.problems(file).error(span, error.0, error.1.or_else(|| Some(ADDRESS.to_owned())));
                return None;
            }
            None => {
                let hint = match names.len() {
                    _ if ["any", "all", "*"].contains(&text) => format!("leave `{key}` out for everybody"),
                    0 => "there are no [groups]".to_owned(),
                    1..=20 => format!("the groups are: {}", names.join(", ")),
                    _ => format!("there are {} groups, but none of that name", self.groups.len()),
                };
                (format!("`{text}` is neither an address nor a group"), hint)
            }
        };
        self.problems(file).error(span, message, Some(hint));
        None
    }
}

fn is_like_an_address(text: &str) -> bool {
    text.contains(['.', ':', '/']) && text.contains(|c: char| c.is_ascii_hexdigit() || c == ':')
}
