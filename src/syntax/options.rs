use crate::model::Family;

/// An option of an extension: `--NAME`, how many words follow it, and what it means.
///
/// What `Args` checks from it: that it comes once (unless [`OptionSpec::repeats`]), that `!` stands
/// before it only where it may, and that its words are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    /// Without the dashes.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What follows it, as help shows it: `["PORT[:PORT]"]`; one entry a word. A last one all in
    /// brackets, `["[RATE]"]`, may be left out.
    pub values: &'static [&'static str],
    /// May `!` stand before it?
    pub negates: bool,
    /// May it come more than once?
    pub repeats: bool,
    /// One line, lower case, no final period.
    pub help: &'static str,
}

/// An option with these words behind it.
pub const fn opt(name: &'static str, values: &'static [&'static str], help: &'static str) -> OptionSpec {
    OptionSpec { name, aliases: &[], values, negates: false, repeats: false, help }
}

impl OptionSpec {
    /// `!` may stand before it.
    #[must_use]
    pub const fn negates(mut self) -> Self {
        self.negates = true;
        self
    }

    /// It may come more than once.
    #[must_use]
    pub const fn repeats(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// It has these other names.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Does `word` (without dashes) name it in full?
    pub fn is_called(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }

    /// Does one of its names begin with `word`?
    pub fn begins(&self, word: &str) -> bool {
        self.name.starts_with(word) || self.aliases.iter().any(|alias| alias.starts_with(word))
    }
}

/// A rule that documents an extension and tests it: everything else is made from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// What is typed after `-A DOCKER-USER`, the target included.
    pub input: &'static str,
    /// What comes of it.
    pub outcome: Outcome,
    /// The families it holds for.
    pub families: &'static [Family],
}

/// What comes of an [`Example`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Is taken and printed so by `-S` (after `-A DOCKER-USER `).
    Saved(&'static str),
    /// Is refused with this message.
    Refused(&'static str),
}

impl Example {
    /// A rule that is taken, in both families, and how it is printed.
    pub const fn ok(input: &'static str, saved: &'static str) -> Self {
        Self { input, outcome: Outcome::Saved(saved), families: &Family::BOTH }
    }

    /// A rule that is printed as it is typed.
    pub const fn same(input: &'static str) -> Self {
        Self::ok(input, input)
    }

    /// A rule that is refused, and what is said.
    pub const fn fails(input: &'static str, message: &'static str) -> Self {
        Self { input, outcome: Outcome::Refused(message), families: &Family::BOTH }
    }

    /// Holds for `ip` alone.
    #[must_use]
    pub const fn ip(mut self) -> Self {
        self.families = &[Family::Ip];
        self
    }

    /// Holds for `ip6` alone.
    #[must_use]
    pub const fn ip6(mut self) -> Self {
        self.families = &[Family::Ip6];
        self
    }
}

/// Would this word, in the place of a value, be taken for an option? Only texts may look so.
pub fn looks_like_option(word: &str) -> bool {
    word.starts_with("--") || (word.len() == 2 && word.starts_with('-'))
}
