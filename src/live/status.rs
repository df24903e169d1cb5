use std::time::Duration;

use super::{
    Standing,
    faults::{Fault, drift},
};
use crate::{
    compile::{Identity, text_hash},
    docker::{self, Guarded, Jump},
    marks::Table,
    matches::Match,
    model::{Counters, DOCKER_USER, Family},
    plan::ours::{gate, jumps},
    ruleset::Ruleset,
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
    /// Rules of others in `DOCKER-USER`.
    pub others: usize,
    /// Which packets `DOCKER-USER` can stop, by our rules and by others'.
    pub guarded: Guarded,
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
    /// Its first second, since 1970.
    pub begun: u64,
    /// The last second of it, since 1970.
    pub until: u64,
    /// How long it goes on; zero when it is over.
    pub left: Duration,
}

/// Of both families, at that second since 1970.
pub(super) fn read(standing: &[Standing; 2], now: u64) -> [Status; 2] {
    let mut both = [0, 1].map(|index| one(&standing[index], now));
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

fn one(standing: &Standing, now: u64) -> Status {
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
        trial: trial(ruleset, now),
        faults: Vec::new(),
    };
    status.faults = drift(ruleset, &status, jumps.len(), &ours);
    status
}

fn trial(ruleset: &Ruleset, now: u64) -> Option<Trial> {
    let rule = gate(ruleset)?.rule()?;
    let (begun, until) = rule.matches.iter().find_map(|one| match one {
        Match::Time(time) => Some(time.dates()),
        _ => None,
    })?;
    let (begun, until) = (u64::from(begun), u64::from(until));
    // The last second counts whole.
    let left = Duration::from_secs((until + 1).saturating_sub(now));
    Some(Trial { identity: Identity::of(rule), begun, until, left })
}
