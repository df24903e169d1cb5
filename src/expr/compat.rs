use std::fmt;

use super::Hex;
use crate::{
    attr::{self, Writer},
    uapi::*,
};

/// An xt match or target: `name NAME rev REVISION` and its struct.
///
/// `info` has `XT_ALIGN(sizeof(struct), 8)` bytes on 64-bit hosts, the padding 0.
/// Source: `net/netfilter/nft_compat.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Xt<'a> {
    /// The extension's name in the kernel.
    pub name: &'a str,
    /// Which layout of its struct.
    pub revision: u32,
    /// The struct.
    pub info: &'a [u8],
}

impl<'a> Xt<'a> {
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let t = attr::table::<4>(data).ok()?;
        Some(Self {
            name: attr::terminated(t[NFTA_MATCH_NAME as usize]?)?,
            revision: attr::be32(t[NFTA_MATCH_REV as usize]?)?,
            info: t[NFTA_MATCH_INFO as usize]?,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.string(NFTA_MATCH_NAME, self.name);
        w.be32(NFTA_MATCH_REV, self.revision);
        w.bytes(NFTA_MATCH_INFO, self.info);
    }

    /// The struct's bytes if this is `name` in that revision with `N` bytes.
    pub fn info<const N: usize>(&self, name: &str, revision: u32) -> Option<&'a [u8; N]> {
        if self.name != name || self.revision != revision {
            return None;
        }
        self.info.try_into().ok()
    }
}

impl fmt::Display for Xt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name {} rev {} {}", self.name, self.revision, Hex(self.info))
    }
}
