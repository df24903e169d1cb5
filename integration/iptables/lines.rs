//! All lines that are tried.

use std::path::Path;

use dockgate::{
    model::Family,
    rule::{Parser, Rule},
    syntax::{Outcome, readable, split},
};

use crate::extensions::examples;

use Family::{Ip, Ip6};

/// Lines of base options: each alone, each negated, together, and with what has a form of its own.
const BASE: &[(&[Family], &str)] = &[
    (&Family::BOTH, "-j DROP"),
    (&Family::BOTH, "-j ACCEPT"),
    (&Family::BOTH, "-j RETURN"),
    (&Family::BOTH, "-j OTHER"),
    (&Family::BOTH, "-g OTHER"),
    (&Family::BOTH, ""),
    (&Family::BOTH, "-c 7 700 -j DROP"),
    (&Family::BOTH, "-c 7,700 -j DROP"),
    (&Family::BOTH, "-i eth0 -j DROP"),
    (&Family::BOTH, "! -i eth0 -j DROP"),
    (&Family::BOTH, "-o eth0 -j DROP"),
    (&Family::BOTH, "! -o eth0 -j DROP"),
    (&Family::BOTH, "-i eth+ -o br-+ -j DROP"),
    (&Family::BOTH, "! -i eth+ ! -o br-+ -j DROP"),
    (&Family::BOTH, "-i + -o + -m comment --comment any -j DROP"),
    (&Family::BOTH, "! -i + -j DROP"),
    (&Family::BOTH, "! -o + -j DROP"),
    (&Family::BOTH, "-i fifteen-letters -o fourteen.chars+ -j DROP"),
    (&Family::BOTH, "-i e -o x+ -j DROP"),
    (&Family::BOTH, "-i eth0.100@x -j DROP"),
    (&Family::BOTH, "-p tcp -j DROP"),
    (&Family::BOTH, "! -p tcp -j DROP"),
    (&Family::BOTH, "-p UDP -j DROP"),
    (&Family::BOTH, "-p sctp -j DROP"),
    (&Family::BOTH, "-p esp -j DROP"),
    (&Family::BOTH, "-p ah -j DROP"),
    (&Family::BOTH, "-p udplite -j DROP"),
    (&Family::BOTH, "-p dccp -j DROP"),
    (&Family::BOTH, "-p icmp -j DROP"),
    (&Family::BOTH, "-p ipv6-icmp -j DROP"),
    (&Family::BOTH, "-p 17 -j DROP"),
    (&Family::BOTH, "-p 253 -j DROP"),
    (&Family::BOTH, "! -p 255 -j DROP"),
    (&Family::BOTH, "-p all -m comment --comment all -j DROP"),
    (&Family::BOTH, "-p 0 -m comment --comment zero -j DROP"),
    (&[Ip], "-s 192.0.2.1 -j DROP"),
    (&[Ip], "! -s 192.0.2.1 -j DROP"),
    (&[Ip], "-d 192.0.2.1/32 -j DROP"),
    (&[Ip], "! -d 192.0.2.0/24 -j DROP"),
    (&[Ip], "-s 10.0.0.0/8 -d 172.16.0.0/12 -j DROP"),
    (&[Ip], "! -s 10.0.0.0/8 ! -d 172.16.0.0/12 -j DROP"),
    (&[Ip], "-s 10.1.2.3/8 -j DROP"),
    (&[Ip], "-s 192.168.0.0/16 -j DROP"),
    (&[Ip], "-s 128.0.0.0/1 -j DROP"),
    (&[Ip], "-s 192.0.2.6/31 -j DROP"),
    (&[Ip], "! -s 192.0.2.4/30 -j DROP"),
    (&[Ip], "-s 10.0.0.3/255.0.0.255 -j DROP"),
    (&[Ip], "! -d 0.0.0.5/0.0.0.255 -j DROP"),
    (&[Ip], "-s 10.2.0.0/255.255.0.0 -j DROP"),
    (&[Ip], "-s 0.0.0.0/0 -m comment --comment any -j RETURN"),
    (&[Ip], "-s 0/0 -d 0.0.0.0/0 -i lo -j DROP"),
    (&[Ip], "-s 192.0.2.1,192.0.2.9,198.51.100.0/24 -j DROP"),
    (&[Ip], "-s 192.0.2.1,192.0.2.2 -d 198.51.100.1,198.51.100.2 -j DROP"),
    (&[Ip], "-f -j DROP"),
    (&[Ip], "! -f -j DROP"),
    (&[Ip], "-s 192.0.2.1 -d 192.0.2.2 -i eth0 -o eth1 -p tcp -f -j DROP"),
    (&[Ip], "! -s 192.0.2.1 ! -d 192.0.2.2 ! -i eth0 ! -o eth1 ! -p tcp ! -f -j DROP"),
    (&[Ip], "-p udp -i eth0 ! -s 192.0.2.1/25 --dport 53 -o docker0 -j OTHER"),
    (&[Ip], "--source 192.0.2.77 --destination 192.0.2.78 --in-interface a --out-interface b --protocol tcp --jump DROP"),
    (&[Ip], "-p 4 -j DROP"),
    (&[Ip], "-p gre -j DROP"),
    (&[Ip], "-p igmp -j DROP"),
    (&[Ip6], "-s 2001:db8::1 -j DROP"),
    (&[Ip6], "! -s 2001:db8::1/128 -j DROP"),
    (&[Ip6], "-d 2001:DB8:0:0:0::2 -j DROP"),
    (&[Ip6], "! -d 2001:db8::/32 -j DROP"),
    (&[Ip6], "-s 2001:db8::/64 -d fe80::/10 -j DROP"),
    (&[Ip6], "! -s 2001:db8::/64 ! -d fe80::/10 -j DROP"),
    (&[Ip6], "-s 2001:db8:1234::5/33 -j DROP"),
    (&[Ip6], "-s 8000::/1 -j DROP"),
    (&[Ip6], "! -s 2001:db8::4/127 -j DROP"),
    (&[Ip6], "-s ::5/::ffff -j DROP"),
    (&[Ip6], "-d ::ffff:192.0.2.1 -j DROP"),
    (&[Ip6], "-d ::192.0.2.1 -j DROP"),
    (&[Ip6], "-s ::/0 -m comment --comment any -j RETURN"),
    (&[Ip6], "-s :: -j DROP"),
    (&[Ip6], "-s 2001:db8::1,2001:db8::9,2001:db8:1::/48 -j DROP"),
    (&[Ip6], "-s 2001:db8::1 -d 2001:db8::2 -i eth0 -o eth1 -p tcp -j DROP"),
    (&[Ip6], "! -s 2001:db8::1 ! -d 2001:db8::2 ! -i eth0 ! -o eth1 ! -p tcp -j DROP"),
    (&[Ip6], "-p icmpv6 -j DROP"),
    (&[Ip6], "-p ipv6-mh -j DROP"),
    (&[Ip6], "-p mh -j DROP"),
];

/// A line that makes rules.
#[derive(Debug)]
pub struct Line {
    /// As iptables-restore takes it.
    pub text: String,
    /// What we make of it.
    pub rules: Vec<Rule>,
}

/// All lines for a family.
pub fn lines(family: Family) -> Vec<Line> {
    let of_examples = examples().into_iter().filter(|(_, example, of)| *of == family && matches!(example.outcome, Outcome::Saved(_)));
    let base = BASE.iter().filter(|(families, _)| families.contains(&family)).map(|(_, line)| *line);
    // In a user namespace no program can be loaded, and so none pinned: `pinned.rs` tests that.
    // A kernel without IPVS has no match for it.
    let untested = |input: &str| input.contains("--object-pinned") || (input.contains("-m ipvs") && !Path::new("/proc/net/ip_vs").exists());
    let inputs = of_examples.map(|(_, example, _)| example.input).filter(|input| !untested(input));
    inputs.chain(base).map(|line| parse(line, family)).collect()
}

/// Each rule of them once.
pub fn rules(family: Family) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for rule in lines(family).into_iter().flat_map(|line| line.rules) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// What we make of a line.
pub fn parse(line: &str, family: Family) -> Line {
    let mut words = Vec::new();
    split(line, &mut words).unwrap();
    let parsed = Parser::parse(&words, family).unwrap_or_else(|error| panic!("{line}: {error}"));
    // iptables-restore knows no single quotes.
    let text: Vec<_> = words.iter().map(|word| readable(&word.text)).collect();
    Line { text: text.join(" "), rules: parsed.rules }
}
