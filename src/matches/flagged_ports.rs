//! Tests of ports as the structs of SCTP and DCCP begin with them, with flags that say which are
//! tested: there every port is a test too, and printed.

use std::fmt;

use super::ports::{ANY, Ports};
use crate::{
    model::Test,
    syntax::{Given, SyntaxError, port_range},
};

/// `XT_SCTP_SRC_PORTS`, `XT_DCCP_SRC_PORTS`
pub const SOURCE: u16 = 1;
/// `XT_SCTP_DEST_PORTS`, `XT_DCCP_DEST_PORTS`
pub const DESTINATION: u16 = 2;

/// Takes `--source-port` or `--destination-port`.
///
/// # Errors
/// At the word.
pub fn take(ports: &mut Ports, given: &Given<'_>) -> Result<(), SyntaxError> {
    let test = Some(Test { negated: given.negated, value: port_range(&given.values[0])? });
    match given.name() {
        "source-port" => ports.source = test,
        _ => ports.destination = test,
    }
    Ok(())
}

/// How the structs begin (`dpts[2]`, `spts[2]`), and the bits of `flags` and `invflags`.
pub fn to_xt(ports: Ports) -> ([u8; 8], u16, u16) {
    let (mut bytes, mut flags, mut invflags) = ([0; 8], 0, 0);
    for (at, test, bit) in [(0, ports.destination, DESTINATION), (4, ports.source, SOURCE)] {
        let Some(Test { negated, value: (low, high) }) = test else { continue };
        flags |= bit;
        invflags |= if negated { bit } else { 0 };
        bytes[at..at + 2].copy_from_slice(&low.to_ne_bytes());
        bytes[at + 2..at + 4].copy_from_slice(&high.to_ne_bytes());
    }
    (bytes, flags, invflags)
}

/// From those, other bits of the flags not looked at; `None` if a range runs backwards.
pub fn from_xt([a, b, c, d, e, f, g, h]: [u8; 8], flags: u16, invflags: u16) -> Option<Ports> {
    let test = |low, high, bit| {
        let value = (u16::from_ne_bytes(low), u16::from_ne_bytes(high));
        (flags & bit != 0).then_some(Test { negated: invflags & bit != 0, value })
    };
    let ports = Ports { source: test([e, f], [g, h], SOURCE), destination: test([a, b], [c, d], DESTINATION) };
    ports.run_forward().then_some(ports)
}

/// Prints what `iptables -n -L` does, with a blank before each.
pub fn list(ports: Ports, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let tests = |test: &Test<_>| test.negated || test.value != ANY;
    Ports { source: ports.source.filter(tests), destination: ports.destination.filter(tests) }.list(f)
}
