//! What the benchmarks share: rules to work on, lists of addresses in every shape, a ruleset in a
//! namespace of its own to put them into, others to be compared with, and what was found.

pub mod experiment;
pub mod process;
pub mod records;
pub mod samples;
pub mod session;
pub mod shapes;
pub mod workload;
pub mod world;
