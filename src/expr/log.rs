use std::fmt;

use super::optional;
use crate::{
    attr::{self, Writer},
    uapi::*,
};

/// `[ log prefix P group G snaplen S q-threshold Q ]`: a copy of the packet to a netlink group.
///
/// Only with a group: the form that iptables writes for NFLOG. The kernel's own log is another
/// thing, which iptables does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Log<'a> {
    /// The group.
    pub group: u16,
    /// Text before the packet.
    pub prefix: Option<&'a str>,
    /// Bytes of the packet copied.
    pub snaplen: Option<u32>,
    /// Packets gathered before a message is sent.
    pub qthreshold: Option<u16>,
}

impl<'a> Log<'a> {
    pub(super) const NAME: &'static str = "log";

    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let t = attr::table::<5>(data).ok()?;
        let be16 = |payload: &[u8]| Some(u16::from_be_bytes(payload.try_into().ok()?));
        Some(Self {
            group: be16(t[NFTA_LOG_GROUP as usize]?)?,
            prefix: optional(t[NFTA_LOG_PREFIX as usize], attr::terminated)?,
            snaplen: optional(t[NFTA_LOG_SNAPLEN as usize], attr::be32)?,
            qthreshold: optional(t[NFTA_LOG_QTHRESHOLD as usize], be16)?,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.be16(NFTA_LOG_GROUP, self.group);
        if let Some(prefix) = self.prefix {
            w.string(NFTA_LOG_PREFIX, prefix);
        }
        if let Some(snaplen) = self.snaplen {
            w.be32(NFTA_LOG_SNAPLEN, snaplen);
        }
        if let Some(qthreshold) = self.qthreshold {
            w.be16(NFTA_LOG_QTHRESHOLD, qthreshold);
        }
    }
}

impl fmt::Display for Log<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[ log ")?;
        if let Some(prefix) = self.prefix {
            write!(f, "prefix {prefix:?} ")?;
        }
        write!(f, "group {} ", self.group)?;
        if let Some(snaplen) = self.snaplen {
            write!(f, "snaplen {snaplen} ")?;
        }
        if let Some(qthreshold) = self.qthreshold {
            write!(f, "q-threshold {qthreshold} ")?;
        }
        f.write_str("]")
    }
}
