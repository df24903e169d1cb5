//! The schema takes what the reader takes, and refuses what has the wrong shape.

use std::fs;

use boon::{Compiler, Schemas};
use dockgate::policy::{File, Policy, SCHEMA};
use serde_json::Value;

use super::{dockgate, folder, policies};

/// Those of `fixtures/policies/errors` whose mistake is a matter of shape: unknown keys, wrong types,
/// wrong words. The mistakes of the others only a reader can find.
const OF_SHAPE: &[&str] = &[
    "action-empty.toml",
    "action-key-unknown.toml",
    "byte-order-mark.toml",
    "default-near.toml",
    "default-wrong.toml",
    "group-key-unknown.toml",
    "group-name.toml",
    "group-of-nothing.toml",
    "interface-alias.toml",
    "interface-none.toml",
    "interface-too-long.toml",
    "key-of-another-language.toml",
    "line-ends-of-windows.toml",
    "log-too-long.toml",
    "no-action.toml",
    "port-by-name.toml",
    "port-list-empty.toml",
    "port-lists.toml",
    "port-protocol.toml",
    "port-without-protocol.toml",
    "raw-and-more.toml",
    "raw-empty.toml",
    "rule-is-a-text.toml",
    "rule-with-one-bracket.toml",
    "several-at-once.toml",
    "test-of-a-wrong-packet.toml",
    "test-of-half-a-packet.toml",
    "test-without-packet.toml",
    "test-wrong.toml",
    "text-empty.toml",
    "text-of-control-characters.toml",
    "two-actions.toml",
    "two-files/20-two.toml",
    "type-wrong.toml",
    "unknown-key-near.toml",
    "unknown-key.toml",
];

/// Every file in `fixtures/policies` and the folders in it.
fn files() -> Vec<String> {
    let mut files = Vec::new();
    for within in ["", "errors/"] {
        for name in policies(&folder().join(within)) {
            let path = folder().join(within).join(&name);
            match path.is_dir() {
                true => files.extend(policies(&path).iter().map(|file| format!("{within}{name}/{file}"))),
                false => files.push(format!("{within}{name}")),
            }
        }
    }
    files
}

#[test]
fn it_takes_and_refuses_what_the_reader_does() {
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.add_resource("file:///policy.json", serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let schema = compiler.compile("file:///policy.json", &mut schemas).unwrap();
    let mut refused = Vec::new();
    for name in files() {
        let text = fs::read_to_string(folder().join(&name)).unwrap();
        // What is no TOML has no shape.
        let Ok(value) = toml::from_str::<Value>(text.trim_start_matches('\u{feff}')) else {
            let read = Policy::parse(vec![File::new(&name, text)]);
            assert!(read.problems[0].message.starts_with("this is not TOML"), "{name}");
            continue;
        };
        if let Err(error) = schemas.validate(&value, schema) {
            let name = name.strip_prefix("errors/").unwrap_or_else(|| panic!("{name}: {error}"));
            refused.push(name.to_owned());
        }
    }
    assert_eq!(refused, OF_SHAPE);
}

#[test]
fn the_program_prints_it() {
    assert_eq!(dockgate(&folder(), &["print", "schema"], "").ok(), SCHEMA);
}
