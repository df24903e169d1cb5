use std::time::Duration;

use super::{
    Standing,
    faults::{Fault, drift},
};
use crate::{
    compile::{Identity, text_hash},
    docker::{self, Guarded, Jump},
    marks::Table,
    model::{Counters, DOCKER_USER, Family},
    plan::{
        ours::jumps,
        trial::{gate, is_whole},
    },
    ruleset::Entry,
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
    /// Rules of others in `DOCKER-USER`.
    pub others: usize,
    /// Which packets `DOCKER-USER` can stop, by our rules and by others'.
    pub guarded: Guarded,
    /// Could this process see whether legacy iptables filters here? Only root may look.
    pub legacy_known: bool,
    /// What is on trial.
    pub trial: Option<Trial>,
    /// What is not as it should be.
    pub faults: Vec<Fault>,
}

impl Status {
    /// Does anything of ours stand here, be it damaged?
    pub fn stands(&self) -> bool {
        self.identity.is_some() || self.rules > 0
    }

    /// Is anything to be stopped here, or does a policy stand: is there something that must be in force?
    pub fn is_wanted(&self) -> bool {
        self.stands() || self.guarded != Guarded::Nothing
    }

    /// Did anybody change what is ours, or where it is entered?
    pub fn has_drifted(&self) -> bool {
        self.faults.iter().any(Fault::is_drift)
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
    /// Is only a part of it there, or not what was written? See [`Fault::Trial`].
    pub disturbed: bool,
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
        others: ruleset.chain(DOCKER_USER).map_or(0, |chain| chain.rules().len() - jumps.len()),
        guarded: Guarded::of(ruleset),
        legacy_known: true,
        senders_hash: ours.marks.as_ref().and_then(Table::senders_hash),
        trial: trial(standing),
        faults: Vec::new(),
    };
    status.faults = drift(ruleset, &status, jumps.len(), &ours);
    if status.trial.as_ref().is_some_and(|trial| trial.disturbed) {
        status.faults.push(Fault::Trial);
    }
    status
}

/// What is on trial, or is left of it: the rule that leads there, and what our own table holds for it.
fn trial(standing: &Standing) -> Option<Trial> {
    let Standing { ruleset, own } = standing;
    let (gate, of_table) = (gate(ruleset), own.trial.as_ref());
    if gate.is_none() && of_table.is_none() {
        return None;
    }
    let (length, left) = of_table.map(|own| (own.length, own.left)).unwrap_or_default();
    let entered = of_table.is_some_and(|own| own.entered);
    let disturbed = match left.is_zero() {
        false => !is_whole(ruleset, own),
        // Nobody takes the bit from packets that others have marked.
        true => gate.is_some() && !entered,
    };
    let senders_hash = of_table.and_then(|own| own.table.as_ref()).and_then(Table::senders_hash);
    Some(Trial { identity: gate.and_then(Entry::rule).and_then(Identity::of), senders_hash, length, left, disturbed })
}
