//! What the list of extensions says of them, for people.

use std::fmt;

use crate::{
    extension::Listed,
    matches,
    model::{Family, Protocol},
    syntax::{Example, OptionSpec, Outcome},
    targets,
};

/// The help of the match or target that is called so: what it does, its options, examples. Of all of
/// them if there are more.
pub fn extension(name: &str) -> Option<String> {
    let found: Vec<_> = entries().filter(|entry| entry.name == name || entry.aliases.contains(&name)).map(|one| one.to_string()).collect();
    (!found.is_empty()).then(|| found.join("\n"))
}

/// All matches and targets as a table in Markdown.
pub fn table() -> String {
    let mut out = String::from("| match or target | families | options | what it does |\n|---|---|---|---|\n");
    for entry in entries() {
        let families: Vec<_> = entry.families.iter().map(ToString::to_string).collect();
        let options: Vec<_> = entry.options.iter().map(|option| format!("`--{}`", option.name)).collect();
        let row = [entry.call(), families.join(", "), options.join(" "), entry.summary.to_owned()];
        out += &format!("| {} |\n", row.map(|cell| cell.replace('|', r"\|")).join(" | "));
    }
    out
}

/// A match or a target.
struct Entry {
    letter: char,
    name: &'static str,
    aliases: &'static [&'static str],
    families: &'static [Family],
    protocol: Option<Protocol>,
    summary: &'static str,
    options: &'static [OptionSpec],
    examples: &'static [Example],
}

fn entries() -> impl Iterator<Item = Entry> {
    fn of<T>(letter: char, list: &'static [Listed<T>]) -> impl Iterator<Item = Entry> {
        list.iter().map(move |&Listed { name, aliases, families, protocol, summary, options, examples, .. }| Entry {
            letter,
            name,
            aliases,
            families,
            protocol,
            summary,
            options,
            examples,
        })
    }
    of('m', matches::ALL).chain(of('j', targets::ALL))
}

impl Entry {
    /// What is typed for it: `` `-m state` ``, with its other names.
    fn call(&self) -> String {
        let names: Vec<_> = std::iter::once(&self.name).chain(self.aliases).map(|name| format!("`-{} {name}`", self.letter)).collect();
        names.join(", ")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.call().replace('`', ""), self.summary)?;
        if let [family] = self.families {
            writeln!(f, "In {} only.", family.command())?;
        }
        if let Some(protocol) = self.protocol {
            writeln!(f, "Behind `-p {protocol}` its options can stand without `-m {}`.", self.name)?;
        }
        if !self.options.is_empty() {
            f.write_str("\nOptions:\n")?;
        }
        for option in self.options {
            write!(f, "  {}--{}", if option.negates { "[!] " } else { "" }, option.name)?;
            option.aliases.iter().try_for_each(|alias| write!(f, ", --{alias}"))?;
            option.values.iter().try_for_each(|value| write!(f, " {value}"))?;
            writeln!(f, "\n        {}{}", option.help, if option.repeats { "; may be repeated" } else { "" })?;
        }
        f.write_str("\nExamples:\n")?;
        // An example of a line end in a text can't be shown in a line.
        for example in self.examples.iter().filter(|example| !example.input.contains('\n')) {
            match example.families {
                [family] if self.families.len() > 1 => writeln!(f, "  {}  ({})", example.input, family.command())?,
                _ => writeln!(f, "  {}", example.input)?,
            }
            match example.outcome {
                Outcome::Saved(saved) if saved == example.input => {}
                Outcome::Saved(saved) => writeln!(f, "        becomes: {}", saved.replace('\n', "\n        and:     "))?,
                Outcome::Refused(why) => writeln!(f, "        is refused: {why}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_has_help_under_each_of_its_names() {
        for entry in entries() {
            for name in [entry.name].iter().chain(entry.aliases) {
                let help = extension(name).unwrap();
                assert!(help.contains(entry.summary), "{name}");
                for option in entry.options {
                    assert!(help.contains(&format!("--{}", option.name)) && help.contains(option.help), "{name} --{}", option.name);
                }
                assert!(help.contains("is refused: "), "{name}");
            }
        }
        assert_eq!(extension("no-such-match"), None);
    }

    #[test]
    fn help_shows_values_negation_and_what_comes_of_the_examples() {
        let help = extension("tcp").unwrap();
        for part in [
            "-m tcp: ",
            "Behind `-p tcp` its options can stand without `-m tcp`.\n",
            "  [!] --destination-port, --dport PORT",
            "  -p tcp --dport https -j DROP\n        becomes: -p tcp -m tcp --dport 443 -j DROP\n",
            "  -p udp -m tcp --dport 80 -j DROP\n        is refused: needs `-p tcp`\n",
        ] {
            assert!(help.contains(part), "{part} is not in\n{help}");
        }
    }

    #[test]
    fn an_example_for_one_family_says_so() {
        let help = extension("REJECT").unwrap();
        assert!(help.contains("  -j REJECT  (ip6tables)\n        becomes: -j REJECT --reject-with icmp6-port-unreachable\n"), "{help}");
    }

    #[test]
    fn the_table_has_a_row_of_four_cells_for_each() {
        let table = table();
        assert_eq!(table.lines().count(), 2 + entries().count());
        for (row, entry) in table.lines().skip(2).zip(entries()) {
            assert!(row.starts_with(&format!("| `-{} {}`", entry.letter, entry.name)), "{row}");
            assert_eq!(row.replace(r"\|", "").matches('|').count(), 5, "{row}");
        }
    }
}
