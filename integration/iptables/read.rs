//! iptables' to us.

use dockgate::{
    apply::{Options, host_dialect, transact},
    attr::Writer,
    expr::{copy_zeroed, read_all},
    model::{ChainName, Counters, Dialect, Family},
    netlink::Netlink,
    plan,
    rule::Rule,
    ruleset::{Chain, Entry, Ruleset, Which},
};

use super::{Installed, append, each, iptables, known, lines, reset};
use crate::support::in_netns;

fn show(list: &[u8]) -> String {
    let mut exprs = Vec::new();
    read_all(list, &mut exprs).unwrap();
    exprs.iter().map(|expr| expr.to_string()).collect::<Vec<_>>().join(" ")
}

/// A rule's expressions, counters set to 0.
fn expressions(entry: &Entry) -> Vec<u8> {
    let mut list = Vec::new();
    copy_zeroed(entry.raw.as_deref().unwrap(), &mut Writer::new(&mut list));
    list
}

#[test]
fn what_iptables_writes_is_ours_to_read_find_and_delete() {
    const NAME: &str = "iptables::read::what_iptables_writes_is_ours_to_read_find_and_delete";
    in_netns(NAME, || {
        let Some(installed) = Installed::find(NAME) else { return };
        let user = ChainName::docker_user();
        let mut netlink = Netlink::open().unwrap();
        let mut wrong = Vec::new();
        for family in Family::BOTH {
            reset();
            iptables(family, "-restore", "", "*filter\n:DOCKER-USER - [0:0]\n:OURS - [0:0]\n:OTHER - [0:0]\nCOMMIT\n").ok();
            let mut lines = lines::lines(family);
            let tried = |rule: &str| !known::read_otherwise(installed, rule) && !known::lacking(rule);
            lines.retain(|line| line.rules.iter().all(|rule| tried(&rule.to_string())));
            let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            let refused = each(family, "-A", &texts);
            wrong.extend(refused.iter().map(|(line, why)| format!("{family} iptables refuses: {line}\n  {why}")));
            let taken: Vec<_> = lines.iter().filter(|line| !refused.iter().any(|(text, _)| *text == line.text)).collect();
            let rules: Vec<(&str, &Rule)> =
                taken.iter().flat_map(|line| line.rules.iter().map(|rule| (line.text.as_str(), rule))).collect();

            // The same rules by ourselves, in the dialect of this iptables.
            let own: Vec<Rule> = rules.iter().map(|(_, rule)| (*rule).clone()).collect();
            append(family, "OURS", &own, Some(installed.dialect()));
            let ruleset = Ruleset::read_raw(&mut netlink, family, Which::All).unwrap();
            let (theirs, ours) = (ruleset.chain("DOCKER-USER").unwrap(), ruleset.chain("OURS").unwrap());
            assert_eq!((theirs.rules().len(), ours.rules().len()), (rules.len(), rules.len()));
            for (index, (line, rule)) in rules.iter().enumerate() {
                let (theirs, ours) = (&theirs.rules()[index], &ours.rules()[index]);
                let (a, b) = (expressions(theirs), expressions(ours));
                if theirs.rule() != Some(*rule) {
                    let got = theirs.rule().map_or("foreign".to_owned(), Rule::to_string);
                    wrong.push(format!("{family} is read otherwise: {line}\n  as {got}: {}", show(&a)));
                }
                if a != b && !known::written_otherwise(installed, line) {
                    wrong.push(format!("{family} is written otherwise: {line}\n  {}\n  ours: {}", show(&a), show(&b)));
                }
                let said = line.contains("-c 7 700") && known::sets_counters(installed, family);
                let counters = if said { Counters { packets: 7, bytes: 700 } } else { Counters::default() };
                assert_eq!(theirs.counters, Some(counters), "{line}");
            }
            assert_eq!(host_dialect(&mut netlink, family).unwrap(), Dialect::Portable, "only the administrator's chains have rules");

            for line in &taken {
                if let Err(error) = plan::check(&ruleset, &user, &line.rules) {
                    wrong.push(format!("{family} is not found: {}\n  {error}", line.text));
                }
            }
            // Twice as many lines as rules: each is deleted as often as it is there.
            transact(&mut netlink, Options::default(), |netlink| {
                let ruleset = Ruleset::read(netlink, family, Which::Of(&user))?;
                Ok(plan::delete_rule(&ruleset, &user, &own)?)
            })
            .unwrap();
            let after = Ruleset::read(&mut netlink, family, Which::All).unwrap();
            let len = |chain: &str| after.chain(chain).map(Chain::rules).unwrap().len();
            assert_eq!((len("DOCKER-USER"), len("OURS")), (0, rules.len()));
            println!("{family}: {} lines, {} rules", taken.len(), rules.len());
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn the_dialect_of_the_hosts_iptables_is_found_from_what_it_wrote() {
    const NAME: &str = "iptables::read::the_dialect_of_the_hosts_iptables_is_found_from_what_it_wrote";
    in_netns(NAME, || {
        let Some(installed) = Installed::find(NAME) else { return };
        let mut netlink = Netlink::open().unwrap();
        for family in Family::BOTH {
            reset();
            assert_eq!(host_dialect(&mut netlink, family).unwrap(), Dialect::Portable, "nothing is there");
            // As Docker does for a published port; what the administrator wrote does not count.
            iptables(family, "", "-N DOCKER", "").ok();
            iptables(family, "", "-A DOCKER ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT", "").ok();
            iptables(family, "", "-N OTHER", "").ok();
            let mut rules = lines::rules(family);
            rules.retain(|rule| !known::not_forwarded(&rule.to_string()));
            append(family, "DOCKER-USER", &rules, Some(Dialect::A));
            for asked in Family::BOTH {
                let found = host_dialect(&mut netlink, asked).unwrap();
                // In IPv6, B and D write this rule alike.
                let alike = family == Family::Ip6 && installed.dialect().native();
                assert!(found == installed.dialect() || (alike && found == Dialect::Portable), "{family} {found:?}");
            }
        }
    });
}
