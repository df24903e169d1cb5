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

use super::{Installed, append, each, iptables, known, lines, on_each_iptables, reset};

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

on_each_iptables!(what_iptables_writes_is_ours_to_read_find_and_delete);

fn what_iptables_writes_is_ours_to_read_find_and_delete(installed: Installed) {
    let user = ChainName::docker_user();
    let mut netlink = Netlink::open().unwrap();
    let mut wrong = Vec::new();
    for family in Family::BOTH {
        reset();
        iptables(family, "-restore", "", "*filter\n:DOCKER-USER - [0:0]\n:OURS - [0:0]\n:OTHER - [0:0]\nCOMMIT\n").ok();
        let mut lines = lines::lines(family);
        let tried = |rule: &str| !known::read_otherwise(installed, rule) && !known::not_read_back(installed, rule) && !known::lacking(rule);
        lines.retain(|line| tried(&line.text) && line.rules.iter().all(|rule| tried(&rule.to_string())));
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let refused = each(family, "-A", &texts);
        wrong.extend(refused.iter().map(|(line, why)| format!("{family} iptables refuses: {line}\n  {why}")));
        let taken: Vec<_> = lines.iter().filter(|line| !refused.iter().any(|(text, _)| *text == line.text)).collect();
        let rules: Vec<(&str, &Rule)> = taken.iter().flat_map(|line| line.rules.iter().map(|rule| (line.text.as_str(), rule))).collect();

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
            let said = (line.contains("-c 7 700") || line.contains("-c 7,700")) && known::sets_counters(installed, family);
            let counters = if said { Counters { packets: 7, bytes: 700 } } else { Counters::default() };
            assert_eq!(theirs.counters, Some(counters), "{line}");
        }
        assert_eq!(host_dialect(&mut netlink).unwrap(), Dialect::Portable, "only the administrator's chains have rules");

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
        .unwrap_or_else(|error| panic!("{error}: {}", wrong.join("\n")));
        let after = Ruleset::read(&mut netlink, family, Which::All).unwrap();
        let len = |chain: &str| after.chain(chain).map(Chain::rules).unwrap().len();
        assert_eq!((len("DOCKER-USER"), len("OURS")), (0, rules.len()));
        println!("{family}: {} lines, {} rules", taken.len(), rules.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
