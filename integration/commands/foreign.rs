//! Rules that are none of iptables': shown, kept, and deleted on purpose only.

use dockgate::model::Family;

use super::{iptables, nft, nft_text, ours, ruleset, state};
use crate::{
    iptables::Installed,
    support::{dockgate, in_netns},
};

/// Made by nft, each between two of iptables'; handles are in the order of the lines.
const MIXED: &str = "
add table FAMILY filter
add set FAMILY filter bad { type mark; elements = { 1, 2 }; }
add chain FAMILY filter FORWARD { type filter hook forward priority 0; policy accept; }
add chain FAMILY filter DOCKER-USER
add rule FAMILY filter FORWARD counter jump DOCKER-USER
add rule FAMILY filter DOCKER-USER iifname a counter packets 1 bytes 10 drop
add rule FAMILY filter DOCKER-USER ct state established counter packets 2 bytes 20 accept
add rule FAMILY filter DOCKER-USER meta mark @bad counter packets 3 bytes 30 drop
add rule FAMILY filter DOCKER-USER iifname b counter packets 4 bytes 40 drop
add rule FAMILY filter DOCKER-USER counter packets 5 bytes 50 log prefix \"nft \" drop
add rule FAMILY filter DOCKER-USER counter packets 6 bytes 60 drop
";

fn mixed(family: Family) {
    state(family, "");
    nft_text(&MIXED.replace("FAMILY", &family.to_string()));
}

/// The rules of `DOCKER-USER` with their handles, as nft shows them.
fn rules(family: Family) -> Vec<String> {
    let text = nft(&format!("-a list chain {family} filter DOCKER-USER")).ok();
    text.lines().filter(|line| line.contains("# handle")).skip(1).map(|line| line.trim().to_owned()).collect()
}

fn handle(rule: &str) -> &str {
    rule.rsplit(' ').next().unwrap()
}

#[test]
fn a_foreign_rule_is_shown_as_what_it_is() {
    const NAME: &str = "commands::foreign::a_foreign_rule_is_shown_as_what_it_is";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for family in Family::BOTH {
            mixed(family);
            let before = ruleset();
            let only = if family == Family::Ip { "-4" } else { "-6" };
            let list = dockgate(&format!("{only} list"), "").ok();
            let marked: Vec<bool> = list.lines().skip(2).map(|line| line.contains("FOREIGN")).collect();
            assert_eq!(marked, [false, true, true, false, true, false], "{list}");
            for (shown, rule) in list.lines().skip(2).zip(rules(family)) {
                assert_eq!(shown.split_whitespace().nth(3), Some(handle(&rule)), "{shown}");
            }
            for part in ["[ ct ", "[ meta load mark => reg 1 ]", "[ lookup ", "[ log "] {
                assert!(list.contains(part), "{list}");
            }

            let json: serde_json::Value = serde_json::from_str(&dockgate(&format!("{only} --json list"), "").ok()).unwrap();
            let listed = json["tables"][0]["chains"][0]["rules"].as_array().unwrap().clone();
            let foreign: Vec<bool> = listed.iter().map(|rule| rule["foreign"].as_bool().unwrap()).collect();
            assert_eq!(foreign, marked);
            let packets: Vec<u64> = listed.iter().map(|rule| rule["packets"].as_u64().unwrap()).collect();
            assert_eq!(packets, [1, 2, 3, 4, 5, 6]);
            assert!(listed[1]["expressions"].as_array().is_some_and(|list| list.len() > 3) && listed[1].get("rule").is_none());
            assert_eq!(listed[0]["rule"], "-i a -j DROP");

            // In iptables' own forms a comment, so that what is restored from them says no wrong.
            let lines = ours(family, "-S DOCKER-USER").ok();
            assert_eq!(lines.lines().filter(|line| line.starts_with("# ")).count(), 3, "{lines}");
            let columns = ours(family, "-nL DOCKER-USER").ok();
            assert_eq!(columns.lines().filter(|line| line.starts_with("# ")).count(), 3, "{columns}");
            let save = dockgate(&format!("{only} save"), "");
            assert!(save.err.contains("3 rules of `ip") && save.err.contains("left out"), "{}", save.err);
            assert_eq!(save.out.lines().filter(|line| line.starts_with("-A")).count(), 3, "{}", save.out);
            assert_eq!(ruleset(), before);
        }
    });
}

#[test]
fn a_foreign_rule_is_never_taken_for_another() {
    const NAME: &str = "commands::foreign::a_foreign_rule_is_never_taken_for_another";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for family in Family::BOTH {
            mixed(family);
            let before = ruleset();
            // By number it is refused, and named.
            for words in ["-D DOCKER-USER 2", "-D DOCKER-USER 3", "-R DOCKER-USER 5 -i c -j DROP", "-Z DOCKER-USER 2"] {
                let done = ours(family, words);
                assert_eq!(done.code, 1, "{words}: {}", done.err);
                assert!(done.err.contains("not one that dockgate can read") && done.err.contains("--handle"), "{}", done.err);
                assert_eq!(ruleset(), before, "{words}");
            }
            // iptables would find the two by `-j DROP`, and `-m mark`; we find the last one, which says so.
            for (words, code) in [("-C DOCKER-USER -m conntrack --ctstate ESTABLISHED -j ACCEPT", 1), ("-C DOCKER-USER -j DROP", 0)] {
                assert_eq!(ours(family, words).code, code, "{words}");
            }
            let left = || rules(family).len();
            assert_eq!((ours(family, "-D DOCKER-USER -j DROP").code, left()), (0, 5));
            assert_eq!((ours(family, "-D DOCKER-USER -j DROP").code, left()), (1, 5));
            // Around them all goes on.
            assert_eq!(ours(family, "-I DOCKER-USER 3 -i c -j DROP").code, 0);
            assert!(rules(family)[2].contains("iifname \"c\""), "{:?}", rules(family));
            let done = ours(family, "-Z DOCKER-USER");
            assert_eq!(done.code, 0, "{}", done.err);
            assert!(done.err.contains("3 rules that dockgate can't read were left as they are"), "{}", done.err);
            let counters: Vec<bool> = rules(family).iter().map(|rule| rule.contains("packets 0 bytes 0")).collect();
            assert_eq!(counters, [true, false, true, false, true, false]);
        }
    });
}

#[test]
fn a_foreign_rule_stays_until_its_handle_is_named() {
    const NAME: &str = "commands::foreign::a_foreign_rule_stays_until_its_handle_is_named";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for family in Family::BOTH {
            let only = if family == Family::Ip { "-4" } else { "-6" };
            let foreign = |rules: &[String]| -> Vec<String> {
                rules.iter().filter(|rule| ["ct state", "@bad", "log prefix"].iter().any(|part| rule.contains(part))).cloned().collect()
            };
            mixed(family);
            let kept = foreign(&rules(family));
            assert_eq!(kept.len(), 3);
            let done = ours(family, "-F DOCKER-USER");
            assert_eq!(done.code, 0);
            let handles: Vec<&str> = kept.iter().map(|rule| handle(rule)).collect();
            assert!(done.err.contains(&format!("handle {}", handles.join(", "))), "{}", done.err);
            assert_eq!(rules(family), kept);

            mixed(family);
            let kept = foreign(&rules(family));
            let text = "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i b -j DROP\n-A DOCKER-USER -i new -j DROP\nCOMMIT\n";
            let done = dockgate(&format!("{only} restore"), text);
            assert_eq!(done.code, 0, "{}", done.err);
            assert!(done.err.contains("3 rules of others in these chains were kept"), "{}", done.err);
            assert_eq!(foreign(&rules(family)), kept);
            let own: Vec<String> = rules(family).into_iter().filter(|rule| !kept.contains(rule)).collect();
            assert!(own.len() == 2 && own[0].contains("\"b\" counter packets 4 bytes 40") && own[1].contains("\"new\""), "{own:?}");

            mixed(family);
            let all = rules(family);
            for rule in foreign(&all) {
                assert_eq!(ours(family, &format!("-D DOCKER-USER --handle {}", handle(&rule))).code, 0);
                assert_eq!(ours(family, &format!("-D DOCKER-USER --handle {}", handle(&rule))).code, 1);
                assert!(!rules(family).contains(&rule));
            }
            assert_eq!(rules(family).len(), 3);
            // And any other by its handle too.
            assert_eq!(ours(family, &format!("-D DOCKER-USER --handle {}", handle(&all[3]))).code, 0);
            let expected = "-A DOCKER-USER -i a -j DROP\n-A DOCKER-USER -j DROP\n";
            assert!(iptables(family, "", "-S DOCKER-USER", "").ok().ends_with(expected));
        }
    });
}
