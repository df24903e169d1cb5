//! What is wrong with a chain itself, or with the table.

use super::{
    Finding, Harm, Version, Versions, Wrong, of_contents,
    owner::{self, Signs},
};
use crate::{
    model::{ChainName, DOCKER_USER, Family, InvalidName},
    ruleset::{Chain, ChainType, Contents, Hook},
    uapi::{NF_INET_FORWARD, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT},
};

/// Is this one of the base chains that iptables makes and lists?
fn is_iptables(name: &str, hook: &Hook) -> bool {
    let number = match name {
        "INPUT" => NF_INET_LOCAL_IN,
        "FORWARD" => NF_INET_FORWARD,
        "OUTPUT" => NF_INET_LOCAL_OUT,
        _ => return false,
    };
    hook.number == number && hook.priority == 0 && hook.kind == ChainType::Filter
}

/// What is wrong with a chain, whatever its rules are.
pub(super) fn of_chain(family: Family, chain: &Chain, versions: Versions) -> Option<Finding> {
    let name = chain.name.as_str();
    let mut harms = Vec::new();
    let what = match &chain.hook {
        Some(hook) if is_iptables(name, hook) => return None,
        Some(hook) => {
            harms.push(Harm::LostOnRestore);
            harms.extend(versions.includes(Version::Old).then_some(Harm::Crashes));
            match name {
                "FORWARD" => harms.push(Harm::NoStart),
                DOCKER_USER => harms.push(Harm::JumpLost),
                _ => {}
            }
            base_chain(&chain.name, hook)
        }
        None => {
            let clashes = ChainName::for_iptables(name) == Err(InvalidName::Target);
            harms.extend(clashes.then_some(Harm::TakenForVerdict));
            harms.extend((ChainName::for_iptables(name).is_err()).then_some(Harm::NotRestored));
            format!("chain {name}")
        }
    };
    if harms.is_empty() {
        return None;
    }
    let with = |harm: &Harm| if *harm == Harm::Crashes { Version::Old.into() } else { versions };
    let harms = harms.into_iter().map(|harm| Wrong { versions: with(&harm), harm }).collect();
    let owner = owner::guess(Signs { chain: Some(name), ..Signs::default() });
    let cure = match chain.hook {
        Some(_) => {
            format!("move it into a table of its own (`nft add table {family} NAME`), then `nft delete chain {family} filter {name}`")
        }
        None => format!("give it a name of at most 28 characters that is no target's: `nft rename chain {family} filter {name} NAME`"),
    };
    Some(Finding { family, chain: Some(chain.name.clone()), number: None, handle: chain.handle, what, owner, harms, cure })
}

fn base_chain(name: &ChainName, hook: &Hook) -> String {
    let at = ["prerouting", "input", "forward", "output", "postrouting", "ingress"].get(hook.number as usize).unwrap_or(&"?");
    let policy = if hook.accepts { "accept" } else { "drop" };
    format!("chain {name} {{ type {} hook {at} priority {}; policy {policy}; }}", hook.kind, hook.priority)
}

/// What stands in the table besides chains.
pub(super) fn of_table(family: Family, contents: &Contents, versions: Versions) -> Vec<Finding> {
    let Contents { dormant, sets, objects, flowtables } = contents;
    let asleep = dormant.then(|| {
        let cure = format!("wake it: `nft add table {family} filter`");
        of_contents(family, format!("table {family} filter {{ flags dormant; }}"), Harm::Asleep, versions, cure)
    });
    let named = sets.iter().filter(|set| !set.anonymous).map(|set| (if set.map { "map" } else { "set" }, set.name.as_str()));
    let objects = objects.iter().map(|(kind, name)| (*kind, name.as_str()));
    let flowtables = flowtables.iter().map(|name| ("flowtable", name.as_str()));
    let lost = named.chain(objects).chain(flowtables).map(|(kind, name)| in_the_way(family, kind, name, versions));
    asleep.into_iter().chain(lost).collect()
}

fn in_the_way(family: Family, kind: &str, name: &str, versions: Versions) -> Finding {
    let cure = format!(
        "put it into a table of its own (`nft add table {family} NAME`), or use an ipset; then `nft delete {kind} {family} filter {name}`"
    );
    of_contents(family, format!("{kind} {name}"), Harm::LostOnRestore, versions, cure)
}
