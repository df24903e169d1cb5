use std::fmt;

use crate::{
    expr::{Expr, Immediate, Item, MetaSet},
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError},
    uapi::{NFT_META_NFTRACE, NFT_REG32_01},
};

/// `-j TRACE`: has the kernel report every rule that the packet passes from here on, which
/// `xtables-monitor --trace` and `nft monitor trace` show; the next rule is then tried. Kernel:
/// `net/netfilter/nft_meta.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace;

impl Extension for Trace {
    const NAME: &'static str = "TRACE";
    const SUMMARY: &'static str = "has every rule reported that the packet passes from here on (`xtables-monitor --trace`)";
    const OPTIONS: &'static [OptionSpec] = &[];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-j TRACE"),
        Example::same("-p tcp -m multiport --dports 80,443 -j TRACE"),
        Example::fails("-j TRACE --set-mark 1", "`--set-mark` belongs to one of `-j CONNMARK`, `-j MARK`"),
    ];

    fn parse(_args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        Ok(Self)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // [ immediate reg 9 0x01 ] [ meta set nftrace with reg 9 ]
        out.push(Expr::Immediate(Immediate::Value { dreg: NFT_REG32_01, value: &[1] }));
        out.push(Expr::MetaSet(MetaSet { sreg: NFT_REG32_01, key: NFT_META_NFTRACE }));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        matches!(cursor.advance(), Some(Item::SetTrace)).then_some(Self)
    }

    fn list(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
