use std::fmt;

use crate::{
    attr::{self, Writer},
    uapi::*,
};

/// `[ limit rate RATE/UNIT burst BURST type packets ]`: matches while there are tokens.
///
/// Only the plain form that iptables writes: packets, not inverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Packets a unit.
    pub rate: u64,
    /// Seconds in the unit: 1, 60, 3600, 86400 (or 604800).
    pub unit: u64,
    /// Packets that may come at once.
    pub burst: u32,
}

impl Limit {
    pub(super) const NAME: &'static str = "limit";

    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let t = attr::table::<6>(data).ok()?;
        let zero = |kind: u16| t[kind as usize].is_none_or(|value| value == [0; 4]);
        if !zero(NFTA_LIMIT_TYPE) || !zero(NFTA_LIMIT_FLAGS) {
            return None;
        }
        Some(Self {
            rate: attr::be64(t[NFTA_LIMIT_RATE as usize]?)?,
            unit: attr::be64(t[NFTA_LIMIT_UNIT as usize]?)?,
            burst: attr::be32(t[NFTA_LIMIT_BURST as usize]?)?,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.be64(NFTA_LIMIT_RATE, self.rate);
        w.be64(NFTA_LIMIT_UNIT, self.unit);
        w.be32(NFTA_LIMIT_BURST, self.burst);
        w.be32(NFTA_LIMIT_TYPE, 0);
        w.be32(NFTA_LIMIT_FLAGS, 0);
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[ limit rate {}/", self.rate)?;
        match self.unit {
            1 => f.write_str("second")?,
            60 => f.write_str("minute")?,
            3_600 => f.write_str("hour")?,
            86_400 => f.write_str("day")?,
            604_800 => f.write_str("week")?,
            unit => write!(f, "{unit}s")?,
        }
        write!(f, " burst {} type packets ]", self.burst)
    }
}
