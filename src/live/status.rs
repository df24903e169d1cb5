use std::time::Duration;

use super::Standing;
use crate::{
    compile::{Identity, is_ours, is_trial, text_hash},
    docker::{self, Jump},
    marks::Table,
    matches::Match,
    model::{Counters, Family},
    plan::{
        ours::{Ours, jumps},
        trial::gate,
    },
    ruleset::{Entry, Ruleset},
    save::SavedRule,
};

/// What of ours stands in one family.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The family.
    pub family: Family,
    /// The policy that the jump names.
    pub identity: Option<Identity>,
    /// The hash of the rules as they are ([`text_hash`]).
    pub hash: String,
    /// The jump's number in `DOCKER-USER`, from 1; `None` if there is none.
    pub jump: Option<usize>,
    /// How `DOCKER-USER` itself is reached.
    pub docker_user: Jump,
    /// Our chains.
    pub chains: usize,
    /// The rules in them.
    pub rules: usize,
    /// The addresses, prefixes and ranges in our own table; `None` if there is no such table.
    pub senders: Option<usize>,
    /// What came to our chains.
    pub counters: Option<Counters>,
    /// What tells the senders in our own table from others; `None` if there is no such table.
    pub senders_hash: Option<u32>,
    /// What is on trial.
    pub trial: Option<Trial>,
    /// What is not as it should be.
    pub faults: Vec<Fault>,
}

/// What is not as a policy that stands should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing in `DOCKER-USER` leads to our chains.
    NoJump,
    /// The jump has this number in `DOCKER-USER`, so that others decide before it.
    NotFirst(usize),
    /// So many more rules of `DOCKER-USER` lead to chains of ours.
    MoreJumps(usize),
    /// The rules are not those of the policy that the jump names.
    Changed,
    /// Rules test a mark, and the table that gives it is not there: no sender is known.
    NoTable,
    /// The senders in our own table are not those that it had.
    Senders,
    /// So many rules in our chains can't be read.
    Foreign(usize),
    /// The other family has this policy, and this one has not.
    OtherFamily,
    /// Nothing leads to `DOCKER-USER`: no packet comes here.
    Unreached,
}

impl Status {
    /// Does anything of ours stand here, be it damaged?
    pub fn stands(&self) -> bool {
        self.identity.is_some() || self.rules > 0
    }

    /// Did anybody change what is ours, or where it is entered?
    pub fn has_drifted(&self) -> bool {
        self.faults.iter().any(|fault| *fault != Fault::Unreached)
    }
}

/// A policy on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Which.
    pub identity: Option<Identity>,
    /// What tells the senders that it looks up from others; `None` if it looks up none.
    pub senders_hash: Option<u32>,
    /// How long it was to last.
    pub length: Duration,
    /// How long it goes on, by the kernel's clock; zero when it is over.
    pub left: Duration,
}

impl Trial {
    /// The seconds that are left, the last one whole; 0 when it is over.
    pub fn seconds_left(&self) -> u64 {
        u64::try_from(self.left.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

/// Of both families.
pub(super) fn read(standing: &[Standing; 2]) -> [Status; 2] {
    let mut both = [0, 1].map(|index| one(&standing[index]));
    let identities = both.each_ref().map(|status| status.identity.clone());
    for (index, status) in both.iter_mut().enumerate() {
        let other = &identities[1 - index];
        // Where both have one, either may be the wrong one.
        if other.is_some() && *other != status.identity && !status.faults.contains(&Fault::NoJump) {
            status.faults.push(Fault::OtherFamily);
        }
    }
    both
}

fn one(standing: &Standing) -> Status {
    let (ruleset, ours) = (&standing.ruleset, standing.ours());
    let jumps = jumps(ruleset);
    let mut status = Status {
        family: ruleset.family,
        identity: ours.identity(),
        hash: text_hash(&ours.chains, ours.marks.as_ref()),
        jump: jumps.first().map(|(number, _)| number + 1),
        docker_user: docker::jump(ruleset),
        chains: ours.chains.len(),
        rules: ours.chains.iter().map(|chain| chain.rules.len()).sum(),
        senders: ours.marks.as_ref().map(Table::senders),
        counters: jumps.first().and_then(|(_, entry)| entry.counters),
        senders_hash: ours.marks.as_ref().and_then(Table::senders_hash),
        trial: trial(standing),
        faults: Vec::new(),
    };
    status.faults = faults(ruleset, &status, jumps.len(), &ours);
    status
}

fn faults(ruleset: &Ruleset, status: &Status, jumps: usize, ours: &Ours) -> Vec<Fault> {
    let own = ruleset.chains.iter().filter(|chain| is_ours(&chain.name) && !is_trial(&chain.name));
    let foreign = own.flat_map(|chain| chain.rules()).filter(|entry| entry.rule().is_none()).count();
    let mut faults = Vec::new();
    if !status.stands() && status.trial.is_none() && foreign == 0 {
        return faults;
    }
    match status.jump {
        None => faults.push(Fault::NoJump),
        Some(1) => {}
        Some(number) => faults.push(Fault::NotFirst(number)),
    }
    if jumps > 1 {
        faults.push(Fault::MoreJumps(jumps - 1));
    }
    // A jump that somebody else wrote names no policy.
    let changed = status.identity.as_ref().map_or(status.rules > 0, |identity| identity.hash_of(status.family) != status.hash);
    if changed && status.jump.is_some() {
        // A policy may test a mark by itself, which somebody else gives.
        let tested = |saved: &SavedRule| saved.rule.matches.iter().any(|one| matches!(one, Match::Mark(_)));
        let unmarked = ours.marks.is_none() && ours.chains.iter().any(|chain| chain.rules.iter().any(tested));
        faults.push(if unmarked { Fault::NoTable } else { Fault::Changed });
    } else if ours.marks.as_ref().is_some_and(|table| !table.is_sound()) {
        faults.push(Fault::Senders);
    }
    if foreign > 0 {
        faults.push(Fault::Foreign(foreign));
    }
    if status.docker_user == Jump::Missing {
        faults.push(Fault::Unreached);
    }
    faults
}

/// What is on trial, or is left of it: the rule that leads there, and what our own table holds for it.
fn trial(standing: &Standing) -> Option<Trial> {
    let (gate, own) = (gate(&standing.ruleset).and_then(Entry::rule), standing.own.trial.as_ref());
    let (length, left) = match (gate, own) {
        (None, None) => return None,
        (Some(_), Some(own)) => (own.length, own.left),
        // One of them alone decides nothing.
        _ => Default::default(),
    };
    let senders_hash = own.and_then(|own| own.table.as_ref()).and_then(Table::senders_hash);
    Some(Trial { identity: gate.and_then(Identity::of), senders_hash, length, left })
}
