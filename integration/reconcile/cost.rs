//! Whether a chain is edited or written anew.

use dockgate::{
    model::{ChainName, Counters, Family},
    plan::{
        Plan, Step,
        ours::{Ours, reconcile},
    },
    ruleset::Ruleset,
    save::{SavedChain, SavedRule},
};

use super::policies::compiled;
use crate::table::{carry_out, rule, ruleset};

fn steps(table: &mut Ruleset, desired: &Ours) -> Vec<Step> {
    let mut plan = Plan::default();
    reconcile(table, desired, &mut plan, &mut Vec::new()).unwrap();
    carry_out(std::slice::from_mut(table), &plan);
    plan.steps
}

fn count(steps: &[Step], kind: fn(&Step) -> bool) -> usize {
    steps.iter().filter(|step| kind(step)).count()
}

/// How many rules go and come one by one.
fn edits(steps: &[Step]) -> [usize; 2] {
    [count(steps, |step| matches!(step, Step::DeleteRule { .. })), count(steps, |step| matches!(step, Step::Rule(_)))]
}

/// One chain of 10,000 rules; the one in the middle is for another address.
fn chain(first: u32, odd: &str) -> Ours {
    let address = |n: u32| if n == first + 5_000 { odd.to_owned() } else { format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255) };
    let saved =
        |n: u32| SavedRule { rule: rule(&format!("-s {} -j DROP", address(n)), Family::Ip), counters: Counters::default(), line: 0 };
    let name = ChainName::from_kernel("DOCKGATE").unwrap();
    let chains = vec![SavedChain { name, declared: true, rules: (first..first + 10_000).map(saved).collect() }];
    let jump = SavedRule { rule: rule("-j DOCKGATE", Family::Ip), counters: Counters::default(), line: 0 };
    Ours { chains, jump: Some(jump), marks: None }
}

#[test]
fn one_rule_of_many_is_exchanged_and_another_policy_is_written_anew() {
    let mut table = ruleset(Family::Ip, Vec::new());
    steps(&mut table, &chain(0, "192.0.2.1"));
    let changed = steps(&mut table, &chain(0, "192.0.2.2"));
    assert_eq!((changed.len(), edits(&changed)), (2, [1, 1]));
    let other = chain(100_000, "192.0.2.3");
    let changed = steps(&mut table, &other);
    assert!(matches!(&changed[..], [Step::Flush(..), Step::Append { rules, .. }] if rules.len() == 10_000));
    assert!(steps(&mut table, &other).iter().all(|step| step.messages() == 0));
}

#[test]
fn one_address_of_a_policy_of_many_is_a_change_of_few_rules() {
    let policy = |odd: &str| {
        let addresses: String = (0..10_000).map(|n: u32| format!("\"10.{}.{}.7\",", n >> 8, n & 255)).collect();
        Ours::desired(
            &compiled(&format!("external = \"eth0\"\ndefault = \"drop\"\n[[rule]]\nallow = \"443/tcp\"\nfrom = [\"{odd}\",{addresses}]\n")),
            Family::Ip,
        )
    };
    let mut table = ruleset(Family::Ip, Vec::new());
    steps(&mut table, &policy("10.39.20.8"));
    let changed = steps(&mut table, &policy("10.39.20.9"));
    // The jump, which names the policy, and the address.
    assert_eq!((changed.len(), edits(&changed)), (4, [2, 2]), "{changed:?}");
}
