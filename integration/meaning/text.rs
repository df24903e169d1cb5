//! A policy as the text of its file, and its chains as iptables prints them.

use std::fmt::Write as _;

use dockgate::{
    model::Family,
    policy::{Action, File, Policy, PolicyRule, Sources, Strategy},
    save::SavedChain,
};

/// The file that says this policy: its sources as their words, its lines as iptables prints them.
pub fn policy(policy: &Policy) -> String {
    let mut text = format!("default = {:?}\n", policy.default.word());
    if !policy.external.is_empty() {
        text += &format!("external = {}\n", list(&policy.external));
    }
    if !policy.established {
        text += "established = false\n";
    }
    let strategy = Strategy::WORDS.into_iter().find(|(_, strategy)| *strategy == policy.strategy && *strategy != Strategy::Auto);
    text.extend(strategy.map(|(word, _)| format!("strategy = {word:?}\n")));
    if policy.mark != Policy::MARK {
        text += &format!("mark = {:#010x}\n", policy.mark);
    }
    for one in &policy.rules {
        text += "\n[[rule]]\n";
        rule(&mut text, one);
    }
    text
}

fn rule(text: &mut String, rule: &PolicyRule) {
    let ports = if rule.ports.is_empty() { quoted("any") } else { list(&rule.ports) };
    let words = |sources: &Option<Sources>| sources.as_ref().map(|sources| list(&sources.words));
    let names = |names: &[_]| (!names.is_empty()).then(|| list(names));
    let action = match &rule.action {
        Action::Decide(verdict) => Some((verdict.word(), ports)),
        Action::Accept => Some(("accept", ports)),
        Action::Log => None,
        Action::Raw(rules) => Some(("iptables", quoted(&line(&rules[0].1.to_string())))),
    };
    let keys = [
        ("from", words(&rule.from)),
        ("to", words(&rule.to)),
        ("in", names(&rule.inward)),
        ("out", names(&rule.outward)),
        ("log", rule.log.as_deref().map(quoted)),
        ("name", rule.name.as_deref().map(quoted)),
        ("comment", rule.comment.as_deref().map(quoted)),
    ];
    for (key, value) in action.into_iter().chain(keys.into_iter().filter_map(|(key, value)| Some((key, value?)))) {
        writeln!(text, "{key} = {value}").expect("a string takes everything");
    }
}

/// Without what each family has its own word for, and both have if it is left out.
fn line(text: &str) -> String {
    text.replace(" --reject-with icmp-port-unreachable", "").replace(" --reject-with icmp6-port-unreachable", "")
}

fn list<T: ToString>(all: &[T]) -> String {
    let words: Vec<String> = all.iter().map(|one| quoted(&one.to_string())).collect();
    format!("[{}]", words.join(", "))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The policy is read from its text as what it is, also rules that no packet reaches.
pub fn assert_is_read_as_it_is(own: &Policy) {
    let text = policy(own);
    let read = Policy::parse(vec![File::new("random.toml", text.as_str())]).policy;
    assert_eq!((&own.external, own.default, own.established), (&read.external, read.default, read.established), "{text}");
    assert_eq!((own.strategy, own.mark), (read.strategy, read.mark), "{text}");
    assert_eq!(own.rules.len(), read.rules.len(), "{text}");
    for (own, read) in own.rules.iter().zip(read.rules) {
        assert_eq!(*own, PolicyRule { place: own.place, ..read }, "{text}");
    }
}

/// The chains of a family.
pub fn chains(chains: &[SavedChain], family: Family) -> String {
    let lines = chains.iter().flat_map(|chain| chain.rules.iter().map(move |saved| format!("-A {} {}\n", chain.name, saved.rule)));
    format!("{family}:\n{}", lines.collect::<String>())
}
