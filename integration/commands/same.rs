//! Each command does what iptables does for the same words on the same ruleset, with the same exit
//! code.

use dockgate::model::Family;

use super::{iptables, ours, saved};
use crate::{
    iptables::{Installed, sets_counters},
    support::{Done, dockgate, in_netns},
};

const BUSY: &str = "\
*filter
:INPUT ACCEPT [1:11]
:FORWARD DROP [2:22]
:OUTPUT ACCEPT [3:33]
:DOCKER-USER - [0:0]
:empty - [0:0]
:mine - [0:0]
[1:10] -A FORWARD -j DOCKER-USER
[2:20] -A DOCKER-USER -i a -j DROP
[3:30] -A DOCKER-USER -i b -j mine
[4:40] -A DOCKER-USER -p tcp -m tcp --dport 80 -j ACCEPT
[5:50] -A DOCKER-USER -i a -j DROP
[6:60] -A mine -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
COMMIT
";

/// On [`BUSY`], in both families.
const CASES: &[&str] = &[
    "-A DOCKER-USER -i c -j DROP",
    "-A DOCKER-USER",
    "-A DOCKER-USER -c 5 55 -i c -j DROP",
    "-A mine -i c -g empty",
    "-A empty -j mine",
    "-A DOCKER-USER -j nowhere",
    "-A DOCKER-USER -j FORWARD",
    "-A mine -j DOCKER-USER",
    "-X mine",
    "-A nowhere -j DROP",
    "-A DOCKER-USER -p tcp --dport 65536 -j DROP",
    "-A DOCKER-USER --dport 80 -j DROP",
    "-A DOCKER-USER -m nothing -j DROP",
    "-A DOCKER-USER -i c -j DROP -j ACCEPT",
    "-A DOCKER-USER -p tcp -j REJECT --reject-with tcp-reset",
    "-I DOCKER-USER -i c -j DROP",
    "-I DOCKER-USER 1 -i c -j DROP",
    "-I DOCKER-USER 2 -i c -j DROP",
    "-I DOCKER-USER 4 -c 5 55 -i c -j DROP",
    "-I DOCKER-USER 5 -i c -j DROP",
    "-I DOCKER-USER 6 -i c -j DROP",
    "-I DOCKER-USER 0 -i c -j DROP",
    "-I empty -i c -j DROP",
    "-I empty 1 -i c -j DROP",
    "-I empty 2 -i c -j DROP",
    "-I nowhere 2 -i c -j DROP",
    "-R DOCKER-USER 1 -i c -j DROP",
    "-R DOCKER-USER 4 -i c -j DROP",
    "-R DOCKER-USER 3 -c 5 55 -i c -j DROP",
    "-R DOCKER-USER 5 -i c -j DROP",
    "-R DOCKER-USER 0 -i c -j DROP",
    "-R DOCKER-USER -i c -j DROP",
    "-R nowhere 1 -i c -j DROP",
    "-R empty 1 -i c -j DROP",
    "-D DOCKER-USER -i a -j DROP",
    "-D DOCKER-USER -p tcp --dport http -j ACCEPT",
    "-D DOCKER-USER -i b -j mine",
    "-D mine -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
    "-D mine -m state --state ESTABLISHED,RELATED -j RETURN",
    "-D DOCKER-USER -i c -j DROP",
    "-D DOCKER-USER -i a -j ACCEPT",
    "-D DOCKER-USER -i a+ -j DROP",
    "-D DOCKER-USER",
    "-D DOCKER-USER 1",
    "-D DOCKER-USER 4",
    "-D DOCKER-USER 5",
    "-D DOCKER-USER 0",
    "-D nowhere 1",
    "-D nowhere -i a -j DROP",
    "-D empty -i a -j DROP",
    "-C DOCKER-USER -i a -j DROP",
    "-C DOCKER-USER -i b -j mine",
    "-C DOCKER-USER -i b -g mine",
    "-C DOCKER-USER -i c -j DROP",
    "-C DOCKER-USER -i a",
    "-C nowhere -i a -j DROP",
    "-C FORWARD -j DOCKER-USER",
    "-C INPUT -j DROP",
    "-F DOCKER-USER",
    "-F mine",
    "-F empty",
    "-F nowhere",
    "-Z DOCKER-USER",
    "-Z DOCKER-USER 3",
    "-Z mine",
    "-Z mine 1",
    "-Z empty",
    "-Z nowhere",
    "-N new",
    "-N mine",
    "-N -x",
    "-N ACCEPT",
    "-N x2345678901234567890123456789",
    "-N x234567890123456789012345678",
    "-X empty",
    "-X nowhere",
    "-E mine yours",
    "-E empty mine",
    "-E mine mine",
    "-E nowhere yours",
    "-S nowhere",
    "-L nowhere -n",
    "-S DOCKER-USER 5",
    "-S DOCKER-USER 0",
    "-nL DOCKER-USER 9",
    "-S empty",
    "-w -A DOCKER-USER -i c -j DROP",
    "-w 5 -A DOCKER-USER -i c -j DROP",
    "-A DOCKER-USER -w -i c -j DROP",
    "-t filter -A DOCKER-USER -i c -j DROP",
    "--append DOCKER-USER --in-interface c --jump DROP",
    "-i c -j DROP -A DOCKER-USER",
    "-A DOCKER-USER -D DOCKER-USER 1",
    "-A DOCKER-USER -i c -j",
    "-A DOCKER-USER ! -j DROP",
    "-A DOCKER-USER ! ! -i c -j DROP",
    "-A DOCKER-USER -i c -i d -j DROP",
    "-A DOCKER-USER extra -j DROP",
    "-A",
    "",
    "-j DROP",
];

/// The same for IPv4 alone.
const CASES_V4: &[&str] = &[
    "-A DOCKER-USER -s 192.0.2.1,192.0.2.2 -d 198.51.100.1,198.51.100.2 -j DROP",
    "-I DOCKER-USER -s 192.0.2.1,192.0.2.2,192.0.2.3 -j DROP",
    "-I DOCKER-USER 2 -s 192.0.2.1,192.0.2.2 -d 198.51.100.1,198.51.100.2 -j DROP",
    "-I DOCKER-USER 5 -s 192.0.2.1,192.0.2.2,192.0.2.3 -j DROP",
    "-I empty 1 -s 192.0.2.1,192.0.2.2,192.0.2.3 -j DROP",
    "-A DOCKER-USER -s 192.0.2.300 -j DROP",
    "-A DOCKER-USER -s 192.0.2.0/33 -j DROP",
    "-A DOCKER-USER -s 2001:db8::1 -j DROP",
    "-A DOCKER-USER ! -s 192.0.2.1,192.0.2.2 -j DROP",
    "-A DOCKER-USER -p icmpv6 -j DROP",
];

/// What we do otherwise on purpose: iptables' exit code, and ours.
const OTHERWISE: &[(&str, i32, i32)] = &[
    // Found in the words already.
    ("-A DOCKER-USER -p udp -j REJECT --reject-with tcp-reset", 4, 2),
    // iptables does nothing and says nothing.
    ("-Z DOCKER-USER 5", 0, 1),
    // Later versions take the first address and forget the other.
    ("-R DOCKER-USER 2 -s 192.0.2.1,192.0.2.2 -j DROP", 0, 2),
    // iptables makes a chain that no jump can name afterwards.
    ("-E empty DROP", 0, 2),
    // iptables' parser takes the wrong word here.
    ("--insert DOCKER-USER 2 --in-interface=c --jump=DROP", 2, 0),
    ("-ADOCKER-USER -ic -jDROP", 2, 0),
];

/// What happened, to be compared.
fn outcome(family: Family, run: impl FnOnce() -> Done) -> (Done, String) {
    iptables(family, "-restore", "-c", BUSY).ok();
    (run(), saved(family))
}

fn compare(family: Family, installed: Installed) {
    let mut wrong = Vec::new();
    let also = if family == Family::Ip { CASES_V4 } else { &[] };
    let sets = sets_counters(installed, family);
    for words in CASES.iter().chain(also).filter(|words| sets || !words.contains("-c ")) {
        let (theirs, expected) = outcome(family, || iptables(family, "", words, ""));
        let (done, got) = outcome(family, || ours(family, words));
        let prints = words.contains("S ") || words.contains("L ");
        let same_output = if prints { theirs.out == done.out } else { done.out.is_empty() };
        if theirs.code != done.code || expected != got || !same_output {
            let differ = if expected == got { String::new() } else { format!("\n{expected}--- ours:\n{got}") };
            let said = |done: &Done| format!("{} {}{}", done.code, done.out, done.err);
            wrong.push(format!("{} {words}\n  {}  {}{differ}", family.command(), said(&theirs), said(&done)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_command_does_what_iptables_does() {
    const NAME: &str = "commands::same::each_command_does_what_iptables_does";
    in_netns(NAME, || {
        let Some(installed) = Installed::find(NAME) else { return };
        compare(Family::Ip, installed);
    });
}

#[test]
fn each_command_does_what_ip6tables_does() {
    const NAME: &str = "commands::same::each_command_does_what_ip6tables_does";
    in_netns(NAME, || {
        let Some(installed) = Installed::find(NAME) else { return };
        compare(Family::Ip6, installed);
    });
}

#[test]
fn what_is_done_otherwise_is_known() {
    const NAME: &str = "commands::same::what_is_done_otherwise_is_known";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for family in Family::BOTH {
            let (_, before) = outcome(family, || dockgate("--version", ""));
            for &(words, theirs, code) in OTHERWISE {
                let (done, _) = outcome(family, || iptables(family, "", words, ""));
                // Later versions may do better.
                assert!(done.code == theirs || done.code == code, "{words}: {done:?}");
                let (done, after) = outcome(family, || ours(family, words));
                assert_eq!(done.code, code, "{words}: {done:?}");
                assert_eq!(before == after, code != 0, "{words}");
                assert_eq!(done.err.starts_with("error: "), code != 0, "{words}: {done:?}");
            }
        }
    });
}
