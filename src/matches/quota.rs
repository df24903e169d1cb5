use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, OptionSpec, SyntaxError, number, opt},
};

/// `-m quota`: the first so many bytes that come to the rule, and then nothing more. Kernel:
/// `net/netfilter/xt_quota.c`.
///
/// What is left of them is the kernel's secret; a rule written anew has all of them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Negated: what comes after them.
    bytes: Test<u64>,
}

impl Extension for Quota {
    const NAME: &'static str = "quota";
    const SUMMARY: &'static str = "the first so many bytes, and then nothing more";
    const OPTIONS: &'static [OptionSpec] = &[opt("quota", &["BYTES"], "so many bytes match; negated: all that come later").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m quota --quota 1000000 -j ACCEPT"),
        Example::ok("-m quota ! --quota 0x400 -j DROP", "-m quota ! --quota 1024 -j DROP"),
        Example::same("-m quota --quota 0 -j DROP"),
        Example::same("-m quota ! --quota 18446744073709551615 -j DROP"),
        Example::fails("-m quota -j DROP", "needs `--quota BYTES`"),
        Example::fails("-m quota --quota 18446744073709551616 -j DROP", "this must be a number from 0 to 18446744073709551615"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--quota BYTES`"))?;
        Ok(Self { bytes: Test { negated: given.negated, value: number(&given.values[0], u64::MAX)? } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_quota_info: u32 flags, u32 pad, u64 quota, master (the kernel's own, dumped as 0)
        let mut info = [0; 24];
        info[..4].copy_from_slice(&u32::from(self.bytes.negated).to_ne_bytes());
        info[8..16].copy_from_slice(&self.bytes.value.to_ne_bytes());
        out.xt_match(Self::NAME, 0, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<24>(Self::NAME, 0)?;
        let (&[a, b, c, d, 0, 0, 0, 0], rest) = info.split_first_chunk()? else { return None };
        let (quota, &[0, 0, 0, 0, 0, 0, 0, 0]) = rest.split_first_chunk()? else { return None };
        let flags = u32::from_ne_bytes([a, b, c, d]);
        (flags <= 1).then_some(Self { bytes: Test { negated: flags == 1, value: u64::from_ne_bytes(*quota) } })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // iptables doesn't say whether it is negated.
        write!(f, "quota: {} bytes", self.bytes.value)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--quota {}", self.bytes.bang(), self.bytes.value)
    }
}
