//! Its model of iptables' reader, beside what four versions of iptables read from encodings that none
//! of them writes (`alternative_encodings` in `fixtures/iptables-encodings.json`).

use dockgate::{
    attr::Writer,
    audit::{self, Lost, Version},
    expr::read_all,
    extension::Context,
    model::Dialect,
    rule::{Reader, Reading},
};

use crate::encodings::{VERSIONS, bytes, family, fixture, sets, write};

/// Encodings that iptables prints as another rule than they are; for 1.8.7 there are more, all those
/// of which it leaves out a test.
const ANOTHER: &[(&str, Lost)] = &[
    ("sport,dport 4-byte NEQ (1.8.8-1.8.10 bug)", Lost::Negation),
    ("saddr gte/lte", Lost::Comparison),
    ("saddr+daddr 8B", Lost::Wide),
    ("two saddr (and)", Lost::Twice),
    ("icmp type native NEQ", Lost::Negation),
    ("accept after target LOG", Lost::Target),
    ("ip6 proto nh@6", Lost::Appears),
];

#[test]
fn it_reads_other_encodings_as_each_iptables_does() {
    let fixture = fixture();
    let (mut compared, mut wrong) = (0, Vec::new());
    for (name, case) in fixture["alternative_encodings"].as_object().unwrap() {
        let mut list = Vec::new();
        let mut w = Writer::new(&mut list);
        if !case["exprs"].as_array().unwrap().iter().all(|expr| write(expr, &mut w)) {
            // The number of an interface: what iptables prints is its name.
            assert_eq!(name, "iif index");
            continue;
        }
        let userdata = case["userdata"].as_str().map(|_| bytes(&case["userdata"]));
        let (family, sets) = (family(case), sets());
        let mut exprs = Vec::new();
        read_all(&list, &mut exprs).unwrap();
        for (version, dialect) in VERSIONS {
            let seen = audit::read(&exprs, family, Version::of(dialect).unwrap());
            let context = Context { family, dialect: Dialect::D, sets: &sets };
            let said = match (&seen.incompatible, seen.error) {
                (Some(_), _) => "incompatible".to_owned(),
                (None, Some(error)) => format!("Error: {error}"),
                (None, None) => match Reader::default().read(&seen.list, userdata.as_deref(), context).0 {
                    Reading::Rule(rule) => rule.to_string(),
                    Reading::Foreign => "can't be told".to_owned(),
                },
            };
            let theirs = case["read"][version]["S"].as_str().unwrap();
            compared += 1;
            // Of what no part is lost nothing is said: what iptables prints is right.
            let agree = if said == "can't be told" {
                seen.lost.is_empty()
            } else if theirs.starts_with("ERR") {
                theirs.contains(&said)
            } else {
                theirs == said
            };
            if !agree {
                wrong.push(format!("{version} {name}: we say `{said}`, iptables `{theirs}`"));
            }
            if version != "1.8.7" && !theirs.starts_with("ERR") {
                let expected = ANOTHER.iter().find(|(known, _)| known == name).map(|(_, lost)| lost);
                if seen.lost.first() != expected {
                    wrong.push(format!("{version} {name}: lost is {:?}", seen.lost));
                }
            }
            if version == "1.8.7" && !theirs.starts_with("ERR") {
                // It leaves out a test if and only if a later one prints more, or otherwise.
                let later = case["read"]["1.8.13"]["S"].as_str().unwrap();
                let another = theirs != later || ANOTHER.iter().any(|(known, lost)| known == name && *lost != Lost::Appears);
                if another == seen.lost.is_empty() && name != "ip6 proto nh@6" {
                    wrong.push(format!("{version} {name}: lost is {:?}", seen.lost));
                }
            }
        }
    }
    println!("{compared} readings compared");
    assert!(compared > 200);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
