//! Policy files: what is said of them, the schema, and laws over many.

mod errors;
mod laws;
mod lists;
mod schema;
mod strategy;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Done, finish};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/policies")
}

/// What a folder has: files that end in `.toml`, and folders of such, in order.
fn policies(folder: &Path) -> Vec<String> {
    let is_policy = |path: &PathBuf| match path.is_dir() {
        true => !policies(path).is_empty() && path.file_name().is_some_and(|name| name != "errors"),
        false => path.extension().is_some_and(|end| end == "toml"),
    };
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(is_policy);
    let mut names: Vec<String> = paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Runs dockgate in a folder.
fn dockgate(folder: &Path, words: &[&str], input: &str) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
    command.current_dir(folder).args(words);
    finish(command, input)
}
