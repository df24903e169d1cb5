//! What holds for all policies, whatever others did to the chains; no kernel.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use dockgate::{
    compile::{is_ours, is_trial},
    marks::{NewTrial, OwnTable, Remains, Trial},
    model::{Counters, DOCKER_USER, Family},
    plan::{
        Plan, Step,
        ours::{Change, ChangeKind, Ours, reconcile},
        trial::{end_trial, try_out},
    },
    rule::Rule,
    ruleset::{Entry, Ruleset},
    targets::Target,
};
use proptest::{collection::vec, prelude::*};

use super::policies::{compiled, text};
use crate::table::{carry_out, chain, entry, rule, ruleset};

/// What somebody does by hand. Numbers are taken modulo what is there.
#[derive(Debug, Clone)]
enum Deed {
    /// A rule of somebody else in `DOCKER-USER`; of the last kind it can't be read.
    Foreign {
        place: usize,
        kind: usize,
    },
    /// One that can't be read, within our chains.
    Within {
        chain: usize,
        place: usize,
    },
    Edit {
        chain: usize,
        place: usize,
    },
    Remove {
        chain: usize,
        place: usize,
    },
    Swap {
        chain: usize,
        places: [usize; 2],
    },
    Double {
        chain: usize,
        place: usize,
    },
    Empty {
        chain: usize,
    },
    MoveJump {
        place: usize,
    },
    DoubleJump {
        place: usize,
    },
    RemoveJump,
    /// A trial that nobody ended.
    Trial,
}

const FOREIGN: &[&str] = &["-s 192.0.2.1 -j DROP", "-p tcp -m multiport --dports 22 -j f2b-sshd", "-j RETURN", "-i eth7 -j DROP"];

fn deed() -> impl Strategy<Value = Deed> {
    let number = || 0..100usize;
    prop_oneof![
        4 => (number(), 0..=FOREIGN.len()).prop_map(|(place, kind)| Deed::Foreign { place, kind }),
        1 => (number(), number()).prop_map(|(chain, place)| Deed::Within { chain, place }),
        2 => (number(), number()).prop_map(|(chain, place)| Deed::Edit { chain, place }),
        2 => (number(), number()).prop_map(|(chain, place)| Deed::Remove { chain, place }),
        2 => (number(), [number(), number()]).prop_map(|(chain, places)| Deed::Swap { chain, places }),
        1 => (number(), number()).prop_map(|(chain, place)| Deed::Double { chain, place }),
        1 => number().prop_map(|chain| Deed::Empty { chain }),
        1 => number().prop_map(|place| Deed::MoveJump { place }),
        1 => number().prop_map(|place| Deed::DoubleJump { place }),
        1 => Just(Deed::RemoveJump),
        1 => Just(Deed::Trial),
    ]
}

/// A table, and the next handle in it. Every rule has counters of its own.
struct Table {
    ruleset: Ruleset,
    next: u64,
}

impl Table {
    fn new(there: u8) -> Self {
        let family = Family::Ip;
        let chains = match there {
            0 => Vec::new(),
            1 => vec![chain("FORWARD", Vec::new()), chain("f2b-sshd", Vec::new())],
            _ => vec![
                chain("FORWARD", vec![entry(Some(rule("-j DOCKER-USER", family)), 1, Counters::default())]),
                chain("f2b-sshd", Vec::new()),
                chain(DOCKER_USER, Vec::new()),
            ],
        };
        Self { ruleset: ruleset(family, chains), next: 100_000 }
    }

    fn entry(&mut self, rule: Option<Rule>) -> Entry {
        self.next += 1;
        entry(rule, self.next, Counters { packets: self.next, bytes: 7 })
    }

    fn rules(&mut self, name: &str) -> Option<&mut Vec<Entry>> {
        self.ruleset.chains.iter_mut().find(|chain| chain.name.as_str() == name)?.rules.as_mut()
    }

    fn ours(&mut self, number: usize) -> Option<&mut Vec<Entry>> {
        let mut ours: Vec<_> = self.ruleset.chains.iter_mut().filter(|chain| is_ours(&chain.name)).collect();
        let index = number.checked_rem(ours.len())?;
        ours.swap_remove(index).rules.as_mut()
    }

    /// Packets come by: all counters differ afterwards.
    fn count(&mut self) {
        for entry in self.ruleset.chains.iter_mut().flat_map(|chain| chain.rules.as_mut().unwrap()) {
            self.next += 1;
            entry.counters = Some(Counters { packets: self.next, bytes: 7 });
        }
    }

    fn apply(&mut self, desired: &Ours) -> (Plan, Vec<Change>) {
        let (mut plan, mut changes) = (Plan::default(), Vec::new());
        reconcile(&self.ruleset, desired, &mut plan, &mut changes).unwrap();
        carry_out(std::slice::from_mut(&mut self.ruleset), &plan);
        (plan, changes)
    }

    fn suffer(&mut self, deed: &Deed, other: &Ours) -> Option<()> {
        let foreign = FOREIGN.iter().map(|text| rule(text, Family::Ip)).collect::<Vec<_>>();
        match *deed {
            Deed::Foreign { place, kind } => {
                let new = self.entry(foreign.get(kind).cloned());
                if self.ruleset.chain("f2b-sshd").is_none() {
                    self.ruleset.chains.push(chain("f2b-sshd", Vec::new()));
                }
                let rules = self.rules(DOCKER_USER)?;
                rules.insert(place % (rules.len() + 1), new);
            }
            Deed::Within { chain, place } => {
                let new = self.entry(None);
                let rules = self.ours(chain)?;
                rules.insert(place % (rules.len() + 1), new);
            }
            Deed::Edit { chain, place } => {
                let new = self.entry(Some(foreign[0].clone()));
                let rules = self.ours(chain)?;
                let place = place.checked_rem(rules.len())?;
                rules[place] = new;
            }
            Deed::Remove { chain, place } => {
                let rules = self.ours(chain)?;
                let place = place.checked_rem(rules.len())?;
                rules.remove(place);
            }
            Deed::Swap { chain, places } => {
                let rules = self.ours(chain)?;
                let (a, b) = (places[0].checked_rem(rules.len())?, places[1].checked_rem(rules.len())?);
                rules.swap(a, b);
            }
            Deed::Double { chain, place } => {
                let rules = self.ours(chain)?;
                let twin = rules[place.checked_rem(rules.len())?].rule().cloned();
                let new = self.entry(twin);
                self.ours(chain)?.push(new);
            }
            Deed::Empty { chain } => self.ours(chain)?.clear(),
            Deed::MoveJump { place } => {
                let rules = self.rules(DOCKER_USER)?;
                let jump = rules.iter().position(is_jump)?;
                let jump = rules.remove(jump);
                rules.insert(place % (rules.len() + 1), jump);
            }
            Deed::DoubleJump { place } => {
                let jump = self.rules(DOCKER_USER)?.iter().find(|entry| is_jump(entry))?.rule().cloned();
                let new = self.entry(jump);
                let rules = self.rules(DOCKER_USER)?;
                rules.insert(place % (rules.len() + 1), new);
            }
            Deed::RemoveJump => self.rules(DOCKER_USER)?.retain(|entry| !is_jump(entry)),
            Deed::Trial => {
                let gate =
                    rule("-m mark --mark 0x80000000/0x80000000 -m comment --comment \"dockgate: other 0-0\" -g DOCKTRIAL", Family::Ip);
                let mut plan = Plan::default();
                let trial = NewTrial { table: None, bit: 1 << 31, length: Duration::from_secs(60) };
                try_out(&self.ruleset, &OwnTable::default(), other, &gate, trial, &mut plan).unwrap();
                plan.steps.retain(|step| !matches!(step, Step::NewTrial(..)));
                carry_out(std::slice::from_mut(&mut self.ruleset), &plan);
            }
        }
        Some(())
    }
}

fn is_jump(entry: &Entry) -> bool {
    entry.rule().is_some_and(|rule| rule.to_string().ends_with("-j DOCKGATE"))
}

/// What is somebody else's, chain by chain.
fn others(ruleset: &Ruleset) -> Vec<(String, Vec<Entry>)> {
    let others = ruleset.chains.iter().filter(|chain| !is_ours(&chain.name));
    let kept = |entry: &&Entry| !is_jump(entry);
    others.map(|chain| (chain.name.to_string(), chain.rules().iter().filter(kept).cloned().collect())).collect()
}

/// Is all of `before` there, as it was? Where nothing was, there may be what Docker makes.
fn assert_others_stay(before: &[(String, Vec<Entry>)], after: &Ruleset) {
    let after = others(after);
    let user_chain_was_there = before.iter().any(|(name, _)| name == DOCKER_USER);
    for (name, rules) in &after {
        let rules_before = before.iter().find(|(chain, _)| chain == name).map(|(_, rules)| rules.as_slice()).unwrap_or_default();
        // The jump to DOCKER-USER comes with that chain, on top of FORWARD.
        let new = usize::from(name == "FORWARD" && !user_chain_was_there);
        assert_eq!(&rules[new..], rules_before, "{name}");
    }
    assert!(before.iter().all(|(name, _)| after.iter().any(|(chain, _)| chain == name)));
    assert!(after.iter().all(|(name, _)| ["FORWARD", "f2b-sshd", DOCKER_USER].contains(&name.as_str())));
}

fn texts(rules: &[Entry]) -> Vec<String> {
    rules.iter().filter_map(Entry::rule).map(ToString::to_string).collect()
}

fn assert_stands(ruleset: &Ruleset, desired: &Ours) {
    let mut chains: BTreeMap<_, _> =
        ruleset.chains.iter().filter(|chain| is_ours(&chain.name)).map(|chain| (&chain.name, texts(chain.rules()))).collect();
    for want in &desired.chains {
        let rules: Vec<String> = want.rules.iter().map(|saved| saved.rule.to_string()).collect();
        assert_eq!(chains.remove(&want.name), Some(rules), "{}", want.name);
    }
    assert!(chains.is_empty(), "{chains:?} are too many");
    let user = ruleset.chain(DOCKER_USER).map(|chain| chain.rules()).unwrap_or_default();
    assert_eq!(user.iter().position(is_jump), desired.jump.as_ref().map(|_| 0));
    assert_eq!(user.iter().filter(|entry| is_jump(entry)).count(), usize::from(desired.jump.is_some()));
    let jump = user.first().filter(|entry| is_jump(entry)).and_then(Entry::rule);
    assert_eq!(jump, desired.jump.as_ref().map(|jump| &jump.rule));
}

/// The changes tell what the steps did: rule by rule, chain by chain.
fn assert_told(before: &Ruleset, after: &Ruleset, plan: &Plan, changes: &[Change]) {
    let ours = |ruleset: &Ruleset, chain: &str| -> Vec<Entry> {
        let rules = ruleset.chain(chain).map(|chain| chain.rules()).unwrap_or_default().iter();
        // Somebody may have doubled it.
        let is_gate = |entry: &Entry| matches!(entry.rule().and_then(|rule| rule.target.as_ref()), Some(Target::Goto(to)) if is_trial(to));
        rules.filter(|entry| if chain == DOCKER_USER { is_jump(entry) } else { !is_gate(entry) }).cloned().collect()
    };
    let trial = |name: &str| name.starts_with("DOCKTRIAL");
    let names = before.chains.iter().chain(&after.chains).map(|chain| chain.name.to_string());
    let mut names: Vec<String> = names.filter(|name| (name.starts_with("DOCKGATE") || name == DOCKER_USER) && !trial(name)).collect();
    names.sort();
    names.dedup();
    assert!(changes.iter().all(|change| names.contains(&change.chain.to_string())));
    for name in names {
        let (old, new) = (ours(before, &name), ours(after, &name));
        let told: Vec<&Change> = changes.iter().filter(|change| change.chain.as_str() == name).collect();
        let count = |kind: ChangeKind| told.iter().filter(|change| change.kind == kind).count();
        let unreadable = |rules: &[Entry]| rules.iter().filter(|entry| entry.rule().is_none()).count();
        let lost = told.iter().filter(|change| change.kind == ChangeKind::Removed && change.rule.is_none()).count();
        assert_eq!((unreadable(&new), lost), (0, unreadable(&old)), "{name}: what can't be read");
        let (old, new): (Vec<&Entry>, Vec<&Entry>) =
            (old.iter().filter(|entry| entry.rule().is_some()).collect(), new.iter().filter(|entry| entry.rule().is_some()).collect());
        let stays = old.iter().filter(|entry| new.contains(entry)).count();
        let flushed = plan.steps.iter().any(|step| matches!(step, Step::Flush(_, chain) if chain.as_str() == name));
        assert!(flushed || stays == count(ChangeKind::Kept), "{name}: {stays} keep handle and counters\n{plan}\n{changes:#?}");
        assert_eq!(new.len(), count(ChangeKind::Kept) + count(ChangeKind::Moved) + count(ChangeKind::Added), "{name}: after");
        assert_eq!(old.len(), count(ChangeKind::Kept) + count(ChangeKind::Moved) + count(ChangeKind::Removed) - lost, "{name}: before");
        // What stays or moves goes on counting, and whatever is there before and after stays or moves.
        let mut counted: HashMap<(String, Counters), usize> = HashMap::new();
        old.iter().for_each(|entry| *counted.entry((entry.rule().unwrap().to_string(), entry.counters.unwrap())).or_default() += 1);
        let goes_on =
            new.iter().filter(|entry| counted.contains_key(&(entry.rule().unwrap().to_string(), entry.counters.unwrap()))).count();
        if name != DOCKER_USER {
            assert_eq!(goes_on, count(ChangeKind::Kept) + count(ChangeKind::Moved), "{name}: go on counting\n{plan}");
            for text in new.iter().map(|entry| entry.rule().unwrap()) {
                let among = |rules: &[&Entry]| rules.iter().filter(|entry| entry.rule() == Some(text)).count();
                let told = told.iter().filter(|change| change.rule.as_ref() == Some(text));
                let told = told.filter(|change| matches!(change.kind, ChangeKind::Kept | ChangeKind::Moved)).count();
                assert_eq!(told, among(&old).min(among(&new)), "{name}: {text}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_policy_replaces_every_other_and_nothing_else(
        a in text(), b in text(), c in text(), there in 0..4u8, before in vec(deed(), 0..4), deeds in vec(deed(), 0..8),
    ) {
        let [a, b, c] = [a, b, c].map(|text| Ours::desired(&compiled(&text), Family::Ip));
        let mut table = Table::new(there);
        before.iter().for_each(|deed| { table.suffer(deed, &c); });
        let untouched = others(&table.ruleset);
        table.apply(&a);
        assert_stands(&table.ruleset, &a);
        assert_others_stay(&untouched, &table.ruleset);
        deeds.iter().for_each(|deed| { table.suffer(deed, &c); });
        table.count();
        let (untouched, found) = (others(&table.ruleset), table.ruleset.clone());

        let (plan, changes) = table.apply(&b);
        assert_stands(&table.ruleset, &b);
        assert_others_stay(&untouched, &table.ruleset);
        assert_told(&found, &table.ruleset, &plan, &changes);

        let (plan, changes) = table.apply(&b);
        prop_assert!(plan.is_empty(), "{}", plan);
        prop_assert!(changes.iter().all(|change| change.kind == ChangeKind::Kept));

        // Away, as if we had never been there.
        let (found, untouched) = (table.ruleset.clone(), others(&table.ruleset));
        let (plan, changes) = table.apply(&Ours::default());
        assert_told(&found, &table.ruleset, &plan, &changes);
        prop_assert_eq!(others(&table.ruleset), untouched);
        prop_assert!(table.ruleset.chains.iter().all(|chain| !is_ours(&chain.name)));
        prop_assert!(table.apply(&Ours::default()).0.is_empty());
    }

    #[test]
    fn a_trial_leaves_what_stands_and_ends_without_a_trace(
        a in text(), b in text(), there in 0..4u8, before in vec(deed(), 0..4), once: bool,
    ) {
        let [a, b] = [a, b].map(|text| Ours::desired(&compiled(&text), Family::Ip));
        let mut table = Table::new(there);
        before.iter().filter(|deed| !matches!(deed, Deed::Trial)).for_each(|deed| { table.suffer(deed, &b); });
        table.apply(&a);
        table.count();
        let stood = table.ruleset.clone();
        // Put on trial twice: the second takes the place of the first.
        for _ in 0..=usize::from(once) {
            table.suffer(&Deed::Trial, &b);
        }
        prop_assert_eq!(Ours::observe(&table.ruleset).chains.len(), a.chains.len());
        let on_trial = Ours::on_trial(&table.ruleset, &tried()).unwrap();
        let texts = |ours: &Ours| ours.chains.iter().map(|chain| (chain.name.clone(), chain.rules.iter().map(|saved| saved.rule.to_string()).collect::<Vec<_>>())).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(texts(&on_trial), texts(&b));
        let mut ended = table.ruleset.clone();
        let mut plan = Plan::default();
        end_trial(&ended, &OwnTable::default(), &mut plan);
        carry_out(std::slice::from_mut(&mut ended), &plan);
        prop_assert_eq!(&ended.chains, &stood.chains);
        // Confirmed: it stands, and what both have in common goes on.
        let (plan, changes) = table.apply(&Ours { jump: b.jump.clone(), ..on_trial });
        assert_stands(&table.ruleset, &b);
        assert_told(&stood, &table.ruleset, &plan, &changes);
    }
}

/// Our own table with a trial of a policy without sets.
fn tried() -> OwnTable {
    let minute = Duration::from_secs(60);
    OwnTable {
        deployed: None,
        trial: Some(Trial { table: None, length: minute, left: minute, entered: true, remains: Remains::default() }),
    }
}
