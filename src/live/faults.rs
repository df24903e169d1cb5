//! What can be wrong with a policy on a host: what somebody changed of it, and what of the host keeps it
//! from being in force.

use super::{Standing, Status, site::Site};
use crate::{
    compile::{Compiled, ROOT, is_ours, is_trial},
    docker::{self, Culprit, Guarded, Jump, OneRule, Served},
    matches::Match,
    model::{DOCKER_USER, Family, Interface},
    plan::ours::Ours,
    rule::Rule,
    ruleset::{Entry, Ruleset},
    save::{SavedChain, SavedRule},
};

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Only a part of a trial is there: packets may be judged neither by the policy on trial nor by the deployed one.
    Trial,
    /// The other family has this policy, and this one has not.
    OtherFamily,
    /// A policy was applied, and nothing of it is there.
    Gone {
        /// When it was applied, in seconds since 1970.
        applied: u64,
        /// Are Docker's own chains there?
        docker: bool,
    },
    /// FORWARD does not lead to `DOCKER-USER`: no packet comes there.
    Unreached,
    /// A rule of FORWARD in front of the jump to `DOCKER-USER` can accept what that chain would stop.
    Late(Culprit),
    /// Legacy iptables filters here: no packet comes to nf_tables' chains, or both are asked.
    Legacy,
    /// The table sleeps (`flags dormant`): its chains are asked about nothing.
    Asleep,
    /// No interface has a name that the policy calls external: what comes in by another one is not checked.
    NoInterface {
        /// The names.
        names: Vec<Interface>,
        /// Those that seem to lead outside instead.
        instead: Vec<String>,
    },
    /// docker-proxy serves published ports to the outside through INPUT, where `DOCKER-USER` is not asked.
    Proxied {
        /// The ports, at least one.
        ports: Vec<Served>,
        /// Has Docker chains in `nat`? Else its rules were flushed, or it writes none.
        docker: bool,
    },
}

impl Fault {
    /// The word for it in JSON; these stay.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoJump => "no-jump",
            Self::NotFirst(_) => "not-first",
            Self::MoreJumps(_) => "more-jumps",
            Self::Changed => "changed",
            Self::NoTable => "no-table",
            Self::Senders => "senders",
            Self::Foreign(_) => "foreign",
            Self::Trial => "trial",
            Self::OtherFamily => "other-family",
            Self::Gone { .. } => "gone",
            Self::Unreached => "unreached",
            Self::Late(_) => "late",
            Self::Legacy => "legacy",
            Self::Asleep => "asleep",
            Self::NoInterface { .. } => "no-interface",
            Self::Proxied { .. } => "proxied",
        }
    }

    /// Did somebody change what is ours? Else it is something of the host that keeps it from working.
    pub const fn is_drift(&self) -> bool {
        match self {
            Self::NoJump | Self::NotFirst(_) | Self::MoreJumps(_) | Self::Changed | Self::NoTable => true,
            Self::Senders | Self::Foreign(_) | Self::Trial | Self::OtherFamily | Self::Gone { .. } => true,
            Self::Unreached | Self::Late(_) | Self::Legacy | Self::Asleep => false,
            Self::NoInterface { .. } | Self::Proxied { .. } => false,
        }
    }

    /// Does applying the policy mend it?
    pub const fn is_mended(&self) -> bool {
        self.is_drift() || matches!(self, Self::Unreached | Self::Late(_))
    }
}

/// Adds to each family's status what of the host keeps it from being in force; `applied` is when a policy
/// was applied that should be there, where nothing of one is.
pub(super) fn complete(both: &mut [Status; 2], standing: &[Standing; 2], site: &Site, applied: Option<u64>) {
    for (status, Standing { ruleset, .. }) in both.iter_mut().zip(standing) {
        if let Some(applied) = applied {
            let docker = ruleset.chains.iter().any(|chain| chain.name.as_str() == "DOCKER");
            status.faults.push(Fault::Gone { applied, docker });
        }
        status.legacy_known = site.legacy[status.family as usize].is_some();
        if status.is_wanted() || !status.faults.is_empty() {
            status.faults.extend(hindrances(ruleset, site, None));
        }
    }
}

/// What keeps `DOCKER-USER` from stopping what it should, or what it will once `desired` stands.
pub(super) fn hindrances(ruleset: &Ruleset, site: &Site, desired: Option<&Compiled>) -> Vec<Fault> {
    let index = ruleset.family as usize;
    let mut faults = Vec::new();
    match docker::jump(ruleset) {
        Jump::Missing => faults.push(Fault::Unreached),
        Jump::At(_) => {
            let (guarded, known_pass) = expected(ruleset, desired.map(|compiled| compiled.chains(ruleset.family)));
            faults.extend(docker::in_front(ruleset, &guarded, known_pass).map(Fault::Late));
        }
        Jump::NoChain | Jump::First => {}
    }
    faults.extend(site.legacy[index].unwrap_or_default().then_some(Fault::Legacy));
    faults.extend(site.asleep[index].then_some(Fault::Asleep));
    let external = match desired {
        Some(compiled) => docker::external(first_rules(compiled, ruleset.family)),
        None => docker::external(ruleset.chain(ROOT).map(|chain| chain.rules()).unwrap_or_default().iter().filter_map(Entry::rule)),
    };
    let names = site.interfaces.missing(&external);
    faults.extend((!names.is_empty()).then(|| Fault::NoInterface { names, instead: site.interfaces.outward() }));
    faults.extend(proxied(ruleset, site, desired));
    faults
}

/// The ports that docker-proxy serves to somebody who is to be stopped.
fn proxied(ruleset: &Ruleset, site: &Site, desired: Option<&Compiled>) -> Option<Fault> {
    let family = ruleset.family;
    let mut ports = site.proxied(family);
    if ports.is_empty() {
        return None;
    }
    let chains = desired.map(|compiled| compiled.chains(family));
    let (guarded, _) = expected(ruleset, chains);
    let from: &[Interface] = if let Guarded::From(names) = &guarded { names } else { &[] };
    if guarded == Guarded::Nothing || family == Family::Ip6 && !site.interfaces.have_ipv6(from) {
        return None;
    }
    let rules = |name: &str| -> Option<Vec<OneRule<'_>>> {
        let wanted = chains.and_then(|chains| chains.iter().find(|chain| chain.name.as_str() == name));
        match (wanted, ruleset.chain(name)) {
            (Some(chain), _) => Some(chain.rules.iter().map(|saved| OneRule::Desired(&saved.rule)).collect()),
            (None, Some(chain)) if chains.is_none() || !is_ours(&chain.name) => {
                Some(chain.rules.as_ref()?.iter().map(OneRule::There).collect())
            }
            (None, _) => Some(Vec::new()),
        }
    };
    // Whom our rules and those of others let in anyway gets past nothing.
    let is_let = |served: &Served| [ROOT, DOCKER_USER].iter().all(|chain| docker::lets_everybody(chain, served, &guarded, &rules));
    ports.retain(|served| !is_let(served));
    (!ports.is_empty()).then_some(Fault::Proxied { ports, docker: site.nat[family as usize].docker })
}

/// Which packets are to be stopped once a policy with these chains stands, and whether those of known
/// connections pass first.
pub(super) fn expected(ruleset: &Ruleset, desired: Option<&[SavedChain]>) -> (Guarded, bool) {
    let guarded = Guarded::of(ruleset);
    match desired {
        None => (guarded, docker::known_pass(ruleset)),
        Some(chains) => {
            let first = chains.iter().find(|chain| chain.name.as_str() == ROOT);
            let known = first.is_none_or(|chain| docker::known_pass_first(chain.rules.iter().map(|saved| &saved.rule)));
            (guarded.and(Guarded::of_chains(chains)), known)
        }
    }
}

fn first_rules(compiled: &Compiled, family: Family) -> impl Iterator<Item = &Rule> + Clone {
    let first = compiled.chains(family).iter().find(|chain| chain.name.as_str() == ROOT);
    first.into_iter().flat_map(|chain| chain.rules.iter().map(|saved| &saved.rule))
}

/// What is changed of what is ours in one family.
pub(super) fn drift(ruleset: &Ruleset, status: &Status, jumps: usize, ours: &Ours) -> Vec<Fault> {
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
    faults
}
