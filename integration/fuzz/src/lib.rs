//! What the fuzz targets share. The laws themselves are in `integration/never_crashes`, where the
//! tests have them too.

pub mod mutate;
#[path = "../../never_crashes/mod.rs"]
pub mod never_crashes;
pub mod seeds;
