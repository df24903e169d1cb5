//! Says what is wrong before the linker does: libnftnl and libmnl come as shared libraries only,
//! and the configuration at the top of the repository makes programs static.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if features.split(',').any(|feature| feature == "crt-static") {
        println!("cargo::error=this can't be static: run it as `RUSTFLAGS= cargo run --release` in benches/peers");
    }
}
