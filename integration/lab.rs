//! The lab itself: what it builds carries packets, and tells truly what became of them.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use dockgate::{
    lab::{self, Error, Netns, Outcome, Packet, Party, Router, TcpResponder, Topology, Tun, UdpResponder, Userns, tcp_answers},
    model::Family,
};

use crate::support::{call, in_netns, need, run, skip};

/// For what is to pass.
const LONG: Duration = Duration::from_secs(5);
/// For what is to be dropped.
const SHORT: Duration = Duration::from_millis(250);

fn at(party: Party, family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(party.address(family), port)
}

/// Responders to TCP and UDP in the namespace.
fn serve(netns: &Netns, port: u16) -> (TcpResponder, UdpResponder) {
    netns.run(|| (TcpResponder::bind(port).unwrap(), UdpResponder::bind(port).unwrap())).unwrap()
}

/// Runs `iptables` or `ip6tables` in the host.
fn rule(topology: &Topology, family: Family, args: &str) {
    topology.host.run(|| run(family.command(), &format!("-w {args}"))).unwrap();
}

#[test]
fn everybody_reaches_everybody_under_their_own_address() {
    in_netns("lab::everybody_reaches_everybody_under_their_own_address", || {
        let topology = Topology::build().unwrap();
        assert_eq!(topology.families(), Family::BOTH);
        for to in [Party::Container, Party::Lan, Party::Friend, Party::Host] {
            let (tcp, udp) = serve(topology.netns(to), 80);
            let mut expected = Vec::new();
            for from in [Party::Friend, Party::Stranger, Party::Container, Party::Lan, Party::Host, Party::Bridge] {
                for family in Family::BOTH {
                    let address = at(to, family, 80);
                    assert_eq!(topology.tcp(from, address, LONG).unwrap(), Outcome::Passed, "TCP {from:?} to {address}");
                    assert_eq!(topology.udp(from, address, LONG).unwrap(), Outcome::Passed, "UDP {from:?} to {address}");
                    expected.push(from.address(family));
                }
            }
            let addresses = |seen: Vec<SocketAddr>| seen.iter().map(SocketAddr::ip).collect::<Vec<_>>();
            assert_eq!((addresses(tcp.seen()), addresses(udp.seen())), (expected.clone(), expected), "{to:?}");
        }
    });
}

#[test]
fn what_netfilter_drops_is_dropped() {
    in_netns("lab::what_netfilter_drops_is_dropped", || {
        if !need("lab::what_netfilter_drops_is_dropped", "iptables") {
            return;
        }
        let topology = Topology::build().unwrap();
        let (tcp, udp) = serve(&topology.container, 80);
        for family in Family::BOTH {
            let to = at(Party::Container, family, 80);
            rule(&topology, family, &format!("-I FORWARD -s {} -j DROP", Party::Stranger.address(family)));
            assert_eq!(topology.tcp(Party::Stranger, to, SHORT).unwrap(), Outcome::Dropped);
            assert_eq!(topology.udp(Party::Stranger, to, SHORT).unwrap(), Outcome::Dropped);
            assert_eq!(topology.tcp(Party::Friend, to, LONG).unwrap(), Outcome::Passed);
            assert_eq!(topology.udp(Party::Friend, to, LONG).unwrap(), Outcome::Passed);
        }
        for seen in [tcp.seen(), udp.seen()] {
            let friends: Vec<IpAddr> = Family::BOTH.map(|family| Party::Friend.address(family)).into();
            assert_eq!(seen.iter().map(SocketAddr::ip).collect::<Vec<_>>(), friends);
        }
    });
}

#[test]
fn what_netfilter_rejects_is_rejected_each_time_and_for_its_reason() {
    in_netns("lab::what_netfilter_rejects_is_rejected_each_time_and_for_its_reason", || {
        if !need("lab::what_netfilter_rejects_is_rejected_each_time_and_for_its_reason", "iptables") {
            return;
        }
        let topology = Topology::build().unwrap();
        let _servers = serve(&topology.container, 80);
        for (family, with, errno) in [
            (Family::Ip, "icmp-port-unreachable", libc::ECONNREFUSED),
            (Family::Ip, "icmp-host-unreachable", libc::EHOSTUNREACH),
            (Family::Ip, "icmp-net-unreachable", libc::ENETUNREACH),
            (Family::Ip, "icmp-admin-prohibited", libc::EHOSTUNREACH),
            (Family::Ip6, "icmp6-port-unreachable", libc::ECONNREFUSED),
            (Family::Ip6, "icmp6-adm-prohibited", libc::EACCES),
            (Family::Ip6, "icmp6-addr-unreachable", libc::EHOSTUNREACH),
        ] {
            rule(&topology, family, "-F FORWARD");
            rule(&topology, family, &format!("-A FORWARD -i ext0 -j REJECT --reject-with {with}"));
            let to = at(Party::Container, family, 80);
            for _ in 0..40 {
                assert_eq!(topology.tcp(Party::Stranger, to, LONG).unwrap(), Outcome::Rejected(errno), "TCP {with}");
                assert_eq!(topology.udp(Party::Stranger, to, LONG).unwrap(), Outcome::Rejected(errno), "UDP {with}");
            }
        }
        for family in Family::BOTH {
            rule(&topology, family, "-F FORWARD");
            rule(&topology, family, "-A FORWARD -i ext0 -p tcp -j REJECT --reject-with tcp-reset");
            let outcome = topology.tcp(Party::Friend, at(Party::Container, family, 80), LONG).unwrap();
            assert_eq!(outcome, Outcome::Rejected(libc::ECONNREFUSED));
            assert_eq!(outcome.to_string(), "rejected: Connection refused (os error 111)");
        }
    });
}

#[test]
fn netfilter_in_the_senders_own_namespace_counts_too() {
    in_netns("lab::netfilter_in_the_senders_own_namespace_counts_too", || {
        if !need("lab::netfilter_in_the_senders_own_namespace_counts_too", "iptables") {
            return;
        }
        let topology = Topology::build().unwrap();
        let to = at(Party::Container, Family::Ip, 80);
        let _servers = serve(&topology.container, 80);
        rule(&topology, Family::Ip, "-A OUTPUT -d 172.17.0.2 -j DROP");
        assert_eq!(topology.tcp(Party::Host, to, SHORT).unwrap(), Outcome::Dropped);
        assert_eq!(topology.udp(Party::Host, to, SHORT).unwrap(), Outcome::Dropped);
        rule(&topology, Family::Ip, "-R OUTPUT 1 -d 172.17.0.2 -j REJECT");
        assert_eq!(topology.tcp(Party::Host, to, LONG).unwrap(), Outcome::Rejected(libc::ECONNREFUSED));
        assert!(matches!(topology.udp(Party::Host, to, LONG).unwrap(), Outcome::Rejected(_) | Outcome::Dropped));
    });
}

#[test]
fn a_responder_ends_when_dropped_and_nobody_there_is_a_reject() {
    in_netns("lab::a_responder_ends_when_dropped_and_nobody_there_is_a_reject", || {
        let topology = Topology::build().unwrap();
        for family in Family::BOTH {
            let to = at(Party::Container, family, 80);
            let servers = serve(&topology.container, 80);
            assert_eq!(topology.tcp(Party::Friend, to, LONG).unwrap(), Outcome::Passed);
            drop(servers);
            assert_eq!(topology.tcp(Party::Friend, to, LONG).unwrap(), Outcome::Rejected(libc::ECONNREFUSED));
            assert_eq!(topology.udp(Party::Friend, to, LONG).unwrap(), Outcome::Rejected(libc::ECONNREFUSED));
        }
    });
}

#[test]
fn the_client_takes_further_addresses() {
    in_netns("lab::the_client_takes_further_addresses", || {
        let topology = Topology::build().unwrap();
        let (tcp, _udp) = serve(&topology.container, 80);
        for (address, family) in [("192.168.1.77", Family::Ip), ("fd00:1::77", Family::Ip6)] {
            let address: IpAddr = address.parse().unwrap();
            let ask = || topology.client.run(|| tcp_answers(address, at(Party::Container, family, 80), LONG)).unwrap();
            let error = ask().unwrap_err();
            assert_eq!(error.errno(), Some(libc::EADDRNOTAVAIL), "{error}");
            topology.add_client(address).unwrap();
            assert_eq!(ask().unwrap(), Outcome::Passed);
            assert_eq!(tcp.seen().last().unwrap().ip(), address);
            assert_eq!(topology.add_client(address).unwrap_err().errno(), Some(libc::EEXIST));
        }
    });
}

#[test]
fn links_are_made_changed_and_deleted_and_refusals_say_of_what() {
    in_netns("lab::links_are_made_changed_and_deleted_and_refusals_say_of_what", || {
        let (here, there) = (Netns::new("here").unwrap(), Netns::new("there").unwrap());
        let (mut near, mut far) = (here.links().unwrap(), there.links().unwrap());
        near.veth("a", "b", &there).unwrap();
        near.up("a").unwrap();
        // Only one end is up.
        assert!(matches!(near.wait_until_up("a", Duration::ZERO), Err(Error::Down { .. })));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| near.wait_until_up("a", LONG));
            far.up("b").unwrap();
            waiting.join().unwrap().unwrap();
        });
        far.wait_until_up("b", LONG).unwrap();
        near.add_address("a", [10, 0, 0, 1].into(), 24).unwrap();
        far.add_address("b", [10, 0, 0, 2].into(), 24).unwrap();
        let to = SocketAddr::from(([10, 0, 0, 2], 7));
        let ask = || here.run(|| tcp_answers([10, 0, 0, 1].into(), to, LONG)).unwrap();
        assert_eq!(ask().unwrap(), Outcome::Rejected(libc::ECONNREFUSED));
        near.down("a").unwrap();
        let error = ask().unwrap_err();
        // Each C library has its own words for these.
        let unreachable = io::Error::from_raw_os_error(libc::ENETUNREACH);
        assert_eq!(error.to_string(), format!("can't send TCP from 10.0.0.1 to 10.0.0.2:7: {unreachable}"));

        let errors = [
            near.veth("a", "c", &there).unwrap_err(),
            near.up("nowhere").unwrap_err(),
            near.enslave("a", "nowhere").unwrap_err(),
            near.add_route([10, 1, 0, 0].into(), 16, [10, 2, 0, 1].into()).unwrap_err(),
            near.add_address("a", [10, 0, 0, 1].into(), 33).unwrap_err(),
            here.sysctl("ipv4/nothing", "1").unwrap_err(),
        ];
        let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let route = format!("can't add the route to 10.1.0.0/16 via 10.2.0.1 in `here`: {unreachable}");
        for (text, expected) in text.iter().zip([
            "can't make the veth pair `a` with `c` in `there` in `here`: File exists (os error 17)",
            "can't bring `nowhere` up in `here`: No such device (os error 19)",
            "can't find the link `nowhere` in `here`: No such device (os error 19)",
            &route,
            "can't add 10.0.0.1/33 to `a` in `here`: Invalid argument (os error 22)",
            "can't set net/ipv4/nothing to 1 in `here`: ",
        ]) {
            assert!(text.starts_with(expected), "{text}");
        }
        // The kernel's own words come along, where it has some.
        assert!(text[3].len() > route.len());

        near.delete("a").unwrap();
        assert_eq!(far.index("b").unwrap_err().errno(), Some(libc::ENODEV));
    });
}

#[test]
fn a_namespace_is_entered_by_a_thread_only() {
    in_netns("lab::a_namespace_is_entered_by_a_thread_only", || {
        let links = || std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        let netns = Netns::new("inner").unwrap();
        netns.links().unwrap().bridge("br7").unwrap();
        assert!(netns.run(links).unwrap().contains("br7"));
        assert!(!links().contains("br7"));
        assert!(!Netns::current().unwrap().run(links).unwrap().contains("br7"));
        // A program that is started there runs there, and others find it by its number.
        let mut waits = Command::new(env!("CARGO_BIN_EXE_dockgate"));
        waits.args(["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = netns.run(|| waits.spawn().unwrap()).unwrap();
        let found = Netns::open(&child.id().to_string()).unwrap();
        assert!(found.run(links).unwrap().contains("br7"));
        drop(child.stdin.take());
        child.wait().unwrap();
        let panicked = std::panic::catch_unwind(|| netns.run(|| std::panic::panic_any(7)));
        assert_eq!(panicked.unwrap_err().downcast_ref::<i32>(), Some(&7));
    });
}

#[test]
fn the_way_in_is_refused_with_the_reason() {
    // The test runs on a thread: too late.
    let error = lab::enter(Userns::Always).unwrap_err();
    assert_eq!(error.hint(), Some("call `lab::enter` first thing in `main`, or use `lab::spawn`"), "{error}");
    let error = lab::spawn(Command::new("/no/such/program"), Userns::Always).unwrap_err();
    if !matches!(error, Error::Entry { .. }) {
        assert_eq!(error.to_string(), "can't start `/no/such/program`: No such file or directory (os error 2)");
    }
}

#[test]
fn who_enters_is_root_there_with_loopback_up() {
    in_netns("lab::who_enters_is_root_there_with_loopback_up", || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(status.contains("\nUid:\t0\t0\t0\t0\n"), "{status}");
        let (_tcp, _udp) = (TcpResponder::bind(80).unwrap(), UdpResponder::bind(80).unwrap());
        for address in ["127.0.0.1:80", "[::1]:80"] {
            let to: SocketAddr = address.parse().unwrap();
            assert_eq!(tcp_answers(to.ip(), to, LONG).unwrap(), Outcome::Passed);
            assert_eq!(lab::udp_answers(to.ip(), to, LONG).unwrap(), Outcome::Passed);
        }
        let error = TcpResponder::bind(80).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EADDRINUSE), "{error}");
    });
}

/// A router by TUN devices, unless there are none here.
fn router(test: &str) -> Option<Router> {
    let router = Router::build("router", "eth0").unwrap();
    if let Some(error) = router.no_tun() {
        skip(test, "tun", &format!("{error}\nhint: {}", error.hint().unwrap()));
        return None;
    }
    Some(router)
}

/// From somewhere to the receiver behind a router.
fn way(from: &str, port: u16) -> (SocketAddr, SocketAddr) {
    let from: IpAddr = from.parse().unwrap();
    let family = if from.is_ipv4() { Family::Ip } else { Family::Ip6 };
    (SocketAddr::new(from, 4000), SocketAddr::new(Router::receiver(family), port))
}

#[test]
fn a_packet_is_forwarded_within_the_call_that_sends_it() {
    let test = "lab::a_packet_is_forwarded_within_the_call_that_sends_it";
    in_netns(test, || {
        if !need(test, "iptables") {
            return;
        }
        router(test).iter().for_each(forwards);
        // Where there is no TUN.
        forwards(&Router::over_veth("router", "eth0").unwrap());
    });
}

fn forwards(router: &Router) {
    let rules = |family: Family, line: &str| router.netns().run(|| call(family.command(), line, "").ok()).unwrap();
    for (family, friend, stranger) in [(Family::Ip, "10.1.2.3", "10.9.9.9"), (Family::Ip6, "fd00:a::1", "fd00:b::1")] {
        for make in [Packet::udp, Packet::syn] {
            let packet = |from| {
                let (from, to) = way(from, 80);
                make(from, to)
            };
            rules(family, "-F FORWARD");
            rules(family, &format!("-A FORWARD -i eth0 -o docker0 -s {stranger} -j DROP"));
            rules(family, "-A FORWARD -i eth0 -o docker0 -p udp -m udp --dport 80");
            for _ in 0..3 {
                assert!(router.passes(&packet(friend)).unwrap());
                assert!(!router.passes(&packet(stranger)).unwrap());
            }
            for _ in 0..1000 {
                // More than wait on the other side.
                router.send(&packet(friend)).unwrap();
            }
            let listed = rules(family, "-vnxL FORWARD");
            let counted: Vec<&str> = listed.lines().skip(2).map(|line| line.split_whitespace().next().unwrap()).collect();
            let udp = if packet(friend).as_bytes().ends_with(b"dockgate") { "1003" } else { "0" };
            assert_eq!(counted, ["3", udp], "{listed}");
        }
    }
}

#[test]
fn packets_are_right_to_who_receives_them() {
    let test = "lab::packets_are_right_to_who_receives_them";
    in_netns(test, || {
        if router(test).is_none() {
            return;
        }
        let tun = Tun::new("tun0").unwrap();
        let here = Netns::current().unwrap();
        let mut links = here.links().unwrap();
        links.up("tun0").unwrap();
        let _servers = serve(&here, 80);
        for (own, bits, from) in [("10.0.0.1", 24, "10.0.0.2"), ("fd00:7::1", 64, "fd00:7::2")] {
            let own: IpAddr = own.parse().unwrap();
            links.add_address("tun0", own, bits).unwrap();
            let (from, to) = (SocketAddr::new(from.parse().unwrap(), 4000), SocketAddr::new(own, 80));
            // Who gets wrong lengths or sums does not answer.
            for (packet, header, answered) in [(Packet::syn(from, to), 13, 0x12), (Packet::udp(from, to), 3, 4000_u16.to_be_bytes()[1])] {
                let begun = Instant::now();
                let at = if own.is_ipv4() { 20 } else { 40 };
                let protocol = if own.is_ipv4() { 9 } else { 6 };
                let is_answer = |came: &[u8]| came[protocol] == packet.as_bytes()[protocol] && came[at + header] == answered;
                // An IPv6 address that is just added may not take anything for a moment.
                while !tun.receive().unwrap().is_some_and(|came| is_answer(&came)) {
                    assert!(begun.elapsed() < LONG, "{own} {packet:?}");
                    tun.send(&packet).unwrap();
                    thread::yield_now();
                }
            }
        }
    });
}

#[test]
fn a_tun_is_there_as_long_as_its_value() {
    let test = "lab::a_tun_is_there_as_long_as_its_value";
    in_netns(test, || {
        if router(test).is_none() {
            return;
        }
        let mut links = Netns::current().unwrap().links().unwrap();
        let tun = Tun::new("tun7").unwrap();
        links.index("tun7").unwrap();
        let (from, to) = way("10.1.2.3", 80);
        // Not up yet.
        assert_eq!(tun.send(&Packet::udp(from, to)).unwrap_err().raw_os_error(), Some(libc::EIO));
        let busy = io::Error::from_raw_os_error(libc::EBUSY);
        assert_eq!(Tun::new("tun7").unwrap_err().to_string(), format!("can't make the TUN device `tun7`: {busy}"));
        for name in ["", "a-name-too-long-"] {
            assert_eq!(Tun::new(name).unwrap_err().errno(), Some(libc::EINVAL));
        }
        drop(tun);
        assert_eq!(links.index("tun7").unwrap_err().errno(), Some(libc::ENODEV));
    });
}
