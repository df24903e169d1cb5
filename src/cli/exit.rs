use std::fmt::Write as _;

/// How a command ended, with the numbers of iptables (`include/xtables.h`, `enum xtables_exittype`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or found.
    Success = 0,
    /// Not found, or not to be written.
    Failure = 1,
    /// The words are wrong, or name what is not there.
    Usage = 2,
    /// This host's Docker does not filter here.
    Unsupported = 3,
    /// The kernel refused, there is no permission, or netfilter can't be reached.
    Resource = 4,
    /// `plan` has something to do; `status` found what is not as it should be, `list` that packets pass.
    Pending = 5,
    /// A policy on trial was not confirmed.
    TakenBack = 6,
    /// The policy is written, but something of the host keeps it from being in force.
    NotInForce = 7,
    /// Done, but what was to be printed could not be written.
    Unwritten = 8,
}

/// What holds of several of them; the help and the README say it below the list.
pub const EXIT_CODES_AND_CHANGES: &str = "With 1 to 5 nothing was changed, unless the message says otherwise (with 4 while `apply --confirm` waits, \
                                          the kernel ends the trial by itself all the same). With 6 what was on trial does not hold. With 7 and \
                                          8 the change was made, if one was asked for.";

impl ExitCode {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::Unsupported,
        Self::Resource,
        Self::Pending,
        Self::TakenBack,
        Self::NotInForce,
        Self::Unwritten,
    ];

    /// What it means, for people: the help and the README print this.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done, or found",
            Self::Failure => {
                "not found: no such rule, number, chain, step or trial; or a chain that dockgate does not write; `audit`: there is \
                 something that iptables does not understand"
            }
            Self::Usage => {
                "the words are wrong, or name a chain or an ipset that is not there; a policy has a mistake, or a test of it fails"
            }
            Self::Unsupported => "this host's Docker does not filter here (legacy iptables); `list` prints what there is all the same",
            Self::Resource => {
                "the kernel refused, there is no permission, netfilter can't be reached, or the steps back can't be read or written"
            }
            Self::Pending => {
                "`plan`: there is something to do; `status`: something is not as the policy says, keeps it from being in force, or keeps \
                 `rollback` and `confirm` from working; `list`: packets pass that `DOCKER-USER` should stop"
            }
            Self::TakenBack => {
                "a trial ended and its policy was not confirmed, or another trial took its place; the message says which policy is \
                 deployed: the one before it, or what another command made of it"
            }
            Self::NotInForce => {
                "the policy is written, but something of this host keeps it from being in force; `plan`, `--dry-run`: so it would be"
            }
            Self::Unwritten => {
                "done, but what was to be printed could not be written: the disk is full, or the output is closed (`>&-`); a pipe that \
                 nobody reads any more is no error"
            }
        }
    }
}

/// The end of `dockgate --help`.
pub(super) fn help() -> String {
    const WIDTH: usize = 96;
    let mut text = "Exit codes, as those of iptables, and four more:\n".to_owned();
    for code in ExitCode::ALL {
        write!(text, "  {}  ", code as u8).expect("a string takes everything");
        wrap(&mut text, code.meaning(), 5, WIDTH);
    }
    wrap(&mut text, EXIT_CODES_AND_CHANGES, 0, WIDTH);
    text.truncate(text.trim_end().len());
    text
}

/// The README's table.
pub fn exit_codes_as_markdown() -> String {
    let rows = ExitCode::ALL.into_iter().map(|code| format!("| {} | {} |\n", code as u8, code.meaning()));
    format!("| code | meaning |\n|---|---|\n{}\n{EXIT_CODES_AND_CHANGES}\n", rows.collect::<String>())
}

/// Appends words, in lines up to `width` that begin with `indent` blanks but for the first, which is begun already.
fn wrap(text: &mut String, words: &str, indent: usize, width: usize) {
    let mut column = indent;
    for (index, word) in words.split(' ').enumerate() {
        if index > 0 && column + 1 + word.len() > width {
            write!(text, "\n{:indent$}", "").expect("a string takes everything");
            column = indent;
        } else if index > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push('\n');
}
