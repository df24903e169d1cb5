//! Writes the corpora that fuzzing begins with, and a dictionary: `seed FOLDER`.

use std::{collections::BTreeSet, env, fs, path::Path};

use dockgate::{
    message::{Batch, Place},
    model::{ChainName, Family},
    syntax::split,
};
use dockgate_fuzz::seeds;

fn main() {
    let folder = env::args().nth(1).expect("seed FOLDER");
    let folder = Path::new(&folder);
    let rules = seeds::rules();
    write(folder, "rule", rules.iter().map(|rule| rule.clone().into_bytes()));
    write(folder, "words", rules.iter().flat_map(|rule| words(rule)));
    write(folder, "save", seeds::saves().into_iter().map(String::into_bytes));
    let lists = seeds::lists();
    write(folder, "netlink", lists.iter().map(|list| messages(list)));
    write(folder, "expressions", lists.into_iter());
    let hex = |word: &String| word.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let entries: String = seeds::dictionary().iter().map(|word| format!("\"{}\"\n", hex(word))).collect();
    fs::write(folder.join("words.dict"), entries).expect("the folder can be written");
}

/// One file for each different seed.
fn write(folder: &Path, target: &str, seeds: impl Iterator<Item = Vec<u8>>) {
    let folder = folder.join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    for (index, seed) in seeds.collect::<BTreeSet<_>>().into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{index}")), seed).expect("the folder can be written");
    }
}

/// A rule as the words of command lines.
fn words(rule: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    if split(rule, &mut words).is_err() {
        return Vec::new();
    }
    let words: Vec<&str> = words.iter().map(|word| word.text.as_ref()).collect();
    let line = |command: &[&str]| [command, &words].concat().join("\0").into_bytes();
    vec![line(&["-A", "DOCKER-USER"]), line(&["-I", "DOCKER-USER", "2"]), line(&["-DDOCKER-USER"])]
}

/// A rule as the kernel sends it, for both families: the messages of a batch, with the handle that a
/// dump has.
fn messages(list: &[u8]) -> Vec<u8> {
    let mut batch = Batch::new(None);
    for family in Family::BOTH {
        let place = Place::Replacing(dockgate::model::Handle(7));
        batch.rule(family, &ChainName::docker_user(), place, (0, false), |w| {
            for attr in dockgate::attr::Attrs::new(list).flatten() {
                w.bytes(attr.kind, attr.payload);
            }
        });
    }
    batch.seal().map(|batch| batch.as_bytes().to_vec()).unwrap_or_default()
}
