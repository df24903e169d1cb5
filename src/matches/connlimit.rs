use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Family,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m connlimit`: how many connections an address, or a network, has at the moment. Kernel:
/// `net/netfilter/xt_connlimit.c`.
#[derive(Debug, Clone, Copy)]
pub struct Connlimit {
    /// More connections than `limit`; if not, up to so many.
    above: bool,
    limit: u32,
    /// Addresses are counted together that are the same in the mask's bits. Of IPv4's mask the struct
    /// has twelve bytes more. iptables fills them with ones if the mask was left out, else with zeros;
    /// the kernel ignores them, and so does `==`.
    mask: [u8; 16],
    /// How many bits of the mask are set; they all come first.
    prefix_len: u8,
    /// Counts by destination, not by source.
    destination: bool,
}

const INVERT: u32 = 1;
const DADDR: u32 = 2;

impl Extension for Connlimit {
    const NAME: &'static str = "connlimit";
    const SUMMARY: &'static str = "how many connections an address or a network has";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("connlimit-upto", &["NUMBER"], "so many connections or fewer").negates(),
        opt("connlimit-above", &["NUMBER"], "more connections").negates(),
        opt("connlimit-mask", &["BITS"], "the network's length; if left out, each address counts alone"),
        opt("connlimit-saddr", &[], "counts by the sender's address, as if left out"),
        opt("connlimit-daddr", &[], "counts by the receiver's address"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok(
            "-m connlimit --connlimit-above 10 -j DROP",
            "-m connlimit --connlimit-above 10 --connlimit-mask 32 --connlimit-saddr -j DROP",
        )
        .ip(),
        Example::ok(
            "-m connlimit --connlimit-above 10 -j DROP",
            "-m connlimit --connlimit-above 10 --connlimit-mask 128 --connlimit-saddr -j DROP",
        )
        .ip6(),
        Example::same("-m connlimit --connlimit-upto 3 --connlimit-mask 32 --connlimit-daddr -j ACCEPT"),
        Example::ok(
            "-m connlimit ! --connlimit-above 3 --connlimit-saddr --connlimit-mask 0x18 -j ACCEPT",
            "-m connlimit --connlimit-upto 3 --connlimit-mask 24 --connlimit-saddr -j ACCEPT",
        ),
        Example::ok(
            "-m connlimit ! --connlimit-upto 3 --connlimit-mask 0 -j DROP",
            "-m connlimit --connlimit-above 3 --connlimit-mask 0 --connlimit-saddr -j DROP",
        ),
        Example::same("-m connlimit --connlimit-above 4294967295 --connlimit-mask 65 --connlimit-daddr -j DROP").ip6(),
        Example::fails("-m connlimit --connlimit-mask 24 -j DROP", "needs `--connlimit-upto NUMBER` or `--connlimit-above NUMBER`"),
        Example::fails("-m connlimit --connlimit-upto 1 --connlimit-above 5 -j DROP", "`--connlimit-upto` and `--connlimit-above` don't go together"),
        Example::fails(
            "-m connlimit --connlimit-upto 1 --connlimit-saddr --connlimit-daddr -j DROP",
            "`--connlimit-saddr` and `--connlimit-daddr` don't go together",
        ),
        Example::fails("-m connlimit --connlimit-above 1 --connlimit-mask 33 -j DROP", "this must be a number from 0 to 32").ip(),
        Example::fails("-m connlimit --connlimit-above 1 --connlimit-mask 129 -j DROP", "this must be a number from 0 to 128").ip6(),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let bits = bits(args.family());
        let (mut limit, mut side) = (None, None);
        let (mut mask, mut prefix_len) = ([0xff; 16], bits);
        for given in args.by_ref() {
            match given.name() {
                "connlimit-mask" => {
                    prefix_len = number(&given.values[0], bits.into())? as u8;
                    mask = mask_of(prefix_len);
                }
                name @ ("connlimit-saddr" | "connlimit-daddr") => {
                    set_once(&mut side, name == "connlimit-daddr", &given, "`--connlimit-saddr` and `--connlimit-daddr`")?;
                }
                name => {
                    let value = ((name == "connlimit-above") != given.negated, number(&given.values[0], u32::MAX.into())? as u32);
                    set_once(&mut limit, value, &given, "`--connlimit-upto` and `--connlimit-above`")?;
                }
            }
        }
        let (above, limit) = limit.ok_or_else(|| args.error("needs `--connlimit-upto NUMBER` or `--connlimit-above NUMBER`"))?;
        Ok(Self { above, limit, mask, prefix_len, destination: side.unwrap_or(false) })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_connlimit_info: mask[4], u32 limit, u32 flags, data (the kernel's own, dumped as 0)
        let flags = if self.above { 0 } else { INVERT } | if self.destination { DADDR } else { 0 };
        let mut info = [0; 32];
        info[..16].copy_from_slice(&self.mask);
        info[16..20].copy_from_slice(&self.limit.to_ne_bytes());
        info[20..24].copy_from_slice(&flags.to_ne_bytes());
        out.xt_match(Self::NAME, 1, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let (mask, rest) = cursor.take_match::<32>(Self::NAME, 1)?.split_first_chunk()?;
        let &[a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0] = rest else { return None };
        let (limit, flags) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        let bits = bits(cursor.family());
        let prefix_len = (u128::from_be_bytes(*mask).leading_ones() as u8).min(bits);
        let whole = prefix_len == bits && *mask == [0xff; 16];
        (flags & !(INVERT | DADDR) == 0 && (whole || *mask == mask_of(prefix_len))).then_some(Self {
            above: flags & INVERT == 0,
            limit,
            mask: *mask,
            prefix_len,
            destination: flags & DADDR != 0,
        })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.destination { "dst" } else { "src" };
        write!(f, "#conn {side}/{} {} {}", self.prefix_len, if self.above { ">" } else { "<=" }, self.limit)
    }
}

impl PartialEq for Connlimit {
    fn eq(&self, other: &Self) -> bool {
        let all = |one: &Self| (one.above, one.limit, one.prefix_len, one.destination);
        all(self) == all(other)
    }
}

/// Of an address.
fn bits(family: Family) -> u8 {
    if family == Family::Ip { 32 } else { 128 }
}

fn mask_of(prefix_len: u8) -> [u8; 16] {
    u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0).to_be_bytes()
}

fn set_once<T>(slot: &mut Option<T>, value: T, given: &Given<'_>, both: &str) -> Result<(), SyntaxError> {
    match slot.replace(value) {
        Some(_) => Err(given.error_here(format!("{both} don't go together"))),
        None => Ok(()),
    }
}

impl fmt::Display for Connlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (test, side) = (if self.above { "above" } else { "upto" }, if self.destination { "daddr" } else { "saddr" });
        write!(f, "--connlimit-{test} {} --connlimit-mask {} --connlimit-{side}", self.limit, self.prefix_len)
    }
}
