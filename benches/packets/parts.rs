//! What each part of a policy with sets costs, alone: rules and chains of nft's in a table of their own,
//! many times the same.

use std::fmt::Write as _;

use dockgate::{measure::Path, model::Family};

use crate::{
    matches::case,
    stage::{Result, Stage, Subject},
    support::{process, process::has, shapes::List},
};

/// A series, how many copies of it there are, and what makes them, for `nft -f`.
type Part = (&'static str, usize, fn(usize) -> String);

#[rustfmt::skip]
const PARTS: &[Part] = &[
    ("an empty base chain of one's own", 100, bases),
    ("`goto`", 10, ways),
    ("`ct state established,related`", 1000, |copies| chain("ct state established,related accept", copies)),
    ("`ip saddr @set`, of 100,000, not in it", 1000, |copies| senders() + &chain("ip saddr @senders accept", copies)),
    ("the port the client asked for, `vmap @map`", 1000, |copies| {
        "add map ip own ports { type inet_service : verdict; size 128; }\nadd element ip own ports { 53 : accept }\n".to_owned()
            + &chain("meta l4proto udp ct original proto-dst vmap @ports", copies)
    }),
    ("`meta mark set meta mark & … ^ …`", 1000, |copies| chain("meta mark set meta mark & 0x00ffffff ^ 0x23000000", copies)),
];

/// The quotient is what one costs.
pub fn run(stage: &mut Stage, quick: bool) {
    if !has("nft", "parts of a policy with sets") {
        return;
    }
    let case = case();
    for &(series, copies, script) in PARTS {
        let copies = if quick { copies.min(100) } else { copies };
        let build = |path: &mut Path| -> Result<()> {
            process::run(path.router().netns(), &["nft", "-f", "-"], &format!("add table ip own\n{}", script(copies)))?;
            Ok(())
        };
        stage.measure(Subject { group: "part", family: Family::Ip, series, size: copies }, build, std::slice::from_ref(&case));
    }
}

const HOOK: &str = "{ type filter hook forward priority -1; }";

/// A base chain with copies of a rule.
fn chain(rule: &str, copies: usize) -> String {
    format!("add chain ip own before {HOOK}\n") + &format!("add rule ip own before {rule}\n").repeat(copies)
}

fn bases(copies: usize) -> String {
    (0..copies).fold(String::new(), |mut script, number| {
        writeln!(script, "add chain ip own before-{number} {HOOK}").expect("a string takes everything");
        script
    })
}

/// From `DOCKER-USER` on, each leads to the next.
fn ways(copies: usize) -> String {
    let name = |number: usize| if number == 0 { "DOCKER-USER".to_owned() } else { format!("way-{number}") };
    (1..=copies).fold(String::new(), |mut script, number| {
        writeln!(script, "add chain ip filter {0}\nadd rule ip filter {1} goto {0}", name(number), name(number - 1))
            .expect("a string takes everything");
        script
    })
}

/// A set as large as one of dockgate's, which is told its size.
fn senders() -> String {
    let list = List::new(Family::Ip, 100_000);
    format!("add set ip own senders {{ type ipv4_addr; size 131072; }}\nadd element ip own senders {{ {} }}\n", list.text(","))
}
