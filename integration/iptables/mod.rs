//! The iptables that is installed, both ways: it reads what we write as what we print, and we read
//! what it writes as what it prints; and both list the same ruleset in the same way.
//!
//! All examples of all extensions go through, and the lines of `lines::BASE`. Many rules share a
//! namespace, and one `iptables-restore --noflush` with a line for each stands for as many `-C` or
//! `-D`: it fails at the line that iptables alone would fail at.

mod elsewhere;
mod known;
mod lines;
mod listed;
mod objects;
mod pinned;
mod read;
mod told;
mod version;
mod written;

pub use known::{not_forwarded, not_read_back, sets_counters, written_otherwise};
pub use lines::rules;
pub use objects::make as make_objects;
pub use version::Iptables;
pub(crate) use version::on_each_iptables;

use dockgate::{
    apply::{Options, transact},
    model::{ChainName, Counters, Dialect, Family},
    netlink::Netlink,
    plan,
    rule::Rule,
    ruleset::{Ruleset, Which},
};

use crate::support::{Done, call, need, run};

/// The iptables that is installed.
#[derive(Debug, Clone, Copy)]
pub struct Installed {
    /// Its version: 1.8.9 is `(1, 8, 9)`.
    pub version: (u32, u32, u32),
}

impl Installed {
    /// `None` if there is none, or one that does not write nf_tables; `test` is then reported as
    /// skipped.
    pub fn find(test: &str) -> Option<Self> {
        if !need(test, "iptables") || !need(test, "ip6tables") {
            return None;
        }
        let text = run("iptables", "--version");
        if !text.contains("nf_tables") {
            crate::support::skip(test, "iptables", &format!("`iptables` is not iptables-nft: {}", text.trim()));
            return None;
        }
        let version = text.split_whitespace().find_map(|word| word.strip_prefix('v')).unwrap();
        let mut numbers = version.split('.').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap_or_default();
        Some(Self { version: (next(), next(), next()) })
    }

    /// What it writes.
    pub fn dialect(self) -> Dialect {
        match self.version {
            (1, 8, ..=7) => Dialect::A,
            (1, 8, ..=9) => Dialect::B,
            _ => Dialect::D,
        }
    }

    /// A rule as this version prints it, [`Installed::blanks`] left out: up to 1.8.7 with the end of a search.
    pub fn prints(self, rule: String) -> String {
        let rule = self.protocol_names(rule);
        match self.version {
            (1, 8, ..=7) => self.blanks(with_end_of_search(&rule)),
            _ => rule,
        }
    }

    /// A printed rule without the blanks that 1.8.7 has too many of; in quotes there are none here.
    pub fn blanks(self, printed: String) -> String {
        match self.version {
            (1, 8, ..=7) => printed.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "),
            _ => printed,
        }
    }

    /// A rule as this version prints its protocol: up to 1.8.10 by the name in `/etc/protocols`.
    pub fn protocol_names(self, rule: String) -> String {
        let number = rule.split(' ').skip_while(|word| *word != "-p").nth(1).filter(|word| word.parse::<u8>().is_ok());
        let (Some(number), true) = (number, self.version < (1, 8, 11)) else { return rule };
        let listed = std::fs::read_to_string("/etc/protocols").unwrap_or_default();
        let name = listed.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            words.next().filter(|_| words.next() == Some(number))
        });
        name.map_or(rule.clone(), |name| rule.replace(&format!("-p {number}"), &format!("-p {name}")))
    }

    /// What it reads rightly.
    pub fn reads(self) -> Vec<Dialect> {
        let all = [Dialect::A, Dialect::Portable, Dialect::B, Dialect::D];
        all.into_iter().filter(|dialect| self.dialect() != Dialect::A || !dialect.native()).collect()
    }
}

/// With `--to 65535` in each `-m string` that has no `--to`.
fn with_end_of_search(rule: &str) -> String {
    let mut parts = rule.split(" --algo ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let words = if part.split(' ').nth(1) == Some("--from") { 3 } else { 1 };
        let at = part.match_indices(' ').nth(words - 1).map_or(part.len(), |(at, _)| at);
        let (limits, rest) = part.split_at(at);
        let to = if rest.starts_with(" --to ") { "" } else { " --to 65535" };
        out += &format!(" --algo {limits}{to}{rest}");
    }
    out
}

/// Runs `iptables`, `ip6tables`, or with `-restore`, `-save` behind it.
fn iptables(family: Family, program: &str, line: &str, input: &str) -> Done {
    call(&format!("{}{program}", family.command()), line, input)
}

/// Takes all away, and makes what examples name.
fn reset() {
    run("nft", "flush ruleset");
    objects::make();
}

/// Does for each line what `command` (`-A`, `-C`, `-D`) says, on `DOCKER-USER`. Where all of it fails
/// because of some lines, those are left out; they come back, each with what iptables said.
fn each<'l>(family: Family, command: &str, lines: &[&'l str]) -> Vec<(&'l str, String)> {
    let mut refused = Vec::new();
    let mut lines = lines.to_vec();
    loop {
        let body: String = lines.iter().map(|line| format!("{command} DOCKER-USER {line}\n")).collect();
        let done = iptables(family, "-restore", "--noflush", &format!("*filter\n{body}COMMIT\n"));
        if done.code == 0 {
            return refused;
        }
        let after = |mark: &str| done.err.split(mark).nth(1).and_then(|text| text.split([' ', ':', '\n']).find(|word| !word.is_empty()));
        let number = ["line: ", "occurred at line:", "line "].into_iter().find_map(after).and_then(|word| word.parse::<usize>().ok());
        let number = number.unwrap_or_else(|| panic!("{}", done.err));
        if number == lines.len() + 2 {
            // 1.8.7 does not say which line it is.
            refused.extend(one_by_one(family, command, &lines));
            return refused;
        }
        assert!((2..lines.len() + 2).contains(&number), "{}", done.err);
        refused.push((lines.remove(number - 2), done.err.clone()));
    }
}

fn one_by_one<'l>(family: Family, command: &str, lines: &[&'l str]) -> Vec<(&'l str, String)> {
    let tried = lines.iter().map(|line| (*line, iptables(family, "", &format!("{command} DOCKER-USER {line}"), "")));
    tried.filter(|(_, done)| done.code != 0).map(|(line, done)| (line, done.err)).collect()
}

/// What `iptables -S DOCKER-USER` prints behind `-A DOCKER-USER `.
fn printed(installed: Installed, family: Family) -> Vec<String> {
    let text = iptables(family, "", "-S DOCKER-USER", "").ok();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("-N DOCKER-USER"));
    lines.map(|line| installed.blanks(line.strip_prefix("-A DOCKER-USER").unwrap().trim().to_owned())).collect()
}

/// Appends rules with our own hands.
fn append(family: Family, chain: &str, rules: &[Rule], dialect: Option<Dialect>) {
    let name = ChainName::for_iptables(chain).unwrap();
    let mut netlink = Netlink::open().unwrap();
    let done = transact(&mut netlink, Options { dialect, dry_run: false }, |netlink| {
        let ruleset = Ruleset::read(netlink, family, Which::None)?;
        Ok(plan::append(&ruleset, &name, rules.to_vec(), Counters::default())?)
    });
    if let Err(error) = done {
        panic!("{error}: {error:#?}");
    }
}
