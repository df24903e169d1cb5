//! What rules cost a packet, in every shape that they can have: written into a TUN device, it is
//! routed and filtered within the `write(2)`. Each host is in a network namespace of its own; beside
//! every one the same packets go through one without rules, in turn, and the difference is printed
//! and kept for `cargo bench --bench report`. Criterion's own figures are those of the whole way.
//!
//! `cargo bench --bench packets`, or a part of it: `-- addresses/v4`; with `--test` or `--quick`
//! small sizes alone.

mod addresses;
mod matches;
mod mixed;
mod parts;
mod stage;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "each benchmark takes a part of it")]
mod support;

use criterion::Criterion;
use dockgate::{
    lab::{self, Userns},
    model::Family,
};
use stage::Stage;

fn main() {
    let criterion = Criterion::default().configure_from_args();
    let stage = lab::enter(Userns::WhenNeeded).map_err(Into::into).and_then(|()| Stage::build(criterion));
    let mut stage = match stage {
        Ok(stage) => stage,
        Err(error) => return println!("SKIPPED the packets: {error}"),
    };
    if let Some(error) = stage.no_tun() {
        println!("{error}: the packets go over veth");
    }
    let quick = std::env::args().any(|arg| arg == "--test" || arg == "--quick");
    matches::run(&mut stage, if quick { 100 } else { 1000 });
    parts::run(&mut stage, quick);
    for family in Family::BOTH {
        let ports: &[usize] = if quick { &[10] } else { &[1, 10, 100] };
        ports.iter().for_each(|&ports| mixed::run(&mut stage, family, ports));
        ports.iter().for_each(|&ports| mixed::everybody(&mut stage, family, ports));
        let sizes: &[usize] = if quick { &[0, 10, 100] } else { &[0, 1, 10, 100, 1000, 10_000, 100_000] };
        sizes.iter().for_each(|&size| addresses::measure(&mut stage, family, size));
    }
    stage.finish();
}
