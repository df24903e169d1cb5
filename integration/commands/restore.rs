//! `dockgate restore`: chains become what a text says, and nothing else changes.

use dockgate::model::Family;

use super::{iptables, nft, nft_text, ruleset, saved, state};
use crate::{
    iptables::Installed,
    support::{Done, call, dockgate, in_netns},
};

/// A host with Docker, rules of the administrator, and those of another program. Counters differ, so
/// that what stays is known by them.
const HOST: &str = "\
*filter
:INPUT ACCEPT [1:11]
:FORWARD DROP [2:22]
:OUTPUT ACCEPT [3:33]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:f2b-sshd - [0:0]
:mine - [0:0]
[10:100] -A FORWARD -j DOCKER-USER
[11:110] -A FORWARD -o docker0 -j DOCKER
[12:120] -A DOCKER -i docker0 -j DROP
[13:130] -A DOCKER-USER -p tcp -m multiport --dports 22 -j f2b-sshd
[14:140] -A DOCKER-USER -i a -j DROP
[15:150] -A DOCKER-USER -i b -j mine
[16:160] -A DOCKER-USER -i c -j DROP
[17:170] -A f2b-sshd -i x -j REJECT
[18:180] -A mine -i m -j DROP
COMMIT
";

fn restore(options: &str, text: &str) -> Done {
    dockgate(&format!("restore {options}"), text)
}

/// The rules of a chain as nft shows them: with counters and handles.
fn rules(family: Family, chain: &str) -> Vec<String> {
    let text = nft(&format!("-a list chain {family} filter {chain}")).ok();
    text.lines().filter(|line| line.contains("counter")).map(|line| line.trim().to_owned()).collect()
}

/// What follows `# handle`.
fn handles(rules: &[String]) -> Vec<u64> {
    rules.iter().map(|rule| rule.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

fn packets(rules: &[String]) -> Vec<u64> {
    let number = |rule: &String| rule.split_once("packets ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    rules.iter().map(number).collect()
}

#[test]
fn chains_become_what_the_text_says() {
    const NAME: &str = "commands::restore::chains_become_what_the_text_says";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        state(Family::Ip, HOST);
        let before = rules(Family::Ip, "DOCKER-USER");
        let elsewhere = || ["FORWARD", "DOCKER", "f2b-sshd"].map(|chain| nft(&format!("-a list chain ip filter {chain}")).ok());
        let others = elsewhere();
        // One goes, one is new, one moves; what stays has its handle and counters, and so has the
        // other program's jump, of which the text knows nothing.
        let text = "*filter\n:DOCKER-USER - [0:0]\n:mine - [0:0]\n:new - [0:0]\n\
            -A DOCKER-USER -i b -j mine\n-A DOCKER-USER -i d -j new\n-A DOCKER-USER -i c -j DROP\n-A new -j RETURN\nCOMMIT\n";
        let done = restore("", text);
        assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.err);
        assert_eq!(done.err, "note: 1 rules of others in these chains were kept; `dockgate list` shows them\n");
        let after = rules(Family::Ip, "DOCKER-USER");
        assert_eq!(packets(&after), [13, 15, 0, 16]);
        let (old, new) = (handles(&before), handles(&after));
        assert_eq!([new[0], new[1], new[3]], [old[0], old[2], old[3]]);
        assert!(rules(Family::Ip, "mine").is_empty() && rules(Family::Ip, "new").len() == 1);
        assert_eq!(elsewhere(), others);
        // Again: nothing is left to do, not even an empty transaction.
        let settled = ruleset();
        let done = dockgate("--dry-run restore", text);
        assert_eq!((done.code, done.out.as_str()), (0, ""));
        assert_eq!(restore("", text).code, 0);
        assert_eq!(ruleset(), settled);
    });
}

#[test]
fn a_rule_in_the_middle_leaves_the_handles_of_the_others() {
    const NAME: &str = "commands::restore::a_rule_in_the_middle_leaves_the_handles_of_the_others";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let text = |interfaces: &[&str]| {
            let rules: String = interfaces.iter().map(|name| format!("-A DOCKER-USER -i {name} -j DROP\n")).collect();
            format!("*filter\n:DOCKER-USER - [0:0]\n{rules}COMMIT\n")
        };
        for family in Family::BOTH {
            state(family, "");
            let only = if family == Family::Ip { "-4" } else { "-6" };
            let set = |interfaces: &[&str]| {
                dockgate(&format!("{only} restore"), &text(interfaces)).ok();
                let printed = iptables(family, "", "-S DOCKER-USER", "").ok();
                let printed: Vec<&str> = printed.lines().skip(1).map(|line| line.split(' ').nth(3).unwrap()).collect();
                assert_eq!(printed, interfaces);
                handles(&rules(family, "DOCKER-USER"))
            };
            let first = set(&["a", "b", "c"]);
            let inserted = set(&["a", "x", "b", "c"]);
            assert_eq!([inserted[0], inserted[2], inserted[3]], first[..]);
            let around = set(&["y", "z", "a", "x", "b", "b2", "c", "d", "e"]);
            assert_eq!([around[2], around[3], around[4], around[6]], inserted[..]);
            assert_eq!(set(&["x", "c"]), [around[3], around[6]]);
            let moved = set(&["c", "x"]);
            assert_eq!(moved.iter().filter(|handle| [around[3], around[6]].contains(handle)).count(), 1);
            let same = set(&["q", "q", "c", "q"]);
            assert_eq!(set(&["q", "q", "q", "c", "q"]).iter().filter(|handle| same.contains(handle)).count(), 4);
            assert!(set(&[]).is_empty());
        }
    });
}

#[test]
fn counters_are_those_of_the_kernel_else_of_the_text_if_wanted() {
    const NAME: &str = "commands::restore::counters_are_those_of_the_kernel_else_of_the_text_if_wanted";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let text = "*filter\n:DOCKER-USER - [0:0]\n[1:2] -A DOCKER-USER -i a -j DROP\n[3:4] -A DOCKER-USER -i new -j DROP\n\
            -A DOCKER-USER -i newer -c 5 6 -j DROP\n-A DOCKER-USER -i newest -j DROP\nCOMMIT\n";
        // The last one is a jump to a chain that the text does not know.
        let told = [13, 14, 3, 5, 0, 15];
        for (options, expected) in [("", [13, 14, 0, 0, 0, 15]), ("-c", told), ("--counters", told)] {
            state(Family::Ip, HOST);
            restore(options, text).ok();
            assert_eq!(packets(&rules(Family::Ip, "DOCKER-USER")), expected, "{options}");
        }
        // What `save -c` printed comes back whole.
        state(Family::Ip, HOST);
        let own = dockgate("-4 save -c", "").ok();
        let before = saved(Family::Ip);
        for chain in ["DOCKER-USER", "mine", "f2b-sshd"] {
            iptables(Family::Ip, "", &format!("-F {chain}"), "").ok();
        }
        restore("-c", &own).ok();
        assert_eq!(saved(Family::Ip), before);
    });
}

#[test]
fn without_flush_chains_that_are_not_declared_grow() {
    const NAME: &str = "commands::restore::without_flush_chains_that_are_not_declared_grow";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let text = "*filter\n:mine - [0:0]\n-A DOCKER-USER -i a -j DROP\n-A DOCKER-USER -i z -j DROP\n-A mine -i n -j DROP\nCOMMIT\n";
        for options in ["-n", "--noflush"] {
            // iptables-restore does just that.
            state(Family::Ip, HOST);
            iptables(Family::Ip, "-restore", "--noflush", text).ok();
            let expected = saved(Family::Ip);
            state(Family::Ip, HOST);
            let before = handles(&rules(Family::Ip, "DOCKER-USER"));
            restore(options, text).ok();
            assert_eq!(saved(Family::Ip), expected);
            assert_eq!(handles(&rules(Family::Ip, "DOCKER-USER"))[..4], before[..]);
        }
        // With it, a chain without a declaration is what the text says too.
        state(Family::Ip, HOST);
        restore("", text).ok();
        assert_eq!(packets(&rules(Family::Ip, "DOCKER-USER")), [13, 14, 0]);
    });
}

#[test]
fn one_text_changes_both_families_or_neither() {
    const NAME: &str = "commands::restore::one_text_changes_both_families_or_neither";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let text = |last: &str| {
            format!(
                "# Generated by iptables-save v1.8.9 on Mon\n*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -s 192.0.2.1/32 -j DROP\nCOMMIT\n\
                 # Generated by ip6tables-save v1.8.9 on Mon\n*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -s 2001:db8::1/128 -j DROP\n\
                 -A DOCKER-USER -i x -j {last}\nCOMMIT\n"
            )
        };
        state(Family::Ip, "");
        restore("", &text("RETURN")).ok();
        let lines = |family| iptables(family, "", "-S DOCKER-USER", "").ok();
        assert_eq!(lines(Family::Ip), "-N DOCKER-USER\n-A DOCKER-USER -s 192.0.2.1/32 -j DROP\n");
        assert_eq!(lines(Family::Ip6), "-N DOCKER-USER\n-A DOCKER-USER -s 2001:db8::1/128 -j DROP\n-A DOCKER-USER -i x -j RETURN\n");
        // The one that both `save`s together make.
        let both = dockgate("save", "").ok();
        state(Family::Ip, "");
        restore("", &both).ok();
        assert_eq!(dockgate("save", "").ok(), both);

        state(Family::Ip, "");
        let done = restore("", &text("nowhere"));
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.err.contains("stdin:10  -A DOCKER-USER -i x -j nowhere"), "{}", done.err);
        assert_eq!(ruleset(), "");
        // One alone of a text for both.
        dockgate("-6 restore", "*filter\n-A DOCKER-USER -i x -j DROP\n-4 -A DOCKER-USER -i y -j DROP\nCOMMIT\n").ok();
        assert_eq!(lines(Family::Ip6), "-N DOCKER-USER\n-A DOCKER-USER -i x -j DROP\n");
        assert_ne!(iptables(Family::Ip, "", "-S DOCKER-USER", "").code, 0);
    });
}

#[test]
fn a_change_that_is_refused_leaves_all_as_it_was() {
    const NAME: &str = "commands::restore::a_change_that_is_refused_leaves_all_as_it_was";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        state(Family::Ip, HOST);
        let before = ruleset();
        for (number, text) in [
            // The rules before it would all be taken.
            (6, "*filter\n:new - [0:0]\n:mine - [0:0]\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i z -j new\n-A new -i y -j nowhere\nCOMMIT\n"),
            (3, "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i z -g OUTPUT\nCOMMIT\n"),
            (4, "*filter\n:mine - [0:0]\n:DOCKER-USER - [0:0]\n-A mine -j DOCKER-USER\n-A DOCKER-USER -i b -j mine\nCOMMIT\n"),
        ] {
            for options in ["", "--noflush"] {
                let done = restore(options, text);
                assert_eq!(done.code, if text.contains("nowhere") { 2 } else { 4 }, "{text}");
                assert!(done.err.contains(&format!("stdin:{number}  ")) || text.contains("-j DOCKER-USER"), "{}", done.err);
                assert_eq!(ruleset(), before, "{text}");
            }
        }
    });
}

#[test]
fn what_is_not_ours_is_passed_over_and_said() {
    const NAME: &str = "commands::restore::what_is_not_ours_is_passed_over_and_said";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        // All that iptables-save prints of a host.
        state(Family::Ip, HOST);
        nft_text("add table ip nat; add chain ip nat DOCKER; add rule ip nat DOCKER counter accept");
        let text = call("iptables-save", "", "").ok();
        assert!(text.contains("*nat"), "{text}");
        let changed = text.replace("-A DOCKER-USER -i a -j DROP", "-A DOCKER-USER -i changed -j DROP");
        let changed = changed.replace("-A FORWARD -j DOCKER-USER", "").replace("-A DOCKER -i docker0 -j DROP", "-A DOCKER -j ACCEPT");
        let changed = changed.replace("-A DOCKER -j ACCEPT", "-A DOCKER -j RETURN");
        let untouched =
            || [nft("-a list table ip nat").ok(), rules(Family::Ip, "FORWARD").join("\n"), rules(Family::Ip, "DOCKER").join("\n")];
        let before = untouched();
        let done = restore("", &changed);
        assert_eq!(done.code, 0, "{}", done.err);
        assert_eq!(done.err, "note: 2 rules of chains that are Docker's or built in were passed over: FORWARD, DOCKER\n");
        assert_eq!(untouched(), before);
        assert!(rules(Family::Ip, "DOCKER-USER")[1].contains("\"changed\""));
    });
}
