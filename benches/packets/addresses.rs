//! A list of addresses, dropped or allowed, in every shape that it can have.

use std::net::IpAddr;

use dockgate::{
    lab::{Packet, Router},
    measure::Path,
    model::{Dialect, Family},
    policy::Strategy,
};

use crate::{
    stage::{Case, Fate, INWARD, Stage, Subject},
    support::{
        process::{has, run},
        shapes::{IN_IPSET, List, MARKED, compiled},
        workload::parse,
    },
};

/// Packets of those in the list, who have that fate, and of others, who have the other; by which
/// rule, where the list is one rule each.
fn cases(list: &List, listed: Fate, linear: bool) -> Vec<Case> {
    let not = if listed == Fate::Passes { Fate::Dropped } else { Fate::Passes };
    let case =
        |name, senders: &[IpAddr], fate, rule| Case { name, packets: senders.iter().map(|from| packet(*from)).collect(), fate, rule };
    let mut cases = vec![case("other", &list.others[..1], not, None), case("others", &list.others, not, None)];
    let count = list.members.len();
    if count > 0 {
        cases.push(case("members", &list.pool(), listed, None));
        for (name, index) in [("first", 0), ("middle", count / 2), ("last", count - 1)] {
            cases.push(case(name, &list.members[index..=index], listed, linear.then_some(index)));
        }
    }
    cases
}

/// UDP from somebody to what is behind the host.
fn packet(from: IpAddr) -> Packet {
    let family = if from.is_ipv4() { Family::Ip } else { Family::Ip6 };
    Packet::udp((from, 40_000).into(), (Router::receiver(family), 8080).into())
}

/// One rule for each address, and as the other shapes have it.
pub fn measure(stage: &mut Stage, family: Family, size: usize) {
    let list = List::new(family, size);
    linear(stage, &list);
    if size == 0 {
        return;
    }
    if has("ipset", "addresses in ipsets") {
        sets(stage, &list);
    }
    if has("nft", "addresses in native sets") {
        native(stage, &list);
    }
    for (series, listed, strategy, header) in [
        ("dockgate tree, dropped", Fate::Dropped, Strategy::Tree, ALL),
        ("dockgate tree, allowed", Fate::Passes, Strategy::Tree, ALL),
        ("dockgate set, dropped", Fate::Dropped, Strategy::Set, ALL),
        ("dockgate set, allowed", Fate::Passes, Strategy::Set, ALL),
        ("dockgate set, dropped, replies first", Fate::Dropped, Strategy::Set, ""),
    ] {
        let text = || list.policy(INWARD, listed == Fate::Dropped, header);
        let build = |path: &mut Path| Ok(path.apply(&compiled(&text(), strategy)?)?);
        stage.measure(subject(&list, series), build, &cases(&list, listed, false));
    }
}

/// Replies meet the rules as well, as with all that a policy is compared with here.
const ALL: &str = "established = false\n";

fn subject<'a>(list: &List, series: &'a str) -> Subject<'a> {
    Subject { group: "addresses", family: list.family, series, size: list.members.len() }
}

fn linear(stage: &mut Stage, list: &List) {
    for (series, interface, dialect) in [
        ("linear, -s", "", Dialect::D),
        ("linear, -i -s by iptables 1.8.9", "-i eth0 ", Dialect::B),
        ("linear, -i -s by iptables 1.8.11", "-i eth0 ", Dialect::D),
    ] {
        let build = |path: &mut Path| Ok(path.fill(list.family, list.rules(interface), dialect)?);
        stage.measure(subject(list, series), build, &cases(list, Fate::Dropped, true));
    }
}

fn sets(stage: &mut Stage, list: &List) {
    for (series, kind) in [("ipset hash:ip", "hash:ip"), ("ipset hash:net", "hash:net")] {
        let build = |path: &mut Path| {
            run(path.router().netns(), &["ipset", "restore"], &list.ipset(kind))?;
            Ok(path.fill(list.family, vec![parse(IN_IPSET, list.family)], Dialect::D)?)
        };
        let mut cases = cases(list, Fate::Dropped, true);
        cases.iter_mut().for_each(|case| case.rule = case.rule.map(|_| 0));
        stage.measure(subject(list, series), build, &cases);
    }
}

fn native(stage: &mut Stage, list: &List) {
    let (table, kind) = list.nft();
    let field = format!("{table} saddr");
    let filter = format!("{table} filter");
    let in_chain = list.native(&filter) + &format!("add rule {filter} DOCKER-USER {field} @senders counter drop\n");
    let map = format!(
        "add map {filter} senders {{ type {kind} : verdict; }}\nadd element {filter} senders {{ {} : drop }}\n\
         add rule {filter} DOCKER-USER counter {field} vmap @senders\n",
        list.text(" : drop,")
    );
    for (series, script, rule) in [
        ("native set in the chain", in_chain, None),
        ("native verdict map in the chain", map, None),
        ("native set in an own table, mark", list.marking(), Some(MARKED)),
    ] {
        let build = |path: &mut Path| {
            run(path.router().netns(), &["nft", "-f", "-"], &script)?;
            match rule {
                Some(rule) => Ok(path.fill(list.family, vec![parse(rule, list.family)], Dialect::D)?),
                None => Ok(()),
            }
        };
        stage.measure(subject(list, series), build, &cases(list, Fate::Dropped, false));
    }
}
