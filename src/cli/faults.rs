//! What can be wrong with a policy on a host, in words, with the cure.

use serde_json::{Value, json};

use super::{
    difference::number,
    policy::date,
    report::{self, Failure},
};
use crate::{
    compile::Compiled,
    docker::{Culprit, Served},
    live::{Fault, Host},
    marks::TABLE,
    model::Family,
};

/// `IPv4`
pub fn family_name(family: Family) -> &'static str {
    if family == Family::Ip { "IPv4" } else { "IPv6" }
}

/// The word in front of a fault.
pub fn label(fault: &Fault) -> &'static str {
    if fault.is_drift() { "DRIFT" } else { "NOT IN FORCE" }
}

/// What is wrong, and the cure. `hash` is that of the rules as they are.
pub fn words(fault: &Fault, family: Family, hash: &str) -> String {
    let command = family.command();
    match fault {
        Fault::NoJump => {
            "nothing in DOCKER-USER leads to our chains, so they do nothing; `dockgate apply POLICY` puts the jump back".to_owned()
        }
        Fault::NotFirst(number) => {
            format!("the jump is rule {number} of DOCKER-USER, so that others decide before it; `dockgate apply POLICY` puts it on top")
        }
        Fault::MoreJumps(more) => {
            format!("{} of DOCKER-USER to our chains; `dockgate apply POLICY` takes it away", number(*more, "more jump"))
        }
        Fault::Changed => {
            format!("the rules are not those of the policy (they are {hash}); `dockgate plan POLICY` shows what was changed")
        }
        Fault::NoTable => format!(
            "the table `{family} {TABLE}` is gone, so that no sender is known and nobody is marked; `dockgate apply POLICY` brings it back"
        ),
        Fault::Senders => format!(
            "the senders in the table `{family} {TABLE}` are not those of the policy; `dockgate plan POLICY` shows which were changed"
        ),
        Fault::Foreign(rules) => {
            let rules = number(*rules, "rule");
            format!("{rules} in our chains that dockgate can't read; `dockgate list` shows them, `dockgate apply POLICY` removes them")
        }
        Fault::Trial => "only a part of a trial is there, as something changed it (a restored or edited chain, a flush): packets may be \
                         judged neither by the policy on trial nor by the deployed one; `dockgate rollback` ends the trial"
            .to_owned(),
        Fault::OtherFamily => "the other family has a policy that this one has not; `dockgate apply POLICY` is for both".to_owned(),
        Fault::Gone { applied, docker } => {
            let restart = match docker {
                true => "",
                false => "; then restart Docker, whose own chains are gone too: `systemctl restart docker`",
            };
            format!(
                "a policy was applied {}, and nothing of it is there: something flushed the ruleset (`nft flush ruleset`, a restart of \
                 nftables.service); `dockgate apply POLICY` brings it back{restart}",
                date(*applied)
            )
        }
        Fault::Unreached => format!(
            "no packet comes to DOCKER-USER, as FORWARD of `{family} filter` does not jump to it; `dockgate apply POLICY` puts the jump \
             back, and so does `{command} -I FORWARD -j DOCKER-USER`"
        ),
        Fault::Late(culprit) => format!(
            "{} before DOCKER-USER is asked; `dockgate apply POLICY` puts the jump to DOCKER-USER on top of FORWARD again, and so do \
             `{command} -D FORWARD -j DOCKER-USER` and `{command} -I FORWARD -j DOCKER-USER`",
            accepts(culprit)
        ),
        Fault::Legacy => format!(
            "legacy {command} filters on this host, so Docker's rules may stand there, where DOCKER-USER of nf_tables is not asked; let Docker \
             use iptables-nft: `update-alternatives --config iptables`, then restart Docker and remove the legacy rules"
        ),
        Fault::Asleep => {
            format!(
                "the table `{family} filter` sleeps (`flags dormant`), so that its chains are asked about no packet; `nft add table {family} filter` wakes it"
            )
        }
        Fault::NoInterface { names, instead } => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let what = match names.as_slice() {
                [name] => format!("there is no interface {name} here, which the policy calls external"),
                _ => format!("there are no interfaces {} here, which the policy calls external", names.join(", ")),
            };
            let instead: Vec<String> = instead.iter().map(|name| format!("`{name}`")).collect();
            let cure = match instead.as_slice() {
                [] => "correct `external` in the policy; for one that comes and goes write a prefix beside the others (`ppp+`)".to_owned(),
                some => format!("did you mean {}? Correct `external` in the policy, and apply it", some.join(" or ")),
            };
            format!("{what}: what comes in by other interfaces is not checked; {cure}")
        }
        Fault::Proxied { ports, docker } => proxied(ports, *docker, family),
    }
}

fn proxied(ports: &[Served], docker: bool, family: Family) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<String> = ports.iter().map(|served| format!("{}/{}", served.port, served.protocol)).collect();
    names.dedup();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (names, command) = (names.join(", "), family.command());
    let port = ports.first().map_or(0, |served| served.port);
    let what = format!("docker-proxy serves {names}{more} to everybody through INPUT, where DOCKER-USER is not asked");
    let input = format!("until then a rule in INPUT closes it: `{command} -I INPUT -i INTERFACE -p PROTOCOL --dport {port} -j DROP`");
    if ports.iter().all(|served| served.container.is_ipv4() != served.host.is_ipv4()) {
        return format!(
            "{what}: the container has no {} address; publish the port on an address of the other family (`-p 0.0.0.0:{port}:…`), give the \
             container's network IPv6, or set `\"userland-proxy\": false` in daemon.json and restart Docker; {input}",
            family_name(family)
        );
    }
    let why = match docker {
        true => "Docker's rules for them in `nat` are gone",
        false => "Docker has no chains in `nat`: something flushed the ruleset, or daemon.json says `\"iptables\": false`",
    };
    format!(
        "{what}: {why}; take `\"iptables\": false` (for IPv6 also `\"ip6tables\": false`) out of daemon.json if it is there, and restart Docker: \
         `systemctl restart docker`; {input}"
    )
}

/// ``rule 2 of FORWARD (`-i eth0 -j ACCEPT`) can accept packets``
pub fn accepts(culprit: &Culprit) -> String {
    let Culprit { number, rule, behind, .. } = culprit;
    match behind {
        Some(behind) => format!("rule {number} of FORWARD (`{rule}`) leads to one (`{behind}`) that can accept packets"),
        None => format!("rule {number} of FORWARD (`{rule}`) can accept packets"),
    }
}

/// For programs; the words of `fault` stay.
pub fn as_json(fault: &Fault, family: Family, hash: &str) -> Value {
    let culprit = match fault {
        Fault::Late(culprit) => {
            json!({ "number": culprit.number, "handle": culprit.handle.0, "rule": culprit.rule, "behind": culprit.behind })
        }
        _ => Value::Null,
    };
    let ports: Vec<Value> = match fault {
        Fault::Proxied { ports, .. } => {
            ports.iter().map(|one| json!({ "host": one.host, "port": one.port, "protocol": one.protocol })).collect()
        }
        _ => Vec::new(),
    };
    json!({
        "fault": fault.name(), "family": family.to_string(), "text": words(fault, family, hash), "mended_by_apply": fault.is_mended(),
        "rule": culprit, "ports": ports,
    })
}

/// What keeps what stands from being in force, or with `desired` that policy once it is applied, less
/// what applying it mends.
pub fn hindrances(host: &mut Host, desired: Option<&Compiled>) -> Result<Vec<(Family, Fault)>, Failure> {
    let mut found = host.hindrances(desired).map_err(|error| report::netlink(&error))?;
    found.retain(|(_, fault)| desired.is_none() || !fault.is_mended());
    Ok(found)
}

/// The same of what stands, where a change was made: that it can't be found out is no error.
pub fn after_change(host: &mut Host) -> Vec<(Family, Fault)> {
    host.hindrances(None).unwrap_or_else(|error| {
        report::note(&format!("the change was made; whether it is in force could not be found out: {error}"));
        Vec::new()
    })
}

/// Says them on stderr, once for both families where it is the same.
pub fn say(found: &[(Family, Fault)], planned: bool) {
    let policy = if planned { "the policy would not be in force" } else { "the policy is written, but it is not in force" };
    for (index, (family, fault)) in found.iter().enumerate() {
        let same = |other: &(Family, Fault)| other.1 == *fault && words(fault, other.0, "") == words(fault, *family, "");
        if found[..index].iter().any(same) {
            continue;
        }
        let families: Vec<&str> = found.iter().filter(|other| same(other)).map(|(family, _)| family_name(*family)).collect();
        report::warning(&format!("{policy} for {}: {}", families.join(" and "), words(fault, *family, "")));
    }
}
