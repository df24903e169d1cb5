//! What is asked before `DOCKER-USER`, and can accept what that chain would stop. Pure: from the rules as
//! they were read to an answer.

use std::collections::{HashMap, HashSet};

use super::{
    Jump,
    act::{Act, Effect},
    jump,
};
use crate::{
    compile::ROOT,
    model::{DOCKER_USER, Handle, Interface, Test},
    notation,
    rule::Rule,
    ruleset::{Chain, Entry, Ruleset},
    save::SavedChain,
};

/// Which packets `DOCKER-USER` can stop, by the interface that they come in by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Guarded {
    /// None: no rule there drops or rejects.
    #[default]
    Nothing,
    /// Those that come in by one of these.
    From(Vec<Interface>),
    /// Those of any interface.
    Everything,
}

/// A rule of FORWARD in front of the jump that can accept a packet which `DOCKER-USER` would stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// Its number in FORWARD, from 1.
    pub number: usize,
    /// Its handle.
    pub handle: Handle,
    /// The rule, in the words of iptables; in those of nft if it is none of iptables'.
    pub rule: String,
    /// The rule that accepts, if it is in another chain that this one leads to: `-A CHAIN …`.
    pub behind: Option<String>,
}

/// The rules of a chain, by its name; `None` where they were not read.
type Lookup<'r> = dyn Fn(&str) -> Option<Vec<Act<'r>>> + 'r;

impl Guarded {
    /// What `DOCKER-USER` can stop as it is. A rule behind one that decides for all packets can't stop any.
    pub fn of(ruleset: &Ruleset) -> Self {
        let chains = by_name(ruleset);
        let acts = |name: &str| match chains.get(name) {
            Some(chain) => Some(chain.rules.as_ref()?.iter().map(Act::of).collect()),
            None => Some(Vec::new()),
        };
        Self::from(DOCKER_USER, &acts)
    }

    /// What a policy's chains can stop.
    pub fn of_chains(chains: &[SavedChain]) -> Self {
        let chains: HashMap<&str, &SavedChain> = chains.iter().map(|chain| (chain.name.as_str(), chain)).collect();
        let rules = |name: &str| chains.get(name).map(|chain| chain.rules.as_slice()).unwrap_or_default();
        let acts = |name: &str| Some(rules(name).iter().map(|saved| Act::of_rule(&saved.rule)).collect());
        Self::from(ROOT, &acts)
    }

    /// What either can stop.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        match other {
            Self::Nothing => {}
            Self::From(names) => names.into_iter().for_each(|name| self.add(Some(name))),
            Self::Everything => self = Self::Everything,
        }
        self
    }

    fn from(chain: &str, acts: &Lookup<'_>) -> Self {
        let mut guarded = Self::Nothing;
        let (mut left, mut seen) = (vec![(chain.to_owned(), None)], HashSet::new());
        while let Some((chain, way)) = left.pop() {
            if guarded == Self::Everything || !seen.insert((chain.clone(), way)) {
                continue;
            }
            let Some(acts) = acts(&chain) else {
                guarded.add(way);
                continue;
            };
            for act in acts {
                let Some(way) = narrower(way, act.inward) else { continue };
                match act.effect {
                    Effect::Stops | Effect::Unknown => guarded.add(way),
                    Effect::Jump(to) | Effect::Goto(to) => left.push((to.to_owned(), way)),
                    Effect::GoesOn | Effect::Accepts | Effect::Returns => {}
                }
                if act.always && !matches!(act.effect, Effect::GoesOn | Effect::Jump(_) | Effect::Unknown) {
                    break;
                }
            }
        }
        guarded
    }

    fn add(&mut self, way: Option<Interface>) {
        match (way, &mut *self) {
            (None, _) => *self = Self::Everything,
            (Some(name), Self::Nothing) => *self = Self::From(vec![name]),
            (Some(name), Self::From(names)) if !names.contains(&name) => names.push(name),
            (Some(_), _) => {}
        }
    }

    /// Do all of them pass this test, or none? `None` if some may.
    pub(super) fn all_or_none(&self, inward: Option<Test<Interface>>) -> Option<bool> {
        let Some(test) = inward else { return Some(true) };
        let all = match self {
            Self::From(names) if test.negated => names.iter().all(|name| !test.value.overlaps(name)),
            Self::From(names) => names.iter().all(|name| test.value.covers(name)),
            Self::Nothing | Self::Everything => false,
        };
        match (self.includes(inward), all) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        }
    }

    /// Can a packet that passes this test be one of them?
    fn includes(&self, inward: Option<Test<Interface>>) -> bool {
        match (self, inward) {
            (Self::Nothing, _) => false,
            (_, None) => true,
            // What is forwarded never came in by the loopback interface.
            (Self::Everything, Some(test)) => test.negated || test.value.as_bytes() != b"lo" || test.value.is_prefix(),
            (Self::From(names), Some(Test { negated: false, value })) => names.iter().any(|name| name.overlaps(&value)),
            (Self::From(names), Some(Test { negated: true, value })) => !names.iter().all(|name| value.covers(name)),
        }
    }
}

/// The interfaces of packets that come this way and pass the test; the outer `None` if there are none.
fn narrower(way: Option<Interface>, test: Option<Test<Interface>>) -> Option<Option<Interface>> {
    match (way, test) {
        (None, Some(Test { negated: false, value })) if !value.is_any() => Some(Some(value)),
        (Some(way), Some(Test { negated: false, value })) if way.covers(&value) => Some(Some(value)),
        (Some(way), Some(Test { negated: false, value })) if !value.covers(&way) => None,
        (Some(way), Some(Test { negated: true, value })) if value.covers(&way) => None,
        _ => Some(way),
    }
}

/// The first rule in front of the jump that can accept what is `guarded`, if there is one. Needs all rules
/// that FORWARD leads to.
///
/// Packets of known connections (RELATED, ESTABLISHED) may be accepted in front if `known_pass`: a policy
/// lets them pass first of all, too.
pub fn in_front(ruleset: &Ruleset, guarded: &Guarded, known_pass: bool) -> Option<Culprit> {
    let Jump::At(number) = jump(ruleset) else { return None };
    let chains = by_name(ruleset);
    let forward = chains.get("FORWARD")?;
    // Where the policy is ACCEPT, it accepts what does not come as far as the jump.
    let accepts = forward.hook.is_some_and(|hook| hook.accepts);
    let mut walk = Walk { ruleset, chains: &chains, guarded, known_pass, seen: HashSet::new() };
    let entries = forward.rules().iter().enumerate().take(number - 1);
    for (index, entry) in entries {
        let act = Act::of(entry);
        if !walk.concerns(&act) {
            continue;
        }
        let culprit = |behind| Culprit { number: index + 1, handle: entry.handle, rule: text(ruleset, entry), behind };
        match act.effect {
            Effect::Accepts | Effect::Unknown => return Some(culprit(None)),
            Effect::Returns | Effect::Goto(_) if accepts => return Some(culprit(None)),
            Effect::Jump(to) | Effect::Goto(to) => {
                if let Some(behind) = walk.accepting(to) {
                    return Some(culprit(Some(behind)));
                }
            }
            Effect::GoesOn | Effect::Stops | Effect::Returns => {}
        }
        if act.always && matches!(act.effect, Effect::Stops) {
            return None;
        }
    }
    None
}

/// A walk through the chains in front.
struct Walk<'r> {
    ruleset: &'r Ruleset,
    chains: &'r HashMap<&'r str, &'r Chain>,
    guarded: &'r Guarded,
    known_pass: bool,
    seen: HashSet<&'r str>,
}

impl<'r> Walk<'r> {
    fn concerns(&self, act: &Act<'_>) -> bool {
        self.guarded.includes(act.inward) && !(self.known_pass && act.known_alone)
    }

    /// The first rule in that chain, or in those that it leads to, which accepts.
    fn accepting(&mut self, name: &'r str) -> Option<String> {
        let mut left = vec![name];
        while let Some(name) = left.pop() {
            if !self.seen.insert(name) {
                continue;
            }
            let chain = self.chains.get(name);
            let Some(rules) = chain.and_then(|chain| chain.rules.as_ref()) else {
                return Some(format!("the chain {name}, which was not read"));
            };
            for entry in rules {
                let act = Act::of(entry);
                if !self.concerns(&act) {
                    continue;
                }
                match act.effect {
                    Effect::Accepts | Effect::Unknown => return Some(format!("-A {name} {}", text(self.ruleset, entry))),
                    Effect::Jump(to) | Effect::Goto(to) => left.push(to),
                    Effect::GoesOn | Effect::Stops | Effect::Returns => {}
                }
                if act.always && matches!(act.effect, Effect::Stops | Effect::Returns | Effect::Goto(_)) {
                    break;
                }
            }
        }
        None
    }
}

fn by_name(ruleset: &Ruleset) -> HashMap<&str, &Chain> {
    ruleset.chains.iter().map(|chain| (chain.name.as_str(), chain)).collect()
}

fn text(ruleset: &Ruleset, entry: &Entry) -> String {
    match (entry.rule(), &entry.raw) {
        (Some(rule), _) => rule.to_string(),
        (None, Some(raw)) => notation::rule(ruleset.family, raw, notation::comment(entry.userdata.as_deref()), &[]),
        (None, None) => "a rule that can't be read".to_owned(),
    }
}

/// Do packets of known connections pass `DOCKER-USER` before anything there can stop them? Of a chain
/// without a policy of ours nobody can ask more than that new connections are stopped.
pub fn known_pass(ruleset: &Ruleset) -> bool {
    ruleset.chain(ROOT).is_none_or(|root| known_pass_first(root.rules().iter().filter_map(Entry::rule)))
}

/// Of a policy's first chain: does a rule let packets of known connections pass first?
pub fn known_pass_first<'r>(rules: impl IntoIterator<Item = &'r Rule>) -> bool {
    let acts = rules.into_iter().map(Act::of_rule);
    let mut known = acts.take_while(|act| act.known_alone);
    known.any(|act| act.inward.is_none() && matches!(act.effect, Effect::Accepts | Effect::Returns))
}
