//! The README says what is true.

use dockgate::{
    cli::{EXIT_CODES_AND_CHANGES, ExitCode, exit_codes_as_markdown},
    model::Family,
    policy::{File, Policy, SCHEMA},
    rule::{Parser, help},
    syntax::split,
};

use crate::support::dockgate;

const README: &str = include_str!("../README.md");

/// What stands between two comments is this; `BLESS=1` writes it.
#[track_caller]
fn part(begin: &str, end: &str, text: &str) {
    // Several parts may be written in one run.
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    static WRITER: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = WRITER.lock().unwrap();
    let readme = std::fs::read_to_string(&path).unwrap();
    let start = readme.find(begin).unwrap() + begin.len();
    let stop = readme.find(end).unwrap();
    let wanted = format!("\n{}\n", text.trim());
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(path, format!("{}{wanted}{}", &readme[..start], &readme[stop..])).unwrap();
    }
    assert_eq!(&readme[start..stop], wanted, "run the tests with BLESS=1");
}

#[test]
fn the_table_of_extensions_is_current() {
    part("<!-- extensions: made from the list in src/matches and src/targets -->\n", "<!-- /extensions -->", &help::table());
}

/// The help and the README say the same of each exit code.
#[test]
fn the_exit_codes_are_those_of_the_help() {
    part("<!-- exit codes: made from src/cli/exit.rs -->\n", "<!-- /exit codes -->", &exit_codes_as_markdown());
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let help = one_line(&dockgate("--help", "").ok());
    for code in ExitCode::ALL {
        assert!(help.contains(&format!(" {} {}", code as u8, code.meaning())), "{code:?}: {help}");
    }
    assert!(help.ends_with(EXIT_CODES_AND_CHANGES), "{help}");
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
