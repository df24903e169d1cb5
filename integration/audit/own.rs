//! What dockgate and iptables write is never found.

use dockgate::{
    apply::{Options, transact},
    attr::Writer,
    audit::{self, Table, Version},
    expr::read_all,
    extension::{Context, Sets},
    model::{ChainName, Counters, Dialect, Family},
    netlink::Netlink,
    plan,
    ruleset::{Ruleset, Which},
};

use crate::{
    encodings::{VERSIONS, deviates, family, fixture, number, write},
    iptables::{Installed, rules},
    support::{call, in_netns},
};

/// All rules of all examples, in each dialect, to each iptables that reads it.
#[test]
fn no_rule_of_ours_is_found() {
    let sets = Sets::new([(0, "office".into()), (1, "services".into())]);
    let readers = |dialect: Dialect| match dialect {
        Dialect::A | Dialect::Portable => vec![Version::Old, Version::Middle, Version::Later],
        Dialect::B | Dialect::D => vec![Version::Middle, Version::Later],
    };
    let (mut read, mut wrong) = (0, Vec::new());
    for family in Family::BOTH {
        for rule in rules(family) {
            for dialect in Dialect::ALL {
                let mut list = Vec::new();
                let context = Context { family, dialect, sets: &sets };
                rule.linearize(context, Counters::default(), &mut Writer::as_dumped(&mut list)).unwrap();
                let mut exprs = Vec::new();
                read_all(&list, &mut exprs).unwrap();
                for version in readers(dialect) {
                    let seen = audit::read(&exprs, family, version);
                    read += 1;
                    if seen.incompatible.is_some() || seen.error.is_some() || !seen.lost.is_empty() {
                        wrong.push(format!("{dialect:?} to {version:?}: {rule}: {:?} {:?} {:?}", seen.incompatible, seen.error, seen.lost));
                    }
                }
            }
        }
    }
    println!("{read} readings");
    assert!(read > 1000);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All that four versions of iptables wrote, to the version that wrote it and to later ones.
#[test]
fn no_rule_of_iptables_is_found() {
    let fixture = fixture();
    let (mut read, mut wrong) = (0, Vec::new());
    for case in fixture["cases"].as_array().unwrap() {
        let (args, family) = (case["args"].as_str().unwrap(), family(case));
        for (writer, (name, _)) in VERSIONS.iter().enumerate() {
            let theirs = &case["versions"][name];
            if theirs["rc"] != 0 || deviates(args, name) {
                continue;
            }
            for form in theirs["form"].as_array().unwrap() {
                let mut list = Vec::new();
                let mut w = Writer::new(&mut list);
                assert!(case["forms"][number(form) as usize]["exprs"].as_array().unwrap().iter().all(|expr| write(expr, &mut w)));
                let mut exprs = Vec::new();
                read_all(&list, &mut exprs).unwrap();
                for (reader, dialect) in &VERSIONS[writer..] {
                    let seen = audit::read(&exprs, family, Version::of(*dialect).unwrap());
                    read += 1;
                    if seen.incompatible.is_some() || seen.error.is_some() || !seen.lost.is_empty() {
                        wrong
                            .push(format!("{name} to {reader}: {family} {args}: {:?} {:?} {:?}", seen.incompatible, seen.error, seen.lost));
                    }
                }
            }
        }
    }
    println!("{read} readings");
    assert!(read > 5000);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_table_of_ours_alone_is_clean() {
    const NAME: &str = "audit::own::a_table_of_ours_alone_is_clean";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        call("ipset", "restore", "create office hash:ip -exist\ncreate services hash:ip,port -exist\n").ok();
        let chain = ChainName::docker_user();
        let mut netlink = Netlink::open().unwrap();
        for family in Family::BOTH {
            let all = rules(family);
            // Chains that examples jump to.
            let jumps = all.iter().filter_map(|rule| match &rule.target {
                Some(dockgate::targets::Target::Jump(to) | dockgate::targets::Target::Goto(to)) => Some(to.clone()),
                _ => None,
            });
            for to in jumps.filter(|to| *to != chain) {
                call(family.command(), &format!("-N {to}"), "");
            }
            let mut made = 0;
            for rule in &all {
                let done = transact(&mut netlink, Options::default(), |netlink| {
                    let ruleset = Ruleset::read(netlink, family, Which::None)?;
                    Ok(plan::append(&ruleset, &chain, vec![rule.clone()], Counters::default())?)
                });
                made += usize::from(done.is_ok());
            }
            // A kernel has not all extensions; the law above has no kernel.
            assert!(10 * made > 9 * all.len(), "{made} of {}", all.len());
            let table = Table::read(&mut netlink, family).unwrap();
            assert_eq!(table.ruleset.chain("DOCKER-USER").unwrap().rules().len(), made);
            assert_eq!(audit::audit(&table), []);
        }
    });
}
