//! Policies on trial: what holds before, during and after, whatever becomes of who began it.

use std::time::{Duration, Instant};

use dockgate::{
    model::{ChainName, Counters, Family, Handle},
    ruleset::{Ruleset, Which},
};

use super::{
    session::{Session, another_moment},
    world::{
        Fate::{Drop, Pass},
        To,
        Who::{self, Client, Far},
        World, compiled,
    },
};
use crate::support::{in_netns, need};

/// Lets client 1 in.
const FIRST: &str = "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = ['8080/tcp', '8080/udp']\nfrom = [@1]";
/// Lets client 2 in.
const SECOND: &str = "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = ['8080/tcp', '8080/udp']\nfrom = [@2]";
/// Lets another in.
const THIRD: &str = "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = 'any'\nfrom = ['198.51.100.7', '2001:db8::7']";

/// Exit codes.
const FAILURE: i32 = 1;
const TAKEN_BACK: i32 = 6;

fn in_world(test: &str, body: impl FnOnce(&mut World)) {
    in_netns(test, || {
        if need(test, "iptables") {
            body(&mut World::build(test.rsplit("::").next().unwrap(), []));
        }
    });
}

/// Only that one is let in.
#[track_caller]
fn only(world: &World, who: Who) {
    let all = [Client(1), Client(2), Far].map(|one| (one, To::Host(8080), if one == who { Pass } else { Drop }));
    world.check("", &all);
}

/// Everybody is, as without a policy, and nothing of ours is there.
#[track_caller]
fn nothing(world: &World) {
    world.check("", &[Client(1), Client(2), Far].map(|one| (one, To::Host(8080), Pass)));
    for family in Family::BOTH {
        let rules = world.iptables(family, "-save", "-t filter", "").ok();
        assert!(!rules.contains("DOCKGATE") && !rules.contains("DOCKTRIAL") && !rules.contains("dockgate"), "{rules}");
    }
}

/// Does nothing of a trial stand in the kernel?
fn is_clean(world: &World) -> bool {
    Family::BOTH.iter().all(|&family| !world.iptables(family, "-save", "", "").ok().contains("DOCKTRIAL"))
}

/// Begins a trial as somebody does who has logged in just now.
fn begin(world: &World, policy: &str, length: &str) -> Session {
    let mut session = Session::begin(world, apply(world, policy, length));
    session.until("on trial for");
    // What confirms it is begun later.
    another_moment();
    session
}

fn apply(world: &World, policy: &str, length: &str) -> std::process::Command {
    let file = world.file("trial.toml", policy);
    world.command(&["apply", &file, "--confirm", length])
}

/// Runs dockgate in a new session: exit code, and what it said.
fn run(world: &World, words: &[&str]) -> (Option<i32>, String) {
    let (status, said) = Session::begin(world, world.command(words)).end();
    (status.code(), said)
}

/// Waits until that one is let in again.
#[track_caller]
fn wait_for(world: &World, who: Who) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let passes = || {
        let exchange = super::world::Exchange { from: who, to: To::Host(8080), protocol: dockgate::model::Protocol::UDP, fate: Drop };
        world.topology.families().iter().all(|&family| world.send(family, &[exchange]) == [dockgate::lab::Outcome::Passed])
    };
    while !passes() {
        assert!(Instant::now() < deadline, "{who:?} is still shut out");
    }
}

/// The kernel goes back by itself when the time is over, and not before, if `lose` ends the one who
/// would do it.
fn lost(test: &str, terminal: bool, lose: fn(Session)) {
    in_world(test, |world| {
        world.apply(FIRST);
        only(world, Client(1));
        let begun = Instant::now();
        let command = apply(world, SECOND, "15s");
        let mut session = if terminal { Session::on_terminal(world, command) } else { Session::begin(world, command) };
        session.until("on trial for");
        only(world, Client(2));
        lose(session);
        only(world, Client(2));
        wait_for(world, Client(1));
        assert!(begun.elapsed() >= Duration::from_secs(15), "{:?}", begun.elapsed());
        only(world, Client(1));
        // Too late, and still nothing but the first holds.
        let (code, said) = run(world, &["confirm"]);
        assert_eq!(code, Some(TAKEN_BACK), "{said}");
        only(world, Client(1));
        let (_, said) = run(world, &["status"]);
        assert!(said.contains("a trial is over"), "{said}");
        // The next change takes the rest away, and adds nothing.
        assert!(!is_clean(world));
        world.apply(FIRST);
        assert!(is_clean(world));
        only(world, Client(1));
    });
}

#[test]
fn the_kernel_goes_back_when_all_are_killed() {
    lost("meaning::trial::the_kernel_goes_back_when_all_are_killed", false, |session| {
        session.signal(libc::SIGKILL);
        session.end();
    });
}

#[test]
fn the_kernel_goes_back_when_the_session_is_hung_up() {
    lost("meaning::trial::the_kernel_goes_back_when_the_session_is_hung_up", false, |session| {
        session.signal(libc::SIGHUP);
        session.end();
    });
}

#[test]
fn the_kernel_goes_back_when_the_terminal_is_closed() {
    lost("meaning::trial::the_kernel_goes_back_when_the_terminal_is_closed", true, |session| {
        session.hang_up();
    });
}

#[test]
fn who_waits_takes_back_what_was_not_confirmed() {
    in_world("meaning::trial::who_waits_takes_back_what_was_not_confirmed", |world| {
        world.apply(FIRST);
        let before = rules(world, Family::Ip, "DOCKGATE-OUTSIDE");
        let (status, said) = begin(world, SECOND, "5s").end();
        assert_eq!(status.code(), Some(TAKEN_BACK), "{said}");
        assert!(said.contains("not confirmed in time"), "{said}");
        only(world, Client(1));
        assert!(is_clean(world));
        let after = rules(world, Family::Ip, "DOCKGATE-OUTSIDE");
        assert_eq!(before.iter().map(|rule| rule.0).collect::<Vec<_>>(), after.iter().map(|rule| rule.0).collect::<Vec<_>>());
        let (code, said) = run(world, &["confirm"]);
        assert_eq!(code, Some(FAILURE), "{said}");
    });
}

#[test]
fn what_is_confirmed_from_a_new_session_holds() {
    in_world("meaning::trial::what_is_confirmed_from_a_new_session_holds", |world| {
        world.apply(FIRST);
        // Time enough for the busiest machine.
        let session = begin(world, SECOND, "600s");
        let (code, said) = run(world, &["confirm"]);
        assert_eq!(code, Some(0), "{said}");
        let (status, said) = session.end();
        assert!(status.success() && said.contains("confirmed"), "{said}");
        let file = world.file("second.toml", SECOND);
        only(world, Client(2));
        // It holds beyond the end that it had: who waited for that is gone, and no rule asks for the time any more.
        assert!(is_clean(world));
        for family in Family::BOTH {
            let rules = world.iptables(family, "-save", "-t filter", "").ok();
            assert!(rules.contains("DOCKGATE") && !rules.contains("-m time"), "{rules}");
        }
        // By another file, it has another name: the jump tells it.
        let (code, said) = run(world, &["plan", &file]);
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("jump"), "{said}");
        // And it is a step that can be taken back.
        let (code, said) = run(world, &["rollback"]);
        assert_eq!(code, Some(0), "{said}");
        only(world, Client(1));
    });
}

#[test]
fn a_trial_with_sets_goes_on_beside_sets_and_is_confirmed() {
    in_world("meaning::trial::a_trial_with_sets_goes_on_beside_sets_and_is_confirmed", |world| {
        let sets = |policy: &str| format!("strategy = 'set'\n{policy}");
        let (first, second) = (sets(FIRST), sets(SECOND));
        world.apply(&first);
        only(world, Client(1));
        let session = begin(world, &second, "12s");
        only(world, Client(2));
        session.signal(libc::SIGKILL);
        session.end();
        wait_for(world, Client(1));
        only(world, Client(1));
        let session = begin(world, &second, "60s");
        only(world, Client(2));
        let (code, said) = run(world, &["confirm"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(session.end().0.success());
        only(world, Client(2));
        assert!(is_clean(world));
        let (code, said) = run(world, &["rollback"]);
        assert_eq!(code, Some(0), "{said}");
        only(world, Client(1));
    });
}

#[test]
fn a_session_that_was_there_before_proves_nothing() {
    in_world("meaning::trial::a_session_that_was_there_before_proves_nothing", |world| {
        world.apply(FIRST);
        let mut shell = std::process::Command::new("sh");
        let dockgate = world.command(&[]);
        shell.envs(dockgate.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("GATE", dockgate.get_program());
        let mut shell = Session::begin(world, shell);
        shell.tell("echo here");
        shell.until("here");
        another_moment();
        let session = begin(world, SECOND, "60s");
        shell.tell("\"$GATE\" confirm; echo ended with $?");
        let said = shell.until("ended with");
        assert!(said.contains("was there before the change") && said.contains("ended with 1"), "{said}");
        assert!(!is_clean(world));
        only(world, Client(2));
        shell.tell("\"$GATE\" confirm --here; echo ended with $?");
        let said = shell.until("ended with");
        assert!(said.contains("ended with 0"), "{said}");
        assert!(session.end().0.success());
        assert!(is_clean(world));
        only(world, Client(2));
    });
}

#[test]
fn a_trial_over_a_trial_leaves_what_stood_before_both() {
    in_world("meaning::trial::a_trial_over_a_trial_leaves_what_stood_before_both", |world| {
        world.apply(FIRST);
        let second = begin(world, SECOND, "60s");
        second.signal(libc::SIGKILL);
        second.end();
        let third = begin(world, THIRD, "12s");
        only(world, Far);
        third.signal(libc::SIGKILL);
        third.end();
        wait_for(world, Client(1));
        only(world, Client(1));
        let third = begin(world, THIRD, "60s");
        let (code, said) = run(world, &["confirm"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(third.end().0.success());
        only(world, Far);
        run(world, &["rollback"]);
        only(world, Client(1));
    });
}

#[test]
fn a_trial_over_nothing_leaves_nothing() {
    in_world("meaning::trial::a_trial_over_nothing_leaves_nothing", |world| {
        // The kernel alone.
        let second = begin(world, SECOND, "12s");
        only(world, Client(2));
        second.signal(libc::SIGKILL);
        second.end();
        wait_for(world, Client(1));
        world.check("", &[Client(1), Client(2), Far].map(|one| (one, To::Host(8080), Pass)));
        let (code, said) = run(world, &["remove"]);
        assert_eq!(code, Some(0), "{said}");
        nothing(world);
        // Who waits.
        let (status, said) = begin(world, SECOND, "5s").end();
        assert_eq!(status.code(), Some(TAKEN_BACK), "{said}");
        nothing(world);
        // Who changes their mind.
        let second = begin(world, SECOND, "60s");
        let (code, said) = run(world, &["rollback"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(second.end().0.code(), Some(TAKEN_BACK));
        nothing(world);
        // Who keeps it, and goes back later.
        let second = begin(world, SECOND, "60s");
        let (code, said) = run(world, &["confirm"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(second.end().0.success());
        only(world, Client(2));
        let (code, said) = run(world, &["rollback"]);
        assert_eq!(code, Some(0), "{said}");
        nothing(world);
    });
}

#[test]
fn a_trial_ends_by_rollback_and_by_remove() {
    in_world("meaning::trial::a_trial_ends_by_rollback_and_by_remove", |world| {
        world.apply(FIRST);
        // A trial that was confirmed is no reason to say so of the next one.
        let second = begin(world, SECOND, "60s");
        run(world, &["confirm"]);
        assert!(second.end().0.success());
        let third = begin(world, THIRD, "60s");
        only(world, Far);
        let (code, said) = run(world, &["rollback"]);
        assert_eq!(code, Some(0), "{said}");
        only(world, Client(2));
        assert!(is_clean(world));
        let (status, said) = third.end();
        assert_eq!(status.code(), Some(TAKEN_BACK), "{said}");
        // The trial was no step: one more goes back behind the second.
        let (code, said) = run(world, &["rollback"]);
        assert_eq!(code, Some(0), "{said}");
        only(world, Client(1));

        let third = begin(world, THIRD, "60s");
        let (code, said) = run(world, &["remove"]);
        assert_eq!(code, Some(0), "{said}");
        nothing(world);
        assert_eq!(third.end().0.code(), Some(TAKEN_BACK));
        let (code, said) = run(world, &["rollback"]);
        assert_eq!(code, Some(0), "{said}");
        only(world, Client(1));
    });
}

#[test]
fn a_trial_that_is_over_is_no_step_back() {
    in_world("meaning::trial::a_trial_that_is_over_is_no_step_back", |world| {
        world.apply(FIRST);
        world.apply(SECOND);
        let third = begin(world, THIRD, "5s");
        third.signal(libc::SIGKILL);
        third.end();
        wait_for(world, Client(2));
        // What is left of it is taken away, and no policy with it.
        let (code, said) = run(world, &["rollback"]);
        assert_eq!(code, Some(0), "{said}");
        only(world, Client(2));
        assert!(is_clean(world));
        let (code, said) = run(world, &["rollback"]);
        assert_eq!(code, Some(0), "{said}");
        only(world, Client(1));
    });
}

#[test]
fn what_stays_keeps_handle_and_counters_through_trial_and_confirm() {
    in_world("meaning::trial::what_stays_keeps_handle_and_counters_through_trial_and_confirm", |world| {
        let policy = |last| {
            format!(
                "external = 'ext0'\ndefault = 'drop'\n[[rule]]\nallow = '8080/udp'\nfrom = [@1]\n[[rule]]\nallow = '8080/udp'\nfrom = [@{last}]"
            )
        };
        world.apply(&policy(2));
        only_udp(world, &[Client(1), Client(2)]);
        let before = rules(world, Family::Ip, "DOCKGATE-OUTSIDE");
        let trial = begin(world, &policy(3), "60s");
        // Two packets that the rule counts on trial.
        only_udp(world, &[Client(1)]);
        let counted = rules(world, Family::Ip, "DOCKGATE-OUTSIDE");
        assert_eq!(counted, before);
        run(world, &["confirm"]);
        assert!(trial.end().0.success());
        let after = rules(world, Family::Ip, "DOCKGATE-OUTSIDE");
        // The first and the default stay; between them one goes, and one comes.
        assert_eq!((after.len(), &after[0], &after[2]), (3, &before[0], &before[2]));
        assert_ne!((after[1].0, &after[1].2), (before[1].0, &before[1].2));
        assert_eq!(before[0].1.packets, 1);
    });
}

#[track_caller]
fn only_udp(world: &World, who: &[Who]) {
    let exchange = |&from: &Who| super::world::Exchange { from, to: To::Host(8080), protocol: dockgate::model::Protocol::UDP, fate: Pass };
    world.check_each("", &who.iter().map(exchange).collect::<Vec<_>>());
}

/// The rules of a chain: handle, counters, and what they say.
fn rules(world: &mut World, family: Family, chain: &str) -> Vec<(Handle, Counters, String)> {
    let name = ChainName::for_iptables(chain).unwrap();
    let ruleset = Ruleset::read(world.gate.netlink(), family, Which::Of(&name)).unwrap();
    let rules = ruleset.chain(chain).unwrap().rules();
    rules.iter().map(|entry| (entry.handle, entry.counters.unwrap(), entry.rule().unwrap().to_string())).collect()
}

#[test]
fn the_kernel_needs_nobody_to_go_back() {
    in_world("meaning::trial::the_kernel_needs_nobody_to_go_back", |world| {
        world.apply(FIRST);
        world.gate.try_out(&compiled(SECOND), Duration::from_secs(8)).unwrap();
        assert!(world.gate.status().unwrap().iter().all(|status| status.trial.is_some()));
        only(world, Client(2));
        wait_for(world, Client(1));
        only(world, Client(1));
        let trial = world.gate.status().unwrap()[0].trial.clone().unwrap();
        assert_eq!(trial.left, Duration::ZERO);
    });
}
