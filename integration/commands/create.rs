//! What is made where nothing is: the table, FORWARD, DOCKER-USER and the jump, as iptables makes
//! them.

use dockgate::model::Family;

use super::{iptables, nft, ours, saved, state};
use crate::{iptables::Installed, support::in_netns};

/// What may be there before, by nft; `FAMILY` is to be replaced.
const BEFORE: &[&str] = &[
    "",
    "add table FAMILY filter",
    "add table FAMILY filter; add chain FAMILY filter FORWARD { type filter hook forward priority 0; policy accept; }",
    "add table FAMILY filter; add chain FAMILY filter FORWARD { type filter hook forward priority 0; policy drop; }
     add rule FAMILY filter FORWARD iifname a counter drop",
    "add table FAMILY filter; add chain FAMILY filter INPUT { type filter hook input priority 0; policy accept; }
     add chain FAMILY filter mine",
    "add table FAMILY filter; add set FAMILY filter numbers { type mark; }",
    "add table inet other; add chain inet other FORWARD { type filter hook forward priority 0; policy drop; }",
];

fn chains(family: Family) -> String {
    let list = |chain: &str| nft(&format!("-nn list chain {family} filter {chain}")).ok();
    list("FORWARD") + &list("DOCKER-USER")
}

#[test]
fn docker_user_is_made_with_all_that_it_needs() {
    const NAME: &str = "commands::create::docker_user_is_made_with_all_that_it_needs";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for family in Family::BOTH {
            for before in BEFORE {
                let before = before.replace("FAMILY", &family.to_string());
                let prepare = || {
                    state(family, "");
                    super::nft_text(&before);
                };
                for rule in [None, Some("-i eth0 -j DROP")] {
                    prepare();
                    // setupUserChain in Docker, and the rule.
                    iptables(family, "", "-N DOCKER-USER", "").ok();
                    iptables(family, "", "-I FORWARD -j DOCKER-USER", "").ok();
                    rule.iter().for_each(|rule| drop(iptables(family, "", &format!("-A DOCKER-USER {rule}"), "").ok()));
                    let (expected, expected_chains) = (saved(family), chains(family));
                    for command in ["-A", "-I"] {
                        prepare();
                        let words = rule.map_or("-N DOCKER-USER".to_owned(), |rule| format!("{command} DOCKER-USER {rule}"));
                        let done = ours(family, &words);
                        assert_eq!((done.code, done.err.as_str()), (0, ""), "{family} {before}: {words}");
                        assert_eq!(
                            (saved(family), chains(family)),
                            (expected.clone(), expected_chains.clone()),
                            "{family} {before}: {words}"
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn where_docker_user_is_there_forward_is_left_alone() {
    const NAME: &str = "commands::create::where_docker_user_is_there_forward_is_left_alone";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for family in Family::BOTH {
            for (text, note) in [
                ("*filter\n:DOCKER-USER - [0:0]\n:FORWARD DROP [0:0]\nCOMMIT\n", "no packet reaches DOCKER-USER"),
                (
                    "*filter\n:DOCKER-USER - [0:0]\n:FORWARD DROP [0:0]\n-A FORWARD -i eth+ -j ACCEPT\n-A FORWARD -j DOCKER-USER\nCOMMIT\n",
                    "the jump to DOCKER-USER is rule 2: rule 1 of FORWARD (`-i eth+ -j ACCEPT`) can accept packets before it is asked",
                ),
                // These pass no packet that would be stopped.
                ("*filter\n:DOCKER-USER - [0:0]\n:FORWARD DROP [0:0]\n-A FORWARD -i a -j DROP\n-A FORWARD -j DOCKER-USER\nCOMMIT\n", ""),
                ("*filter\n:DOCKER-USER - [0:0]\n:FORWARD DROP [0:0]\n-A FORWARD -i a -j ACCEPT\n-A FORWARD -j DOCKER-USER\nCOMMIT\n", ""),
                ("*filter\n:DOCKER-USER - [0:0]\n:FORWARD DROP [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n", ""),
            ] {
                state(family, text);
                let forward = || nft(&format!("-a list chain {family} filter FORWARD")).ok();
                let before = forward();
                let done = ours(family, "-A DOCKER-USER -i eth0 -j DROP");
                assert_eq!(done.code, 0, "{}", done.err);
                assert!(done.err.contains(note) && done.err.is_empty() == note.is_empty(), "{}", done.err);
                assert_eq!(forward(), before);
            }
        }
    });
}

#[test]
fn a_user_chain_is_made_without_forward() {
    const NAME: &str = "commands::create::a_user_chain_is_made_without_forward";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        for family in Family::BOTH {
            state(family, "");
            iptables(family, "", "-N mine", "").ok();
            let expected = nft("list ruleset").ok();
            state(family, "");
            assert_eq!(ours(family, "-N mine").code, 0);
            assert_eq!(nft("list ruleset").ok(), expected);
        }
    });
}
