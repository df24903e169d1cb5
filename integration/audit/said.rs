//! What `dockgate audit` prints, and what a write says beside it: `fixtures/audit/*.txt`.

use crate::{
    iptables::Installed,
    support::{call, dockgate, golden, in_netns, run},
};

/// A bit of everything; handles are in the order of the lines.
const EVERYTHING: &str = "
add table ip filter
add set ip filter crowdsec-bad { type ipv4_addr; elements = { 10.0.0.1 }; }
add counter ip filter hits
add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
add chain ip filter DOCKER-USER
add chain ip filter ts-forward
add chain ip filter mine { type filter hook forward priority -10; }
add chain ip filter a-name-of-twenty-nine-letters
add rule ip filter FORWARD ct state invalid counter drop
add rule ip filter FORWARD counter jump DOCKER-USER
add rule ip filter DOCKER-USER iifname eth0 ip saddr @crowdsec-bad counter packets 3 bytes 180 drop
add rule ip filter DOCKER-USER tcp dport { 80, 443 } counter accept
add rule ip filter DOCKER-USER ct state established,related counter accept
add rule ip filter DOCKER-USER ip saddr != 10.0.0.1 ip saddr != 10.0.0.2 counter drop comment \"two of us\"
add rule ip filter DOCKER-USER log prefix \"f2b-drop \" drop
add rule ip filter DOCKER-USER iifname eth0 counter drop
add rule ip filter ts-forward meta skuid 33 counter drop
add rule ip filter DOCKER-USER tcp dport 80 counter drop
add table ip6 filter
add chain ip6 filter DOCKER-USER
add rule ip6 filter DOCKER-USER ip6 nexthdr tcp counter drop
";

fn table(text: &str) {
    run("nft", "flush ruleset");
    call("nft", "-f -", text).ok();
}

#[test]
fn it_says_what_is_wrong_and_the_cure() {
    const NAME: &str = "audit::said::it_says_what_is_wrong_and_the_cure";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        table(EVERYTHING);
        let before = call("nft", "-a list ruleset", "").ok();
        for (file, line) in
            [("everything", "audit"), ("one-family", "-6 audit"), ("json", "-6 --json audit"), ("known", "--dialect 1.8.9 -4 audit")]
        {
            let done = dockgate(line, "");
            assert_eq!((done.code, done.err.as_str()), (1, ""), "{done:?}");
            // The generation is whatever it is.
            let out = match done.out.split_once("\"generation\":") {
                Some((begin, rest)) => format!("{begin}\"generation\":…{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
                None => done.out,
            };
            golden(&format!("audit/{file}.txt"), &format!("$ dockgate {line}\n{out}exit code {}\n", done.code));
        }
        assert_eq!(call("nft", "-a list ruleset", "").ok(), before);

        run("nft", "flush ruleset");
        run("iptables", "-A INPUT -j ACCEPT");
        let done = dockgate("audit", "");
        assert_eq!(done.code, 0);
        golden("audit/nothing.txt", &format!("$ dockgate audit\n{}exit code 0\n", done.out));
    });
}

#[test]
fn a_write_warns_of_what_it_sees() {
    const NAME: &str = "audit::said::a_write_warns_of_what_it_sees";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let docker = "add table ip filter
            add chain ip filter FORWARD { type filter hook forward priority 0; }
            add chain ip filter DOCKER-USER
            add rule ip filter FORWARD counter jump DOCKER-USER\n";
        let base_chain = "add chain ip filter mine { type filter hook forward priority -10; }";
        let in_forward = "add rule ip filter FORWARD ip saddr { 10.0.0.1, 10.0.0.2 } counter drop";
        let in_docker_user = "add rule ip filter DOCKER-USER counter reject";
        let warned = |line: &str, input: &str| {
            let done = dockgate(line, input);
            assert_eq!(done.code, 0, "{line}: {done:?}");
            let lines: Vec<&str> = done.err.lines().filter(|line| line.contains("audit")).collect();
            assert!(lines.len() < 2, "{lines:?}");
            !lines.is_empty()
        };
        let restore = "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i a -j DROP\nCOMMIT\n";
        let harmless = "add rule ip filter DOCKER-USER counter drop\n".repeat(64);
        for (content, append, others) in [
            ("", false, false),
            ("add rule ip filter FORWARD ip saddr 10.0.0.1 counter drop", false, false),
            (base_chain, true, true),
            (in_forward, true, true),
            (in_docker_user, true, true),
            // A simple `-A` does not look into a long chain; `-D` and restore read it anyway.
            (&format!("{harmless}{in_docker_user}"), false, true),
        ] {
            table(&format!("{docker}{content}\n"));
            assert_eq!(warned("iptables -A DOCKER-USER -i b -j DROP", ""), append, "-A: {content}");
            assert_eq!(warned("iptables -I DOCKER-USER -i a -j DROP", ""), append, "-I: {content}");
            assert_eq!(warned("iptables --dry-run -A DOCKER-USER -i c -j DROP", ""), append, "--dry-run: {content}");
            assert_eq!(warned("iptables -D DOCKER-USER 1", ""), others, "-D: {content}");
            assert_eq!(warned("restore", restore), others, "restore: {content}");
            // The other family has nothing.
            assert!(!warned("ip6tables -A DOCKER-USER -i b -j DROP", ""), "{content}");
        }
        // What is taken away is not warned of.
        table(&format!("{docker}{in_docker_user}\n"));
        assert!(!warned("iptables -D DOCKER-USER --handle 4", ""));

        table(&format!("{docker}{base_chain}\n{in_forward}\n"));
        let done = dockgate("iptables -A DOCKER-USER -i b -j DROP", "");
        golden("audit/warning.txt", &format!("$ dockgate iptables -A DOCKER-USER -i b -j DROP\n{}exit code {}\n", done.err, done.code));
    });
}
