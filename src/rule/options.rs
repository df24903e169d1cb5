//! Long options, to the extension that takes them.

use std::ops::Range;

use smallvec::SmallVec;

use super::{
    parse::Parser,
    tokens::{LONG, Token, Tokens},
    unknown::unknown_option,
};
use crate::{
    extension::Listed,
    matches::{self, Match},
    model::{Family, Protocol, Test},
    syntax::{Args, Given, OptionSpec, SyntaxError, Word, looks_like_option},
    targets::Target,
};

/// An extension as named on the line, with the options that came for it.
#[derive(Debug)]
pub(super) struct Instance<'a, T: 'static> {
    pub(super) extension: &'static Listed<T>,
    pub(super) given: SmallVec<[Given<'a>; 1]>,
    pub(super) name: Range<usize>,
    pub(super) span: Range<usize>,
}

#[derive(Debug)]
pub(super) enum PendingTarget<'a> {
    Verdict(Target, Range<usize>),
    Extension(Instance<'a, Target>),
}

impl<'a> Parser<'a> {
    /// Takes `--NAME`, its values from `tokens`.
    pub(super) fn long(&mut self, name: &str, span: Range<usize>, tokens: &mut Tokens<'_, 'a>) -> Result<(), SyntaxError> {
        if self.named(name).is_none() {
            self.load_protocols_match(name, &span);
        }
        match self.named(name) {
            Some(Named::Own(letter)) => self.token(Token::Letter(letter, span), tokens),
            Some(Named::Theirs(to, spec)) => self.give(to, spec, span, tokens),
            None => Err(unknown_option(name, span, self.family)),
        }
    }

    /// The option with that name, else the only one that begins so: `-p tcp -m multiport --dport 80`
    /// means `--dports`, as `getopt_long` completes names before iptables thinks of `-m tcp`.
    fn named(&self, name: &str) -> Option<Named> {
        if let Some((to, spec)) = self.find_option(&|spec: &OptionSpec| spec.is_called(name)) {
            return Some(Named::Theirs(to, spec));
        }
        let begins = |spec: &OptionSpec| spec.begins(name);
        let mut own = LONG.iter().filter(|(long, _)| long.starts_with(name));
        match (own.next(), own.next(), self.find_option(&begins)) {
            (Some(&(_, letter)), None, None) => Some(Named::Own(letter)),
            (None, None, Some((to, spec))) if self.find_option(&|other| begins(other) && other != spec).is_none() => {
                Some(Named::Theirs(to, spec))
            }
            _ => None,
        }
    }

    /// A match that comes again loses an option to another match between the two that has it too:
    /// so iptables would not read what it prints for the rule. The names of both.
    fn torn_apart(&self, to: Taker, spec: &OptionSpec) -> Option<(&'static str, &'static str)> {
        let Taker::Match(index) = to else { return None };
        let (before, own) = (&self.matches[..index], self.matches[index].extension.name);
        let first = before.iter().position(|instance| instance.extension.name == own)?;
        let has = |instance: &&Instance<'_, Match>| instance.extension.options.iter().any(|other| other.is_called(spec.name));
        let other = before[first..].iter().filter(has).find(|instance| instance.extension.name != own)?;
        Some((own, other.extension.name))
    }

    /// The option that `is` describes, of the target or the latest match that has it.
    fn find_option(&self, is: &dyn Fn(&OptionSpec) -> bool) -> Option<(Taker, &'static OptionSpec)> {
        if let Some(PendingTarget::Extension(target)) = &self.target
            && let Some(spec) = target.extension.options.iter().find(|spec| is(spec))
        {
            return Some((Taker::Target, spec));
        }
        self.matches
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, instance)| instance.extension.options.iter().find(|spec| is(spec)).map(|spec| (Taker::Match(index), spec)))
    }

    /// `-p tcp --dport 80` means `-p tcp -m tcp --dport 80`.
    fn load_protocols_match(&mut self, name: &str, span: &Range<usize>) {
        let Some(Test { negated: false, value }) = self.base.protocol else { return };
        let of_protocol = matches::ALL.iter().find(|one| one.protocol == Some(value) && one.families.contains(&self.family));
        let Some(extension) = of_protocol else { return };
        let loaded = self.matches.iter().any(|instance| instance.extension.name == extension.name);
        if !loaded && extension.options.iter().any(|spec| spec.begins(name)) {
            self.matches.push(Instance { extension, given: SmallVec::new(), name: span.clone(), span: span.clone() });
        }
    }

    fn give(&mut self, to: Taker, spec: &'static OptionSpec, span: Range<usize>, tokens: &mut Tokens<'_, 'a>) -> Result<(), SyntaxError> {
        let (negated, span) = self.negation(span);
        if negated && !spec.negates {
            return Err(SyntaxError::new(span, format!("`--{}` can't be negated", spec.name)));
        }
        if let Some((own, other)) = self.torn_apart(to, spec) {
            return Err(SyntaxError::new(span, format!("iptables takes this `--{}` for that of `-m {other}` in front", spec.name))
                .hint(format!("put one `-m {own}` right behind the other")));
        }
        let mut values = SmallVec::new();
        for what in spec.values {
            let word = match what.starts_with('[') {
                true => tokens.optional_value(),
                false => Some(tokens.value(what)?),
            };
            let Some(word) = word else { break };
            // For getopt the first word is the option's whatever it is; but only a text can look like an option.
            if (looks_like_option(&word.text) && *what != "TEXT") || (!values.is_empty() && word.text.starts_with('-')) {
                return Err(word.error(format!("`--{}` needs a word here: {what}", spec.name)));
            }
            if word.text == "!" {
                return Err(word.error("the `!` stands before the option").hint(format!("write `! --{} …`", spec.name)));
            }
            values.push(word);
        }
        let end = values.last().map_or(span.end, |word: &Word<'_>| word.span.end);
        let (given, whole) = match to {
            Taker::Match(index) => {
                let instance = &mut self.matches[index];
                (&mut instance.given, &mut instance.span)
            }
            Taker::Target => match &mut self.target {
                Some(PendingTarget::Extension(instance)) => (&mut instance.given, &mut instance.span),
                _ => return Err(SyntaxError::new(span, "the target takes no options")),
            },
        };
        if !spec.repeats && given.iter().any(|before| before.spec == spec) {
            let name = if spec.aliases.contains(&"dport") { "dport" } else { spec.name };
            return Err(SyntaxError::new(span, format!("`--{name}` can be given once only")));
        }
        *whole = whole.start.min(span.start)..whole.end.max(end);
        given.push(Given { spec, negated, span, values });
        Ok(())
    }
}

/// What a long option is: one of iptables' own, by its letter, or an extension's.
enum Named {
    Own(char),
    Theirs(Taker, &'static OptionSpec),
}

#[derive(Debug, Clone, Copy)]
enum Taker {
    Match(usize),
    Target,
}

impl<T> Instance<'_, T> {
    pub(super) fn build(self, family: Family, protocol: Option<Test<Protocol>>) -> Result<T, SyntaxError> {
        (self.extension.parse)(&mut Args::new(self.given, self.name, family, protocol))
    }
}
