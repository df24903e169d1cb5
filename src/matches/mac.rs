use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m mac`: the Ethernet address that the packet came from. Kernel: `net/netfilter/xt_mac.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac {
    source: Test<[u8; 6]>,
}

impl Extension for Mac {
    const NAME: &'static str = "mac";
    const SUMMARY: &'static str = "the Ethernet address that the packet came from";
    const OPTIONS: &'static [OptionSpec] = &[opt("mac-source", &["XX:XX:XX:XX:XX:XX"], "the sender's address, or its router's").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m mac --mac-source 00:16:3E:aB:0:f -j DROP", "-m mac --mac-source 00:16:3e:ab:00:0f -j DROP"),
        Example::same("-m mac ! --mac-source 00:11:22:33:44:55 -j DROP"),
        Example::fails("-m mac -j DROP", "needs `--mac-source XX:XX:XX:XX:XX:XX`"),
        Example::fails("-m mac --mac-source 00-11-22-33-44-55 -j DROP", "this is not an Ethernet address"),
        Example::fails("-m mac --mac-source 00:11:22:33:44:055 -j DROP", "this is not an Ethernet address"),
        Example::fails("-m mac --mac-source 00:11:22:33:44:55:66 -j DROP", "this is not an Ethernet address"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--mac-source XX:XX:XX:XX:XX:XX`"))?;
        let value = parse(given.text(0)).ok_or_else(|| {
            given.error("this is not an Ethernet address").hint("write six hexadecimal numbers with colons between: 00:16:3e:12:34:56")
        })?;
        Ok(Self { source: Test { negated: given.negated, value } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<16>(Self::NAME, 0)?;
        let mac = Self { source: Test { negated: info[8..12] != [0; 4], value: *info.first_chunk()? } };
        (mac.to_xt() == *info).then_some(mac)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MAC {}{}", self.source.bang(), Colons(&self.source.value))
    }
}

impl Mac {
    fn to_xt(self) -> [u8; 16] {
        // struct xt_mac_info: srcaddr[6], int invert
        let mut info = [0; 16];
        info[..6].copy_from_slice(&self.source.value);
        info[8..12].copy_from_slice(&i32::from(self.source.negated).to_ne_bytes());
        info
    }
}

fn parse(text: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut address {
        let digits = parts.next().filter(|part| part.len() <= 2 && !part.starts_with('+'))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    parts.next().is_none().then_some(address)
}

struct Colons<'a>(&'a [u8; 6]);

impl fmt::Display for Colons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--mac-source {}", self.source.bang(), Colons(&self.source.value))
    }
}
