use std::fmt;

use crate::{
    attr::{self, Writer},
    model::Counters,
    uapi::*,
};

/// `[ counter pkts N bytes N ]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counter(pub Counters);

impl Counter {
    pub(super) const NAME: &'static str = "counter";

    pub(super) fn read(data: &[u8]) -> Option<Self> {
        // The kernel pads 64-bit attributes with an empty one of type 3 where it must.
        let t = attr::table::<4>(data).ok()?;
        Some(Self(Counters {
            packets: attr::be64(t[NFTA_COUNTER_PACKETS as usize]?)?,
            bytes: attr::be64(t[NFTA_COUNTER_BYTES as usize]?)?,
        }))
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.be64(NFTA_COUNTER_BYTES, self.0.bytes);
        w.be64(NFTA_COUNTER_PACKETS, self.0.packets);
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[ counter pkts {} bytes {} ]", self.0.packets, self.0.bytes)
    }
}
