use std::fmt;

use super::ipv6_options::Ipv6Options;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Family,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m dst`: options for the packet's receiver (the destination header). Kernel:
/// `net/ipv6/netfilter/ip6t_hbh.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dst {
    options: Ipv6Options,
}

impl Extension for Dst {
    const NAME: &'static str = "dst";
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const SUMMARY: &'static str = "options for the packet's receiver";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("dst-len", &["BYTES"], "the length of the whole header, a multiple of 8").negates(),
        opt("dst-opts", &["TYPE[:LENGTH][,…]"], "it begins with these options, in this order"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m dst -j DROP"),
        Example::same("-m dst --dst-len 0 -j DROP"),
        Example::ok("-m dst --dst-opts 201:16 ! --dst-len 0x18 -j DROP", "-m dst ! --dst-len 24 --dst-opts 201:16 -j DROP"),
        Example::same("-m dst --dst-opts 1:4,201 -j DROP"),
        Example::fails("-m dst --dst-len long -j DROP", "this must be a number from 0 to 4294967295"),
        Example::fails("-m dst --dst-opts 201:256 -j DROP", "`256` is not a number from 0 to 255"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        Ok(Self { options: Ipv6Options::parse(args)? })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.options.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        Some(Self { options: Ipv6Options::from_xt(cursor.take_match(Self::NAME, 0)?)? })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.list(f, Self::NAME)
    }
}

impl fmt::Display for Dst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.save(f, Self::NAME)
    }
}
