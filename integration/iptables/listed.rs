//! Both print the same ruleset in the same way.

use dockgate::model::{Family, Protocol};

use super::{Installed, append, iptables, known, lines, reset};
use crate::support::{call, dockgate, in_netns, uncommented};

/// A ruleset as it may be on a host: chains in no order, jumps between them, policies, counters of
/// all sizes.
const BUSY: &str = "\
*filter
:INPUT DROP [7:700]
:FORWARD DROP [123456789:1234567890123]
:OUTPUT ACCEPT [0:0]
:zeta - [0:0]
:DOCKER-USER - [0:0]
:Alpha - [0:0]
:DOCKER - [0:0]
:x234567890123456789012345678 - [0:0]
:beta - [0:0]
[1:84] -A INPUT -i lo -j ACCEPT
[2:168] -A INPUT -p tcp --dport 22 -j ACCEPT
[3:252] -A FORWARD -j DOCKER-USER
[4:336] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[5:420] -A FORWARD -o docker0 -j DOCKER
[99999:99999] -A OUTPUT -o docker0 -g beta
[100000:99999499] -A DOCKER ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
[9999999:99999999] -A DOCKER-USER -m comment --comment \"it is long\" -j zeta
[9999499999:1844674407370955161] -A DOCKER-USER -g beta
[1:1] -A DOCKER-USER ! -p tcp -j x234567890123456789012345678
[0:0] -A DOCKER-USER
[1:1] -A zeta -i a -o b+ -j beta
[1:1] -A zeta ! -i a ! -o b+ -j LOG --log-prefix \"a -- b \"
COMMIT
";

/// States in which built-in chains are missing, by nft; `FAMILY` is to be replaced.
const STATES: &[(&str, &str)] = &[
    ("nothing", ""),
    ("the table alone", "add table FAMILY filter"),
    ("a user chain alone", "add table FAMILY filter; add chain FAMILY filter DOCKER-USER"),
    (
        "FORWARD and a user chain",
        "add table FAMILY filter; add chain FAMILY filter DOCKER-USER
         add chain FAMILY filter FORWARD { type filter hook forward priority 0; policy drop; }",
    ),
    (
        "OUTPUT before FORWARD",
        "add table FAMILY filter; add chain FAMILY filter zz
         add chain FAMILY filter OUTPUT { type filter hook output priority 0; policy drop; }; add chain FAMILY filter aa
         add chain FAMILY filter FORWARD { type filter hook forward priority 0; }",
    ),
];

/// What is asked.
const LISTS: &[&str] = &[
    "-S",
    "-S -v",
    "-S DOCKER-USER",
    "-v -S DOCKER-USER",
    "-S DOCKER-USER 2",
    "-v -S DOCKER-USER 2",
    "-S FORWARD",
    "-v -S FORWARD",
    "-S FORWARD 1",
    "-S INPUT",
    "-n -L",
    "-n -L -v",
    "-nvxL --line-numbers",
    "-n --line-numbers -L DOCKER-USER",
    "-nL DOCKER-USER 2",
    "-nvL DOCKER-USER 2 --line-numbers",
    "-n -v -L FORWARD",
    "-n -L OUTPUT",
    "-nL INPUT 1",
];

/// What `iptables -n -L` prints, protocols by name, whatever the version has.
fn named(listed: &str) -> String {
    listed.lines().map(|line| named_line(line).unwrap_or(line.to_owned()) + "\n").collect()
}

fn named_line(line: &str) -> Option<String> {
    let at = [" -- ", " -f ", " !f "].into_iter().filter_map(|mark| line.find(mark)).min()?;
    let before = line[..at].trim_end();
    let word = before.rfind([' ', '!'])? + 1;
    let number: u8 = before[word..].parse().ok()?;
    let name = if number == 0 { "all".to_owned() } else { Protocol(number).to_string() };
    Some(format!("{}{name:<4}{}", &line[..word], &line[at..]))
}

/// The lines of `iptables-save` for the chains that are ours to write.
fn writable(saved: &str) -> String {
    let ours = |name: &str| !matches!(name, "INPUT" | "FORWARD" | "OUTPUT" | "DOCKER");
    let keep = |line: &&str| match line.split_once(':').filter(|(before, _)| before.is_empty()) {
        Some((_, declared)) => ours(declared.split(' ').next().unwrap()),
        None => line.split("-A ").nth(1).is_none_or(|rest| ours(rest.split(' ').next().unwrap())),
    };
    saved.lines().filter(keep).map(|line| format!("{line}\n")).collect()
}

fn compare(family: Family, state: &str, wrong: &mut Vec<String>) {
    for list in LISTS {
        let theirs = iptables(family, "", list, "");
        let ours = dockgate(&format!("{} {list}", family.command()), "");
        if theirs.code != ours.code || named(&theirs.out) != named(&ours.out) {
            wrong.push(format!(
                "{family}, {state}: {list}\n{} {}{}\n--- ours:\n{} {}{}",
                theirs.code, theirs.out, theirs.err, ours.code, ours.out, ours.err
            ));
        }
    }
    for counters in ["", " -c"] {
        let theirs = writable(&uncommented(&iptables(family, "-save", &format!("-t filter{counters}"), "").ok()));
        let ours = uncommented(&dockgate(&format!("{} save{counters}", if family == Family::Ip { "-4" } else { "-6" }), "").ok());
        // A table without a chain is nothing to us.
        if theirs != ours && !(ours.is_empty() && theirs == "*filter\nCOMMIT\n") {
            wrong.push(format!("{family}, {state}: save{counters}\n{theirs}--- ours:\n{ours}"));
        }
    }
}

#[test]
fn both_list_and_save_the_same_ruleset_in_the_same_words() {
    const NAME: &str = "iptables::listed::both_list_and_save_the_same_ruleset_in_the_same_words";
    in_netns(NAME, || {
        let Some(installed) = Installed::find(NAME) else { return };
        let mut wrong = Vec::new();
        for family in Family::BOTH {
            for (state, nft) in STATES {
                reset();
                call("nft", "-f -", &nft.replace("FAMILY", &family.to_string())).ok();
                compare(family, state, &mut wrong);
            }
            reset();
            iptables(family, "-restore", "-c", BUSY).ok();
            compare(family, "busy", &mut wrong);

            let mut rules = lines::rules(family);
            rules.retain(|rule| {
                let text = rule.to_string();
                !known::mistakes(installed, &text) && !known::not_forwarded(&text) && installed.protocol_names(text.clone()) == text
            });
            iptables(family, "", "-N OTHER", "").ok();
            append(family, "DOCKER-USER", &rules, None);
            compare(family, "all rules", &mut wrong);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
