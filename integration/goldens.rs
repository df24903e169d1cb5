//! `fixtures/extensions/NAME.golden`: for each example of an extension, what the real iptables prints
//! for it and the expressions that it wrote into the kernel. `BLESS=1` writes them anew, from the
//! iptables that is installed; look at that difference before it is committed.
//!
//! Ours are the same expressions, compared as bytes in hex, nothing trimmed. Unlike the comparison
//! with the installed iptables this needs no kernel and no iptables.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::PathBuf};

use dockgate::{
    attr::Writer,
    expr::{Expr, read_all},
    extension::{Context, Sets},
    matches,
    model::{ChainName, Counters, Dialect, Family},
    netlink::Netlink,
    rule::{Parser, Rule},
    ruleset::{Ruleset, Which},
    syntax::{Outcome, split},
    targets,
};

use crate::{
    extensions::examples,
    iptables::{Installed, make_objects, written_otherwise},
    support::{call, in_netns, run},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/extensions")
}

/// The examples that are taken, by extension and family; lines that hold a line end are left out, as
/// a golden file has one on each line.
fn taken() -> Vec<(&'static str, Family, &'static str, Vec<Rule>)> {
    let mut out = Vec::new();
    for (name, example, family) in examples() {
        if matches!(example.outcome, Outcome::Saved(_)) && !example.input.contains('\n') {
            let mut words = Vec::new();
            split(example.input, &mut words).unwrap();
            out.push((name, family, example.input, Parser::parse(&words, family).unwrap().rules));
        }
    }
    out
}

fn notation(list: &[u8]) -> String {
    let mut exprs = Vec::new();
    read_all(list, &mut exprs).unwrap();
    let uncounted = exprs.iter().map(|expr| match expr {
        Expr::Counter(_) => "[ counter ]".to_owned(),
        other => other.to_string(),
    });
    uncounted.collect::<Vec<_>>().join(" ")
}

fn ours(rule: &Rule, family: Family, dialect: Dialect) -> String {
    let sets = Sets::new([(0, "office".into()), (1, "services".into())]);
    let mut list = Vec::new();
    rule.linearize(Context { family, dialect, sets: &sets }, Counters::default(), &mut Writer::new(&mut list)).unwrap();
    notation(&list)
}

const DIALECTS: [(&str, Dialect); 3] = [("A", Dialect::A), ("B", Dialect::B), ("D", Dialect::D)];

#[test]
fn expressions_are_those_that_iptables_wrote() {
    let test = "goldens::expressions_are_those_that_iptables_wrote";
    if env::var_os("BLESS").is_some() {
        return in_netns(test, || bless(test));
    }
    let mut wrong = Vec::new();
    let mut golden: BTreeMap<&str, String> = BTreeMap::new();
    for (name, family, input, rules) in taken() {
        let text = golden.entry(name).or_insert_with(|| fs::read_to_string(folder().join(format!("{name}.golden"))).unwrap_or_default());
        let heading = format!("{family} {input}");
        let Some(block) = text.split("\n\n").find(|block| block.lines().next() == Some(&heading)) else {
            wrong.push(format!("{name}.golden has no `{heading}`: run with BLESS=1"));
            continue;
        };
        let written = text.lines().next().unwrap().rsplit(' ').next().unwrap();
        let (_, dialect) = DIALECTS.into_iter().find(|(letter, _)| *letter == written).unwrap();
        if block.lines().nth(1).is_some_and(|line| line.starts_with("  otherwise, ")) {
            continue;
        }
        let expected: String = rules.iter().fold(heading, |text, rule| format!("{text}\n  {rule}\n  {}", ours(rule, family, dialect)));
        if block.trim_end() != expected {
            wrong.push(format!("{name}\n{}\nours:\n{expected}", block.trim_end()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_extension_has_a_golden_file_and_no_file_is_left_over() {
    let mut names: Vec<String> = matches::ALL
        .iter()
        .map(|one| one.name)
        .chain(targets::ALL.iter().map(|one| one.name))
        .map(|name| format!("{name}.golden"))
        .collect();
    let mut files: Vec<String> = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.dedup();
    files.sort();
    assert_eq!(names, files);
}

/// Asks the installed iptables, in a namespace.
fn bless(test: &str) {
    let Some(installed) = Installed::find(test) else { return };
    let version = run("iptables", "--version");
    let (letter, _) = DIALECTS.into_iter().find(|(_, dialect)| *dialect == installed.dialect()).unwrap();
    make_objects();
    let mut netlink = Netlink::open().unwrap();
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (name, family, input, rules) in taken() {
        let text = files.entry(name).or_insert_with(|| format!("# what {} writes, dialect {letter}\n", version.trim()));
        write!(text, "\n{family} {input}\n").unwrap();
        // iptables-restore knows no single quotes; what has some is given to it as we print it.
        let saved: String = match input.contains('\'') {
            false => format!("-A DOCKER-USER {input}\n"),
            true => rules.iter().map(|rule| format!("-A DOCKER-USER {rule}\n")).collect(),
        };
        let printed: String = rules.iter().map(|rule| format!("{rule} ")).collect();
        if written_otherwise(installed, input) || written_otherwise(installed, &printed) {
            text.push_str("  otherwise, on purpose: integration/iptables/known.rs\n");
            continue;
        }
        let program = format!("{}-restore", family.command());
        let done = call(&program, "--noflush", &format!("*filter\n:DOCKER-USER - [0:0]\n{saved}COMMIT\n"));
        if done.code != 0 {
            writeln!(text, "  otherwise, as this iptables or kernel refuses it: {}", done.err.lines().next().unwrap_or_default()).unwrap();
            continue;
        }
        let chain = ChainName::docker_user();
        let ruleset = Ruleset::read_raw(&mut netlink, family, Which::Of(&chain)).unwrap();
        for (entry, rule) in ruleset.chain("DOCKER-USER").unwrap().rules().iter().zip(&rules) {
            writeln!(text, "  {rule}\n  {}", notation(entry.raw.as_deref().unwrap())).unwrap();
        }
    }
    fs::create_dir_all(folder()).unwrap();
    for (name, text) in files {
        fs::write(folder().join(format!("{name}.golden")), text).unwrap();
    }
}
