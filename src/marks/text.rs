//! The table as text, for the history and for its hash.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use super::{Chain, Element, Kind, Set, Table};
use crate::model::{ChainName, Family};

/// A text that is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

impl fmt::Display for Table {
    /// A line for each chain, rule, set and element; all of it but the room that sets have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines(f, |_| true)
    }
}

/// A table without its senders.
pub(crate) struct Frame<'a>(pub(crate) &'a Table);

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines(f, |kind| !kind.has_senders() && kind != Kind::Hash)
    }
}

impl Table {
    /// The elements of sets of that kind alone.
    fn lines(&self, f: &mut fmt::Formatter<'_>, elements_of: impl Fn(Kind) -> bool) -> fmt::Result {
        if self.strange {
            writeln!(f, "strange")?;
        }
        for Chain { name, base, rules } in &self.chains {
            writeln!(f, "{} {name}", if *base { "base" } else { "chain" })?;
            for rule in rules {
                f.write_str("rule ")?;
                rule.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_char('\n')?;
            }
        }
        for Set { kind, elements, .. } in &self.sets {
            let family = match kind {
                Kind::Hosts(family, _) | Kind::Networks(family, _) => *family,
                Kind::Ports(..) | Kind::Hash => Family::Ip,
            };
            writeln!(f, "set {family} {:x} {kind}", kind.flags())?;
            for Element { key, end, id } in elements.iter().filter(|_| elements_of(*kind)) {
                writeln!(f, "{} {key:x} {id:x}", if *end { "end" } else { "at" })?;
            }
        }
        Ok(())
    }
}

impl FromStr for Table {
    type Err = Damaged;

    fn from_str(text: &str) -> Result<Self, Damaged> {
        let mut table = Self::default();
        text.lines().try_for_each(|line| table.line(line)).ok_or(Damaged)?;
        for set in &mut table.sets {
            set.size = super::lower::room(set.kind, &set.elements);
        }
        Ok(table)
    }
}

impl Table {
    fn line(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["strange"] => self.strange = true,
            [kind @ ("base" | "chain"), name] => {
                self.chains.push(Chain { name: ChainName::from_kernel(name).ok()?, base: *kind == "base", rules: Vec::new() });
            }
            ["rule", hex] => {
                let byte = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
                let rule: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
                self.chains.last_mut()?.rules.push(rule?.into());
            }
            ["set", family, flags, name] => {
                let family = Family::BOTH.into_iter().find(|one| one.to_string() == *family)?;
                let kind = Kind::of(name, u32::from_str_radix(flags, 16).ok()?, family)?;
                self.sets.push(Set { kind, size: 0, elements: Vec::new() });
            }
            [end @ ("end" | "at"), key, id] => {
                let (key, id) = (u128::from_str_radix(key, 16).ok()?, u32::from_str_radix(id, 16).ok()?);
                self.sets.last_mut()?.elements.push(Element { key, end: *end == "end", id });
            }
            _ => return None,
        }
        Some(())
    }
}
