use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Family,
    syntax::{Args, Example, OptionSpec, SyntaxError},
};

/// `-m eui64`: the source address ends in the sender's Ethernet address. Kernel:
/// `net/ipv6/netfilter/ip6t_eui64.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eui64;

impl Extension for Eui64 {
    const NAME: &'static str = "eui64";
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const SUMMARY: &'static str = "the source address ends in the sender's Ethernet address";
    const OPTIONS: &'static [OptionSpec] = &[];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m eui64 -j ACCEPT"),
        Example::fails("-m eui64 --eui64 -j ACCEPT", "there is no option `--eui64`"),
    ];

    fn parse(_args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        Ok(Self)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &[0; 8]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        (cursor.take_match(Self::NAME, 0)? == &[0; 8]).then_some(Self)
    }

    /// Nothing: iptables doesn't print it there.
    fn list(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl fmt::Display for Eui64 {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
