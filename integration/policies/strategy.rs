//! What is said where sets are asked for and can't be used.

use std::fmt::Write as _;

use dockgate::{
    compile,
    model::Family,
    policy::{File, Policy},
};

use super::{dockgate, folder};
use crate::support::in_netns;

const NOTE: &str = "note: strategy `set` can't be used for";

/// A policy with so many kinds of senders, each of whom may reach another port.
fn kinds(count: u32, more: &str) -> String {
    let mut text = format!("external = \"lo\"\ndefault = \"drop\"\n{more}");
    for number in 1..=count {
        let port = 1000 + number;
        write!(text, "[[rule]]\nallow = \"{port}/tcp\"\nfrom = [\"192.0.2.{number}\", \"2001:db8::{number}\"]\n").unwrap();
    }
    text
}

fn has_sets(text: &str) -> [bool; 2] {
    let policy = Policy::parse(vec![File::new("stdin", text)]).policy;
    let compiled = compile::docker_user(&policy, "stdin", None);
    Family::BOTH.map(|family| compiled.table(family).is_some())
}

#[test]
fn check_says_where_sets_are_not_used_and_why() {
    const SET: &str = "strategy = \"set\"\n";
    let many = "there are more kinds of senders than 32, or more lists of rules than";
    let senders = |from: fn(u32) -> String| {
        let rule = |number| format!("[[rule]]\nallow = \"{}/tcp\"\nfrom = \"{}\"\n", 1000 + number, from(number));
        kinds(0, SET) + &(1..=40).map(rule).collect::<String>()
    };
    let (v4, v6) = (senders(|number| format!("192.0.2.{number}")), senders(|number| format!("2001:db8::{number}")));
    for (text, families, why) in [
        (kinds(3, SET), "", ""),
        (kinds(40, SET), "IPv4 and IPv6", many),
        (kinds(9, &format!("{SET}mark = 0x300\n")), "IPv4 and IPv6", "more lists of rules than 1, which `mark = 0x300` has room for"),
        // No senders, nor any from outside: there is nothing for sets.
        (kinds(0, SET), "", ""),
        (kinds(40, SET).replace("from =", "in = \"lan0\"\nfrom ="), "", ""),
        // Nobody asked for sets.
        (kinds(40, ""), "", ""),
        (kinds(40, "strategy = \"tree\"\n"), "", ""),
        // Of one family alone.
        (v4, "IPv4", many),
        (v6, "IPv6", many),
    ] {
        let done = dockgate(&folder(), &["check", "-"], &text);
        assert_eq!(done.code, 0, "{done:?}");
        let said: Vec<&str> = done.err.lines().filter(|line| line.starts_with("note: ")).collect();
        match families {
            "" => assert_eq!(said, [""; 0], "{text}"),
            _ => assert!(said.len() == 1 && said[0].starts_with(&format!("{NOTE} {families}: ")) && said[0].contains(why), "{done:?}"),
        }
        assert!(families.is_empty() || has_sets(&text) == [false; 2], "{text}");
    }
}

/// The line is named where it is what keeps sets from being used.
#[test]
fn a_line_that_changes_the_mark_is_named() {
    // Who is asked in another chain, nobody knows.
    let done = dockgate(&folder(), &["check", "-"], &kinds(40, "strategy = \"set\"\n[[rule]]\niptables = \"-j LIMITS\"\n"));
    assert!(done.err.contains(", or the chain that the line of iptables at stdin:4 leads to may change the mark\n"), "{done:?}");
    for (line, changes) in [
        ("-j MARK --set-mark 1", true),
        ("-j CONNMARK --restore-mark", true),
        ("-j CONNMARK --save-mark", false),
        ("-s 192.0.2.200 -j DROP", false),
    ] {
        let raw = format!("strategy = \"set\"\n[[rule]]\niptables = \"{line}\"\n");
        let done = dockgate(&folder(), &["check", "-"], &kinds(40, &raw));
        assert_eq!(done.err.contains("the line of iptables at stdin:4 changes the packet's mark"), changes, "{done:?}");
        assert_eq!(done.err.matches(NOTE).count(), 1, "{done:?}");
        let text = kinds(3, &raw);
        let done = dockgate(&folder(), &["check", "-"], &text);
        assert_eq!(done.err.contains(NOTE), has_sets(&text) == [false; 2], "{done:?}");
    }
}

#[test]
fn plan_and_apply_say_it_as_well() {
    in_netns("policies::strategy::plan_and_apply_say_it_as_well", || {
        let text = kinds(40, "");
        for (words, said) in [
            (&["plan", "-"][..], 0),
            (&["plan", "-", "--strategy", "set"], 1),
            (&["--dry-run", "apply", "-", "--strategy", "set"], 1),
            (&["--dry-run", "apply", "-", "--strategy", "tree"], 0),
        ] {
            let done = dockgate(&folder(), words, &text);
            assert_eq!(done.err.matches(NOTE).count(), said, "{words:?}: {done:?}");
        }
    });
}
