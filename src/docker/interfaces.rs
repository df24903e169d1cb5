//! The network interfaces of this host, and which of them lead outside.

use std::fs;

use super::of_this_network;
use crate::{compile::ROOT, matches::Match, model::Interface, rule::Rule, targets::Target};

/// The interfaces of a network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interfaces {
    /// All names; empty where they can't be read.
    pub names: Vec<String>,
    /// Those that a default route leads out by.
    pub default: Vec<String>,
    /// Those with an IPv6 address, be it link-local.
    pub with_ipv6: Vec<String>,
}

impl Interfaces {
    /// Those of the calling thread's network namespace: `/proc/net/dev`, `route`, `ipv6_route`, `if_inet6`.
    pub fn read() -> Self {
        let file = |name: &str| fs::read_to_string(of_this_network(name)).unwrap_or_default();
        Self {
            names: names(&file("dev")),
            default: [default4(&file("route")), default6(&file("ipv6_route"))].concat(),
            with_ipv6: column(&file("if_inet6"), 5),
        }
    }

    /// Those of `wanted` that no interface is called; a prefix counts where nothing that is wanted is there.
    ///
    /// A name that is misspelt and one that only comes later (`ppp0`) can't be told from each other, so both
    /// count. A prefix (`ppp+`) says that interfaces come and go.
    pub fn missing(&self, wanted: &[Interface]) -> Vec<Interface> {
        let is_there =
            |name: &Interface| self.names.iter().any(|one| Interface::exact(one.as_bytes()).is_some_and(|one| name.covers(&one)));
        let any = wanted.iter().any(is_there);
        if self.names.is_empty() {
            return Vec::new();
        }
        wanted.iter().filter(|name| !(is_there(name) || any && name.is_prefix())).copied().collect()
    }

    /// Those that seem to lead outside: by their default route, else all that Docker did not make.
    pub fn outward(&self) -> Vec<String> {
        let mut names = if self.default.is_empty() { self.names.clone() } else { self.default.clone() };
        names.retain(|name| !is_inner(name));
        names.sort();
        names.dedup();
        names
    }

    /// Can a neighbour reach the host by IPv6 through one of these interfaces; if none are known, through
    /// any that Docker did not make?
    pub fn have_ipv6(&self, external: &[Interface]) -> bool {
        let is_external = |name: &String| match external {
            [] => !is_inner(name),
            some => Interface::exact(name.as_bytes()).is_some_and(|name| some.iter().any(|one| one.covers(&name))),
        };
        self.with_ipv6.iter().any(is_external)
    }
}

/// The loopback interface, Docker's bridges and what is plugged into them.
fn is_inner(name: &str) -> bool {
    name == "lo" || ["docker", "br-", "veth"].iter().any(|begin| name.starts_with(begin))
}

/// The names of `/proc/net/dev`: before the colon, below two lines of headings.
fn names(text: &str) -> Vec<String> {
    text.lines().skip(2).filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect()
}

/// `/proc/net/route`: interface, destination, …, and the mask as column 8.
fn default4(text: &str) -> Vec<String> {
    let routes = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let default = |words: &Vec<&str>| words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000");
    routes.filter(default).map(|words| words[0].to_owned()).collect()
}

/// `/proc/net/ipv6_route`: destination, length of its prefix, …, and the interface last. The kernel has
/// such a route by `lo` everywhere.
fn default6(text: &str) -> Vec<String> {
    let routes = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let default = |words: &Vec<&str>| words.first().is_some_and(|to| to.bytes().all(|byte| byte == b'0')) && words.get(1) == Some(&"00");
    routes.filter(default).filter_map(|words| words.last().map(|name| (*name).to_owned())).filter(|name| name != "lo").collect()
}

fn column(text: &str, index: usize) -> Vec<String> {
    text.lines().filter_map(|line| line.split_whitespace().nth(index)).map(str::to_owned).collect()
}

/// The interfaces that a policy calls external, by the rules of its first chain: those with a goto to its
/// rules for packets from outside, or those rules themselves where there is one at most.
pub fn external<'r>(root: impl Iterator<Item = &'r Rule> + Clone) -> Vec<Interface> {
    let named = |rule: &Rule| rule.base.in_interface.filter(|test| !test.negated).map(|test| test.value);
    let is_way = |rule: &&Rule| matches!(&rule.target, Some(Target::Goto(to)) if to.as_str() == format!("{ROOT}-OUTSIDE"));
    let in_place = |rule: &&Rule| {
        let marked = rule.matches.iter().any(|one| matches!(one, Match::Mark(_)));
        marked || rule.comment().is_some_and(|comment| comment.starts_with("default: "))
    };
    let mut names: Vec<Interface> = root.clone().filter(is_way).filter_map(named).collect();
    if names.is_empty() {
        names = root.filter(in_place).filter_map(named).collect();
    }
    let mut known = Vec::new();
    names.retain(|name| {
        !known.contains(name) && {
            known.push(*name);
            true
        }
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lists_are_read() {
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes    packets|bytes\n    lo:  1 2 3\n  eth0: 4 5 6\nbr-0a1b2c:7 8 9\n";
        assert_eq!(names(dev), ["lo", "eth0", "br-0a1b2c"]);
        let route = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
            eth0\t00000000\t0201A8C0\t0003\t0\t0\t0\t00000000\t0\neth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n";
        assert_eq!(default4(route), ["eth0"]);
        let zero = "0".repeat(32);
        let route = |length: &str, name: &str| format!("{zero} {length} {zero} 00 {zero} 00000400 00000001 00000000 00450003     {name}\n");
        assert_eq!(default6(&(route("00", "eth0") + &route("40", "eth1") + &route("00", "lo"))), ["eth0"]);
        assert_eq!(column("fe800000000000000000000000000001 02 40 20 80     eth0\n", 5), ["eth0"]);
    }

    #[test]
    fn a_prefix_may_fit_nothing_beside_a_name_that_is_there() {
        let here = Interfaces { names: ["lo".into(), "eth0".into()].into(), ..Interfaces::default() };
        let missing = |words: &[&str]| -> Vec<String> {
            let wanted: Vec<Interface> = words.iter().map(|word| Interface::new(word).unwrap()).collect();
            here.missing(&wanted).iter().map(ToString::to_string).collect()
        };
        assert_eq!(missing(&["eth0"]), [""; 0]);
        assert_eq!(missing(&["eth+"]), [""; 0]);
        assert_eq!(missing(&["eth0", "ppp+"]), [""; 0]);
        assert_eq!(missing(&["eth0", "ppp0"]), ["ppp0"]);
        assert_eq!(missing(&["etho"]), ["etho"]);
        assert_eq!(missing(&["ppp+"]), ["ppp+"]);
        assert_eq!(Interfaces::default().missing(&[Interface::new("eth0").unwrap()]), []);
    }
}
