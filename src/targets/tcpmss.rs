use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Protocol},
    syntax::{Args, Example, OptionSpec, SyntaxError, number, opt},
};

/// `-j TCPMSS`: lowers the largest segment that a SYN asks for; the next rule is then tried. Kernel:
/// `net/netfilter/xt_TCPMSS.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcpmss {
    /// `None`: what the path can carry, by its MTU.
    bytes: Option<u16>,
}

/// `XT_TCPMSS_CLAMP_PMTU`
const CLAMP: u16 = 0xffff;

impl Extension for Tcpmss {
    const NAME: &'static str = "TCPMSS";
    const SUMMARY: &'static str = "lowers the largest segment that a TCP SYN asks for";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("set-mss", &["BYTES"], "to that, if it asks for more"),
        opt("clamp-mss-to-pmtu", &[], "to what fits the smaller MTU of the two paths"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"),
        Example::same("-p tcp -j TCPMSS --clamp-mss-to-pmtu"),
        Example::ok("-p tcp -j TCPMSS --set-mss 0x578", "-p tcp -j TCPMSS --set-mss 1400"),
        Example::same("-p tcp -j TCPMSS --set-mss 0"),
        Example::same("-p tcp -j TCPMSS --set-mss 65515").ip(),
        Example::same("-p tcp -j TCPMSS --set-mss 65495").ip6(),
        Example::fails("-j TCPMSS --set-mss 1400", "needs `-p tcp`"),
        Example::fails("! -p tcp -j TCPMSS --set-mss 1400", "needs `-p tcp`"),
        Example::fails("-p tcp -j TCPMSS", "needs `--set-mss` or `--clamp-mss-to-pmtu`"),
        Example::fails("-p tcp -j TCPMSS --set-mss 5 --clamp-mss-to-pmtu", "one of these is enough"),
        Example::fails("-p tcp -j TCPMSS --set-mss 65516", "this must be a number from 0 to 65515").ip(),
        Example::fails("-p tcp -j TCPMSS --set-mss 65496", "this must be a number from 0 to 65495").ip6(),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let max = max(args.family());
        let given = args.next().ok_or_else(|| args.error("needs `--set-mss` or `--clamp-mss-to-pmtu`"))?;
        if let Some(second) = args.next() {
            return Err(second.error_here("one of these is enough"));
        }
        args.needs_protocol(&[Protocol::TCP])?;
        let bytes = given.values.first().map(|word| number(word, max.into())).transpose()?;
        Ok(Self { bytes: bytes.map(|bytes| bytes as u16) })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_tcpmss_info: u16 mss
        let [a, b] = self.bytes.unwrap_or(CLAMP).to_ne_bytes();
        out.xt_target(Self::NAME, 0, &[a, b, 0, 0, 0, 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let max = max(cursor.family());
        let &[a, b, 0, 0, 0, 0, 0, 0] = cursor.take_target(Self::NAME, 0)? else { return None };
        let bytes = Some(u16::from_ne_bytes([a, b])).filter(|&bytes| bytes != CLAMP);
        (cursor.is_protocol(Protocol::TCP) && bytes.is_none_or(|bytes| bytes <= max)).then_some(Self { bytes })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            Some(bytes) => write!(f, "TCPMSS set {bytes}"),
            None => f.write_str("TCPMSS clamp to PMTU"),
        }
    }
}

/// The largest packet less its IP header, as iptables has it.
fn max(family: Family) -> u16 {
    match family {
        Family::Ip => u16::MAX - 20,
        Family::Ip6 => u16::MAX - 40,
    }
}

impl fmt::Display for Tcpmss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            Some(bytes) => write!(f, "--set-mss {bytes}"),
            None => f.write_str("--clamp-mss-to-pmtu"),
        }
    }
}
