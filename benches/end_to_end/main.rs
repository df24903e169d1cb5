//! TCP connections and UDP packets through a client, a host with rules and a container, each in a
//! network namespace, joined by veth: real sockets. Beside every host the same traffic goes through
//! one with an empty `DOCKER-USER`, in turn.
//!
//! All of it shares the machine's processors: who sends, the host's rules (within the sender's
//! system calls, mostly) and who receives. With two of them most of a connection is the work of its
//! two ends, and rules show less than in `packets`, which has their price alone. UDP is sent and
//! received by one thread, so its figures are those of one processor.
//!
//! `cargo bench --bench end_to_end`, or a part of it: `-- tcp/1000`; with `--test` or `--quick` small
//! sizes alone.

mod host;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "each benchmark takes a part of it")]
mod support;

use std::time::Duration;

use dockgate::{
    lab::{self, Party, Userns},
    model::{Dialect, Family},
    policy::Strategy,
    rule::Rule,
};
use host::{Host, LINK, PORT};
use support::{
    experiment::{Contender, Experiment},
    process,
    session::{Session, finish},
    shapes::{IN_IPSET, List, MARKED, compiled},
    workload::parse,
    world::Result,
};

const FAMILY: Family = Family::Ip;
const REPLIES: &str = "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN";
const STRATEGIES: [(&str, Strategy); 2] = [("dockgate tree", Strategy::Tree), ("dockgate set", Strategy::Set)];
const EMPTY: &str = "empty DOCKER-USER";
/// How long the traffic of one turn is.
const TURN: Duration = Duration::from_millis(30);

/// A host, and who asks for rules of such a kind.
type Named = (&'static str, Host);

fn main() -> Result<()> {
    let mut session = Session::open("end_to_end");
    let empty = lab::enter(Userns::WhenNeeded).map_err(Into::into).and_then(|()| Host::build());
    let empty = match empty {
        Ok(empty) => empty,
        Err(error) => {
            println!("SKIPPED end to end: {error}");
            return Ok(());
        }
    };
    let sizes: &[usize] = if session.quick { &[100] } else { &[100, 1000, 10_000] };
    for &size in sizes {
        if session.wants("tcp", size) || session.wants("udp", size) {
            let hosts = lists(size)?;
            compare(&mut session, "tcp", size, &empty, &hosts, |host, time| host.connections(time))?;
            compare(&mut session, "udp", size, &empty, &hosts, |host, time| host.packets(time))?;
        }
    }
    let ports: &[usize] = if session.quick { &[10] } else { &[10, 100] };
    for &ports in ports {
        if session.wants("tcp by port", ports) {
            let hosts = published(ports)?;
            compare(&mut session, "tcp by port", ports, &empty, &hosts, |host, time| host.connections(time))?;
        }
    }
    finish(&[session])
}

/// The same traffic through all of them in turn: how long one connection or packet takes.
fn compare(
    session: &mut Session,
    case: &str,
    size: usize,
    empty: &Host,
    hosts: &[Named],
    traffic: impl Fn(&Host, Duration) -> Result<Duration> + Copy,
) -> Result<()> {
    if !session.wants(case, size) {
        return Ok(());
    }
    let time = if session.quick { TURN / 3 } else { TURN };
    let all = std::iter::once((EMPTY, empty)).chain(hosts.iter().map(|(name, host)| (*name, host)));
    let contenders = all.map(|(name, host)| Contender::new(name, move |_: &mut ()| Ok(traffic(host, time)?.into()))).collect();
    let experiment = Experiment {
        title: case.to_owned(),
        rounds: 100,
        patience: Duration::from_secs(20),
        turn: Duration::ZERO,
        prepare: Box::new(|()| Ok(())),
        verify: Box::new(|(), _| Ok(())),
        contenders,
        columns: Vec::new(),
    };
    session.run(&mut (), size, experiment)
}

/// Hosts that drop so many addresses, of which the client is none.
fn lists(size: usize) -> Result<Vec<Named>> {
    let list = List::new(FAMILY, size);
    let mut hosts = Vec::new();
    let mut add = |name, build: &dyn Fn(&mut Host) -> Result<()>| -> Result<()> {
        let mut host = Host::build()?;
        build(&mut host)?;
        // Who is the last in the list comes through nowhere; that the client does is what is measured.
        host.prove_dropped(list.members[size - 1], PORT)?;
        hosts.push((name, host));
        Ok(())
    };
    add("linear", &|host| host.append(list.rules(""), Dialect::D))?;
    add("linear, replies first", &|host| {
        let mut rules = vec![parse(REPLIES, FAMILY)];
        rules.extend(list.rules(""));
        host.append(rules, Dialect::D)
    })?;
    if process::has("ipset", "an ipset") {
        add("ipset hash:ip", &|host| {
            process::run(&host.topology.host, &["ipset", "restore"], &list.ipset("hash:ip"))?;
            host.append(vec![parse(IN_IPSET, FAMILY)], Dialect::D)
        })?;
    }
    if process::has("nft", "a native set") {
        add("native set in an own table, mark", &|host| {
            process::run(&host.topology.host, &["nft", "-f", "-"], &list.marking())?;
            host.append(vec![parse(MARKED, FAMILY)], Dialect::D)
        })?;
    }
    for (name, strategy) in STRATEGIES {
        add(name, &|host| host.apply(&compiled(&list.policy(LINK, true, ""), strategy)?))?;
    }
    Ok(hosts)
}

/// Hosts that know so many published ports; the client asks for the last one.
fn published(count: usize) -> Result<Vec<Named>> {
    let first = PORT - (count as u16 - 1);
    let client = Party::Friend.address(FAMILY);
    let rules = |each: &dyn Fn(u16) -> String| -> Vec<Rule> { (first..=PORT).map(|port| parse(&each(port), FAMILY)).collect() };
    let test = |port| format!("-p tcp -m conntrack --ctorigdstport {port} --ctdir ORIGINAL");

    // As Docker's manual has it; the client's port is another one, so that each packet meets all.
    let mut dropped = Host::build()?;
    dropped.append(rules(&|port| format!("-i {LINK} {} -j DROP", test(port - 1))), Dialect::D)?;
    dropped.prove_dropped(client, PORT - 1)?;

    let mut allowed = Host::build()?;
    let mut some = vec![parse(REPLIES, FAMILY)];
    some.extend(rules(&|port| format!("-i {LINK} -s {client} {} -j RETURN", test(port))));
    some.push(parse(&format!("-i {LINK} -j DROP"), FAMILY));
    allowed.append(some, Dialect::D)?;

    let mut policy = format!("external = '{LINK}'\ndefault = 'drop'\n");
    (first..=PORT).for_each(|port| policy += &format!("[[rule]]\nallow = '{port}/tcp'\nfrom = ['{client}']\n"));
    let mut hosts = vec![("--ctorigdstport, each drops", dropped), ("--ctorigdstport, each allows, replies first", allowed)];
    for (name, strategy) in STRATEGIES {
        let mut compact = Host::build()?;
        compact.apply(&compiled(&policy, strategy)?)?;
        hosts.push((name, compact));
    }
    for (_, host) in &hosts[1..] {
        host.prove_dropped(client, first - 1)?;
    }
    Ok(hosts)
}
