use std::fmt;

use crate::{
    attr::{self, Writer},
    uapi::*,
};

/// `[ meta load KEY => reg DREG ]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The register loaded into.
    pub dreg: u32,
    /// `NFT_META_…`.
    pub key: u32,
}

/// `[ meta set KEY with reg SREG ]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MetaSet {
    /// The register stored from.
    pub sreg: u32,
    /// `NFT_META_…`.
    pub key: u32,
}

impl Meta {
    pub(super) const NAME: &'static str = "meta";

    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let t = attr::table::<3>(data).ok()?;
        Some(Self { dreg: attr::be32(t[NFTA_META_DREG as usize]?)?, key: attr::be32(t[NFTA_META_KEY as usize]?)? })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.be32(NFTA_META_KEY, self.key);
        w.be32(NFTA_META_DREG, self.dreg);
    }
}

impl MetaSet {
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let t = attr::table::<4>(data).ok()?;
        if t[NFTA_META_DREG as usize].is_some() {
            return None;
        }
        Some(Self { sreg: attr::be32(t[NFTA_META_SREG as usize]?)?, key: attr::be32(t[NFTA_META_KEY as usize]?)? })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.be32(NFTA_META_KEY, self.key);
        w.be32(NFTA_META_SREG, self.sreg);
    }
}

/// The keys' names in libnftnl's order (`src/expr/meta.c`), which is the kernel's.
const KEYS: [&str; 33] = [
    "len",
    "protocol",
    "priority",
    "mark",
    "iif",
    "oif",
    "iifname",
    "oifname",
    "iiftype",
    "oiftype",
    "skuid",
    "skgid",
    "nftrace",
    "rtclassid",
    "secmark",
    "nfproto",
    "l4proto",
    "bri_iifname",
    "bri_oifname",
    "pkttype",
    "cpu",
    "iifgroup",
    "oifgroup",
    "cgroup",
    "prandom",
    "secpath",
    "iifkind",
    "oifkind",
    "bri_iifpvid",
    "bri_iifvproto",
    "time",
    "day",
    "hour",
];

struct Key(u32);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KEYS.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "key {}", self.0),
        }
    }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[ meta load {} => reg {} ]", Key(self.key), self.dreg)
    }
}

impl fmt::Display for MetaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[ meta set {} with reg {} ]", Key(self.key), self.sreg)
    }
}
