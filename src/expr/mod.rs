//! The nf_tables expressions that iptables-nft writes, one file each, as borrowed values: reading
//! copies nothing, writing allocates nothing. What is not known here is [`Unknown`], kept whole.
//!
//! `Display` is libnftnl's notation: `[ payload load 4b @ network header + 12 => reg 1 ]`.
//! Source: `net/netfilter/nft_*.c`, `include/uapi/linux/netfilter/nf_tables.h`.

mod bitwise;
mod cmp;
mod compat;
mod condition;
mod counter;
mod immediate;
mod limit;
mod log;
mod meta;
mod payload;
mod range;
mod unknown;

pub use bitwise::Bitwise;
pub use cmp::{Cmp, CmpOp};
pub use compat::Xt;
pub use condition::{Condition, Field, Item, Operand, fold};
pub use counter::Counter;
pub use immediate::{Immediate, Verdict};
pub use limit::Limit;
pub use log::Log;
pub use meta::{Meta, MetaSet};
pub use payload::{Base, Payload};
pub use range::Range;
pub use unknown::Unknown;

use std::fmt;

use crate::{
    attr::{self, Attr, Attrs, Malformed, Writer},
    uapi::*,
};

/// One expression of a rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expr<'a> {
    /// Loads bytes of the packet.
    Payload(Payload),
    /// Loads what the kernel knows of the packet.
    Meta(Meta),
    /// Stores into what the kernel knows of the packet.
    MetaSet(MetaSet),
    /// Masks a register.
    Bitwise(Bitwise<'a>),
    /// Compares a register.
    Cmp(Cmp<'a>),
    /// Compares a register with a range.
    Range(Range<'a>),
    /// Counts packets and bytes.
    Counter(Counter),
    /// A verdict, or data for a register.
    Immediate(Immediate<'a>),
    /// A token bucket.
    Limit(Limit),
    /// Logs to a netlink group.
    Log(Log<'a>),
    /// An xt match.
    Match(Xt<'a>),
    /// An xt target.
    Target(Xt<'a>),
    /// Anything else.
    Unknown(Unknown<'a>),
}

impl<'a> Expr<'a> {
    /// Reads the content of one `NFTA_LIST_ELEM`.
    ///
    /// # Errors
    /// [`Malformed`] where it has no name, or one without a NUL at its end. Attributes that we don't
    /// know make it [`Unknown`].
    #[inline]
    pub fn read(element: &'a [u8]) -> Result<Self, Malformed> {
        let mut name = None;
        let mut data: &[u8] = &[];
        for attr in Attrs::new(element) {
            match attr? {
                Attr { kind: NFTA_EXPR_NAME, payload } => name = Some(payload),
                Attr { kind: NFTA_EXPR_DATA, payload } => data = payload,
                _ => return Err(Malformed),
            }
        }
        let name = name.ok_or(Malformed)?;
        match Self::read_known(name, data) {
            Some(expr) => Ok(expr),
            None => Ok(Self::Unknown(Unknown { name: attr::terminated(name).ok_or(Malformed)?, data })),
        }
    }

    /// By the name's bytes with their NUL: most expressions are one of these, and need no more.
    fn read_known(name: &[u8], data: &'a [u8]) -> Option<Self> {
        Some(match name {
            b"payload\0" => Self::Payload(Payload::read(data)?),
            b"cmp\0" => Self::Cmp(Cmp::read(data)?),
            b"counter\0" => Self::Counter(Counter::read(data)?),
            b"immediate\0" => Self::Immediate(Immediate::read(data)?),
            b"meta\0" => Meta::read(data).map(Self::Meta).or_else(|| MetaSet::read(data).map(Self::MetaSet))?,
            b"match\0" => Self::Match(Xt::read(data)?),
            b"target\0" => Self::Target(Xt::read(data)?),
            b"bitwise\0" => Self::Bitwise(Bitwise::read(data)?),
            b"range\0" => Self::Range(Range::read(data)?),
            b"limit\0" => Self::Limit(Limit::read(data)?),
            b"log\0" => Self::Log(Log::read(data)?),
            _ => return None,
        })
    }

    /// The name under which the kernel has it.
    pub fn name(&self) -> &'a str {
        match self {
            Self::Payload(_) => Payload::NAME,
            Self::Meta(_) | Self::MetaSet(_) => Meta::NAME,
            Self::Bitwise(_) => Bitwise::NAME,
            Self::Cmp(_) => Cmp::NAME,
            Self::Range(_) => Range::NAME,
            Self::Counter(_) => Counter::NAME,
            Self::Immediate(_) => Immediate::NAME,
            Self::Limit(_) => Limit::NAME,
            Self::Log(_) => Log::NAME,
            Self::Match(_) => "match",
            Self::Target(_) => "target",
            Self::Unknown(unknown) => unknown.name,
        }
    }

    /// Appends it as one `NFTA_LIST_ELEM`.
    pub fn write(&self, w: &mut Writer<'_>) {
        w.nest(NFTA_LIST_ELEM, |w| {
            w.string(NFTA_EXPR_NAME, self.name());
            if let Self::Unknown(unknown) = self {
                return w.bytes(NFTA_EXPR_DATA, unknown.data);
            }
            w.nest(NFTA_EXPR_DATA, |w| match self {
                Self::Payload(e) => e.write(w),
                Self::Meta(e) => e.write(w),
                Self::MetaSet(e) => e.write(w),
                Self::Bitwise(e) => e.write(w),
                Self::Cmp(e) => e.write(w),
                Self::Range(e) => e.write(w),
                Self::Counter(e) => e.write(w),
                Self::Immediate(e) => e.write(w),
                Self::Limit(e) => e.write(w),
                Self::Log(e) => e.write(w),
                Self::Match(e) | Self::Target(e) => e.write(w),
                Self::Unknown(_) => {}
            });
        });
    }
}

/// Reads the content of `NFTA_RULE_EXPRESSIONS` into `out`.
///
/// # Errors
/// [`Malformed`]; `out` then holds what came before.
pub fn read_all<'a>(list: &'a [u8], out: &mut Vec<Expr<'a>>) -> Result<(), Malformed> {
    for element in Attrs::new(list) {
        let Attr { kind: NFTA_LIST_ELEM, payload } = element? else { return Err(Malformed) };
        out.push(Expr::read(payload)?);
    }
    Ok(())
}

/// Copies the content of `NFTA_RULE_EXPRESSIONS` as it came, but for the counters, which become 0.
pub fn copy_zeroed(list: &[u8], w: &mut Writer<'_>) {
    for Attr { payload, .. } in Attrs::new(list).flatten() {
        match Expr::read(payload) {
            Ok(Expr::Counter(_)) => Expr::Counter(Counter::default()).write(w),
            _ => w.bytes(NFTA_LIST_ELEM, payload),
        }
    }
}

impl fmt::Display for Expr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload(e) => e.fmt(f),
            Self::Meta(e) => e.fmt(f),
            Self::MetaSet(e) => e.fmt(f),
            Self::Bitwise(e) => e.fmt(f),
            Self::Cmp(e) => e.fmt(f),
            Self::Range(e) => e.fmt(f),
            Self::Counter(e) => e.fmt(f),
            Self::Immediate(e) => e.fmt(f),
            Self::Limit(e) => e.fmt(f),
            Self::Log(e) => e.fmt(f),
            Self::Match(e) => write!(f, "[ match {e} ]"),
            Self::Target(e) => write!(f, "[ target {e} ]"),
            Self::Unknown(e) => e.fmt(f),
        }
    }
}

/// Bytes as libnftnl prints a register's content: `0x` and the bytes as they are on the wire.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `NFTA_DATA_VALUE` inside of an attribute.
fn read_value(nest: &[u8]) -> Option<&[u8]> {
    attr::table::<2>(nest).ok()?[NFTA_DATA_VALUE as usize]
}

/// What may be missing, but not be anything else; the outer `None` is that.
fn optional<'a, T>(payload: Option<&'a [u8]>, read: impl FnOnce(&'a [u8]) -> Option<T>) -> Option<Option<T>> {
    payload.map_or(Some(None), |payload| read(payload).map(Some))
}

fn write_value(w: &mut Writer<'_>, kind: u16, value: &[u8]) {
    w.nest(kind, |w| w.bytes(NFTA_DATA_VALUE, value));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: &[Expr<'static>] = &[
        Expr::Payload(Payload { dreg: 1, base: Base::Network, offset: 12, len: 4 }),
        Expr::Meta(Meta { dreg: 1, key: NFT_META_IIFNAME }),
        Expr::MetaSet(MetaSet { sreg: 9, key: NFT_META_NFTRACE }),
        Expr::Bitwise(Bitwise { sreg: 1, dreg: 1, mask: &[255, 0], xor: &[0, 0] }),
        Expr::Cmp(Cmp { sreg: 1, op: CmpOp::Neq, value: &[10, 1, 2, 3] }),
        Expr::Range(Range { sreg: 1, negated: true, from: &[0, 80], to: &[0, 90] }),
        Expr::Counter(Counter(crate::model::Counters { packets: 3, bytes: 180 })),
        Expr::Immediate(Immediate::Verdict(Verdict::Jump("FOO"))),
        Expr::Immediate(Immediate::Verdict(Verdict::Drop)),
        Expr::Immediate(Immediate::Value { dreg: 9, value: &[1] }),
        Expr::Limit(Limit { rate: 3, unit: 60, burst: 5 }),
        Expr::Log(Log { group: 2, prefix: Some("x: "), snaplen: None, qthreshold: Some(3) }),
        Expr::Match(Xt { name: "comment", revision: 0, info: &[97; 8] }),
        Expr::Target(Xt { name: "MARK", revision: 2, info: &[1; 8] }),
        Expr::Unknown(Unknown { name: "ct", data: &[8, 0, 1, 0, 0, 0, 0, 1] }),
    ];

    #[test]
    fn every_expression_reads_back() {
        for expr in SAMPLES {
            let mut buf = Vec::new();
            let mut w = Writer::new(&mut buf);
            expr.write(&mut w);
            let mut read = Vec::new();
            read_all(&buf, &mut read).unwrap();
            assert_eq!(read, [*expr]);
        }
    }

    #[test]
    fn the_notation_is_libnftnls() {
        let text: Vec<_> = SAMPLES.iter().map(ToString::to_string).collect();
        assert_eq!(
            text.join("\n"),
            "[ payload load 4b @ network header + 12 => reg 1 ]
[ meta load iifname => reg 1 ]
[ meta set nftrace with reg 9 ]
[ bitwise reg 1 = ( reg 1 & 0xff00 ) ^ 0x0000 ]
[ cmp neq reg 1 0x0a010203 ]
[ range neq reg 1 0x0050 0x005a ]
[ counter pkts 3 bytes 180 ]
[ immediate reg 0 jump -> FOO ]
[ immediate reg 0 drop ]
[ immediate reg 9 0x01 ]
[ limit rate 3/minute burst 5 type packets ]
[ log prefix \"x: \" group 2 q-threshold 3 ]
[ match name comment rev 0 0x6161616161616161 ]
[ target name MARK rev 2 0x0101010101010101 ]
[ ct 0x0800010000000001 ]"
        );
    }
}
