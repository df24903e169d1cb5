//! The command line; see `dockgate --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dockgate::cli::run(std::env::args_os()).into()
}
