//! Tells the linker which functions to put side by side: `.cargo/short.ld` says which, and why.

use std::{env::var, fs, io, path::Path};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=.cargo/short.ld");
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let of = |key| var(key).unwrap_or_default();
    // Here the linker is known (rustc's own lld, for musl the one of the C compiler); whoever chose
    // another one goes without, as not all read such files.
    let at_home = ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"].contains(&&*of("TARGET"));
    let flags = of("CARGO_ENCODED_RUSTFLAGS");
    let chosen = var("RUSTC_LINKER").is_ok() || ["linker", "fuse-ld"].iter().any(|word| flags.contains(word));
    if at_home && !chosen {
        // Cargo finds what is in there also when the folder has been moved.
        let script = Path::new(&of("OUT_DIR")).join("short.ld");
        fs::write(&script, include_str!(".cargo/short.ld"))?;
        println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    }
    Ok(())
}
