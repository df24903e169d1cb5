//! Random policies.

use dockgate::{
    compile::{self, Compiled},
    policy::{self, File, Policy},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

const ADDRESSES: &[&str] = &[
    "192.168.1.0/24",
    "10.1.2.3-10.1.2.9",
    "203.0.113.7",
    "198.51.100.0/25",
    "2001:db8:1::/48",
    "2001:db8::7",
    "office",
    "many",
    "nobody",
];
const PORTS: &[&str] = &["443/tcp", "80/tcp", "8000-8010/udp", "53/udp", "any/sctp"];
const RAW: &[&str] = &["-i eth0 -p tcp --tcp-flags SYN,RST SYN -j DROP", "-m limit --limit 5/s -j LOG", "-i lan0 -j ACCEPT"];

fn list(words: &[&str]) -> String {
    format!("[{}]", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
}

fn decided() -> impl Strategy<Value = String> {
    let (ports, from) = (subsequence(PORTS, 0..3), subsequence(ADDRESSES, 0..4));
    let actions = select(&["allow", "drop", "reject", "accept"][..]);
    (actions, ports, from, any::<[bool; 4]>()).prop_map(|(action, ports, from, [to, log, comment, inward])| {
        let ports = if ports.is_empty() { "\"any\"".to_owned() } else { list(&ports) };
        let mut text = format!("[[rule]]\n{action} = {ports}\n");
        if !from.is_empty() {
            text += &format!("from = {}\n", list(&from));
        }
        let more = [
            (to, "to = [\"192.168.1.99\"]\n"),
            (log, "log = \"seen: \"\n"),
            (comment, "comment = \"the portal\"\n"),
            (inward, "in = \"lan+\"\n"),
        ];
        more.into_iter().filter(|(said, _)| *said).for_each(|(_, line)| text += line);
        text
    })
}

/// The text of a policy; not each makes sense, but all compile.
pub fn text() -> impl Strategy<Value = String> {
    let raw = select(RAW).prop_map(|line| format!("[[rule]]\niptables = \"{line}\"\n"));
    let rules = vec(prop_oneof![4 => decided(), 1 => raw], 0..5);
    let external = subsequence(&["eth0", "wan+"][..], 1..3);
    let head = (external, select(&["drop", "reject", "allow"][..]), any::<bool>(), prop_oneof![3 => 1..6u32, 1 => 50..60u32]);
    (head, rules).prop_map(|((external, default, established, many), rules)| {
        let many: String = (0..many).map(|n| format!("\"100.64.{n}.{}\", ", n * 7 % 256)).collect();
        format!(
            "external = {}\ndefault = \"{default}\"\nestablished = {established}\n[groups]\nnobody = []\noffice = [\"172.16.5.0/24\", \"fd00::/8\"]\nmany = [{many}]\n{}",
            list(&external),
            rules.concat()
        )
    })
}

/// The policy as chains alone.
pub fn compiled(text: &str) -> Compiled {
    let read = Policy::parse(vec![File::new("random.toml", text)]);
    compile::docker_user(&read.policy, "random", Some(policy::Strategy::Tree))
}
