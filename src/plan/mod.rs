//! What to change, decided from what was observed and what is desired. Pure: no socket, no clock.
//! `Display` is the dry run.

mod commands;
mod create;
pub mod ours;
mod restore;
pub mod trial;

pub use commands::{
    Position, append, check, delete_chain, delete_handle, delete_number, delete_rule, find, flush, insert, new_chain, rename_chain,
    replace, zero,
};
pub use create::{ensure_chain, lead_forward};
pub use restore::{kept_of_others, restore};

use std::fmt;

use crate::{
    marks::{Difference, EndTrial, NewTrial, TABLE, Table},
    message::Place,
    model::{ChainName, Counters, Family, Generation, Handle},
    rule::Rule,
    save::SavedRule,
};

/// Steps that lead from the ruleset of one generation to another: one transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// The state that it was made on.
    pub against: Option<Generation>,
}

/// One message of the transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Makes the table `filter`.
    Table(Family),
    /// Makes the chain `FORWARD` as iptables makes it.
    Forward(Family),
    /// Makes a user chain.
    NewChain(Family, ChainName),
    /// Removes an empty chain.
    DeleteChain(Family, ChainName),
    /// Gives a chain another name.
    RenameChain {
        /// Its family.
        family: Family,
        /// Its handle.
        handle: Handle,
        /// Its name before.
        from: ChainName,
        /// Its name afterwards.
        to: ChainName,
    },
    /// Adds a rule.
    Rule(Box<AddRule>),
    /// Adds rules behind all others: as many messages. One step, so that 100,000 rules are not
    /// moved about.
    Append {
        /// Their family.
        family: Family,
        /// Their chain.
        chain: ChainName,
        /// The rules, in order.
        rules: Vec<SavedRule>,
    },
    /// Removes a rule.
    DeleteRule {
        /// Its family.
        family: Family,
        /// Its chain.
        chain: ChainName,
        /// Its handle.
        handle: Handle,
    },
    /// Removes all rules of a chain.
    Flush(Family, ChainName),
    /// Makes our own table, as many messages as it says.
    NewMarks(Family, Box<Table>),
    /// Removes our own table.
    DeleteMarks(Family),
    /// Puts into our own table what a policy on trial needs, as many messages as it says.
    NewTrial(Family, Box<NewTrial>),
    /// Takes that away again and leaves in our own table what the deployed policy has there, as many messages
    /// as it says.
    EndTrial(Family, Box<EndTrial>),
    /// Changes elements of our own table.
    Elements(Family, Box<Difference>),
    /// Sets a rule's counters to 0 and leaves its expressions, given as they came, as they are.
    Zero {
        /// Its family.
        family: Family,
        /// Its chain.
        chain: ChainName,
        /// Its handle.
        handle: Handle,
        /// Content of `NFTA_RULE_EXPRESSIONS`.
        raw: Box<[u8]>,
        /// What xt extensions check against.
        compat: (u8, bool),
    },
}

/// A rule to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct AddRule {
    /// Its family.
    pub family: Family,
    /// Its chain.
    pub chain: ChainName,
    /// Where in the chain.
    pub place: Place,
    /// The rule.
    pub rule: Rule,
    /// What its counters begin with.
    pub counters: Counters,
    /// Which line of the input it came from, counted from 0; `None` if no line said it.
    pub line: Option<usize>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The chain is not there.
    #[error("there is no chain `{chain}` in `{family} filter`")]
    NoChain {
        /// Its family.
        family: Family,
        /// Its name.
        chain: ChainName,
    },
    /// A chain of that name is there.
    #[error("chain `{chain}` exists already")]
    ChainExists {
        /// Its name.
        chain: ChainName,
    },
    /// The chain is somebody else's.
    #[error("{}", not_ours(chain))]
    NotOurs {
        /// Its name.
        chain: ChainName,
    },
    /// No rule has that number.
    #[error("`{chain}` has no rule number {number}; it has {len}")]
    NoNumber {
        /// The chain.
        chain: ChainName,
        /// The number asked for.
        number: usize,
        /// How many rules there are.
        len: usize,
    },
    /// No rule has that handle.
    #[error("no rule in `{chain}` has the handle {handle}")]
    NoHandle {
        /// The chain.
        chain: ChainName,
        /// The handle asked for.
        handle: Handle,
    },
    /// No rule is as described.
    #[error("Bad rule (does a matching rule exist in that chain?)")]
    NoRule,
    /// The rule can't be read, so it is not edited.
    #[error("rule number {number} of `{chain}` is not one that dockgate can read, and is left alone")]
    Foreign {
        /// The chain.
        chain: ChainName,
        /// Its number.
        number: usize,
        /// Its handle.
        handle: Handle,
    },
    /// `FORWARD` hangs where iptables' would not, so nothing can be built on it.
    #[error("`{family} filter` has a chain FORWARD that is not iptables' (other hook or priority); Docker would not start either")]
    StrangeForward {
        /// Its family.
        family: Family,
    },
}

fn not_ours(chain: &ChainName) -> String {
    if chain.is_builtin() {
        format!("`{chain}` is a built-in chain, which Docker and the host's firewall write; dockgate writes DOCKER-USER and user chains")
    } else {
        format!("`{chain}` is Docker's own chain: it is rewritten whenever Docker starts; rules of yours belong in DOCKER-USER")
    }
}

impl Plan {
    /// Nothing to do?
    pub fn is_empty(&self) -> bool {
        self.messages() == 0
    }

    /// The number of messages it will be.
    pub fn messages(&self) -> usize {
        self.steps.iter().map(Step::messages).sum()
    }

    /// What the message with that number does.
    pub fn at(&self, message: usize) -> Option<At<'_>> {
        let mut before = 0;
        for step in &self.steps {
            let number = step.messages();
            if message < before + number {
                return Some(At { step, index: message - before });
            }
            before += number;
        }
        None
    }

    /// The families it touches.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        Family::BOTH.into_iter().filter(|family| self.steps.iter().any(|step| step.family() == *family))
    }
}

/// One message of a plan: a step, and for [`Step::Append`] which of its rules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct At<'p> {
    step: &'p Step,
    index: usize,
}

impl<'p> At<'p> {
    /// The step.
    pub fn step(&self) -> &'p Step {
        self.step
    }

    /// The chain of the rules that it adds.
    pub fn chain(&self) -> Option<&'p ChainName> {
        match self.step {
            Step::Rule(add) => Some(&add.chain),
            Step::Append { chain, .. } => Some(chain),
            _ => None,
        }
    }

    /// The rule that it adds, and the line that rule came from.
    pub fn rule(&self) -> Option<(&'p Rule, Option<usize>)> {
        match self.step {
            Step::Rule(add) => Some((&add.rule, add.line)),
            Step::Append { rules, .. } => rules.get(self.index).map(|saved| (&saved.rule, Some(saved.line))),
            _ => None,
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Step::Append { family, chain, rules } => write_append(f, *family, chain, &rules[self.index]),
            step => step.fmt(f),
        }
    }
}

fn write_append(f: &mut fmt::Formatter<'_>, family: Family, chain: &ChainName, saved: &SavedRule) -> fmt::Result {
    write!(f, "{} -A {chain}", family.command())?;
    write_rule(f, &saved.rule, saved.counters)
}

fn write_rule(f: &mut fmt::Formatter<'_>, rule: &Rule, counters: Counters) -> fmt::Result {
    if counters != Counters::default() {
        write!(f, " -c {} {}", counters.packets, counters.bytes)?;
    }
    match rule.to_string().as_str() {
        "" => Ok(()),
        text => write!(f, " {text}"),
    }
}

impl Step {
    /// The number of messages it is.
    pub fn messages(&self) -> usize {
        match self {
            Self::Append { rules, .. } => rules.len(),
            Self::NewMarks(_, table) => table.messages(),
            Self::NewTrial(_, trial) => trial.messages(),
            Self::EndTrial(_, trial) => trial.messages(),
            Self::Elements(_, difference) => difference.messages(),
            _ => 1,
        }
    }

    /// The family of its table.
    pub fn family(&self) -> Family {
        match self {
            Self::Table(family) | Self::Forward(family) => *family,
            Self::NewChain(family, _) | Self::DeleteChain(family, _) | Self::Flush(family, _) => *family,
            Self::RenameChain { family, .. } | Self::DeleteRule { family, .. } => *family,
            Self::Zero { family, .. } | Self::Append { family, .. } => *family,
            Self::NewMarks(family, _) | Self::DeleteMarks(family) | Self::Elements(family, _) => *family,
            Self::NewTrial(family, _) | Self::EndTrial(family, _) => *family,
            Self::Rule(add) => add.family,
        }
    }
}

/// What nft calls the packets of a family in `meta protocol`.
fn protocol(family: Family) -> &'static str {
    match family {
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
    }
}

impl fmt::Display for Plan {
    /// A line for each step, as the command that would do it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().filter(|step| step.messages() > 0).try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.family().command();
        match self {
            Self::Append { family, chain, rules } => rules.iter().enumerate().try_for_each(|(index, saved)| {
                f.write_str(if index > 0 { "\n" } else { "" })?;
                write_append(f, *family, chain, saved)
            }),
            Self::Table(family) => write!(f, "nft add table {family} filter"),
            Self::Forward(family) => {
                write!(f, "nft add chain {family} filter FORWARD {{ type filter hook forward priority 0; policy accept; }}")
            }
            Self::NewChain(_, chain) => write!(f, "{command} -N {chain}"),
            Self::DeleteChain(_, chain) => write!(f, "{command} -X {chain}"),
            Self::NewMarks(family, table) => {
                let sets = table.sets.iter().map(|set| format!("{}: {}", set.kind, set.elements.len())).collect::<Vec<_>>();
                write!(f, "nft add table {family} {TABLE}  # elements of {}", sets.join(", "))
            }
            Self::DeleteMarks(family) => write!(f, "nft delete table {family} {TABLE}"),
            Self::NewTrial(family, trial) => {
                let seconds = trial.length.as_secs();
                write!(f, "nft add element {family} {TABLE} trial {{ {} timeout {seconds}s }}  # and what goes with it", protocol(*family))
            }
            Self::EndTrial(family, _) => write!(f, "nft delete set {family} {TABLE} trial  # and what goes with it"),
            Self::Elements(family, difference) => difference.commands(*family, f),
            Self::RenameChain { from, to, .. } => write!(f, "{command} -E {from} {to}"),
            Self::Flush(_, chain) => write!(f, "{command} -F {chain}"),
            Self::DeleteRule { chain, handle, .. } => write!(f, "{command} -D {chain} --handle {handle}"),
            Self::Zero { chain, handle, .. } => write!(f, "{command} -Z {chain} --handle {handle}"),
            Self::Rule(add) => {
                let AddRule { chain, rule, .. } = add.as_ref();
                match add.place {
                    Place::Last => write!(f, "{command} -A {chain}")?,
                    Place::First => write!(f, "{command} -I {chain}")?,
                    Place::Before(handle) => write!(f, "{command} -I {chain} --before {handle}")?,
                    Place::After(handle) => write!(f, "{command} -I {chain} --after {handle}")?,
                    Place::Replacing(handle) => write!(f, "{command} -R {chain} --handle {handle}")?,
                }
                write_rule(f, rule, add.counters)
            }
        }
    }
}
