//! A list of addresses, dropped or allowed, in every shape that it can have.

use std::{collections::HashSet, fmt::Write as _, net::IpAddr};

use dockgate::{
    compile,
    lab::{Packet, Router},
    measure::{Path, stranger},
    model::{Dialect, Family},
    policy::{File, Policy},
};

use crate::{
    stage::{Case, Fate, INWARD, Result, Stage, Subject, has, program},
    support::workload::parse,
};

/// So many different senders take turns.
const POOL: usize = 1024;

/// A list, and who is not in it.
pub struct List {
    family: Family,
    pub members: Vec<IpAddr>,
    pub others: Vec<IpAddr>,
}

impl List {
    /// The same list for the same numbers, in no order.
    pub fn new(family: Family, count: usize) -> Self {
        let mut known = HashSet::new();
        let mut fresh = (0..).map(|index| stranger(family, index)).filter(|address| known.insert(*address));
        let members = fresh.by_ref().take(count).collect();
        Self { family, members, others: fresh.take(POOL).collect() }
    }

    fn pool(&self) -> Vec<IpAddr> {
        (0..POOL.min(4 * self.members.len())).map(|index| self.members[mixed(index as u64) as usize % self.members.len()]).collect()
    }

    /// Packets of those in the list, who have that fate, and of others, who have the other; by which
    /// rule, where the list is one rule each.
    fn cases(&self, listed: Fate, linear: bool) -> Vec<Case> {
        let not = if listed == Fate::Passes { Fate::Dropped } else { Fate::Passes };
        let case =
            |name, senders: &[IpAddr], fate, rule| Case { name, packets: senders.iter().map(|from| packet(*from)).collect(), fate, rule };
        let mut cases = vec![case("other", &self.others[..1], not, None), case("others", &self.others, not, None)];
        let count = self.members.len();
        if count > 0 {
            cases.push(case("members", &self.pool(), listed, None));
            for (name, index) in [("first", 0), ("middle", count / 2), ("last", count - 1)] {
                cases.push(case(name, &self.members[index..=index], listed, linear.then_some(index)));
            }
        }
        cases
    }

    fn text(&self, separator: &str) -> String {
        self.members.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
    }

    fn nft(&self) -> (&'static str, &'static str) {
        if self.family == Family::Ip { ("ip", "ipv4_addr") } else { ("ip6", "ipv6_addr") }
    }
}

/// UDP from somebody to what is behind the host.
fn packet(from: IpAddr) -> Packet {
    let family = if from.is_ipv4() { Family::Ip } else { Family::Ip6 };
    Packet::udp((from, 40_000).into(), (Router::receiver(family), 8080).into())
}

/// splitmix64: numbers without order, the same in every run.
pub fn mixed(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One rule for each address, and as the other shapes have it.
pub fn run(stage: &mut Stage, family: Family, size: usize) {
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
    for (series, default, action, listed) in
        [("dockgate, dropped", "allow", "drop", Fate::Dropped), ("dockgate, allowed", "drop", "allow", Fate::Passes)]
    {
        let build = |path: &mut Path| {
            let text = format!(
                "external = '{INWARD}'\ndefault = '{default}'\nestablished = false\n[[rule]]\n{action} = 'any'\nfrom = ['{}']\n",
                list.text("', '")
            );
            apply(path, &text)
        };
        stage.measure(subject(&list, series), build, &list.cases(listed, false));
    }
}

/// Compiles a policy and makes it hold.
pub fn apply(path: &mut Path, text: &str) -> Result<()> {
    let read = Policy::parse(vec![File::new("bench.toml", text)]);
    if let Some(problem) = read.problems.iter().find(|problem| !problem.warning) {
        return Err(problem.message.clone().into());
    }
    Ok(path.apply(&compile::docker_user(&read.policy, "bench"))?)
}

fn subject<'a>(list: &List, series: &'a str) -> Subject<'a> {
    Subject { group: "addresses", family: list.family, series, size: list.members.len() }
}

fn linear(stage: &mut Stage, list: &List) {
    for (series, interface, dialect) in [
        ("linear, -s", "", Dialect::D),
        ("linear, -i -s by iptables 1.8.9", "-i eth0 ", Dialect::B),
        ("linear, -i -s by iptables 1.8.11", "-i eth0 ", Dialect::D),
    ] {
        let build = |path: &mut Path| {
            let rules = list.members.iter().map(|from| parse(&format!("{interface}-s {from} -j DROP"), list.family)).collect();
            Ok(path.fill(list.family, rules, dialect)?)
        };
        stage.measure(subject(list, series), build, &list.cases(Fate::Dropped, true));
    }
}

fn sets(stage: &mut Stage, list: &List) {
    for (series, kind) in [("ipset hash:ip", "hash:ip"), ("ipset hash:net", "hash:net")] {
        let build = |path: &mut Path| {
            let family = if list.family == Family::Ip { "inet" } else { "inet6" };
            let mut text = format!("create senders {kind} family {family} maxelem 200000\n");
            list.members.iter().try_for_each(|member| writeln!(text, "add senders {member}"))?;
            program(path, &["ipset", "restore"], &text)?;
            let rule = parse("-m set --match-set senders src -j DROP", list.family);
            Ok(path.fill(list.family, vec![rule], Dialect::D)?)
        };
        let mut cases = list.cases(Fate::Dropped, true);
        cases.iter_mut().for_each(|case| case.rule = case.rule.map(|_| 0));
        stage.measure(subject(list, series), build, &cases);
    }
}

fn native(stage: &mut Stage, list: &List) {
    let (table, kind) = list.nft();
    let field = format!("{table} saddr");
    let set = |table: &str| format!("add set {table} senders {{ type {kind}; }}\nadd element {table} senders {{ {} }}\n", list.text(","));
    let filter = format!("{table} filter");
    let in_chain = set(&filter) + &format!("add rule {filter} DOCKER-USER {field} @senders counter drop\n");
    let map = format!(
        "add map {filter} senders {{ type {kind} : verdict; }}\nadd element {filter} senders {{ {} : drop }}\n\
         add rule {filter} DOCKER-USER counter {field} vmap @senders\n",
        list.text(" : drop,")
    );
    let own = format!("{table} own");
    let marked = format!("add table {own}\nadd chain {own} before {{ type filter hook forward priority -1; }}\n")
        + &set(&own)
        + &format!("add rule {own} before {field} @senders meta mark set meta mark or 0x1\n");
    for (series, script, rule) in [
        ("native set in the chain", in_chain, None),
        ("native verdict map in the chain", map, None),
        ("native set in an own table, mark", marked, Some("-m mark --mark 0x1/0x1 -j DROP")),
    ] {
        let build = |path: &mut Path| {
            program(path, &["nft", "-f", "-"], &script)?;
            match rule {
                Some(rule) => Ok(path.fill(list.family, vec![parse(rule, list.family)], Dialect::D)?),
                None => Ok(()),
            }
        };
        stage.measure(subject(list, series), build, &list.cases(Fate::Dropped, false));
    }
}
