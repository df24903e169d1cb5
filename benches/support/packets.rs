//! What the packet benchmarks take from here.

#[expect(dead_code, reason = "the report reads them")]
pub mod records;
#[expect(dead_code, reason = "rules are made of words here, and no transactions")]
pub mod workload;
