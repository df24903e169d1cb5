//! Words that name nothing: what was meant, and where it belongs.

use std::ops::Range;

use crate::{
    matches,
    model::{Family, Protocol, TABLE},
    syntax::{OptionSpec, SyntaxError, Word},
    targets::{self, Place},
};

pub(super) fn unknown_match(word: &Word<'_>, family: Family) -> SyntaxError {
    let error = word.error(format!("there is no match `{}` in {}", word.text, family.command()));
    let other = matches::ALL.iter().find(|one| one.name == word.text || one.aliases.contains(&word.text.as_ref()));
    match other {
        Some(_) => error.hint("the other family has it"),
        None => error.hint("see `dockgate iptables --help` for those there are"),
    }
}

/// Why a target can't stand here: the other family has it, or another table.
pub(super) fn unusable_target(word: &Word<'_>, family: Family) -> SyntaxError {
    let name = word.text.as_ref();
    let (place, families) = match targets::elsewhere(name) {
        Some(one) => (Some(one.place), one.families),
        None => (None, &Family::BOTH[..]),
    };
    match place {
        Some(Place::Tables(tables)) if families.contains(&family) => {
            let quoted: Vec<_> = tables.iter().map(|table| format!("`{table}`")).collect();
            let (noun, command) = (if quoted.len() == 1 { "table" } else { "tables" }, family.command());
            let error = word.error(format!("`{name}` works in the {noun} {} only, here is `{TABLE}`", quoted.join(" and ")));
            error.hint(format!("`{command} -t {}` writes there, dockgate does not", tables[0]))
        }
        Some(Place::Gone(instead)) => word.error(format!("today's kernels have no target `{name}` any more")).hint(instead),
        _ => word.error(format!("there is no target `{name}` in {}", family.command())).hint("the other family has it"),
    }
}

pub(super) fn unknown_option(name: &str, span: Range<usize>, family: Family) -> SyntaxError {
    let has = |options: &[OptionSpec]| options.iter().any(|spec| spec.is_called(name));
    let owners: Vec<String> = matches::ALL
        .iter()
        .filter(|one| one.families.contains(&family) && has(one.options))
        .map(|one| match one.protocol {
            Some(protocol) => format!("`-p {protocol}`"),
            None => format!("`-m {}`", one.name),
        })
        .chain(targets::ALL.iter().filter(|one| has(one.options)).map(|one| format!("`-j {}`", one.name)))
        .collect();
    match owners.as_slice() {
        [] => SyntaxError::new(span, format!("there is no option `--{name}`")).hint("see `dockgate iptables --help`"),
        [owner] => SyntaxError::new(span, format!("`--{name}` belongs to {owner}")).hint(format!("write {owner} in front of it")),
        several => {
            let error = SyntaxError::new(span, format!("`--{name}` belongs to one of {}", several.join(", ")));
            // Ports belong to several protocols; most people mean this one's.
            let likely = several.iter().find(|owner| **owner == format!("`-p {}`", Protocol::TCP));
            error.hint(format!("write for example {} in front of it", likely.unwrap_or(&several[0])))
        }
    }
}
