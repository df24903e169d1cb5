//! `dockgate print`

use super::report::{self, Failure};
use crate::policy::SCHEMA;

/// What an installation, an editor or a shell needs.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Printed {
    /// The JSON Schema of policy files, for editors
    Schema,
}

/// `dockgate print`
pub fn run(what: Printed) -> Result<(), Failure> {
    match what {
        Printed::Schema => report::print(SCHEMA),
    }
}
