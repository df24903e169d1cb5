use std::time::Duration;

use crate::{
    compile::{Identity, is_ours, is_trial, text_hash},
    docker::{self, Jump},
    matches::Match,
    model::{Counters, Family},
    plan::ours::{Ours, gate, jumps},
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
    /// Jumps besides the first.
    pub more_jumps: usize,
    /// How `DOCKER-USER` itself is reached.
    pub docker_user: Jump,
    /// Our chains.
    pub chains: usize,
    /// The rules in them.
    pub rules: usize,
    /// Those that can't be read.
    pub foreign: usize,
    /// What came to our chains.
    pub counters: Option<Counters>,
    /// What is on trial.
    pub trial: Option<Trial>,
}

impl Status {
    /// Are our rules other than those of the policy that the jump names?
    pub fn is_changed(&self) -> bool {
        let other = |identity: &Identity| identity.hash_of(self.family) != self.hash;
        self.foreign > 0 || self.more_jumps > 0 || self.identity.as_ref().is_some_and(other)
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
pub(super) fn read(rulesets: &[Ruleset; 2], now: u64) -> [Status; 2] {
    [0, 1].map(|index| one(&rulesets[index], now))
}

fn one(ruleset: &Ruleset, now: u64) -> Status {
    let chains = || ruleset.chains.iter().filter(|chain| is_ours(&chain.name) && !is_trial(&chain.name));
    let jumps = jumps(ruleset);
    let first = jumps.first();
    let ours = Ours::observe(ruleset);
    Status {
        family: ruleset.family,
        identity: ours.identity(),
        hash: text_hash(&ours.chains),
        jump: first.map(|(number, _)| number + 1),
        more_jumps: jumps.len().saturating_sub(1),
        docker_user: docker::jump(ruleset),
        chains: chains().count(),
        rules: chains().map(|chain| chain.rules().len()).sum(),
        foreign: chains().flat_map(|chain| chain.rules()).filter(|entry| entry.rule().is_none()).count(),
        counters: first.and_then(|(_, entry)| entry.counters),
        trial: trial(ruleset, now),
    }
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
