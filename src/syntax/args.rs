use std::ops::Range;

use smallvec::SmallVec;

use super::{OptionSpec, SyntaxError, Word};
use crate::model::{Family, Protocol, Test};

/// One option as given: `! --dport 80`.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// Which option.
    pub spec: &'static OptionSpec,
    /// Did `!` stand before it?
    pub negated: bool,
    /// From the `!` or the dashes to the end of the option's name.
    pub span: Range<usize>,
    /// The words behind it: as many as [`OptionSpec::values`] has entries, less one that may be left
    /// out and is.
    pub values: SmallVec<[Word<'a>; 1]>,
}

impl<'a> Given<'a> {
    /// The option's name.
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    /// The text of the word at `index` behind the option.
    ///
    /// # Panics
    /// If the option's [`OptionSpec::values`] has no entry there, or the word was left out.
    pub fn text(&self, index: usize) -> &str {
        &self.values[index].text
    }

    /// An error at the option's last word, or at the option if none follows it.
    pub fn error(&self, message: impl Into<String>) -> SyntaxError {
        let span = self.values.last().map_or(&self.span, |word| &word.span);
        SyntaxError::new(span.clone(), message)
    }

    /// An error at the option itself.
    pub fn error_here(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.span.clone(), message)
    }
}

/// The options given to one match or target, in order, and what they may depend on.
#[derive(Debug)]
pub struct Args<'a> {
    given: smallvec::IntoIter<[Given<'a>; 1]>,
    span: Range<usize>,
    family: Family,
    protocol: Option<Test<Protocol>>,
}

impl<'a> Args<'a> {
    /// The options `given` to the extension named at `span` in a rule of that family and protocol.
    pub fn new(given: SmallVec<[Given<'a>; 1]>, span: Range<usize>, family: Family, protocol: Option<Test<Protocol>>) -> Self {
        Self { given: given.into_iter(), span, family, protocol }
    }

    /// The rule's family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The rule's `-p`.
    pub fn protocol(&self) -> Option<Test<Protocol>> {
        self.protocol
    }

    /// An error at the extension's name (`-m NAME`): something is missing.
    pub fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.span.clone(), message)
    }

    /// The error of an extension that needs `-p` with one of these.
    ///
    /// # Errors
    /// If the rule's protocol is none of them, or is negated.
    pub fn needs_protocol(&self, protocols: &[Protocol]) -> Result<(), SyntaxError> {
        match self.protocol {
            Some(Test { negated: false, value }) if protocols.contains(&value) => Ok(()),
            _ => {
                let names: Vec<_> = protocols.iter().map(|protocol| format!("`-p {protocol}`")).collect();
                Err(self.error(format!("needs {}", names.join(" or "))).hint(format!("write {} in front of it", names[0])))
            }
        }
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = Given<'a>;

    fn next(&mut self) -> Option<Given<'a>> {
        self.given.next()
    }
}
