//! Lists that others write, by real packets.

use std::{fs, path::Path};

use dockgate::{
    compile,
    model::{Family, Protocol},
    policy::Policy,
};

use super::world::{
    Exchange,
    Fate::{Drop, Pass, Reject},
    To, Who, World,
};
use crate::support::{in_netns, need};

/// Whoever comes into a list that others may write, and whoever goes: every `apply` is made.
#[test]
fn a_list_may_be_empty_and_filled_and_empty_again() {
    let test = "meaning::lists::a_list_may_be_empty_and_filled_and_empty_again";
    in_netns(test, || {
        if !need(test, "iptables") {
            return;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lists-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let list = |text: &str| fs::write(folder.join("list.txt"), text).unwrap();
        let mut world = World::build("lists", [43, 44]);
        // Who is in the list, and who is not.
        let (listed, other) = (Who::Client(44), Who::Client(43));
        for (action, default, within, without) in [
            ("drop", "allow", Drop, Pass),
            ("reject", "allow", Reject, Pass),
            ("allow", "drop", Pass, Drop),
            ("accept", "reject", Pass, Reject),
        ] {
            for strategy in ["tree", "set", "auto"] {
                let policy = format!(
                    "external = 'ext0'\ndefault = '{default}'\nstrategy = '{strategy}'\n[groups]\nlist = {{ file = 'list.txt' }}\n\
                     [[rule]]\n{action} = 'any'\nfrom = 'list'\nlog = 'list '\n[[rule]]\nreject = ['8081/tcp', '8081/udp']\nfrom = ['192.168.1.44', 'fd00:1::2c']\n"
                );
                fs::write(folder.join("policy.toml"), &policy).unwrap();
                // The second rule meets nobody when the first has him.
                for (text, filled) in [
                    ("", false),
                    ("192.168.1.44 ; SBL1\nfd00:1::2c ssh 5\n", true),
                    ("# nobody\n", false),
                    // One family alone: the rule is for that.
                    ("192.168.1.44,2026-01-01\n", true),
                    ("\n\n", false),
                ] {
                    list(text);
                    let read = Policy::load(&[folder.join("policy.toml")]).unwrap();
                    assert!(read.is_sound(), "{text}: {:?}", read.problems);
                    let compiled = compile::docker_user(&read.policy, "policy", None);
                    world.gate.apply(&compiled).unwrap();
                    world.read_by_iptables(&compiled);
                    for &family in world.topology.families() {
                        let fate = if filled && (family == Family::Ip || text.contains("fd00")) { within } else { without };
                        let exchange = |from, to, fate| Exchange { from, to, protocol: Protocol::TCP, fate };
                        let hidden = if fate == within { within } else { Reject };
                        let exchanges = [
                            exchange(listed, To::Host(8080), fate),
                            exchange(other, To::Host(8080), without),
                            exchange(listed, To::Host(8081), hidden),
                        ];
                        world.check_in(family, &format!("{policy}{text}"), &exchanges);
                    }
                }
            }
        }
        fs::remove_dir_all(&folder).unwrap();
    });
}
