//! What one rule costs that does not match, for every common match; and rules that match and go on.

use dockgate::{
    lab::{Packet, Router},
    measure::Path,
    model::{Dialect, Family},
};

use crate::{
    stage::{Case, Fate, Result, Stage, Subject},
    support::{process, process::has, workload::parse},
};

/// A series, and its words. All are for UDP from 10.0.0.1, port 40,000, to port 8080.
const RULES: &[(&str, &str)] = &[
    ("nothing: every packet matches, no target", ""),
    ("-s address", "-s 10.9.9.9 -j DROP"),
    ("-s /24", "-s 10.9.9.0/24 -j DROP"),
    ("-s /30", "-s 10.9.9.8/30 -j DROP"),
    ("-d address", "-d 10.9.9.9 -j DROP"),
    ("-i", "-i wlan0 -j DROP"),
    ("-o", "-o wlan0 -j DROP"),
    ("-i with +", "-i wlan+ -j DROP"),
    ("-p", "-p tcp -j DROP"),
    ("-p --dport", "-p udp -m udp --dport 53 -j DROP"),
    ("-p --dport range", "-p udp -m udp --dport 53:60 -j DROP"),
    ("-m multiport, 2 ports", "-p udp -m multiport --dports 53,123 -j DROP"),
    ("-m multiport, 15 ports", "-p udp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15 -j DROP"),
    ("-m iprange", "-m iprange --src-range 10.9.9.1-10.9.9.9 -j DROP"),
    ("-m conntrack --ctstate", "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"),
    ("-m conntrack --ctorigdstport", "-p udp -m conntrack --ctorigdstport 53 --ctdir ORIGINAL -j DROP"),
    ("-m conntrack --ctorigdst", "-m conntrack --ctorigdst 10.9.9.9 -j DROP"),
    ("-m state", "-m state --state RELATED,ESTABLISHED -j RETURN"),
    ("-m comment: every packet matches, no target", "-m comment --comment \"what it is for\""),
    ("-m mark", "-m mark --mark 0x1/0x1 -j DROP"),
    ("-m connmark", "-m connmark --mark 0x1 -j DROP"),
    ("-m limit, used up", "-m limit --limit 1/day --limit-burst 1"),
    ("-m hashlimit, used up", "-m hashlimit --hashlimit-upto 1/day --hashlimit-burst 1 --hashlimit-mode srcip --hashlimit-name bench"),
    ("-m recent --rcheck", "-m recent --rcheck --name bench -j DROP"),
    ("-m set hash:ip", "-m set --match-set some src -j DROP"),
    ("-m addrtype", "-m addrtype --dst-type LOCAL -j DROP"),
    ("-m length", "-m length --length 1000:1500 -j DROP"),
    ("-m ttl", "-m ttl --ttl-eq 1 -j DROP"),
    ("-m tos", "-m tos --tos 0x10/0x3f -j DROP"),
    ("-m pkttype", "-m pkttype --pkt-type broadcast -j DROP"),
    ("-m statistic", "-m statistic --mode random --probability 0.00000 -j DROP"),
    ("-m string", "-m string --algo bm --string \"nowhere\" -j DROP"),
    ("-m time", "-m time --timestart 00:00:00 --timestop 00:00:01 --weekdays Mon -j DROP"),
    ("-m u32", "-m u32 --u32 \"0x0>>0x16&0x3c@0x4=0x1\" -j DROP"),
    ("-m connlimit", "-m connlimit --connlimit-above 1000000 --connlimit-mask 32 --connlimit-saddr -j DROP"),
];

/// A packet that none of them is for.
pub fn case() -> Case {
    let from = "10.0.0.1:40000".parse().expect("an address");
    let packet = Packet::udp(from, (Router::receiver(Family::Ip), 8080).into());
    Case { name: "none", packets: vec![packet], fate: Fate::Passes, rule: None }
}

/// So many copies of each: the quotient is what one costs.
pub fn run(stage: &mut Stage, copies: usize) {
    let case = case();
    for (series, words) in RULES {
        let needs_set = words.contains("--match-set");
        if needs_set && !has("ipset", series) {
            continue;
        }
        for (dialect, group) in [(Dialect::D, "match by iptables 1.8.11"), (Dialect::A, "match by iptables 1.8.7")] {
            let build = |path: &mut Path| -> Result<()> {
                if needs_set {
                    process::run(path.router().netns(), &["ipset", "restore"], "create some hash:ip family inet\nadd some 10.9.9.9\n")?;
                }
                Ok(path.fill(Family::Ip, vec![parse(words, Family::Ip); copies], dialect)?)
            };
            stage.measure(Subject { group, family: Family::Ip, series, size: copies }, build, std::slice::from_ref(&case));
        }
    }
}
