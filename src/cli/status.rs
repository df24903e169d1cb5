//! `dockgate status`

use std::time::SystemTime;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::{
    ExitCode, Global,
    difference::number,
    faults,
    look::Look,
    policy::{date, look},
    report::{self, Failure},
};
use crate::{
    compile::Identity,
    docker::{Guarded, Jump},
    live::{History, Record, Status},
    marks::TABLE,
};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// `dockgate status`
pub fn run(global: &Global) -> Result<(), Failure> {
    let mut host = look()?;
    let status = host.status().map_err(|error| report::netlink(&error))?;
    let shown: Vec<&Status> = status.iter().filter(|status| global.families().contains(&status.family)).collect();
    if global.json {
        let (records, wrong) = known(host.history());
        let families: Vec<Value> = shown.iter().map(|status| json(status)).collect();
        let changed = records.first().map(|record| record.when);
        let whole = json!({ "changed": changed, "steps_back": records.len(), "history_faults": wrong, "families": families });
        report::print(&format!("{whole}\n"))?;
    } else {
        let look = Look::of_stdout();
        let families: String = shown.iter().map(|status| text(status, look)).collect();
        report::print(&(families + &changes(host.history())))?;
    }
    if shown.iter().all(|status| status.faults.is_empty()) { Ok(()) } else { Err(Failure::silent(ExitCode::Pending)) }
}

/// The changes that can be taken back, the latest first, and what is wrong with the history. What holds is
/// known from the kernel all the same.
fn known(history: &History) -> (Vec<Record>, Vec<String>) {
    let all = history.records().unwrap_or_else(|error| vec![Err(error)]);
    let (mut records, mut wrong) = (Vec::new(), Vec::new());
    for record in all {
        match record {
            Ok(record) => records.push(record),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    (records, wrong)
}

/// When it was changed last, and how far it can be taken back.
fn changes(history: &History) -> String {
    let (records, wrong) = known(history);
    let wrong: String = wrong.iter().map(|wrong| format!("history: {wrong}\n")).collect();
    let last = records.first().map_or_else(String::new, |last| {
        format!("last changed {}; {} known (dockgate rollback --list)\n", date(last.when), number(records.len(), "step back"))
    });
    last + &wrong
}

fn text(status: &Status, look: Look) -> String {
    let (good, bad) = (look.style(GOOD), look.style(BAD));
    let family = faults::family_name(status.family);
    let counts = || {
        let counters = status.counters.unwrap_or_default();
        let (rules, chains) = (number(status.rules, "rule"), number(status.chains, "chain"));
        let senders =
            status.senders.map_or_else(String::new, |senders| format!(", {} in {} {TABLE}", number(senders, "sender"), status.family));
        format!("{rules} in {chains}{senders}, {} came by", number(counters.packets, "packet"))
    };
    let mut text = match &status.identity {
        Some(identity) => format!("{family}  policy {identity}: {}\n", counts()),
        None if status.stands() => format!("{family}  a policy without its name: {}\n", counts()),
        None if status.guarded != Guarded::Nothing => {
            format!("{family}  no policy; {} of others in DOCKER-USER\n", number(status.others, "rule"))
        }
        None => format!("{family}  no policy\n"),
    };
    let mut say = |style: Style, word: &str, what: &str| text += &format!("      {style}{word}{style:#}{what}\n");
    for fault in &status.faults {
        say(bad, faults::label(fault), &format!(": {}", faults::words(fault, status.family, &status.hash)));
    }
    if status.faults.is_empty() && status.identity.is_some() {
        say(good, "sound", ": DOCKER-USER begins with the jump to it, and its rules are as they were written");
    } else if status.faults.is_empty() && status.is_wanted() {
        say(good, "sound", ": nothing accepts packets before DOCKER-USER is asked");
    }
    if let (true, Jump::At(number)) = (status.is_wanted() && status.faults.is_empty(), status.docker_user) {
        say(Style::new(), "note", &format!(": DOCKER-USER is rule {number} of FORWARD; none before it accepts what it stops"));
    }
    if let Some(trial) = &status.trial {
        let policy = trial.identity.as_ref().map_or_else(String::new, |identity| format!(": policy {identity}"));
        match trial.seconds_left() {
            0 => say(
                Style::new(),
                "a trial is over",
                &format!("{policy}; what was deployed before it decides again, and the next change takes the rest of it away"),
            ),
            left => say(
                bad,
                &format!("on trial for another {left} s"),
                &format!("{policy}; `dockgate confirm` keeps it, `dockgate rollback` ends it"),
            ),
        }
    }
    text
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn json(status: &Status) -> Value {
    let identity = |identity: &Identity| json!({ "name": identity.name, "hash": identity.hash });
    json!({
        "family": status.family.to_string(),
        "policy": status.identity.as_ref().map(identity),
        "hash": status.hash,
        "drift": status.has_drifted(),
        "faults": status.faults.iter().map(|fault| faults::as_json(fault, status.family, &status.hash)).collect::<Vec<_>>(),
        "jump": status.jump,
        "docker_user": match status.docker_user {
            Jump::NoChain => json!("missing"),
            Jump::Missing => json!("not reached"),
            Jump::First => json!(1),
            Jump::At(number) => json!(number),
        },
        "others": status.others,
        "chains": status.chains,
        "rules": status.rules,
        "senders": status.senders,
        "packets": status.counters.map(|counters| counters.packets),
        "bytes": status.counters.map(|counters| counters.bytes),
        "trial": status.trial.as_ref().map(|trial| json!({
            "policy": trial.identity.as_ref().map(identity),
            "until": seconds_since_1970() + trial.seconds_left(),
            "seconds_left": trial.seconds_left(),
        })),
    })
}
