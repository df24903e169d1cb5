//! Who seems to have written something, by the names it uses.

use crate::{
    compile::is_ours,
    model::{ChainName, DOCKER_USER},
};

/// How the names begin that a program gives to its chains and sets, or its remarks.
const KNOWN: &[(&str, &str)] = &[
    ("DOCKER", "Docker"),
    ("f2b-", "fail2ban"),
    ("addr-set-", "fail2ban"),
    ("fail2ban", "fail2ban"),
    ("crowdsec", "CrowdSec"),
    ("CROWDSEC", "CrowdSec"),
    ("ufw-docker", "ufw-docker"),
    ("ufw-", "ufw"),
    ("ufw6-", "ufw"),
    ("whalewall", "whalewall"),
    ("harborshield", "harborshield"),
    ("zfw", "ZFW"),
    ("ts-", "Tailscale"),
    ("netbird", "NetBird"),
    ("NETBIRD", "NetBird"),
    ("cali-", "Calico"),
    ("CILIUM", "Cilium"),
    ("FLANNEL", "Flannel"),
    ("KUBE-", "kube-proxy"),
    ("CNI-", "a CNI plugin"),
    ("NETAVARK", "Podman"),
    ("LIBVIRT_", "libvirt"),
    ("nixos-fw", "NixOS"),
    ("sshguard", "sshguard"),
];

/// What tells of the owner.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs<'a> {
    /// The chain's name.
    pub chain: Option<&'a str>,
    /// What it is, in nft's words: names of sets and chains, a comment, a log's prefix.
    pub text: &'a str,
    /// A rule's user data.
    pub userdata: Option<&'a [u8]>,
    /// What iptables would not have written.
    pub never: Option<&'a str>,
}

/// The owner, and what tells so.
pub(super) fn guess(signs: Signs<'_>) -> String {
    known(signs).unwrap_or_else(|| {
        let never = signs.never.map_or("such a thing".to_owned(), |never| format!("`{never}`"));
        format!("not iptables, which never writes {never}: nft, or a program that writes nf_tables itself")
    })
}

/// The owner by a name or by what stands in the user data.
pub(super) fn known(signs: Signs<'_>) -> Option<String> {
    let words = signs.text.split(|c: char| !c.is_alphanumeric() && !"-_.".contains(c));
    let known = |word: &&str| *word != DOCKER_USER && KNOWN.iter().any(|(begin, _)| word.starts_with(begin));
    if let Some(word) = words.chain(signs.chain).find(known) {
        let owner = KNOWN.iter().find(|(begin, _)| word.starts_with(begin)).map_or("", |(_, owner)| owner);
        return Some(format!("{owner}, by the name `{word}`"));
    }
    // whalewall keeps the container's number with each rule.
    if signs.userdata.is_some_and(|data| data.len() == 64 && data.iter().all(u8::is_ascii_hexdigit)) {
        return Some("whalewall: a container's number stands in the rule's user data".to_owned());
    }
    None
}

/// The same for a rule of iptables' own form, which only newer versions write and read.
pub(super) fn of_newer(chain: &ChainName, signs: Signs<'_>) -> String {
    let by = if is_ours(chain) { "dockgate, by the chain's name" } else { "iptables 1.8.8 or later, dockgate, or nft" };
    let named = KNOWN.iter().find(|(begin, _)| chain.as_str() != DOCKER_USER && chain.as_str().starts_with(begin));
    named.map_or(by.to_owned(), |_| guess(signs))
}
