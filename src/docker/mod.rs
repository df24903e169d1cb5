//! What Docker has on this host: which firewall backend its rules are in, and whether packets reach
//! `DOCKER-USER`.

use crate::{
    model::{ChainName, DOCKER_USER, Family},
    netlink::{Netlink, NetlinkError},
    rule::Rule,
    ruleset::{Chain, Entry, Ruleset, rules},
    targets::Target,
};

/// The table of Docker's nftables backend (engine 29).
const BRIDGES: &str = "docker-bridges";

/// Does legacy iptables filter here, so that rules in nf_tables' `DOCKER-USER` are never asked?
///
/// `/proc/net/ip_tables_names` lists the tables of legacy iptables in this network namespace; only
/// root may read it. The namespace is that of the calling thread.
pub fn legacy(family: Family) -> bool {
    // The first thread is `self` too, which the kernel finds sooner: a hundredth of what `-A` takes.
    // SAFETY: both only give a number.
    let thread = if unsafe { libc::gettid() == libc::getpid() } { "self" } else { "thread-self" };
    let names = format!("/proc/{thread}/net/{}", if family == Family::Ip { "ip_tables_names" } else { "ip6_tables_names" });
    std::fs::read_to_string(names).is_ok_and(|names| names.lines().any(|name| name == crate::model::TABLE))
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
    jump_among(ruleset.chain("FORWARD").map(Chain::rules).unwrap_or_default())
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
    let leads = |rule: &Rule| {
        let everything = rule.base.is_empty() && rule.matches.is_empty();
        everything && matches!(&rule.target, Some(Target::Jump(to) | Target::Goto(to)) if to.as_str() == DOCKER_USER)
    };
    match forward.iter().position(|entry| entry.rule().is_some_and(leads)) {
        None => Jump::Missing,
        Some(0) => Jump::First,
        Some(index) => Jump::At(index + 1),
    }
}
