//! What a match or target extension is, and what it needs: where its expressions go
//! ([`Linearizer`]) and where they come from ([`Cursor`]).

use std::fmt;

use crate::{
    attr::Writer,
    expr::{Bitwise, Cmp, Condition, Expr, Field, Item, Meta, Operand, Payload, Range, Xt},
    model::{Dialect, Family, Protocol, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, looks_like_option},
    uapi::NFT_REG_1,
};

/// A match (`-m NAME`) or target (`-j NAME`): one file in [`crate::matches`] or [`crate::targets`],
/// and one line of the list there.
///
/// `Display` is the save form without `-m NAME` or `-j NAME`: `--ctstate NEW`, nothing if it has no
/// options. From [`Extension::EXAMPLES`] come its tests, goldens, help, bench inputs and fuzz seeds.
pub trait Extension: Sized + Clone + PartialEq + fmt::Debug + fmt::Display {
    /// The word after `-m` or `-j`.
    const NAME: &'static str;
    /// Other words that iptables takes for it.
    const ALIASES: &'static [&'static str] = &[];
    /// The families that have it.
    const FAMILIES: &'static [Family] = &Family::BOTH;
    /// A match that belongs to a protocol and is loaded without `-m` when one of its options comes.
    const PROTOCOL: Option<Protocol> = None;
    /// Does a blank stand in front of what `iptables -n -L` prints for it?
    const LISTED_APART: bool = true;
    /// If the kernel takes it only in chains without forwarded packets, so not in `DOCKER-USER`: why, and
    /// what to do instead.
    const NOT_FORWARDED: Option<&'static str> = None;
    /// What it does, in a line: lower case, no final period.
    const SUMMARY: &'static str;
    /// Its options.
    const OPTIONS: &'static [OptionSpec];
    /// Where it works, if not in every chain that packets reach from `FORWARD`, `INPUT` or `OUTPUT`: a
    /// sentence without its period.
    const HOOKS: Option<&'static str> = None;
    /// Rules that show what it does: at least one taken, one negated where it can be, one refused.
    const EXAMPLES: &'static [Example];

    /// Makes it from its options.
    ///
    /// # Errors
    /// With the word that is wrong, why, and what would be right.
    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError>;

    /// Writes its expressions.
    fn linearize(&self, out: &mut Linearizer<'_, '_>);

    /// Reads its expressions. `None`: not mine, or not all understood; never a guess. What the
    /// cursor has passed then does not matter.
    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self>;

    /// What `iptables -n -L` prints for it, without blanks around it.
    ///
    /// # Errors
    /// Those of the formatter.
    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Why the kernel has refused this one, where that says more than the errno says of every match:
    /// something else that must be there first. `ENOENT` alone means that the kernel has no such match.
    fn refused(&self, _errno: i32) -> Option<Refused> {
        None
    }

    /// Takes in a second instance of the same match, as iptables' reader of native expressions
    /// does. False: they stay two.
    fn merge(&mut self, _other: &Self) -> bool {
        false
    }
}

/// Why the kernel has refused a match, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Lower case, no final period, without the errno.
    pub reason: String,
    /// The cure.
    pub hint: String,
}

/// One line of the list of extensions: an [`Extension`] without its type.
#[derive(Debug, Clone, Copy)]
pub struct Listed<T: 'static> {
    /// [`Extension::NAME`]
    pub name: &'static str,
    /// [`Extension::ALIASES`]
    pub aliases: &'static [&'static str],
    /// [`Extension::FAMILIES`]
    pub families: &'static [Family],
    /// [`Extension::PROTOCOL`]
    pub protocol: Option<Protocol>,
    /// [`Extension::SUMMARY`]
    pub summary: &'static str,
    /// [`Extension::OPTIONS`]
    pub options: &'static [OptionSpec],
    /// [`Extension::EXAMPLES`]
    pub examples: &'static [Example],
    /// [`Extension::parse`]
    pub parse: fn(&mut Args<'_>) -> Result<T, SyntaxError>,
}

impl<T> Listed<T> {
    /// The line for `E`, whose values become a `T` by `wrap`.
    pub const fn of<E: Extension>(parse: fn(&mut Args<'_>) -> Result<T, SyntaxError>) -> Self {
        Self {
            name: E::NAME,
            aliases: E::ALIASES,
            families: E::FAMILIES,
            protocol: E::PROTOCOL,
            summary: E::SUMMARY,
            options: E::OPTIONS,
            examples: E::EXAMPLES,
            parse,
        }
    }

    /// The one of that name or alias in that family.
    pub fn find(list: &'static [Self], name: &str, family: Family) -> Option<&'static Self> {
        list.iter().find(|one| one.families.contains(&family) && (one.name == name || one.aliases.contains(&name)))
    }
}

/// The name in a field of a kernel structure (up to its NUL), if words can say it as an option's value.
pub fn name(field: &[u8]) -> Option<&str> {
    crate::attr::string(field).filter(|name| *name != "!" && !looks_like_option(name))
}

/// The same of an option that takes any text but a `!` alone.
pub fn text(field: &[u8]) -> Option<&str> {
    crate::attr::string(field).filter(|text| *text != "!")
}

/// The ipsets of the network namespace: rules hold a set's number, people its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sets(Vec<(u16, String)>);

impl Sets {
    /// No sets.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// These sets.
    pub fn new(sets: impl IntoIterator<Item = (u16, String)>) -> Self {
        Self(sets.into_iter().collect())
    }

    /// Adds a set.
    pub fn push(&mut self, index: u16, name: String) {
        self.0.push((index, name));
    }

    /// The number of the set of that name.
    pub fn index(&self, name: &str) -> Option<u16> {
        self.0.iter().find(|(_, known)| known == name).map(|&(index, _)| index)
    }

    /// The name of the set with that number.
    pub fn name(&self, index: u16) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == index).map(|(_, name)| name.as_str())
    }
}

/// What a rule's expressions depend on besides the rule.
#[derive(Debug, Clone, Copy)]
pub struct Context<'s> {
    /// The table's family.
    pub family: Family,
    /// How to write. For reading: ignored, all are read.
    pub dialect: Dialect,
    /// The namespace's ipsets.
    pub sets: &'s Sets,
}

/// Takes the expressions of a rule in order.
#[derive(Debug)]
pub struct Linearizer<'w, 'b> {
    writer: &'w mut Writer<'b>,
    context: Context<'w>,
    protocol: Option<Test<Protocol>>,
    count: usize,
    ports: bool,
    unwritable: Option<Unwritable>,
}

/// Why a rule can't be written; its expressions are then of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwritable {
    /// This ipset does not exist.
    MissingSet(String),
    /// A text has more bytes than the dialect has room for.
    TooLong {
        /// The option, without dashes.
        option: &'static str,
        /// So many it has.
        max: usize,
    },
}

impl<'w, 'b> Linearizer<'w, 'b> {
    /// Appends to `writer` the expressions of a rule with that `-p`.
    pub fn new(writer: &'w mut Writer<'b>, context: Context<'w>, protocol: Option<Test<Protocol>>) -> Self {
        Self { writer, context, protocol, count: 0, ports: false, unwritable: None }
    }

    /// How to write.
    pub fn dialect(&self) -> Dialect {
        self.context.dialect
    }

    /// The rule's family.
    pub fn family(&self) -> Family {
        self.context.family
    }

    /// The rule's `-p`.
    pub fn protocol(&self) -> Option<Test<Protocol>> {
        self.protocol
    }

    /// The number of expressions written so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Is this the first match of the rule that would write native tests of ports or TCP flags?
    ///
    /// iptables reads all of those as one match, and forgets a port that comes twice; so a second
    /// match (`-m tcp --dport 80:90 -m tcp ! --dport 85`) is written as xt.
    pub fn first_ports(&mut self) -> bool {
        !std::mem::replace(&mut self.ports, true)
    }

    /// The first reason why the rule can't be written.
    pub fn unwritable(self) -> Option<Unwritable> {
        self.unwritable
    }

    /// The dialect has no room for what this option says.
    pub fn too_long(&mut self, option: &'static str, max: usize) {
        self.unwritable.get_or_insert(Unwritable::TooLong { option, max });
    }

    /// The number of an ipset.
    pub fn set_index(&mut self, name: &str) -> u16 {
        self.context.sets.index(name).unwrap_or_else(|| {
            self.unwritable.get_or_insert_with(|| Unwritable::MissingSet(name.to_owned()));
            u16::MAX
        })
    }

    /// Appends one expression.
    pub fn push(&mut self, expr: Expr<'_>) {
        expr.write(self.writer);
        self.count += 1;
    }

    /// Appends load, mask (if there is one) and comparison, by register 1.
    pub fn condition(&mut self, condition: Condition<'_>) {
        self.push(match condition.field {
            Field::Payload { base, offset, len } => Expr::Payload(Payload { dreg: NFT_REG_1, base, offset, len }),
            Field::Meta(key) => Expr::Meta(Meta { dreg: NFT_REG_1, key }),
        });
        if let Some(mask) = condition.mask {
            let xor = &[0; 16][..mask.len()];
            self.push(Expr::Bitwise(Bitwise { sreg: NFT_REG_1, dreg: NFT_REG_1, mask, xor }));
        }
        self.push(match condition.operand {
            Operand::Value(op, value) => Expr::Cmp(Cmp { sreg: NFT_REG_1, op, value }),
            Operand::Range { negated, from, to } => Expr::Range(Range { sreg: NFT_REG_1, negated, from, to }),
        });
    }

    /// Appends an xt match; `info` has a multiple of 8 bytes.
    pub fn xt_match(&mut self, name: &str, revision: u32, info: &[u8]) {
        debug_assert!(info.len().is_multiple_of(8), "{name}");
        self.push(Expr::Match(Xt { name, revision, info }));
    }

    /// Appends an xt target; `info` has a multiple of 8 bytes.
    pub fn xt_target(&mut self, name: &str, revision: u32, info: &[u8]) {
        debug_assert!(info.len().is_multiple_of(8), "{name}");
        self.push(Expr::Target(Xt { name, revision, info }));
    }
}

/// Walks a rule's folded expressions.
#[derive(Debug, Clone)]
pub struct Cursor<'c, 'a> {
    items: &'c [Item<'a>],
    context: Context<'c>,
    protocol: Option<Test<Protocol>>,
}

impl<'c, 'a> Cursor<'c, 'a> {
    /// Begins at the first of `items`.
    pub fn new(items: &'c [Item<'a>], context: Context<'c>) -> Self {
        Self { items, context, protocol: None }
    }

    /// The rule's family.
    pub fn family(&self) -> Family {
        self.context.family
    }

    /// The rule's `-p`, if it came before.
    pub fn protocol(&self) -> Option<Test<Protocol>> {
        self.protocol
    }

    /// Notes the rule's `-p`.
    pub fn set_protocol(&mut self, protocol: Test<Protocol>) {
        self.protocol = Some(protocol);
    }

    /// Is the rule's protocol this one, and not negated?
    pub fn is_protocol(&self, protocol: Protocol) -> bool {
        self.protocol == Some(Test::is(protocol))
    }

    /// The name of an ipset.
    pub fn set_name(&self, index: u16) -> Option<&'c str> {
        self.context.sets.name(index)
    }

    /// The item here.
    pub fn peek(&self) -> Option<Item<'a>> {
        self.items.first().copied()
    }

    /// The item here; goes on to the next.
    pub fn advance(&mut self) -> Option<Item<'a>> {
        let (first, rest) = self.items.split_first()?;
        self.items = rest;
        Some(*first)
    }

    /// The items from here on.
    pub fn rest(&self) -> &'c [Item<'a>] {
        self.items
    }

    /// If here is a native test that `read` knows: what it makes of it; goes on to the next.
    pub fn take_condition<T>(&mut self, read: impl FnOnce(&Condition<'a>) -> Option<T>) -> Option<T> {
        let Some(Item::Condition(condition)) = self.items.first() else { return None };
        let value = read(condition)?;
        self.items = &self.items[1..];
        Some(value)
    }

    /// If here is that xt match with `N` bytes: its struct; goes on to the next.
    pub fn take_match<const N: usize>(&mut self, name: &str, revision: u32) -> Option<&'a [u8; N]> {
        let Some(Item::Match(xt)) = self.items.first() else { return None };
        let info = xt.info(name, revision)?;
        self.items = &self.items[1..];
        Some(info)
    }

    /// If here is that xt target with `N` bytes: its struct; goes on to the next.
    pub fn take_target<const N: usize>(&mut self, name: &str, revision: u32) -> Option<&'a [u8; N]> {
        let Some(Item::Target(xt)) = self.items.first() else { return None };
        let info = xt.info(name, revision)?;
        self.items = &self.items[1..];
        Some(info)
    }
}
