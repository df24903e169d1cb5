//! The program as its users meet it: words, exit codes, what it prints, and what stands in the
//! kernel afterwards.

mod create;
mod errors;
mod foreign;
pub mod host;
mod output;
mod restore;
mod same;

use dockgate::model::Family;

use crate::support::{Done, call, dockgate, run};

/// Takes all away and makes the table what `text` says; nothing if that is empty.
fn state(family: Family, text: &str) {
    run("nft", "flush ruleset");
    if !text.is_empty() {
        iptables(family, "-restore", "-c", text).ok();
    }
}

/// Runs `iptables` or `ip6tables`, or with `-restore`, `-save` behind it.
fn iptables(family: Family, program: &str, line: &str, input: &str) -> Done {
    call(&format!("{}{program}", family.command()), line, input)
}

/// Runs `dockgate iptables` or `dockgate ip6tables`.
fn ours(family: Family, line: &str) -> Done {
    dockgate(&format!("{} {line}", family.command()), "")
}

/// What `iptables-save -c` prints, without the time.
fn saved(family: Family) -> String {
    crate::support::uncommented(&iptables(family, "-save", "-c", "").ok())
}

/// Runs nft.
fn nft(line: &str) -> Done {
    call("nft", line, "")
}

/// Runs nft's own text.
fn nft_text(text: &str) {
    call("nft", "-f -", text).ok();
}

/// All that is there, with handles and counters.
fn ruleset() -> String {
    nft("-a list ruleset").ok()
}
