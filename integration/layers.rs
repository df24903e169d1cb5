//! The map in `src/lib.rs` is kept: a module names only modules above it.

use std::{fs, path::Path};

/// From top to bottom; a module may use those before it.
const LAYERS: &[&str] = &[
    "uapi",
    "attr",
    "model",
    "expr",
    "notation",
    "syntax",
    "extension",
    "matches",
    "targets",
    "rule",
    "message",
    "netlink",
    "lab",
    "ruleset",
    "save",
    "policy",
    "marks",
    "compile",
    "plan",
    "docker",
    "apply",
    "audit",
    "live",
    "measure",
    "demo",
    "cli",
];

#[test]
fn every_module_uses_only_what_stands_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = Vec::new();
    for entry in fs::read_dir(&src).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["lib", "main", "error"].contains(&module.as_str()) {
            continue;
        }
        let own = LAYERS.iter().position(|layer| *layer == module).unwrap_or_else(|| panic!("`{module}` is not on the map"));
        seen.push(module);
        for file in files(&path) {
            let text = fs::read_to_string(&file).unwrap();
            for named in names(&text) {
                if let Some(at) = LAYERS.iter().position(|layer| *layer == named) {
                    assert!(at <= own, "{} uses `{named}`, which stands below `{}` on the map", file.display(), LAYERS[own]);
                }
            }
        }
    }
    let lib = fs::read_to_string(src.join("lib.rs")).unwrap();
    for module in seen {
        assert!(lib.contains(&format!("`{module}`")), "`{module}` is missing in the map in src/lib.rs");
    }
}

fn files(path: &Path) -> Vec<std::path::PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    fs::read_dir(path).unwrap().flat_map(|entry| files(&entry.unwrap().path())).collect()
}

/// The modules behind `crate::` in code, also in `use crate::{a, b::c}`.
fn names(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let first = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned();
    let mut out = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            out.push(first(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (index, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    out.push(first(list[start..index].trim_start()));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    out.push(first(list[start..index].trim_start()));
                    start = index + 1;
                }
                _ => {}
            }
        }
    }
    out
}
