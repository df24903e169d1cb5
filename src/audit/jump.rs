//! The jump from FORWARD to `DOCKER-USER`: lost, or behind something that accepts what the chain would stop.

use super::{
    Finding, Harm, Versions, Wrong,
    owner::{self, Signs},
};
use crate::{
    docker::{self, Culprit, Guarded, Jump},
    model::{ChainName, DOCKER_USER, Handle},
    ruleset::Ruleset,
};

/// What is wrong with the jump, if rules of `DOCKER-USER` could stop anything.
pub(super) fn of_jump(ruleset: &Ruleset, versions: Versions) -> Option<Finding> {
    let guarded = Guarded::of(ruleset);
    if guarded == Guarded::Nothing {
        return None;
    }
    match docker::jump(ruleset) {
        Jump::Missing => Some(lost(ruleset, versions)),
        Jump::At(number) => {
            let culprit = docker::in_front(ruleset, &guarded, docker::known_pass(ruleset))?;
            Some(late(ruleset, number, culprit, versions))
        }
        Jump::NoChain | Jump::First => None,
    }
}

fn lost(ruleset: &Ruleset, versions: Versions) -> Finding {
    let family = ruleset.family;
    Finding {
        family,
        chain: Some(ChainName::forward()),
        number: None,
        handle: ruleset.chain("FORWARD").map_or(Handle(0), |chain| chain.handle),
        what: format!("no rule that jumps to {DOCKER_USER}"),
        owner: "nobody can tell who removed it: a flush of FORWARD, or a firewall that restores a saved text".to_owned(),
        harms: vec![Wrong { harm: Harm::NotReached, versions }],
        cure: cure(ruleset),
    }
}

fn late(ruleset: &Ruleset, jump: usize, culprit: Culprit, versions: Versions) -> Finding {
    let family = ruleset.family;
    let what = match &culprit.behind {
        Some(behind) => format!("{} (which leads to `{behind}`)", culprit.rule),
        None => culprit.rule.clone(),
    };
    let known = owner::known(Signs { text: &what, ..Signs::default() });
    let owner = known.unwrap_or_else(|| "no name in it tells: whoever put it in front of the jump".to_owned());
    Finding {
        family,
        chain: Some(ChainName::forward()),
        number: Some(culprit.number),
        handle: culprit.handle,
        what,
        owner,
        harms: vec![Wrong { harm: Harm::AcceptsBefore { jump }, versions }],
        cure: cure(ruleset),
    }
}

fn cure(ruleset: &Ruleset) -> String {
    let command = ruleset.family.command();
    let insert = format!("`{command} -I FORWARD -j DOCKER-USER`");
    match docker::jump(ruleset) {
        Jump::At(_) => format!(
            "put the jump on top of FORWARD: `dockgate apply POLICY`, or `{command} -D FORWARD -j DOCKER-USER` and {insert}; Docker does it when it starts"
        ),
        _ => format!("put the jump on top of FORWARD: `dockgate apply POLICY`, or {insert}; Docker does it when it starts"),
    }
}
