//! The arguments: what there is to say, and which words are iptables' own.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{
    Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{bench, exit, print, trial};
use crate::{
    apply::Options,
    model::{Dialect, Family},
    policy::Strategy,
};

/// Guards the containers of a Docker host: writes DOCKER-USER over netlink, one transaction a change.
#[derive(Debug, Parser)]
#[command(name = "dockgate", version, about, disable_help_subcommand = true, after_help = exit::help())]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of all commands.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Global {
    /// Work in this network namespace: a name of `ip netns`, a path, or a process id
    #[arg(long, value_name = "NAME|PATH|PID", global = true)]
    pub(super) netns: Option<String>,
    /// IPv4 alone
    #[arg(short = '4', long, conflicts_with = "ipv6", global = true)]
    pub(super) ipv4: bool,
    /// IPv6 alone
    #[arg(short = '6', long, global = true)]
    pub(super) ipv6: bool,
    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Say more; twice: every message to the kernel
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(super) verbose: u8,
    /// Have the kernel check everything, print what would be done, and change nothing
    #[arg(long, global = true)]
    pub(super) dry_run: bool,
    /// Write rules as this range of iptables versions does; audit: judge by it [default: the host's
    /// iptables, where its rules tell, else portable]
    #[arg(long, value_enum, global = true)]
    pub(super) dialect: Option<DialectArg>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum DialectArg {
    /// Up to 1.8.7
    #[value(name = "1.8.7")]
    A,
    /// 1.8.8 and 1.8.9
    #[value(name = "1.8.9")]
    B,
    /// 1.8.10 and later
    #[value(name = "1.8.11")]
    D,
    /// Read rightly by all
    Portable,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// iptables' own words: -A -I -R -D -C -S -L -F -Z -N -X -E, on DOCKER-USER and on chains of yours
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Iptables {
        /// As iptables takes them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORDS")]
        words: Vec<OsString>,
    },
    /// The same for IPv6
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Ip6tables {
        /// As ip6tables takes them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORDS")]
        words: Vec<OsString>,
    },
    /// DOCKER-USER and what it jumps to, in order: counters, handles, rules; foreign ones are marked
    List,
    /// What others wrote that iptables misreads, refuses or loses, or that makes Docker lose its jump to
    /// DOCKER-USER: rule, owner, what goes wrong, the cure; exit code 1 if there is anything
    Audit,
    /// Print what dockgate may write, as iptables-save does
    Save {
        /// With the counters
        #[arg(short, long)]
        counters: bool,
    },
    /// Make the chains of a text by iptables-save what it says, in one transaction for both families
    Restore {
        /// The text [default: standard input]
        file: Option<PathBuf>,
        /// New rules begin with the counters of the text
        #[arg(short, long)]
        counters: bool,
        /// Chains without a line `:NAME` keep their rules; the new ones come behind
        #[arg(short, long)]
        noflush: bool,
    },
    /// Is a policy sound, and do its tests pass? Says all that is wrong with it; asks no kernel, needs no root
    Check {
        /// Files, folders (all in them that ends in .toml), or - for standard input
        #[arg(required = true, value_name = "POLICY")]
        policy: Vec<PathBuf>,
        /// Do not run the policy's tests
        #[arg(long)]
        skip_tests: bool,
    },
    /// What would a policy change here? As a difference; exit code 5 if there is something to do
    Plan {
        /// Files, or folders of files that end in .toml
        #[arg(required = true, value_name = "POLICY")]
        policy: Vec<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    /// Make a policy hold, in one transaction for both families
    Apply {
        /// Files, or folders of files that end in .toml
        #[arg(required = true, value_name = "POLICY")]
        policy: Vec<PathBuf>,
        #[command(flatten)]
        how: How,
        /// On trial for so long: unless `dockgate confirm` comes, what stands now holds again
        #[arg(long, value_name = "TIME", value_parser = trial::parse_length)]
        confirm: Option<Duration>,
    },
    /// Keep the policy that is on trial; from a connection opened after it was applied
    Confirm {
        /// Whatever connection this is
        #[arg(long)]
        here: bool,
    },
    /// Go back to what stood before the last change; end a trial
    Rollback {
        /// So many changes
        #[arg(default_value = "1", value_parser = clap::value_parser!(u64).range(1..=20))]
        steps: u64,
        /// Show the changes that are known
        #[arg(short, long)]
        list: bool,
    },
    /// Take everything of dockgate's away; rules by `dockgate iptables` stay
    Remove,
    /// Which policy holds, whether somebody changed its rules, whether packets come to it
    Status,
    /// Print a file that an editor, a shell or an installation needs
    Print {
        /// Which
        #[arg(value_enum, value_name = "WHAT")]
        what: print::Printed,
    },
    /// Show it all in a throw-away network: no root, no Docker
    Demo,
    /// Measure what rules, and a policy, cost a packet on this machine, in throw-away namespaces
    Bench {
        /// Files, or folders of files that end in .toml
        #[arg(value_name = "POLICY")]
        policy: Vec<PathBuf>,
        #[command(flatten)]
        how: How,
        /// Take about so long
        #[arg(long, default_value = "15", value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
        /// These parts alone: packets (what rules in a row cost one), changes (of rules), policy
        #[arg(long, value_name = "PART", value_delimiter = ',', value_enum, hide_possible_values = true)]
        only: Vec<bench::Part>,
    },
}

/// How a policy becomes rules.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct How {
    /// How many senders are told from each other: tree (rules alone), set (sets in a table of dockgate's own, and a
    /// mark), auto; instead of what the policy says of it
    #[arg(long, value_name = "STRATEGY", value_parser = strategy())]
    pub(super) strategy: Option<Strategy>,
    /// Do not run the policy's tests; else nothing is done if one of them fails
    #[arg(long)]
    pub(super) skip_tests: bool,
}

fn strategy() -> impl TypedValueParser<Value = Strategy> {
    let words = Strategy::WORDS;
    PossibleValuesParser::new(words.map(|(word, _)| word))
        .map(move |text| words.into_iter().find(|(word, _)| *word == text).map_or_else(Strategy::default, |(_, strategy)| strategy))
}

impl Global {
    pub(super) fn families(&self) -> &'static [Family] {
        match (self.ipv4, self.ipv6) {
            (true, _) => &[Family::Ip],
            (_, true) => &[Family::Ip6],
            _ => &Family::BOTH,
        }
    }

    pub(super) fn only(&self) -> Option<Family> {
        match self.families() {
            [one] => Some(*one),
            _ => None,
        }
    }

    pub(super) fn options(&self) -> Options {
        let dialect = self.dialect.map(|dialect| match dialect {
            DialectArg::A => Dialect::A,
            DialectArg::B => Dialect::B,
            DialectArg::D => Dialect::D,
            DialectArg::Portable => Dialect::Portable,
        });
        Options { dialect, dry_run: self.dry_run }
    }
}

/// `dockgate iptables -A …`: what clap would make of it, without clap, which takes a tenth of the
/// time that such a command has. `None`: not that simple.
pub(super) fn in_short(args: &[OsString]) -> Option<(Family, &[OsString])> {
    let [_, command, words @ ..] = args else { return None };
    // Options of dockgate's own are long here, and come first.
    let first = words.first()?.as_encoded_bytes();
    if !matches!(first, [b'-', letter, ..] if *letter != b'-') {
        return None;
    }
    Family::BOTH.into_iter().find(|family| command == family.command()).map(|family| (family, words))
}

/// Puts `--` in front of iptables' words, so that its `-v`, `-4` and `-6` are not taken for ours:
/// `dockgate iptables -v -S`. Our own long options may still stand behind the command.
pub(super) fn separate(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let long = |arg: &OsString| ["--json", "--dry-run", "--verbose"].iter().any(|known| arg == known);
    let with_value = |arg: &OsString| ["--netns", "--dialect"].iter().any(|known| arg == known);
    let joined = |arg: &OsString| arg.to_str().is_some_and(|arg| arg.starts_with("--netns=") || arg.starts_with("--dialect="));
    let mut at = 1;
    let mut ours = false;
    while let Some(arg) = args.get(at) {
        match arg.to_str() {
            Some("iptables" | "ip6tables") if !ours => ours = true,
            _ if with_value(arg) => at += 1,
            _ if long(arg) || joined(arg) => {}
            Some(other) if !ours && other.starts_with('-') => {}
            _ => break,
        }
        at += 1;
    }
    if ours && at <= args.len() {
        args.insert(at, "--".into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_iptables_are_its_own() {
        for (line, expected) in [
            ("dockgate iptables -v -S", "dockgate iptables -- -v -S"),
            ("dockgate -v iptables -4 -S", "dockgate -v iptables -- -4 -S"),
            ("dockgate --netns iptables ip6tables -L", "dockgate --netns iptables ip6tables -- -L"),
            (
                "dockgate iptables --json --netns=x --dialect portable -S -v",
                "dockgate iptables --json --netns=x --dialect portable -- -S -v",
            ),
            ("dockgate iptables", "dockgate iptables --"),
            ("dockgate iptables --netns", "dockgate iptables --netns"),
            ("dockgate list -v", "dockgate list -v"),
            ("dockgate -4 save -c", "dockgate -4 save -c"),
        ] {
            let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(separate(words(line)), words(expected));
        }
        let cli = Cli::try_parse_from(separate(["dockgate", "iptables", "--dry-run", "-v", "-S"].map(OsString::from))).unwrap();
        assert!(cli.global.dry_run && cli.global.verbose == 0);
        assert!(matches!(cli.command, Command::Iptables { words } if words == ["-v", "-S"]));
    }

    #[test]
    fn what_is_read_in_short_is_read_as_clap_reads_it() {
        for line in [
            "iptables -A DOCKER-USER -s 10.0.0.0/8 -j DROP",
            "ip6tables -D DOCKER-USER 3",
            "iptables -S",
            "iptables -L --json --dry-run --netns x -4 -v -h",
            "iptables -ADOCKER-USER -- --json",
            "ip6tables -v -4 -L",
            "iptables -A",
        ] {
            let args: Vec<OsString> = std::iter::once("dockgate").chain(line.split(' ')).map(OsString::from).collect();
            let (family, words) = in_short(&args).expect(line);
            let words = words.to_vec();
            let command = if family == Family::Ip { Command::Iptables { words } } else { Command::Ip6tables { words } };
            let short = Cli { global: Global::default(), command };
            let long = Cli::try_parse_from(separate(args)).expect(line);
            assert_eq!(format!("{short:?}"), format!("{long:?}"));
        }
        for line in ["iptables", "iptables --json -L", "-v iptables -L", "list -4", "iptables --append", "iptables -"] {
            let args: Vec<OsString> = std::iter::once("dockgate").chain(line.split(' ')).map(OsString::from).collect();
            assert!(in_short(&args).is_none(), "{line}");
        }
    }
}
