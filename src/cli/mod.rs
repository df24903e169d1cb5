//! The command line: arguments become a command, a command ends in an [`ExitCode`]. The only module
//! that prints: data on stdout, talk on stderr.

mod args;
mod audit;
mod bench;
mod check;
mod demo;
mod difference;
mod done;
mod exit;
mod faults;
mod help;
mod host;
mod iptables;
mod list;
mod look;
mod output;
mod policy;
mod print;
mod report;
mod restore;
mod session;
mod status;
mod trial;
pub mod words;

pub use exit::{EXIT_CODES_AND_CHANGES, ExitCode, exit_codes_as_markdown};
pub use report::{Failure, Source};

use std::ffi::OsString;

use clap::Parser as _;

use crate::{lab::Netns, model::Family};
use args::{Cli, Command, Global, How, in_short, separate};

/// Runs the command that these arguments (the program's name first) are.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    output::secure();
    let args: Vec<OsString> = args.into_iter().collect();
    match in_short(&args) {
        Some((family, words)) => end(iptables::run(family, words, &Global::default())),
        None => at_length(args),
    }
}

// Cold keeps it, and with it all of clap, out of `run` and the pages that `-A` touches.
#[cold]
fn at_length(args: Vec<OsString>) -> ExitCode {
    match Cli::try_parse_from(separate(args)) {
        Ok(cli) => {
            trace(cli.global.verbose);
            end(dispatch(&cli))
        }
        Err(error) => {
            let text = error.render().to_string();
            // Help and version are no errors.
            match error.use_stderr() {
                true => end(Err(Failure::printed(ExitCode::Usage, text))),
                false => end(report::print(&text)),
            }
        }
    }
}

fn end(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => output::ending(ExitCode::Success, false),
        Err(failure) => {
            failure.print();
            output::ending(failure.code(), !failure.is_silent())
        }
    }
}

fn dispatch(cli: &Cli) -> Result<(), Failure> {
    match &cli.global.netns {
        None => perform(cli),
        Some(target) => {
            let inside = Netns::open(target).and_then(|netns| netns.run(|| perform(cli)));
            inside.map_err(|error| {
                let failure = Failure::new(ExitCode::Resource, error.to_string());
                error.hint().iter().fold(failure, |failure, hint| failure.hint(hint))
            })?
        }
    }
}

fn perform(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Iptables { words } => iptables::run(Family::Ip, words, &cli.global),
        Command::Ip6tables { words } => iptables::run(Family::Ip6, words, &cli.global),
        Command::List => list::run(&cli.global),
        Command::Audit => audit::run(&cli.global),
        Command::Save { counters } => restore::save(&cli.global, *counters),
        Command::Check { policy, skip_tests } => check::run(&cli.global, policy, *skip_tests),
        Command::Plan { policy, how } => policy::plan(&cli.global, policy, *how),
        Command::Apply { policy, how, confirm: None } => policy::apply(&cli.global, policy, *how),
        Command::Apply { policy, how, confirm: Some(length) } => trial::apply(&cli.global, policy, *how, *length),
        Command::Confirm { here } => trial::confirm(&cli.global, *here),
        Command::Rollback { steps, list } => trial::rollback(&cli.global, usize::try_from(*steps).unwrap_or(usize::MAX), *list),
        Command::Remove => policy::remove(&cli.global),
        Command::Status => status::run(&cli.global),
        Command::Print { what } => print::run(*what),
        Command::Demo => demo::run(&cli.global),
        Command::Bench { policy, how, seconds, only } => bench::run(&cli.global, policy, *how, *seconds, only),
        Command::Restore { file, counters, noflush } => restore::run(&cli.global, file.as_deref(), *counters, *noflush),
    }
}

fn trace(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::ERROR,
        1 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    if verbose > 0 {
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(|| output::Talk);
        subscriber.with_target(false).with_ansi(false).without_time().init();
    }
}
