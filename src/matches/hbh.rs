use std::fmt;

use super::ipv6_options::Ipv6Options;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Family,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m hbh`: options for every node on the packet's way (the hop-by-hop header). Kernel:
/// `net/ipv6/netfilter/ip6t_hbh.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hbh {
    options: Ipv6Options,
}

impl Extension for Hbh {
    const NAME: &'static str = "hbh";
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const SUMMARY: &'static str = "options for every node on the packet's way";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("hbh-len", &["BYTES"], "the length of the whole header, a multiple of 8").negates(),
        opt("hbh-opts", &["TYPE[:LENGTH][,…]"], "it begins with these options, in this order"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m hbh -j DROP"),
        Example::same("-m hbh --hbh-len 8 --hbh-opts 5:2 -j DROP"),
        Example::ok("-m hbh --hbh-opts 0x5:2,194:0,4:255,0 ! --hbh-len 010 -j DROP", "-m hbh ! --hbh-len 8 --hbh-opts 5:2,194:0,4,0 -j DROP"),
        Example::same("-m hbh --hbh-opts 1:0,2:1,3:2,4:3,5:4,6:5,7:6,8:7,9:8,10:9,11:10,12:11,13:12,14:13,15:254,255 -j DROP"),
        Example::fails("-m hbh --hbh-len 4294967296 -j DROP", "this must be a number from 0 to 4294967295"),
        Example::fails("-m hbh --hbh-opts 5:2,256 -j DROP", "`256` is not a number from 0 to 255"),
        Example::fails("-m hbh --hbh-opts 5, -j DROP", "`` is not a number from 0 to 255"),
        Example::fails("-m hbh --hbh-opts 0:1 -j DROP", "an option of type 0 has no length: it is one byte"),
        Example::fails("-m hbh --hbh-opts 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1:1 -j DROP", "iptables takes no length for the 16th option"),
        Example::fails("-m hbh --hbh-opts 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1 -j DROP", "there can be 16 options at most"),
        Example::fails("-m hbh ! --hbh-opts 5 -j DROP", "`--hbh-opts` can't be negated"),
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

impl fmt::Display for Hbh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.save(f, Self::NAME)
    }
}
