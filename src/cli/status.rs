//! `dockgate status`

use std::{fmt, time::SystemTime};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::{
    ExitCode, Global,
    difference::number,
    done::identity,
    faults, host,
    look::Look,
    policy::{date, look},
    report::{self, Failure},
};
use crate::{
    docker::{Guarded, Jump},
    live::{History, HistoryError, Record, Status, Trial},
    marks::TABLE,
};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// `dockgate status`
pub fn run(global: &Global) -> Result<(), Failure> {
    let mut host = look()?;
    let status = host.status().map_err(|error| report::netlink(&error))?;
    let shown: Vec<&Status> = status.iter().filter(|status| global.families().contains(&status.family)).collect();
    let steps = Steps::read(host.history());
    if global.json {
        let families: Vec<Value> = shown.iter().map(|status| json(status)).collect();
        let changed = steps.records.first().map(|record| record.when);
        let whole = json!({
            "changed": changed, "steps_back": steps.records.len(), "history": steps.usable.word(), "history_faults": steps.wrong,
            "families": families,
        });
        report::print(&format!("{whole}\n"))?;
    } else {
        let look = Look::of_stdout();
        let families: String = shown.iter().map(|status| text(status, look)).collect();
        report::print(&(families + &steps.to_string()))?;
    }
    let sound = shown.iter().all(|status| status.faults.is_empty()) && steps.usable != Usable::Broken;
    if sound { Ok(()) } else { Err(Failure::silent(ExitCode::Pending)) }
}

/// The changes that can be taken back, the latest first, and what is wrong with the history. What holds is
/// known from the kernel all the same.
struct Steps {
    records: Vec<Record>,
    wrong: Vec<String>,
    usable: Usable,
}

/// Can `rollback` and `confirm` use the history?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usable {
    Yes,
    /// Root can; this process may not look.
    ByRoot,
    /// Nobody can, as it is.
    Broken,
}

impl Usable {
    /// In JSON; these stay.
    const fn word(self) -> &'static str {
        match self {
            Self::Yes => "ok",
            Self::ByRoot => "not-root",
            Self::Broken => "broken",
        }
    }
}

impl Steps {
    fn read(history: &History) -> Self {
        let mut steps = Self { records: Vec::new(), wrong: Vec::new(), usable: Usable::Yes };
        let all = history.records().unwrap_or_else(|error| {
            steps.usable = if matches!(error, HistoryError::NotRoot(_)) { Usable::ByRoot } else { Usable::Broken };
            vec![Err(error)]
        });
        for record in all {
            match record {
                Ok(record) => steps.records.push(record),
                Err(error) => steps.wrong.push(error.to_string()),
            }
        }
        steps
    }
}

impl fmt::Display for Steps {
    /// When it was changed last, and how far it can be taken back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(last) = self.records.first() {
            let known = number(self.records.len(), "step back");
            writeln!(f, "last changed {}; {known} known (dockgate rollback --list)", date(last.when))?;
        }
        self.wrong.iter().try_for_each(|wrong| writeln!(f, "history: {wrong}"))?;
        match self.usable {
            Usable::Broken => {
                writeln!(f, "history: so `dockgate apply`, `confirm`, `rollback` and `remove` are refused until this is mended")
            }
            Usable::Yes | Usable::ByRoot => Ok(()),
        }
    }
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
    if status.faults.is_empty() && status.is_wanted() && !status.legacy_known {
        say(Style::new(), "as written", ", but it is not known whether it is in force");
        say(Style::new(), "note", &format!(": {}", host::LEGACY_UNKNOWN));
    } else if status.faults.is_empty() && status.identity.is_some() {
        say(good, "sound", ": DOCKER-USER begins with the jump to it, and its rules are as they were written");
    } else if status.faults.is_empty() && status.is_wanted() {
        say(good, "sound", ": nothing accepts packets before DOCKER-USER is asked");
    }
    if let (true, Jump::At(number)) = (status.is_wanted() && status.faults.is_empty(), status.docker_user) {
        say(Style::new(), "note", &format!(": DOCKER-USER is rule {number} of FORWARD; none before it accepts what it stops"));
    }
    if let Some(trial) = &status.trial {
        let others = if is_of_other_senders(status, trial) { " (other senders)" } else { "" };
        let policy = trial.identity.as_ref().map_or_else(String::new, |identity| format!(": policy {identity}{others}"));
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

/// Has the policy on trial the name and the rules of the deployed one, and looks up other senders?
fn is_of_other_senders(status: &Status, trial: &Trial) -> bool {
    trial.identity.is_some() && trial.identity == status.identity && trial.senders_hash != status.senders_hash
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn json(status: &Status) -> Value {
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
        "senders_hash": status.senders_hash,
        "legacy_known": status.legacy_known,
        "packets": status.counters.map(|counters| counters.packets),
        "bytes": status.counters.map(|counters| counters.bytes),
        "trial": status.trial.as_ref().map(|trial| json!({
            "policy": trial.identity.as_ref().map(identity),
            "senders_hash": trial.senders_hash,
            "other_senders": is_of_other_senders(status, trial),
            "until": seconds_since_1970() + trial.seconds_left(),
            "seconds_left": trial.seconds_left(),
            "disturbed": trial.disturbed,
        })),
    })
}
