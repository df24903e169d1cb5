use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-j CLASSIFY`: puts the packet into a class of the outgoing interface's queueing discipline; the
/// next rule is then tried. Kernel: `net/netfilter/xt_CLASSIFY.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classify {
    major: u16,
    minor: u16,
}

impl Extension for Classify {
    const NAME: &'static str = "CLASSIFY";
    const SUMMARY: &'static str = "puts the packet into a class of traffic control (tc)";
    const OPTIONS: &'static [OptionSpec] = &[opt("set-class", &["MAJOR:MINOR"], "the class as tc names it, both in hexadecimal")];
    const HOOKS: Option<&'static str> = Some("`-j CLASSIFY` works for packets from FORWARD, OUTPUT or POSTROUTING only");
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-j CLASSIFY --set-class 1:20", "-j CLASSIFY --set-class 0001:0020"),
        Example::ok("-j CLASSIFY --set-class 0x1:0xA", "-j CLASSIFY --set-class 0001:000a"),
        Example::same("-j CLASSIFY --set-class ffff:ffff"),
        Example::same("-o eth0 -j CLASSIFY --set-class 0000:0000"),
        Example::fails("-j CLASSIFY", "needs `--set-class MAJOR:MINOR`"),
        Example::fails("-j CLASSIFY --set-class 1", "a class is two hexadecimal numbers: 1:a0"),
        Example::fails("-j CLASSIFY --set-class 10000:1", "a class is two hexadecimal numbers: 1:a0"),
        Example::fails("-j CLASSIFY --set-class 1:2:3", "a class is two hexadecimal numbers: 1:a0"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--set-class MAJOR:MINOR`"))?;
        let halves = given.text(0).split_once(':').and_then(|(major, minor)| Some((half(major)?, half(minor)?)));
        let error = || given.error("a class is two hexadecimal numbers: 1:a0").hint("each goes from 0 to ffff");
        let (major, minor) = halves.ok_or_else(error)?;
        Ok(Self { major, minor })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_classify_target_info: u32 priority
        let mut info = [0; 8];
        info[..4].copy_from_slice(&(u32::from(self.major) << 16 | u32::from(self.minor)).to_ne_bytes());
        out.xt_target(Self::NAME, 0, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[a, b, c, d, 0, 0, 0, 0] = cursor.take_target(Self::NAME, 0)? else { return None };
        let class = u32::from_ne_bytes([a, b, c, d]);
        Some(Self { major: (class >> 16) as u16, minor: class as u16 })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CLASSIFY set {:x}:{:x}", self.major, self.minor)
    }
}

fn half(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

impl fmt::Display for Classify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--set-class {:04x}:{:04x}", self.major, self.minor)
    }
}
