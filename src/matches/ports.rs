//! Tests of the first four bytes of a transport header, source and destination port, for the
//! matches that have them.

use std::fmt;

use crate::{
    expr::{CmpOp, Condition, Field, Operand},
    extension::{Cursor, Linearizer},
    model::{Dialect, Test},
    syntax::{Given, SyntaxError, port_range},
};

/// Two ports, both ends included.
pub type PortRange = (u16, u16);

/// Every port.
pub const ANY: PortRange = (0, u16::MAX);

/// `--source-port` and `--destination-port`. Every port is `None`, as it tests nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ports {
    /// The sender's.
    pub source: Option<Test<PortRange>>,
    /// The receiver's.
    pub destination: Option<Test<PortRange>>,
}

/// The range behind an option, `None` if that is every port; `! 0:1024` becomes `1025:65535`.
///
/// # Errors
/// At the word.
pub fn parse(given: &Given<'_>) -> Result<Option<Test<PortRange>>, SyntaxError> {
    let value = port_range(&given.values[0])?;
    Ok((given.negated || value != ANY).then_some(upwards(Test { negated: given.negated, value })))
}

/// `1025:65535` for `! 0:1024`, as which iptables reads that back: with the words as typed, its own
/// `-C` and `-D` don't find its own rule.
fn upwards(test: Test<PortRange>) -> Test<PortRange> {
    match test {
        Test { negated: true, value: (0, high @ 1..=0xfffe) } => Test::is((high + 1, u16::MAX)),
        other => other,
    }
}

/// `struct xt_tcp` or `struct xt_udp`, its `invflags` at that place, with `upwards` ranges: what
/// iptables up to 1.8.7 writes for `! 0:1024` and what we do is then the same.
pub fn xt_upwards(mut info: [u8; 16], invflags: usize) -> [u8; 16] {
    let Some((bytes, _)) = info.split_first_chunk() else { return info };
    if let Some(ports) = Ports::from_xt(*bytes, info[invflags]) {
        let (bytes, bits) = ports.to_xt();
        info[..8].copy_from_slice(&bytes);
        info[invflags] = info[invflags] & !3 | bits;
    }
    info
}

impl Ports {
    /// Neither is tested.
    pub fn is_empty(&self) -> bool {
        self.source.is_none() && self.destination.is_none()
    }

    /// Does no range run backwards?
    pub fn run_forward(&self) -> bool {
        [self.source, self.destination].into_iter().flatten().all(|Test { value: (low, high), .. }| low <= high)
    }

    /// Are these tests as [`parse`] makes them?
    fn are_as_parsed(&self) -> bool {
        let is = |test: Test<PortRange>| upwards(test) == test && (test.negated || test.value != ANY);
        self.run_forward() && [self.source, self.destination].into_iter().flatten().all(is)
    }

    /// Takes in `other`'s tests where there are none.
    pub fn merge(&mut self, other: &Self) -> bool {
        let clash = |a: &Option<_>, b: &Option<_>| a.is_some() && b.is_some();
        if clash(&self.source, &other.source) || clash(&self.destination, &other.destination) {
            return false;
        }
        self.source = self.source.or(other.source);
        self.destination = self.destination.or(other.destination);
        true
    }

    /// The native expressions, as iptables 1.8.8 and later write them.
    ///
    /// Source: iptables `nft.c`, `add_nft_tcpudp`.
    pub fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        if let (Some(Test { negated: false, value: (source, same) }), Some(Test { negated: false, value: (destination, end) })) =
            (self.source, self.destination)
            && source != 0
            && destination != 0
            && source == same
            && destination == end
        {
            // [ payload load 4b @ transport header + 0 => reg 1 ] [ cmp eq reg 1 SOURCE DESTINATION ]
            let value = (u32::from(source) << 16 | u32::from(destination)).to_be_bytes();
            out.condition(Condition { field: Field::transport(0, 4), mask: None, operand: Operand::Value(CmpOp::Eq, &value) });
            return;
        }
        for (offset, test) in [(0, self.source), (2, self.destination)] {
            let Some(Test { negated, value: (low, high) }) = test else { continue };
            let (from, to) = (low.to_be_bytes(), high.to_be_bytes());
            let operand = match (low, high) {
                _ if low == high => Operand::Value(CmpOp::eq_unless(negated), &from),
                (0, ..=0xfffe) => Operand::Value(if negated { CmpOp::Gt } else { CmpOp::Lte }, &to),
                _ => Operand::Range { negated, from: &from, to: &to },
            };
            out.condition(Condition { field: Field::transport(offset, 2), mask: None, operand });
        }
    }

    /// Reads a native test of ports, if one is here and does not clash with what was read before.
    pub fn take(&mut self, cursor: &mut Cursor<'_, '_>) -> bool {
        cursor.take_condition(|condition| read_native(condition).filter(|read| read.are_as_parsed() && self.merge(read))).is_some()
    }

    /// How `struct xt_tcp` and `struct xt_udp` begin (`spts[2]`, `dpts[2]`), and their `invflags`.
    pub fn to_xt(self) -> ([u8; 8], u8) {
        let any = Test::is(ANY);
        let (source, destination) = (self.source.unwrap_or(any), self.destination.unwrap_or(any));
        let mut bytes = [0; 8];
        let numbers = [source.value.0, source.value.1, destination.value.0, destination.value.1];
        for (slot, port) in bytes.chunks_exact_mut(2).zip(numbers) {
            slot.copy_from_slice(&port.to_ne_bytes());
        }
        (bytes, u8::from(source.negated) | u8::from(destination.negated) << 1)
    }

    /// From those, other bits of `invflags` not looked at; `None` if a range runs backwards.
    pub fn from_xt([a, b, c, d, e, f, g, h]: [u8; 8], invflags: u8) -> Option<Self> {
        let test = |low, high, bit| {
            let (negated, value) = (invflags & bit != 0, (u16::from_ne_bytes(low), u16::from_ne_bytes(high)));
            (negated || value != ANY).then_some(upwards(Test { negated, value }))
        };
        let ports = Self { source: test([a, b], [c, d], 1), destination: test([e, f], [g, h], 2) };
        ports.run_forward().then_some(ports)
    }

    /// Does some test say that no port is right, so that only the xt extension writes it in every
    /// version? (iptables 1.8.8 to 1.8.10 drop the test.)
    pub fn never(&self, dialect: Dialect) -> bool {
        let never = |test: &Option<Test<PortRange>>| *test == Some(Test { negated: true, value: ANY });
        dialect == Dialect::B && (never(&self.source) || never(&self.destination))
    }

    /// The save form, with a blank behind each option but the last.
    pub fn save(&self, f: &mut fmt::Formatter<'_>, first: &mut bool) -> fmt::Result {
        for (test, name) in [(&self.source, "sport"), (&self.destination, "dport")] {
            if let Some(test) = test {
                space(f, first)?;
                write!(f, "{}--{name} {}", test.bang(), Colon(test.value))?;
            }
        }
        Ok(())
    }

    /// What `iptables -n -L` prints, with a blank before each.
    pub fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (test, name) in [(&self.source, "spt"), (&self.destination, "dpt")] {
            if let Some(Test { negated, value: (low, high) }) = test {
                let inverted = if *negated { "!" } else { "" };
                match low == high {
                    true => write!(f, " {name}:{inverted}{low}")?,
                    false => write!(f, " {name}s:{inverted}{low}:{high}")?,
                }
            }
        }
        Ok(())
    }
}

/// A blank, but not before the first option.
pub fn space(f: &mut fmt::Formatter<'_>, first: &mut bool) -> fmt::Result {
    if !std::mem::take(first) { f.write_str(" ") } else { Ok(()) }
}

/// `80` or `80:90`.
pub struct Colon<T>(pub (T, T));

impl<T: fmt::Display + PartialEq> fmt::Display for Colon<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            (low, high) if low == high => low.fmt(f),
            (low, high) => write!(f, "{low}:{high}"),
        }
    }
}

fn read_native(condition: &Condition<'_>) -> Option<Ports> {
    let Condition { field, mask: None, operand } = condition else { return None };
    let port = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.try_into().ok()?));
    if *field == Field::transport(0, 4) {
        let Operand::Value(CmpOp::Eq, &[a, b, c, d]) = *operand else { return None };
        let one = |port| Some(Test::is((port, port)));
        return Some(Ports { source: one(u16::from_be_bytes([a, b])), destination: one(u16::from_be_bytes([c, d])) });
    }
    let test = match *operand {
        Operand::Value(CmpOp::Eq, value) => Test::is((port(value)?, port(value)?)),
        Operand::Value(CmpOp::Neq, value) => Test { negated: true, value: (port(value)?, port(value)?) },
        Operand::Value(CmpOp::Lte, value) => Test::is((0, port(value)?)),
        Operand::Value(CmpOp::Gt, value) => Test { negated: false, value: (port(value)?.checked_add(1)?, u16::MAX) },
        Operand::Value(CmpOp::Lt, value) => Test::is((0, port(value)?.checked_sub(1)?)),
        Operand::Value(CmpOp::Gte, value) => Test::is((port(value)?, u16::MAX)),
        Operand::Range { negated, from, to } => Test { negated, value: (port(from)?, port(to)?) },
    };
    match *field {
        _ if *field == Field::transport(0, 2) => Some(Ports { source: Some(test), destination: None }),
        _ if *field == Field::transport(2, 2) => Some(Ports { source: None, destination: Some(test) }),
        _ => None,
    }
}
