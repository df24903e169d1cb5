use std::fmt;

use super::hops::{self, Hops};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Family,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m ttl`: an IPv4 packet's time to live, which each router takes 1 from. Kernel: `net/netfilter/xt_hl.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    hops: Hops,
}

impl Extension for Ttl {
    const NAME: &'static str = "ttl";
    const FAMILIES: &'static [Family] = &[Family::Ip];
    const SUMMARY: &'static str = "the time to live of an IPv4 packet";
    const OPTIONS: &'static [OptionSpec] = hops::options!("ttl");
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m ttl --ttl-eq 1 -j DROP"),
        Example::ok("-m ttl --ttl 0x40 -j DROP", "-m ttl --ttl-eq 64 -j DROP"),
        Example::same("-m ttl ! --ttl-eq 255 -j DROP"),
        Example::same("-m ttl --ttl-gt 1 -m ttl --ttl-lt 5 -j DROP"),
        Example::fails("-m ttl -j DROP", "needs `--ttl-eq`, `--ttl-lt` or `--ttl-gt`"),
        Example::fails("-m ttl --ttl-gt 1 --ttl-lt 5 -j DROP", "one of these is enough"),
        Example::fails("-m ttl ! --ttl-lt 5 -j DROP", "`--ttl-lt` can't be negated"),
        Example::fails("-m ttl --ttl-eq 256 -j DROP", "this must be a number from 0 to 255"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        Ok(Self { hops: Hops::parse(args, Self::NAME)? })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        self.hops.linearize(Self::NAME, out);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        Some(Self { hops: Hops::delinearize(Self::NAME, cursor)? })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hops.list(f, "TTL")
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hops.save(f, Self::NAME)
    }
}
