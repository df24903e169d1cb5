//! A model of the kernel's tables: carries out the steps of a plan on values.

use std::collections::HashSet;

use dockgate::{
    message::Place,
    model::{ChainName, Counters, Family, Generation, Handle},
    plan::{AddRule, Plan, Step},
    rule::{Parser, Reading, Rule},
    ruleset::{Chain, ChainType, Entry, Hook, Ruleset},
    save::SavedRule,
    syntax::split,
    targets::Target,
};

/// A rule in words of iptables.
pub fn rule(text: &str, family: Family) -> Rule {
    let mut words = Vec::new();
    split(text, &mut words).unwrap();
    Parser::parse(&words, family).unwrap().rules.remove(0)
}

/// A rule as it stands; `None` is one that can't be read.
pub fn entry(rule: Option<Rule>, handle: u64, counters: Counters) -> Entry {
    let reading = rule.map_or(Reading::Foreign, Reading::Rule);
    Entry { handle: Handle(handle), counters: Some(counters), reading, raw: None, userdata: None }
}

pub fn chain(name: &str, rules: Vec<Entry>) -> Chain {
    let hook = (name == "FORWARD").then_some(Hook { kind: ChainType::Filter, number: 2, priority: 0, accepts: true, counters: None });
    Chain { name: ChainName::from_kernel(name).unwrap(), handle: Handle(1), hook, uses: 0, rules: Some(rules) }
}

pub fn ruleset(family: Family, chains: Vec<Chain>) -> Ruleset {
    Ruleset { family, generation: Generation(1), chains, sets: Default::default() }
}

/// Carries out the steps as the kernel would, on the table of each step's family; panics where the
/// kernel would refuse.
pub fn carry_out(tables: &mut [Ruleset], plan: &Plan) {
    let used = tables.iter().flat_map(|table| &table.chains).flat_map(|chain| chain.rules());
    let mut next = used.map(|entry| entry.handle.0).max().unwrap_or(0) + 1000;
    for step in &plan.steps {
        let table = tables.iter_mut().find(|table| table.family == step.family()).unwrap();
        let mut new = |rule: &Rule, counters: Counters| {
            next += 1;
            entry(Some(rule.clone()), next, counters)
        };
        let at = |rules: &[Entry], handle: Handle| {
            rules.iter().position(|entry| entry.handle == handle).unwrap_or_else(|| panic!("{step}: there is no rule {handle}"))
        };
        match step {
            Step::Table(_) => assert!(table.chains.is_empty(), "{step}"),
            Step::Forward(_) => make(table, step, "FORWARD"),
            Step::NewChain(_, name) => make(table, step, name.as_str()),
            Step::DeleteChain(_, name) => {
                assert!(rules(table, name, step).is_empty(), "{step}: it has rules");
                table.chains.retain(|chain| chain.name != *name);
            }
            Step::Rule(add) => {
                let AddRule { chain, place, rule, counters, .. } = add.as_ref();
                let rules = rules(table, chain, step);
                let mut entry = new(rule, *counters);
                let index = match *place {
                    Place::First => 0,
                    Place::Last => rules.len(),
                    Place::Before(handle) => at(rules, handle),
                    Place::After(handle) => at(rules, handle) + 1,
                    Place::Replacing(handle) => {
                        entry.handle = handle;
                        let index = at(rules, handle);
                        rules.remove(index);
                        index
                    }
                };
                rules.insert(index, entry);
            }
            Step::Append { chain, rules: added, .. } => {
                let rules = rules(table, chain, step);
                rules.extend(added.iter().map(|SavedRule { rule, counters, .. }| new(rule, *counters)));
            }
            Step::DeleteRule { chain, handle, .. } => {
                let rules = rules(table, chain, step);
                let index = at(rules, *handle);
                rules.remove(index);
            }
            Step::Flush(_, chain) => rules(table, chain, step).clear(),
            other => panic!("{other}"),
        }
    }
    tables.iter().for_each(|table| jumps_lead_somewhere(table, plan));
}

fn make(table: &mut Ruleset, step: &Step, name: &str) {
    assert!(table.chain(name).is_none(), "{step}: it is there");
    table.chains.push(chain(name, Vec::new()));
}

fn rules<'t>(table: &'t mut Ruleset, name: &ChainName, step: &Step) -> &'t mut Vec<Entry> {
    let chain = table.chains.iter_mut().find(|chain| chain.name == *name);
    chain.unwrap_or_else(|| panic!("{step}: there is no such chain")).rules.as_mut().unwrap()
}

/// The kernel takes no chain away that a jump leads to.
fn jumps_lead_somewhere(table: &Ruleset, plan: &Plan) {
    let there: HashSet<&ChainName> = table.chains.iter().map(|chain| &chain.name).collect();
    for entry in table.chains.iter().flat_map(|chain| chain.rules()) {
        if let Some(Target::Jump(to) | Target::Goto(to)) = entry.rule().and_then(|rule| rule.target.as_ref()) {
            assert!(there.contains(to), "nothing is where this leads: {}\n{plan}", entry.rule().unwrap());
        }
    }
}
