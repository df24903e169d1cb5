//! Rules of iptables' own form that the host's iptables is too old to read, dockgate's among them.

use dockgate::{
    apply::{Options, transact},
    audit::{self, Finding, Harm, Table, Version, Versions, Wrong},
    model::{ChainName, Counters, Dialect, Family},
    netlink::Netlink,
    plan,
    rule::Rule,
    ruleset::{Ruleset, Which},
};

use crate::{
    iptables::{Installed, Iptables, make_objects, not_forwarded, not_read_back, rules, written_otherwise},
    support::{call, docker_wrote, dockgate, finish, in_netns, run},
};
use std::{fs, path::Path, process::Command};

/// Each rule in a chain of its own, so that one that is refused hides no other.
fn write(netlink: &mut Netlink, family: Family, rules: &[Rule], dialect: Dialect) {
    let options = Options { dialect: Some(dialect), dry_run: false };
    for (index, rule) in rules.iter().enumerate() {
        let chain = ChainName::for_iptables(&format!("r{index}")).unwrap();
        let done = transact(netlink, options, |netlink| {
            let ruleset = Ruleset::read(netlink, family, Which::None)?;
            plan::new_chain(&ruleset, &chain).map_err(Into::into)
        });
        done.unwrap();
        let done = transact(netlink, options, |netlink| {
            let ruleset = Ruleset::read(netlink, family, Which::None)?;
            Ok(plan::append(&ruleset, &chain, vec![rule.clone()], Counters::default())?)
        });
        done.unwrap_or_else(|error| panic!("{rule}: {error}"));
    }
}

/// What iptables prints of the only rule of that chain, or that it refuses to.
fn printed(installed: Installed, family: Family, chain: &str) -> Option<String> {
    let done = call(family.command(), &format!("-S {chain}"), "");
    match done.code {
        0 => Some(installed.blanks(done.out.lines().nth(1).unwrap().trim().to_owned())),
        _ => {
            assert!(done.err.contains("incompatible"), "{done:?}");
            None
        }
    }
}

/// All rules of all examples as iptables 1.8.8 and later write them, to 1.8.7: it is said of just those that it
/// prints otherwise, and what it prints.
#[test]
fn of_newer_rules_just_those_are_found_that_an_older_iptables_reads_otherwise() {
    Iptables::Old.in_netns(module_path!(), "of_newer_rules_just_those_are_found_that_an_older_iptables_reads_otherwise", |installed| {
        let mut netlink = Netlink::open().unwrap();
        let (mut wrong, mut found) = (Vec::new(), 0);
        for (family, dialect) in [(Family::Ip, Dialect::B), (Family::Ip, Dialect::D), (Family::Ip6, Dialect::B), (Family::Ip6, Dialect::D)]
        {
            run("nft", "flush ruleset");
            make_objects();
            run(family.command(), "-N OTHER");
            run(family.command(), "-N DOCKER-USER");
            // What tells that it is 1.8.7.
            docker_wrote(family);
            let mut all = rules(family);
            all.retain(|rule| {
                let text = rule.to_string();
                !not_forwarded(&text) && !not_read_back(installed, &text) && !written_otherwise(installed, &text)
            });
            write(&mut netlink, family, &all, dialect);
            let table = Table::read(&mut netlink, family).unwrap();
            assert_eq!(table.versions, Versions::from(Version::Old));
            let findings = audit::audit(&table);
            for (index, rule) in all.iter().enumerate() {
                let chain = format!("r{index}");
                let finding = findings.iter().find(|finding| finding.chain.as_ref().is_some_and(|name| name.as_str() == chain));
                let harm = finding.map(|finding| &finding.harms[0].harm);
                let theirs = printed(installed, family, &chain);
                let right = installed.prints(format!("-A {chain} {rule}").trim().to_owned());
                let agree = match (harm, &theirs) {
                    (None, Some(theirs)) => *theirs == right,
                    (Some(Harm::PrintedWrong { printed: Some(printed), .. }), Some(theirs)) => {
                        *theirs != right && *theirs == installed.prints(printed.clone())
                    }
                    (Some(Harm::Refused { .. }), None) => true,
                    _ => false,
                };
                found += usize::from(finding.is_some());
                if !agree {
                    wrong.push(format!("{family} {dialect:?} {rule}: {harm:?}, 1.8.7: {theirs:?}"));
                }
            }
        }
        println!("{found} found");
        assert!(found > 100, "{found}");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

fn findings(family: Family) -> Vec<Finding> {
    audit::audit(&Table::read(&mut Netlink::open().unwrap(), family).unwrap())
}

/// Where dockgate once took the host's iptables for a newer one: found in `DOCKER-USER` and in a policy's chains,
/// and the cure that stands beside it cures it.
#[test]
fn what_was_written_for_a_newer_iptables_is_found_and_cured() {
    Iptables::Old.in_netns(module_path!(), "what_was_written_for_a_newer_iptables_is_found_and_cured", |_| {
        docker_wrote(Family::Ip);
        for chain in ["DOCKER-USER", "DOCKGATE", "mine"] {
            run("iptables", &format!("-N {chain}"));
            for rule in ["-p tcp -m tcp --dport 8080 -j DROP", "-m mark --mark 0x1/0x1 -j DROP", "-p tcp -m tcp --dport 80:90 -j DROP", "-s 10.0.0.1/32 -j DROP"] {
                assert_eq!(dockgate(&format!("--dialect 1.8.11 iptables -A {chain} {rule}"), "").code, 0);
            }
        }
        run("iptables", "-A FORWARD -j DOCKER-USER");
        assert_eq!(call("iptables", "-S DOCKER-USER", "").code, 1);
        let found = findings(Family::Ip);
        let told: Vec<_> = found.iter().map(|one| (one.chain.as_ref().unwrap().as_str(), one.number.unwrap())).collect();
        let each = |chain| (1..=3).map(move |number| (chain, number));
        assert_eq!(told, each("DOCKER-USER").chain(each("DOCKGATE")).chain(each("mine")).collect::<Vec<_>>());
        let harms = |finding: &Finding| finding.harms.iter().map(|wrong| wrong.harm.name()).collect::<Vec<_>>();
        assert_eq!(harms(&found[0]), ["printed-wrong"]);
        assert_eq!(harms(&found[2]), ["refused", "jump-lost"]);
        assert_eq!(harms(&found[5]), ["refused"]);
        assert!(found[3].owner.starts_with("dockgate"), "{}", found[3].owner);
        for finding in &found {
            let command = finding.cure.split('`').nth(1).and_then(|command| command.strip_prefix("dockgate ")).unwrap();
            assert_eq!(dockgate(command, "").code, 0, "{command}");
        }
        assert_eq!(findings(Family::Ip), []);
        let theirs = call("iptables", "-S", "").ok();
        for chain in ["DOCKER-USER", "DOCKGATE", "mine"] {
            assert!(theirs.contains(&format!(
                "-A {chain} -p tcp -m tcp --dport 8080 -j DROP\n-A {chain} -m mark --mark 0x1/0x1 -j DROP\n-A {chain} -p tcp -m tcp --dport 80:90 -j DROP\n"
            )), "{theirs}");
        }
    });
}

/// The same for a policy, with its comments and tags: afterwards it stands as if applied so.
#[test]
fn a_policy_that_was_written_for_a_newer_iptables_is_cured() {
    Iptables::Old.in_netns(module_path!(), "a_policy_that_was_written_for_a_newer_iptables_is_cured", |_| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("older-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("web.toml");
        let gate = |words: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
            command.env("DOCKGATE_STATE", &folder).args(words.split(' ')).arg(&file);
            finish(command, "")
        };
        for strategy in ["tree", "set"] {
            run("nft", "flush ruleset");
            docker_wrote(Family::Ip);
            let text = "external = 'lo'\ndefault = 'drop'\n[[rule]]\nallow = ['80-90/tcp', '53/udp']\nfrom = ['10.0.0.0/8', '192.0.2.1']\ncomment = 'two words'\n";
            fs::write(&file, format!("strategy = '{strategy}'\n{text}")).unwrap();
            gate("--dialect 1.8.11 apply").ok();
            let found = findings(Family::Ip);
            assert!(found.iter().all(|finding| finding.owner.starts_with("dockgate")), "{found:?}");
            // In a tree ports are xt anyway, those of the client's choice.
            assert_eq!(found.is_empty(), strategy == "tree", "{strategy}: {found:?}");
            for finding in &found {
                let command = finding.cure.split('`').nth(1).and_then(|command| command.strip_prefix("dockgate ")).unwrap();
                assert_eq!(dockgate(command, "").code, 0, "{command}");
            }
            assert_eq!(findings(Family::Ip), [], "{strategy}");
            assert!(gate("plan").ok().contains("nothing to do"), "{strategy}");
        }
        fs::remove_dir_all(&folder).unwrap();
    });
}

/// Where no rule tells which iptables is here, it is said what each would make of it; who knows can say it.
#[test]
fn where_nothing_tells_each_version_is_spoken_of() {
    const NAME: &str = "audit::older::where_nothing_tells_each_version_is_spoken_of";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        run("iptables", "-P FORWARD DROP");
        run("iptables", "-N DOCKER-USER");
        run("iptables", "-A FORWARD -j DOCKER-USER");
        assert_eq!(dockgate("--dialect 1.8.9 iptables -A DOCKER-USER -p tcp --dport 8080 -j DROP", "").code, 0);
        let [finding] = findings(Family::Ip).try_into().unwrap();
        let [Wrong { harm: Harm::PrintedWrong { printed, .. }, versions }] = finding.harms.as_slice() else { panic!("{finding:?}") };
        assert_eq!(printed.as_deref(), Some("-A DOCKER-USER -p tcp -j DROP"));
        assert_eq!(*versions, Versions::from(Version::Old));
        assert_eq!(dockgate("audit", "").code, 1);
        assert_eq!(dockgate("--dialect portable audit", "").code, 1);
        assert_eq!(dockgate("--dialect 1.8.7 audit", "").code, 1);
        assert_eq!(dockgate("--dialect 1.8.9 audit", "").code, 0);
        // What dockgate writes by itself there every version reads.
        assert_eq!(dockgate("iptables -R DOCKER-USER 1 -p tcp --dport 8080 -j DROP", "").code, 0);
        assert_eq!(findings(Family::Ip), []);
        // A rule of Docker's tells.
        docker_wrote(Family::Ip);
        assert_eq!(dockgate("--dialect 1.8.9 iptables -A DOCKER-USER -p tcp --dport 8081 -j DROP", "").code, 0);
        assert_eq!(findings(Family::Ip), []);
    });
}
