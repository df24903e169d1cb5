use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, parse_number},
};

/// `-m tos`: the whole byte that holds the class of service and the signs of congestion, once the
/// Type of Service. Kernel: `net/netfilter/xt_dscp.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tos {
    test: Test<Bits>,
}

/// The byte's bits in MASK are VALUE. A bit of VALUE outside of MASK is kept; then no byte is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bits {
    value: u8,
    mask: u8,
}

/// `IPTOS_…` of `include/uapi/linux/ip.h`.
const NAMES: &[(&str, u8)] =
    &[("Minimize-Delay", 16), ("Maximize-Throughput", 8), ("Maximize-Reliability", 4), ("Minimize-Cost", 2), ("Normal-Service", 0)];
/// The bits that a name says something of.
const NAMES_MASK: u8 = 0x3f;

impl Extension for Tos {
    const NAME: &'static str = "tos";
    const SUMMARY: &'static str = "the packet's Type of Service byte";
    const OPTIONS: &'static [OptionSpec] =
        &[opt("tos", &["VALUE[/MASK]"], "the bits in MASK (all if left out) are VALUE; or a name: Minimize-Delay, …").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m tos --tos 0x10/0x3f -j DROP"),
        Example::ok("-m tos ! --tos 16 -j DROP", "-m tos ! --tos 0x10/0xff -j DROP"),
        Example::ok("-m tos --tos minimize-delay -j DROP", "-m tos --tos 0x10/0x3f -j DROP"),
        Example::ok("-m tos --tos Normal-Service -j DROP", "-m tos --tos 0x00/0x3f -j DROP"),
        Example::fails("-m tos -j DROP", "needs `--tos VALUE`"),
        Example::fails("-m tos --tos 0x100 -j DROP", "`0x100` is neither a number up to 255 nor a name"),
        Example::fails("-m tos --tos 0x10/ -j DROP", "`` is not a mask: those go from 0 to 255"),
        Example::fails("-m tos --tos Maximise-Delay -j DROP", "`Maximise-Delay` is neither a number up to 255 nor a name"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--tos VALUE`"))?;
        Ok(Self { test: Test { negated: given.negated, value: parse_bits(&given)? } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_tos_match_info: tos_mask, tos_value, invert
        let Bits { value, mask } = self.test.value;
        out.xt_match(Self::NAME, 1, &[mask, value, self.test.negated.into(), 0, 0, 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[mask, value, invert @ (0 | 1), 0, 0, 0, 0, 0] = cursor.take_match(Self::NAME, 1)? else { return None };
        Some(Self { test: Test { negated: invert == 1, value: Bits { value, mask } } })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No blank between the two, as iptables prints it.
        write!(f, "tos match{}{}", if self.test.negated { "!" } else { "" }, self.test.value)
    }
}

fn parse_bits(given: &Given<'_>) -> Result<Bits, SyntaxError> {
    let byte = |text: &str| parse_number(text).and_then(|n| u8::try_from(n).ok());
    let text = given.text(0);
    if let Some(&(_, value)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Ok(Bits { value, mask: NAMES_MASK });
    }
    let (value, mask) = text.split_once('/').unwrap_or((text, "255"));
    let value = byte(value).ok_or_else(|| {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        let error = given.error(format!("`{value}` is neither a number up to 255 nor a name"));
        error.hint(format!("the names are {}", names.join(", ")))
    })?;
    let mask = byte(mask).ok_or_else(|| given.error(format!("`{mask}` is not a mask: those go from 0 to 255")))?;
    Ok(Bits { value, mask })
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x}/0x{:02x}", self.value, self.mask)
    }
}

impl fmt::Display for Tos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--tos {}", self.test.bang(), self.test.value)
    }
}
