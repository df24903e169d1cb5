//! The targets of iptables are those that we have and those that work elsewhere, and they do.

use std::{collections::BTreeSet, fs, path::PathBuf};

use dockgate::{
    model::Family,
    targets::{self, ELSEWHERE, Place},
};

use super::{Installed, iptables, reset};
use crate::support::{in_netns, skip};

/// Words that make a rule with each target, and a chain where it works.
const RULES: &[(&str, Family, &str)] = &[
    ("FORWARD", Family::Ip, "-j CHECKSUM --checksum-fill"),
    ("FORWARD", Family::Ip, "-j CONNSECMARK --save"),
    ("PREROUTING", Family::Ip, "-j CT --notrack"),
    ("PREROUTING", Family::Ip, "-j DNAT --to-destination 192.0.2.1"),
    ("PREROUTING", Family::Ip6, "-j DNPT --src-pfx fd00::/64 --dst-pfx fd01::/64"),
    ("FORWARD", Family::Ip, "-j DSCP --set-dscp 1"),
    ("FORWARD", Family::Ip, "-p tcp -j ECN --ecn-tcp-remove"),
    ("FORWARD", Family::Ip6, "-j HL --hl-set 64"),
    ("POSTROUTING", Family::Ip, "-j MASQUERADE"),
    ("PREROUTING", Family::Ip, "-j NETMAP --to 192.0.2.0/24"),
    ("PREROUTING", Family::Ip, "-j NOTRACK"),
    ("PREROUTING", Family::Ip, "-j REDIRECT"),
    ("POSTROUTING", Family::Ip, "-j SNAT --to-source 192.0.2.1"),
    ("POSTROUTING", Family::Ip6, "-j SNPT --src-pfx fd00::/64 --dst-pfx fd01::/64"),
    ("FORWARD", Family::Ip, "-p tcp -j TCPOPTSTRIP --strip-options timestamp"),
    ("FORWARD", Family::Ip, "-j TOS --set-tos 4"),
    ("PREROUTING", Family::Ip, "-p tcp -j TPROXY --on-port 80"),
    ("FORWARD", Family::Ip, "-j TTL --ttl-set 64"),
];

/// Takes a context of SELinux's, which only a host with a policy has.
const UNTRIED: &str = "SECMARK";

#[test]
fn targets_work_where_we_say_and_not_here() {
    const NAME: &str = "iptables::elsewhere::targets_work_where_we_say_and_not_here";
    in_netns(NAME, || {
        let Some(_) = Installed::find(NAME) else { return };
        reset();
        let mut wrong = Vec::new();
        for one in ELSEWHERE {
            let Place::Tables(tables) = one.place else { continue };
            let named = |words: &str| words.split(' ').any(|word| word == one.name);
            let Some(&(chain, family, words)) = RULES.iter().find(|(_, _, words)| named(words)) else {
                assert_eq!(one.name, UNTRIED, "there is no rule to try it with");
                continue;
            };
            assert!(one.families.contains(&family), "{words}");
            for table in ["filter", "mangle", "nat", "raw", "security"] {
                let (chain, works) = if table == "filter" { ("FORWARD", false) } else { (chain, tables.contains(&table)) };
                // There are no two tables with the same hooks; what works in one may lack the chain in another.
                let done = iptables(family, "", &format!("-t {table} -A {chain} {words}"), "");
                if (done.code == 0) != works {
                    wrong.push(format!("{table}: {words}: {}", done.err));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

/// The targets that iptables has a library for, by family.
fn libraries(folder: &PathBuf) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let targets = names.filter_map(|name| {
        let target = ["libxt_", "libipt_", "libip6t_"].into_iter().find_map(|start| name.strip_prefix(start))?.strip_suffix(".so")?;
        target.chars().next()?.is_uppercase().then(|| target.to_owned())
    });
    targets.collect()
}

#[test]
fn every_target_that_iptables_has_is_known() {
    const NAME: &str = "iptables::elsewhere::every_target_that_iptables_has_is_known";
    let folders = ["/usr/lib/x86_64-linux-gnu/xtables", "/usr/lib/aarch64-linux-gnu/xtables", "/usr/lib/xtables", "/usr/lib64/xtables"];
    let Some(folder) = folders.into_iter().map(PathBuf::from).find(|folder| folder.is_dir()) else {
        return skip(NAME, "iptables", "its extensions are nowhere");
    };
    // All of `libxt_NAT.so` has names of its own.
    for name in libraries(&folder).iter().filter(|name| *name != "NAT") {
        let ours = targets::ALL.iter().any(|one| one.name == name);
        assert!(ours != ELSEWHERE.iter().any(|one| one.name == name), "{name}");
    }
}
