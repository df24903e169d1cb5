//! `fixtures/rulesets`: what real engines, 20.10 to 29.7, write in some thirty states each. Every rule
//! of theirs is read, and the jump to `DOCKER-USER` is found.

use std::{fs, path::PathBuf};

use dockgate::{
    docker::{Guarded, Jump, in_front, jump},
    model::{ChainName, Dialect, Family, Interface},
    netlink::Netlink,
    rule::Parser,
    ruleset::{Ruleset, Which, evidence},
    save::{read, save_lines},
    syntax::split,
};

use crate::{
    iptables::Installed,
    support::{call, in_netns, run},
};

/// The dumps: engine and state, family, text.
fn dumps() -> Vec<(String, Family, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/rulesets");
    let mut out = Vec::new();
    for engine in fs::read_dir(root).unwrap() {
        for file in fs::read_dir(engine.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let family = if path.extension().is_some_and(|extension| extension == "save6") { Family::Ip6 } else { Family::Ip };
            let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy().into_owned()).collect();
            out.push((format!("{}/{}", parts[1], parts[0]), family, fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(out.len() > 120, "{}", out.len());
    out.sort();
    out
}

/// The lines of the table `filter`.
fn filter(text: &str) -> Vec<&str> {
    table(text, "*filter")
}

fn table<'t>(text: &'t str, first: &str) -> Vec<&'t str> {
    text.lines().skip_while(|line| *line != first).take_while(|line| *line != "COMMIT").collect()
}

/// The dialect that tells of who wrote these lines again, if it is one that an iptables of that dialect did: by
/// a port in a rule of Docker's or with an xt extension; by a network and an interface beside an xt target
/// (`MASQUERADE`), 1.8.10 and later.
fn told(lines: &[&str], writer: Dialect) -> Dialect {
    let rules = lines.iter().filter_map(|line| line.strip_prefix("-A ")?.split_once(' '));
    let theirs = rules.filter(|(chain, _)| !ChainName::from_kernel(chain).unwrap().is_writable() || chain.ends_with("ROUTING"));
    let has = |part: &str| theirs.clone().any(|(_, rule)| rule.contains(part));
    match () {
        () if has(" --dport ") => writer,
        () if has(" -j MASQUERADE") && writer == Dialect::D => writer,
        () => Dialect::Portable,
    }
}

#[test]
fn every_rule_that_docker_writes_in_filter_is_read_and_printed_as_it_is() {
    let mut count = 0;
    for (name, family, text) in dumps() {
        for rule in filter(&text).iter().filter_map(|line| line.strip_prefix("-A ")?.split_once(' ')).map(|(_, rule)| rule) {
            let mut words = Vec::new();
            split(rule, &mut words).unwrap();
            let parsed = Parser::parse(&words, family).unwrap_or_else(|error| panic!("{name}: {rule}: {error}"));
            assert_eq!(parsed.rules[0].to_string(), rule, "{name}");
            count += 1;
        }
    }
    assert!(count > 1000, "{count}");
}

#[test]
fn of_a_whole_dump_only_what_is_not_dockers_is_taken() {
    for (name, family, text) in dumps() {
        let saved = read(&text, Some(family), false).unwrap_or_else(|errors| panic!("{name}: {}", errors[0]));
        for chain in saved.iter().flat_map(|saved| &saved.chains) {
            assert!(chain.name.is_writable(), "{name}: {}", chain.name);
        }
    }
}

#[test]
fn a_real_engines_chains_are_read_from_the_kernel_and_the_jump_is_found() {
    let test = "dockers::a_real_engines_chains_are_read_from_the_kernel_and_the_jump_is_found";
    in_netns(test, || {
        let Some(installed) = Installed::find(test) else { return };
        let mut netlink = Netlink::open().unwrap();
        let mut known = 0;
        for (name, family, text) in dumps() {
            let lines = filter(&text);
            if lines.is_empty() {
                continue;
            }
            let nat = table(&text, "*nat");
            let program = format!("{}-restore", family.command());
            run("nft", "flush ruleset");
            for lines in [&lines, &nat].into_iter().filter(|lines| !lines.is_empty()) {
                call(&program, "", &format!("{}\nCOMMIT\n", lines.join("\n"))).ok();
            }
            let ruleset = Ruleset::read(&mut netlink, family, Which::All).unwrap();
            let foreign = ruleset.chains.iter().flat_map(|chain| chain.rules()).filter(|entry| entry.rule().is_none()).count();
            assert_eq!(foreign, 0, "{name}");
            let expected =
                match lines.iter().filter(|line| line.starts_with("-A FORWARD ")).position(|line| line.ends_with(" -j DOCKER-USER")) {
                    None if ruleset.chain("DOCKER-USER").is_none() => Jump::NoChain,
                    None => Jump::Missing,
                    Some(0) => Jump::First,
                    Some(index) => Jump::At(index + 1),
                };
            assert_eq!(jump(&ruleset), expected, "{name}");
            // All of these are healthy: nothing in front of the jump lets packets past it.
            for guarded in [Guarded::From(vec![Interface::new("ext0").unwrap()]), Guarded::Everything] {
                assert_eq!(in_front(&ruleset, &guarded, true), None, "{name}: {guarded:?}");
            }
            // Line for line what was loaded, but for the order of chains.
            let mut ours = String::new();
            save_lines(&mut ours, &ruleset, None, None, false).unwrap();
            let rules = |text: &[&str]| {
                let mut rules: Vec<String> = text.iter().filter(|line| line.starts_with("-A ")).map(|line| (*line).to_owned()).collect();
                rules.sort_by_key(|rule| rule.split(' ').nth(1).map(str::to_owned));
                rules
            };
            assert_eq!(rules(&ours.lines().collect::<Vec<_>>()), rules(&lines), "{name}");
            // The iptables that wrote it here is told from Docker's rules alone.
            let all = [lines, nat].concat();
            let dialect = evidence(&mut netlink).unwrap().dialect();
            let expected = told(&all, installed.dialect());
            // IPv6's ports all since 1.8.8 write alike.
            let alike = family == Family::Ip6 && (expected, dialect) == (Dialect::D, Dialect::B);
            assert!(dialect == expected || alike, "{name}: {dialect:?} for {expected:?}");
            known += usize::from(dialect != Dialect::Portable);
        }
        assert!(known > 50, "{known}");
    });
}
