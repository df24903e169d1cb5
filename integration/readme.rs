//! The README says what is true.

use dockgate::{
    model::Family,
    policy::{File, Policy, SCHEMA},
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

#[test]
fn its_policies_are_sound_and_every_key_is_explained() {
    let mut count = 0;
    for block in README.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        assert_eq!(Policy::parse(vec![File::new("README.md", text)]).problems, [], "{text}");
        count += 1;
    }
    assert!(count >= 1);
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    for at in ["/properties", "/$defs/rule/properties", "/$defs/test/properties", "/$defs/packet/properties"] {
        for key in schema.pointer(at).unwrap().as_object().unwrap().keys() {
            let words = [format!("`{key}`"), format!("`[{key}]`"), format!("`[[{key}]]`"), format!("`{key} = "), format!(" {key} = ")];
            assert!(words.iter().any(|word| README.contains(word)), "`{key}` is not explained");
        }
    }
}
