//! nft's words for a rule, beside nft's own.

use dockgate::{
    model::Family,
    netlink::Netlink,
    notation,
    ruleset::{Contents, Ruleset, Which},
};

use crate::support::{call, in_netns, need};

/// What the rules need.
const TABLE: &str = "
add table FAMILY filter
add set FAMILY filter s { type ADDRESS; flags timeout; }
add set FAMILY filter p { type ADDRESS . inet_service; }
add map FAMILY filter v { type inet_service : verdict; }
add counter FAMILY filter c
add quota FAMILY filter q { 10 mbytes }
add chain FAMILY filter other
add chain FAMILY filter rules
";

/// Rules as nft 1.0.6 lists them.
const BOTH: &[&str] = &[
    "iifname { \"a\", \"b\" } drop",
    "iifname \"a*\" drop",
    "iifname \"lo\" counter packets 3 bytes 10 goto other comment \"my comment\"",
    "tcp dport { 80, 443, 1000-2000 } accept",
    "tcp dport vmap { 80 : accept, 443 : jump other }",
    "tcp dport vmap @v",
    "ct state established,related accept",
    "ct state new drop",
    "ct state != established drop",
    "ct state { established, new } drop",
    "ct status dnat accept",
    "ct mark 0x00000005 drop",
    "ct mark set 0x00000005",
    "ct direction original drop",
    "meta mark 0x00000001 drop",
    "meta mark & 0x00000003 == 0x00000001 drop",
    "meta mark set 0x00000002",
    "meta mark set meta mark | 0x00000002",
    "meta skuid 33 drop",
    "meta pkttype broadcast drop",
    "meta length > 100 drop",
    "meta l4proto udp drop",
    "iifgroup 5 drop",
    "meta cpu 1 drop",
    "meta nftrace set 1",
    "tcp flags syn drop",
    "tcp flags syn / syn,ack drop",
    "tcp flags != syn / fin,syn,rst,ack drop",
    "tcp sport 5 tcp dport 6 drop",
    "tcp dport 80-90 drop",
    "tcp dport != 80 drop",
    "tcp sequence 5 drop",
    "udp dport 53 udp sport > 1024 drop",
    "udp length > 8 drop",
    "th dport 80 drop",
    "log prefix \"hi \"",
    "log prefix \"x\" group 5 snaplen 100 queue-threshold 3",
    "log level info flags all",
    "log drop",
    "reject",
    "reject with tcp reset",
    "limit rate 5/second drop",
    "limit rate over 5/minute burst 10 packets drop",
    "limit rate 10 kbytes/second drop",
    "limit rate over 10 mbytes/second burst 4 kbytes drop",
    "counter name \"c\" drop",
    "quota name \"q\" drop",
    "quota over 5 mbytes drop",
    "fib saddr . iif oif missing drop",
    "fib daddr type local drop",
    "fib saddr . iif oif exists drop",
    "numgen random mod 2 0 drop",
    "numgen inc mod 3 1 drop",
    "ct count over 10 drop",
    "ether saddr 00:11:22:33:44:55 drop",
    "socket transparent 1 drop",
    "counter packets 0 bytes 0 continue",
    "return",
    "notrack",
];

const IP: &[&str] = &[
    "ip saddr @s counter packets 0 bytes 0 drop",
    "ip saddr { 10.0.0.1, 10.0.0.2 } drop",
    "ip saddr { 10.0.0.0/8, 11.0.0.1-11.0.0.9 } drop",
    "ip saddr != { 10.0.0.3, 10.0.0.4 } drop",
    "ip saddr . tcp dport @p drop",
    "ip saddr . tcp dport { 10.0.0.1 . 80, 10.0.0.2 . 443 } drop",
    "ct original ip saddr 1.2.3.4 drop",
    "ip saddr 10.0.0.5-10.0.0.9 drop",
    "ip saddr != 10.0.0.5-10.0.0.9 drop",
    "ip saddr 10.0.0.0/12 drop",
    "ip saddr 10.0.0.0/8 drop",
    "ip saddr > 10.0.0.5 drop",
    "ip length 100-200 drop",
    "ip ttl 1 drop",
    "ip protocol icmp drop",
    "icmp type echo-request drop",
    "ip protocol tcp ct original proto-dst 80 drop",
    "reject with icmp host-unreachable",
    "add @s { ip saddr timeout 1m }",
    "update @s { ip saddr timeout 1h2m limit rate over 5/second }",
    "ip id 5 drop",
    "ip saddr 1.2.3.4 ip daddr 5.6.7.8 tcp dport 22 ct state new counter packets 5 bytes 500 accept",
];

const IP6: &[&str] = &[
    "ip6 saddr @s counter packets 0 bytes 0 drop",
    "ip6 saddr { 2001:db8::1, 2001:db8::2 } drop",
    "ip6 saddr { 2001:db8::/32, fe80::1-fe80::9 } drop",
    "ip6 saddr . tcp dport @p drop",
    "ip6 saddr 2001:db8::/32 drop",
    "ip6 saddr 2001:db8::/61 drop",
    "ip6 saddr 2001:db8::5-2001:db8::9 drop",
    "ip6 hoplimit 1 drop",
    "ip6 nexthdr tcp drop",
    "icmpv6 type echo-request drop",
    "ct original ip6 saddr 2001:db8::1 drop",
    "update @s { ip6 saddr timeout 1m }",
];

#[test]
fn a_rule_reads_as_nft_lists_it() {
    const NAME: &str = "audit::notation::a_rule_reads_as_nft_lists_it";
    in_netns(NAME, || {
        if !need(NAME, "nft") {
            return;
        }
        for (family, address, own) in [(Family::Ip, "ipv4_addr", IP), (Family::Ip6, "ipv6_addr", IP6)] {
            let table = TABLE.replace("FAMILY", &family.to_string()).replace("ADDRESS", address);
            let written: Vec<&str> = BOTH.iter().chain(own).copied().collect();
            let rules: String = written.iter().map(|rule| format!("add rule {family} filter rules {rule}\n")).collect();
            call("nft", "-f -", &format!("{table}{rules}")).ok();
            let mut netlink = Netlink::open().unwrap();
            let ruleset = Ruleset::read_raw(&mut netlink, family, Which::All).unwrap();
            let sets = Contents::read(&mut netlink, family).unwrap().sets;
            let entries = ruleset.chain("rules").unwrap().rules();
            assert_eq!(entries.len(), written.len());
            // Another nft may have other words: those of the one that is here count.
            let listed = call("nft", &format!("list chain {family} filter rules"), "").ok();
            let listed: Vec<&str> = listed.lines().skip(2).map(str::trim).collect();
            let ours: Vec<String> = entries
                .iter()
                .map(|entry| {
                    let comment = notation::comment(entry.userdata.as_deref());
                    notation::rule(family, entry.raw.as_deref().unwrap(), comment, &sets)
                })
                .collect();
            let differ = |shown: &[&str]| -> Vec<String> {
                let pairs = ours.iter().zip(shown).filter(|(ours, theirs)| ours != *theirs);
                pairs.map(|(ours, theirs)| format!("{ours}\n  nft: {theirs}")).collect()
            };
            let version = call("nft", "--version", "").ok();
            let wrong = differ(if version.contains("v1.0.6") { &listed } else { &written });
            assert!(wrong.is_empty(), "{family}:\n{}", wrong.join("\n"));
        }
    });
}
