//! What to write instead.

use super::{Lost, Seen};
use crate::{
    model::{ChainName, Family, Handle},
    rule::Rule,
};

/// iptables' words for an expression that it has no native one for.
const WORDS: &[(&str, &str)] = &[
    ("ct", "`-m conntrack`, `-m connmark` or `-j CONNMARK`"),
    ("reject", "`-j REJECT --reject-with …`"),
    ("log", "`-j LOG --log-prefix …`, and the verdict in a rule behind it"),
    ("limit", "`-m limit`, or `-m hashlimit --hashlimit-above …` for what is over the limit"),
    ("quota", "`-m quota --quota BYTES`"),
    ("fib", "`-m addrtype`, or `-m rpfilter` in `raw`"),
    ("numgen", "`-m statistic`"),
    ("dynset", "`-m recent`, `-m hashlimit`, or an ipset with `-j SET --add-set …`"),
    ("objref", "the counter, quota or limit of the rule itself"),
    ("connlimit", "`-m connlimit`"),
    ("exthdr", "`-m tcp --tcp-option`, `-m tcpmss`, or `-m ipv6header`"),
    ("socket", "`-m socket`"),
    ("rt", "`-m realm`"),
    ("queue", "`-j NFQUEUE`"),
];

/// The same for fields of which it reads nothing.
const FIELDS: &[(&str, &str)] = &[
    ("meta mark set", "`-j MARK --set-xmark …`"),
    ("meta skuid", "`-m owner --uid-owner …`"),
    ("meta skgid", "`-m owner --gid-owner …`"),
    ("iifgroup", "`-m devgroup --src-group …`"),
    ("oifgroup", "`-m devgroup --dst-group …`"),
    ("meta cpu", "`-m cpu --cpu …`"),
    ("meta hour", "`-m time`"),
    ("meta day", "`-m time`"),
    ("meta time", "`-m time`"),
    ("rt classid", "`-m realm`"),
    ("ether saddr", "`-m mac --mac-source …`"),
    ("length", "`-m length --length …`"),
    ("addr !=", "`-m iprange ! --src-range …`"),
    ("th ", "`-p PROTOCOL` in front of the ports"),
];

/// The same for what iptables reads wrongly.
fn instead(lost: Lost) -> Option<&'static str> {
    match lost {
        Lost::Lookup => Some("`-m set --match-set NAME src` with an ipset, or `-m multiport` for a few ports"),
        Lost::Map => Some("a rule for each verdict"),
        Lost::Comparison => Some("`-m iprange` for addresses, `--dport FROM:TO` for ports"),
        Lost::Twice => Some("a chain of its own for the second test, or `-m iprange`"),
        Lost::Target => Some("a rule for each target"),
        Lost::Action => Some("`-j MARK`"),
        Lost::Appears => Some("`-p PROTOCOL`"),
        Lost::Negation => Some("`! --icmp-type …`"),
        Lost::Test | Lost::Mask | Lost::Wide | Lost::Rate | Lost::Order => None,
    }
}

/// What may be written instead of a rule, and how to take the rule away.
pub(super) fn of_rule(family: Family, chain: &ChainName, handle: Handle, seen: &Seen, what: &str) -> String {
    let foreign = WORDS.iter().find(|(name, _)| seen.incompatible.as_deref() == Some(name)).map(|(_, words)| *words);
    let field = || FIELDS.iter().find(|(field, _)| what.contains(field)).map(|(_, words)| *words);
    let another = || seen.lost.iter().find_map(|lost| instead(*lost));
    let words = foreign.or_else(another).or_else(field).unwrap_or("iptables' own words");
    let removal = match chain.is_writable() {
        true => format!("dockgate {} -D {chain} --handle {handle}", family.command()),
        false => format!("nft delete rule {family} filter {chain} handle {handle}"),
    };
    format!("say it with {words}, or in a table of its own, with a base chain at priority -1; then `{removal}`")
}

/// How to have a rule that only newer versions read written so that all read it.
pub(super) fn of_newer(family: Family, chain: &ChainName, number: usize, handle: Handle, rule: &Rule) -> String {
    match chain.is_writable() {
        true => {
            format!("write it again, in the form that every iptables reads: `dockgate {} -R {chain} {number} {rule}`", family.command())
        }
        false => format!(
            "have it written by the older iptables: `nft delete rule {family} filter {chain} handle {handle}`, then `{} -I {chain} {number} {rule}`",
            family.command()
        ),
    }
}
