//! `dockgate iptables --help`, and of one extension.

use std::fmt::Write as _;

use crate::{matches, model::Family, rule::help, targets};

const HELP: &str = "\
-A CHAIN RULE            append a rule
-I CHAIN [NUMBER] RULE   insert it, first of all or as that number
-R CHAIN NUMBER RULE     replace that number
-D CHAIN RULE            delete the first rule that says the same
-D CHAIN NUMBER          delete that number
-D CHAIN --handle N      delete by handle, also a rule that can't be read
-C CHAIN RULE            is it there?
-S [CHAIN [NUMBER]]      print rules as commands
-L [CHAIN [NUMBER]]      print them as a table, always numeric; -v -x --line-numbers
-F CHAIN                 delete all rules of a chain
-Z CHAIN [NUMBER]        set counters to 0
-N CHAIN                 make a chain        -X CHAIN   remove an empty one
-E OLD NEW               rename a chain

a rule:
[!] -s ADDRESS[/MASK][,…]   source            [!] -i NAME[+]   comes in by
[!] -d ADDRESS[/MASK][,…]   destination       [!] -o NAME[+]   goes out by
[!] -p PROTOCOL             tcp, udp, …       [!] -f           later fragments (IPv4)
-m MATCH …   -j TARGET …   -g CHAIN   -c PACKETS BYTES
";

/// The help of the command, or of the extension that was named.
pub fn text(family: Family, extension: Option<&str>) -> String {
    if let Some(text) = extension.and_then(help::extension) {
        return text;
    }
    let mut out = format!("dockgate {} COMMAND, as {} takes it:\n\n{HELP}\n", family.command(), family.command());
    let matches = matches::ALL.iter().filter(|one| one.families.contains(&family)).map(|one| one.name);
    let targets = ["ACCEPT", "DROP", "RETURN"].into_iter().chain(targets::ALL.iter().map(|one| one.name));
    let (matches, targets): (Vec<_>, Vec<_>) = (matches.collect(), targets.collect());
    write!(out, "matches: {}\ntargets: {}\n", matches.join(" "), targets.join(" ")).expect("a string takes everything");
    let _ = writeln!(out, "\nof one of them: dockgate {} -m {} --help", family.command(), matches.first().unwrap_or(&"NAME"));
    out
}
