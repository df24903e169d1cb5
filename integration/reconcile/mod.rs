//! From one policy to the next, whatever stands there: without a kernel, with it, and as programs.

mod churn;
mod cost;
mod in_force;
mod kernel;
mod killed;
mod policies;
mod processes;
mod properties;
mod sessions;
mod sets;
mod state;
mod trials;

use std::{fs, path::PathBuf};

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}
