//! What the benchmarks share: rules to work on, and a ruleset in a namespace of its own to put them
//! into.

pub mod workload;
pub mod world;
