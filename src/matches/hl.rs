use std::fmt;

use super::hops::{self, Hops};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Family,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m hl`: an IPv6 packet's hop limit, which each router takes 1 from. Kernel: `net/netfilter/xt_hl.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hl {
    hops: Hops,
}

impl Extension for Hl {
    const NAME: &'static str = "hl";
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const SUMMARY: &'static str = "the hop limit of an IPv6 packet";
    const OPTIONS: &'static [OptionSpec] = hops::options!("hl");
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m hl --hl-eq 1 -j DROP"),
        Example::ok("-m hl --hl 0x40 -j DROP", "-m hl --hl-eq 64 -j DROP"),
        Example::same("-m hl ! --hl-eq 255 -j DROP"),
        Example::same("-m hl --hl-gt 1 -m hl --hl-lt 5 -j DROP"),
        Example::fails("-m hl -j DROP", "needs `--hl-eq`, `--hl-lt` or `--hl-gt`"),
        Example::fails("-m hl --hl-gt 1 --hl-lt 5 -j DROP", "one of these is enough"),
        Example::fails("-m hl ! --hl-lt 5 -j DROP", "`--hl-lt` can't be negated"),
        Example::fails("-m hl --hl-eq 256 -j DROP", "this must be a number from 0 to 255"),
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
        self.hops.list(f, "HL")
    }
}

impl fmt::Display for Hl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hops.save(f, Self::NAME)
    }
}
