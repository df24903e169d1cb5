//! A real dockerd on a host with iptables 1.8.7, as Debian 11 and Ubuntu 22.04 have it.

use super::engine::{Engine, FRIEND, HOST, STRANGER, Version, printed};
use crate::support::finish;
use dockgate::{apply::host_dialect, lab::Netns, model::Dialect, netlink::Netlink};
use std::{
    fs,
    process::{Command, Output},
};

/// What 1.8.7 misreads or refuses in the form that later versions have.
const RULES: [&str; 4] = [
    "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
    "-s 192.168.1.1/32 -i ext0 -p tcp -m tcp --dport 80:90 -j RETURN",
    "-m mark --mark 0x4/0x4 -j RETURN",
    "-i ext0 -p tcp -m tcp --dport 80 -j DROP",
];

fn dialect(engine: &Engine) -> Dialect {
    let netns = Netns::open(engine.netns_path().to_str().unwrap()).unwrap();
    netns.run(|| host_dialect(&mut Netlink::open().unwrap()).unwrap()).unwrap()
}

/// dockgate with its history on that host.
fn gate(engine: &Engine, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
    command.env("DOCKGATE_STATE", engine.path("run/gate")).arg("--netns").arg(engine.netns_path());
    command.args(words.split_whitespace()).output().unwrap()
}

/// The jump stands first, 1.8.7 lists what dockgate lists, the audit finds nothing, the friend gets in and the
/// stranger does not.
fn assert_guarded(engine: &Engine, after: &str) {
    assert_eq!(engine.rules("FORWARD").first().map(String::as_str), Some("-j DOCKER-USER"), "after {after}");
    let both = ["iptables -S DOCKER-USER", "-4 save"].map(|words| String::from_utf8(gate(engine, words).stdout).unwrap());
    assert_eq!(engine.iptables("-S DOCKER-USER").replace(" \n", "\n"), both[0], "after {after}");
    let saved = engine.saved();
    for line in both[1].lines().filter(|line| line.starts_with("-A ")) {
        assert!(saved.iter().any(|theirs| theirs.trim_end() == line), "after {after}: {line} is not in\n{}", saved.join("\n"));
    }
    let audit = gate(engine, "-4 audit");
    assert_eq!(audit.status.code(), Some(0), "after {after}: {}", String::from_utf8_lossy(&audit.stdout));
    let url = format!("http://{HOST}:8080/");
    assert_eq!(engine.all_http(&[(FRIEND, &url), (STRANGER, &url)]), [Some("web".into()), None], "after {after}");
}

/// As an administrator's backup does, by the host's own iptables.
fn save_and_restore(engine: &Engine) {
    for family in ["iptables", "ip6tables"] {
        let saved = printed(&mut engine.own(&format!("{family}-save")));
        finish(engine.own(&format!("{family}-restore")), &saved).ok();
    }
}

fn restart(engine: &mut Engine) {
    engine.restart();
    engine.docker("start web");
    engine.serves("web", 8080);
}

#[test]
fn a_host_with_iptables_1_8_7_is_guarded() {
    let Some(mut engine) = Engine::running(Version::Iptables187, "") else { return };
    assert!(engine.iptables("--version").contains("v1.8.7"));
    // It has set a policy, and so the base chain counts; addresses come behind interfaces.
    assert!(engine.saved().contains(&":FORWARD DROP".to_owned()));
    assert_eq!(dialect(&engine), Dialect::Portable);
    for rule in RULES {
        engine.gate(&format!("iptables -A DOCKER-USER {rule}"));
    }
    // Docker's own last rule is before them.
    engine.iptables("-D DOCKER-USER -j RETURN");
    assert_eq!(engine.rules("DOCKER-USER"), RULES);
    engine.publish_on("0.0.0.0:", "web", 8080, 80, "");
    assert_eq!(dialect(&engine), Dialect::A, "the rule for the published port has a port");
    assert_guarded(&engine, "rules by hand");
    save_and_restore(&engine);
    assert_guarded(&engine, "rules by hand, save and restore");
    restart(&mut engine);
    assert_guarded(&engine, "rules by hand and a restart");

    for strategy in ["tree", "set"] {
        engine.gate("iptables -F DOCKER-USER");
        let file = engine.path(&format!("run/{strategy}.toml"));
        let text = format!(
            "external = 'ext0'\ndefault = 'drop'\nstrategy = '{strategy}'\n[[rule]]\nallow = ['8080-8090/tcp', '53/udp']\nfrom = ['{FRIEND}', '203.0.113.0/24', '2001:db8::/32']\n"
        );
        fs::write(&file, text).unwrap();
        let done = gate(&engine, &format!("apply {}", file.display()));
        assert!(done.status.success(), "{strategy}: {}", String::from_utf8_lossy(&done.stderr));
        assert_guarded(&engine, strategy);
        save_and_restore(&engine);
        assert_guarded(&engine, &format!("{strategy}, save and restore"));
        restart(&mut engine);
        assert_guarded(&engine, &format!("{strategy} and a restart"));
        assert!(gate(&engine, "remove").status.success());
    }
}

/// What was written for a later iptables, as dockgate once did here, opens the host at Docker's next start: the
/// audit says so before.
#[test]
fn what_1_8_7_can_not_read_is_found_before_docker_loses_its_jump() {
    let Some(mut engine) = Engine::running(Version::Iptables187, "") else { return };
    engine.publish("web", 8080, 80, "");
    engine.iptables("-F DOCKER-USER");
    let later = |rule: &str| engine.gate(&format!("--dialect 1.8.11 iptables -A DOCKER-USER {rule}"));
    RULES.iter().for_each(|rule| drop(later(rule)));
    let audit = gate(&engine, "-4 audit");
    let said = String::from_utf8(audit.stdout).unwrap();
    assert_eq!(audit.status.code(), Some(1));
    assert!(said.contains("before it puts the jump to DOCKER-USER first") && !said.contains("wrong with"), "{said}");
    restart(&mut engine);
    let url = format!("http://{HOST}:8080/");
    assert_eq!(engine.http(STRANGER, &url).as_deref(), Some("web"), "and so it is");

    // Written again, it is right after the next start.
    for (index, rule) in RULES.iter().enumerate() {
        engine.gate(&format!("iptables -R DOCKER-USER {} {rule}", index + 1));
    }
    restart(&mut engine);
    assert_guarded(&engine, "the rules were written again");
}
