//! `replay FILE`: sends the transaction in the file to the kernel, and that is all: what a program
//! that loads rules takes at least, its start included. `compare` in `benches/peers` measures with it.

#[path = "support/raw.rs"]
mod raw;

use std::{error::Error, fs, io::IoSlice};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: replay FILE")?;
    let bytes = fs::read(path)?;
    match raw::Raw::open(bytes.len())?.commit(&[IoSlice::new(&bytes)])? {
        0 => Err("the kernel said nothing: the transaction was not committed".into()),
        _ => Ok(()),
    }
}
