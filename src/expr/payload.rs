use std::fmt;

use crate::{
    attr::{self, Writer},
    uapi::*,
};

/// `[ payload load LENb @ BASE header + OFFSET => reg DREG ]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Payload {
    /// The register loaded into.
    pub dreg: u32,
    /// Which header.
    pub base: Base,
    /// Bytes from the header's beginning.
    pub offset: u32,
    /// The number of bytes.
    pub len: u32,
}

/// What a payload's offset counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Base {
    /// The link layer.
    LinkLayer,
    /// IPv4 or IPv6.
    Network,
    /// TCP, UDP, …
    Transport,
}

impl Payload {
    pub(super) const NAME: &'static str = "payload";

    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let t = attr::table::<5>(data).ok()?;
        Some(Self {
            dreg: attr::be32(t[NFTA_PAYLOAD_DREG as usize]?)?,
            base: match attr::be32(t[NFTA_PAYLOAD_BASE as usize]?)? {
                NFT_PAYLOAD_LL_HEADER => Base::LinkLayer,
                NFT_PAYLOAD_NETWORK_HEADER => Base::Network,
                NFT_PAYLOAD_TRANSPORT_HEADER => Base::Transport,
                _ => return None,
            },
            offset: attr::be32(t[NFTA_PAYLOAD_OFFSET as usize]?)?,
            len: attr::be32(t[NFTA_PAYLOAD_LEN as usize]?)?,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.be32(NFTA_PAYLOAD_DREG, self.dreg);
        w.be32(
            NFTA_PAYLOAD_BASE,
            match self.base {
                Base::LinkLayer => NFT_PAYLOAD_LL_HEADER,
                Base::Network => NFT_PAYLOAD_NETWORK_HEADER,
                Base::Transport => NFT_PAYLOAD_TRANSPORT_HEADER,
            },
        );
        w.be32(NFTA_PAYLOAD_OFFSET, self.offset);
        w.be32(NFTA_PAYLOAD_LEN, self.len);
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match self.base {
            Base::LinkLayer => "link",
            Base::Network => "network",
            Base::Transport => "transport",
        };
        write!(f, "[ payload load {}b @ {base} header + {} => reg {} ]", self.len, self.offset, self.dreg)
    }
}
