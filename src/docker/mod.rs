//! What Docker has on this host: which firewall backend its rules are in, and whether packets reach
//! `DOCKER-USER`.

mod act;
mod everybody;
mod front;
mod interfaces;
mod proxy;

pub use everybody::{OneRule, lets_everybody};
pub use front::{Culprit, Guarded, in_front, known_pass, known_pass_first};
pub use interfaces::{Interfaces, external};
pub use proxy::{Nat, Served, served};

use std::{io, path::PathBuf};

use crate::{
    matches::Match,
    model::{ChainName, DOCKER_USER, Family},
    netlink::{Netlink, NetlinkError},
    rule::Rule,
    ruleset::{Chain, Entry, Ruleset, rules},
    targets::Target,
    uapi::NF_INET_FORWARD,
};

/// The table of Docker's nftables backend (engine 29).
const BRIDGES: &str = "docker-bridges";

/// Does legacy iptables filter here, so that rules in nf_tables' `DOCKER-USER` are never asked?
///
/// `/proc/net/ip_tables_names` lists the tables of legacy iptables in this network namespace; only
/// root may read it. The namespace is that of the calling thread.
///
/// # Errors
/// The file can't be read, as with CAP_NET_ADMIN alone: it is not known. (Where it is not there, the kernel has no
/// legacy iptables.)
pub fn legacy(family: Family) -> io::Result<bool> {
    let names = of_this_network(if family == Family::Ip { "ip_tables_names" } else { "ip6_tables_names" });
    match std::fs::read_to_string(names) {
        Ok(names) => Ok(names.lines().any(|name| name == crate::model::TABLE)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file of `/proc/net` for the calling thread's network namespace.
fn of_this_network(file: &str) -> PathBuf {
    // The first thread is `self` too, which the kernel finds sooner: a hundredth of what `-A` takes.
    // SAFETY: both only give a number.
    let thread = if unsafe { libc::gettid() == libc::getpid() } { "self" } else { "thread-self" };
    PathBuf::from(format!("/proc/{thread}/net/{file}"))
}

/// Does Docker use its nftables backend here? Then drops in `DOCKER-USER` work, but accepts are not
/// final: Docker's own table is asked as well.
///
/// # Errors
/// [`NetlinkError`]
pub fn nftables_backend(netlink: &mut Netlink) -> Result<bool, NetlinkError> {
    Ok(netlink.has_table(Family::Ip, BRIDGES)? || netlink.has_table(Family::Ip6, BRIDGES)?)
}

/// How packets get to `DOCKER-USER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// There is no such chain.
    NoChain,
    /// The chain is there, but FORWARD does not lead to it: no packet is asked.
    Missing,
    /// FORWARD leads to it first of all.
    First,
    /// FORWARD leads to it as the rule with this number (from 1); rules before it may have decided.
    At(usize),
}

/// Finds the jump; needs the rules of `FORWARD`.
pub fn jump(ruleset: &Ruleset) -> Jump {
    if ruleset.chain(DOCKER_USER).is_none() {
        return Jump::NoChain;
    }
    // A chain of that name that hangs elsewhere is asked about no packet on its way through.
    let forward = ruleset.chain("FORWARD").filter(|chain| chain.hook.is_some_and(|hook| hook.number == NF_INET_FORWARD));
    jump_among(forward.map(Chain::rules).unwrap_or_default())
}

/// Finds the jump as it is now, with one request where it is there, else with two; gives the rules of FORWARD too.
///
/// # Errors
/// [`NetlinkError`]
pub fn jump_now(netlink: &mut Netlink, family: Family) -> Result<(Jump, Vec<Entry>), NetlinkError> {
    let forward = rules(netlink, family, &ChainName::forward())?;
    let jump = match jump_among(&forward) {
        Jump::Missing if !netlink.has_chain(family, &ChainName::docker_user())? => Jump::NoChain,
        jump => jump,
    };
    Ok((jump, forward))
}

/// Where the jump stands among these rules of `FORWARD`; never [`Jump::NoChain`].
pub fn jump_among(forward: &[Entry]) -> Jump {
    match forward.iter().position(is_jump) {
        None => Jump::Missing,
        Some(0) => Jump::First,
        Some(index) => Jump::At(index + 1),
    }
}

/// `-j DOCKER-USER`
pub fn jump_rule() -> Rule {
    Rule { target: Some(Target::Jump(ChainName::docker_user())), ..Rule::default() }
}

/// Is it a rule of `FORWARD` that leads every packet to `DOCKER-USER`?
pub fn is_jump(entry: &Entry) -> bool {
    let leads = |rule: &Rule| {
        let everything = rule.base.is_empty() && rule.matches.iter().all(|one| matches!(one, Match::Comment(_)));
        everything && matches!(&rule.target, Some(Target::Jump(to) | Target::Goto(to)) if to.as_str() == DOCKER_USER)
    };
    entry.rule().is_some_and(leads)
}
