//! The README says what is true.

use dockgate::{
    model::Family,
    rule::{Parser, help},
    syntax::split,
};

const README: &str = include_str!("../README.md");

#[test]
fn the_table_of_extensions_is_current() {
    let (begin, end) = ("<!-- extensions: made from the list in src/matches and src/targets -->\n", "<!-- /extensions -->");
    let start = README.find(begin).unwrap() + begin.len();
    let stop = README.find(end).unwrap();
    let wanted = format!("\n{}\n", help::table().trim());
    if std::env::var_os("BLESS").is_some() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        return std::fs::write(path, format!("{}{wanted}{}", &README[..start], &README[stop..])).unwrap();
    }
    assert_eq!(&README[start..stop], wanted, "run the tests with BLESS=1");
}

#[test]
fn every_line_for_iptables_is_taken() {
    let lines = README.lines().filter_map(|line| line.strip_prefix("dockgate ")).filter_map(|line| line.split_once(" -I DOCKER-USER "));
    let mut count = 0;
    for (command, rule) in lines {
        let family = if command == "ip6tables" { Family::Ip6 } else { Family::Ip };
        let mut words = Vec::new();
        split(rule, &mut words).unwrap();
        Parser::parse(&words, family).unwrap_or_else(|error| panic!("{rule}: {error}"));
        count += 1;
    }
    assert!(count >= 8, "{count}");
}
