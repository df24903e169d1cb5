//! The rules of Docker's page on `DOCKER-USER`, put there by dockgate, do what the page says.

use super::{
    engine::{Engine, FAR, FRIEND, HOST, HOST_TOO, LAN, STRANGER, Version, printed},
    on_each_engine,
};

on_each_engine!(
    who_may_reach_a_published_port,
    answers_to_containers_must_pass_first,
    a_router_goes_on_routing,
    who_may_reach_a_published_port_over_ipv6
);

/// Rules in the order they are to stand in, and what is then open: from whom, to where, which
/// container answers.
struct Case {
    rules: &'static [&'static str],
    asked: &'static [(&'static str, &'static str, Option<&'static str>)],
}

/// `web` is published on port 8080, `shop` on 8081; both listen on port 80 themselves.
const CASES: &[Case] = &[
    // Nothing forbidden.
    Case {
        rules: &[],
        asked: &[
            (FRIEND, "192.168.1.10:8080", Some("web")),
            (STRANGER, "192.168.1.11:8081", Some("shop")),
            (FAR, "192.168.1.10:8080", Some("web")),
        ],
    },
    // One address.
    Case {
        rules: &["-i ext0 ! -s 192.168.1.1 -j DROP"],
        asked: &[(FRIEND, "192.168.1.10:8080", Some("web")), (STRANGER, "192.168.1.10:8080", None), (FAR, "192.168.1.11:8081", None)],
    },
    // A network.
    Case {
        rules: &["-i ext0 ! -s 192.168.1.0/24 -j DROP"],
        asked: &[
            (FRIEND, "192.168.1.10:8080", Some("web")),
            (STRANGER, "192.168.1.10:8081", Some("shop")),
            (FAR, "192.168.1.10:8080", None),
        ],
    },
    // A range.
    Case {
        rules: &["-m iprange -i ext0 ! --src-range 192.168.1.1-192.168.1.3 -j DROP"],
        asked: &[
            (FRIEND, "192.168.1.10:8080", Some("web")),
            (STRANGER, "192.168.1.10:8080", Some("web")),
            ("192.168.1.3", "192.168.1.10:8080", Some("web")),
            ("192.168.1.4", "192.168.1.10:8080", None),
            (FAR, "192.168.1.10:8080", None),
        ],
    },
    // Source and destination: the one that was asked for, which is rewritten by now.
    Case {
        rules: &[
            "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
            "-i ext0 ! -s 192.168.1.1 -m conntrack --ctorigdst 192.168.1.10 -j DROP",
        ],
        asked: &[
            (FRIEND, "192.168.1.10:8080", Some("web")),
            (STRANGER, "192.168.1.10:8080", None),
            (STRANGER, "192.168.1.10:8081", None),
            (STRANGER, "192.168.1.11:8080", Some("web")),
        ],
    },
    // The address and port that were asked for, all else closed.
    Case {
        rules: &["-p tcp -m conntrack --ctorigdst 192.168.1.10 --ctorigdstport 8080 -j ACCEPT", "-i ext0 -j DROP"],
        asked: &[
            (STRANGER, "192.168.1.10:8080", Some("web")),
            (STRANGER, "192.168.1.10:8081", None),
            (STRANGER, "192.168.1.11:8080", None),
        ],
    },
    // Several that go together: the first that matches decides.
    Case {
        rules: &[
            "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
            "-s 192.168.1.1 -i ext0 -j RETURN",
            "-s 192.168.1.2 -i ext0 -p tcp -m conntrack --ctorigdstport 8081 --ctdir ORIGINAL -j RETURN",
            "-i ext0 -j DROP",
        ],
        asked: &[
            (FRIEND, "192.168.1.10:8080", Some("web")),
            (FRIEND, "192.168.1.10:8081", Some("shop")),
            (STRANGER, "192.168.1.10:8080", None),
            (STRANGER, "192.168.1.10:8081", Some("shop")),
            ("192.168.1.3", "192.168.1.10:8081", None),
        ],
    },
];

/// Puts rules on top of `DOCKER-USER`, the first one first.
fn insert(engine: &Engine, rules: &[&str]) {
    for (index, rule) in rules.iter().enumerate() {
        engine.gate(&format!("iptables -I DOCKER-USER {} {rule}", index + 1));
    }
}

/// Takes rules away again by their words, after both have said that they are there.
fn delete(engine: &Engine, rules: &[&str]) {
    for rule in rules {
        assert!(engine.iptables_takes(&format!("-C DOCKER-USER {rule}")), "iptables does not find {rule}");
        engine.gate(&format!("iptables -C DOCKER-USER {rule}"));
        engine.gate(&format!("iptables -D DOCKER-USER {rule}"));
        assert!(!engine.iptables_takes(&format!("-C DOCKER-USER {rule}")), "iptables still finds {rule}");
        assert_eq!(engine.dockgate(&format!("iptables -C DOCKER-USER {rule}")).status.code(), Some(1), "{rule}");
    }
}

fn who_may_reach_a_published_port(version: Version) {
    let Some(engine) = Engine::running(version, "") else { return };
    engine.publish("web", 8080, 80, "");
    engine.publish("shop", 8081, 80, "");
    let before = engine.saved();
    for Case { rules, asked } in CASES {
        insert(&engine, rules);
        let urls: Vec<_> = asked.iter().map(|(from, to, _)| (*from, format!("http://{to}/"))).collect();
        let urls: Vec<_> = urls.iter().map(|(from, url)| (*from, url.as_str())).collect();
        let expected: Vec<_> = asked.iter().map(|(_, _, name)| name.map(Into::into)).collect();
        assert_eq!(engine.all_http(&urls), expected, "{rules:?}\n{asked:?}");
        delete(&engine, rules);
    }
    assert_eq!(engine.saved(), before);
}

fn answers_to_containers_must_pass_first(version: Version) {
    let Some(engine) = Engine::running(version, "") else { return };
    engine.publish("web", 8080, 80, "");
    let web = format!("http://{HOST}:8080/");
    // What a container gets from a server of the stranger's.
    let request = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | /bin/busybox nc -w 2 {STRANGER} 8000 | /bin/busybox tail -n 1");
    let fetched = || {
        let output = engine.client().args(["exec", "web", "/bin/busybox", "sh", "-c", &request]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let closed = "-i ext0 ! -s 192.168.1.1 -j DROP";
    for first in ["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN", "-m state --state RELATED,ESTABLISHED -j ACCEPT"] {
        assert_eq!(fetched(), "internet");
        insert(&engine, &[closed]);
        assert_eq!(fetched(), "");
        insert(&engine, &[first]);
        assert_eq!(fetched(), "internet");
        assert_eq!(engine.all_http(&[(FRIEND, &web), (STRANGER, &web)]), [Some("web".into()), None]);
        delete(&engine, &[first, closed]);
    }
}

fn a_router_goes_on_routing(version: Version) {
    let Some(engine) = Engine::running(version, "") else { return };
    let url = format!("http://{LAN}:8000/");
    assert!(engine.saved().iter().any(|line| line == ":FORWARD DROP"), "{:?}", engine.saved());
    assert_eq!(engine.http(STRANGER, &url), None);
    let rules = ["-i ext0 -o lan0 -j ACCEPT", "-i lan0 -o ext0 -j ACCEPT"];
    insert(&engine, &rules);
    assert_eq!(engine.http(STRANGER, &url).as_deref(), Some("lan"));
    delete(&engine, &rules);
    assert_eq!(engine.http(STRANGER, &url), None);
}

fn who_may_reach_a_published_port_over_ipv6(version: Version) {
    let arguments = match version {
        Version::Installed | Version::Iptables187 => "--experimental --ip6tables --ipv6 --fixed-cidr-v6 fd00:d::/64",
        Version::Docker28 => "--ipv6 --fixed-cidr-v6 fd00:d::/64",
    };
    let Some(mut engine) = Engine::running(version, arguments) else { return };
    engine.publish("web", 8080, 80, "");
    let friend = ("fd00:1::1", "http://[fd00:1::10]:8080/");
    let stranger = ("fd00:1::2", "http://[fd00:1::10]:8080/");
    let web = || Some("web".to_owned());
    // Docker 20.10 does not wait until the container's address may be used.
    engine.until("web serves over IPv6", |engine| engine.http(friend.0, friend.1).is_some());
    assert_eq!(engine.all_http(&[friend, stranger]), [web(), web()]);
    let rule = "-i ext0 ! -s fd00:1::1 -j DROP";
    // Docker 20.10 makes no such chain for IPv6: dockgate makes it, and the jump.
    let made = engine.own("ip6tables").args(["-S", "DOCKER-USER"]).output().unwrap().status.success();
    assert_eq!(made, version != Version::Installed);
    engine.gate(&format!("ip6tables -I DOCKER-USER {rule}"));
    assert_eq!(engine.all_http(&[friend, stranger]), [web(), None]);
    // The families don't touch each other.
    let (v4, too) = (format!("http://{HOST}:8080/"), format!("http://{HOST_TOO}:8080/"));
    assert_eq!(engine.all_http(&[(STRANGER, &v4), (STRANGER, &too)]), [web(), web()]);
    printed(engine.own("ip6tables").args(["-C", "DOCKER-USER"]).args(rule.split_whitespace()));
    assert_eq!(warned(&engine, rule), "");

    engine.restart();
    engine.docker("start web");
    engine.serves("web", 8080);
    engine.until("web serves over IPv6", |engine| engine.http(friend.0, friend.1).is_some());
    if version == Version::Installed {
        // Docker 20.10 puts its own jumps on top at every start and knows of no other for IPv6. It
        // can't be kept from it, but nobody has to find out by themselves.
        assert_eq!(engine.all_http(&[friend, stranger]), [web(), web()]);
        assert!(warned(&engine, rule).contains("jump to DOCKER-USER is rule"));
    } else {
        assert_eq!(engine.all_http(&[friend, stranger]), [web(), None]);
        assert_eq!(warned(&engine, rule), "");
    }
    engine.gate(&format!("ip6tables -D DOCKER-USER {rule}"));
    assert_eq!(engine.all_http(&[friend, stranger]), [web(), web()]);
}

/// What dockgate says on stderr when a rule is put in for IPv6, which is taken out again.
fn warned(engine: &Engine, rule: &str) -> String {
    let output = engine.dockgate(&format!("ip6tables -I DOCKER-USER {rule}"));
    engine.gate("ip6tables -D DOCKER-USER 1");
    String::from_utf8(output.stderr).unwrap()
}
