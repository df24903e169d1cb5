use std::fmt;

use super::spis::Spis;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Protocol,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m esp`: the SPI of an encrypted packet of IPsec's. Kernel: `net/netfilter/xt_esp.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Esp {
    spis: Spis,
}

impl Extension for Esp {
    const NAME: &'static str = "esp";
    const PROTOCOL: Option<Protocol> = Some(Protocol::ESP);
    const SUMMARY: &'static str = "the SPI of an encrypted packet of IPsec's";
    const OPTIONS: &'static [OptionSpec] = &[opt("espspi", &["SPI[:SPI]"], "the security parameter index, or a range of them").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-p esp -m esp --espspi 500 -j DROP"),
        Example::ok("-p esp --espspi 0x10:0x20 -j DROP", "-p esp -m esp --espspi 16:32 -j DROP"),
        Example::ok("-p 50 -m esp --espspi :5 -j DROP", "-p esp -m esp --espspi 0:5 -j DROP"),
        Example::ok("-p esp -m esp ! --espspi 5: -j DROP", "-p esp -m esp ! --espspi 5:4294967295 -j DROP"),
        Example::ok("-p esp -m esp --espspi : -j DROP", "-p esp -m esp -j DROP"),
        Example::same("-p esp -m esp ! --espspi 0:4294967295 -j DROP"),
        Example::fails("-m esp --espspi 500 -j DROP", "needs `-p esp`"),
        Example::fails("-p esp --espspi 4294967296 -j DROP", "`4294967296` is not an SPI: those go from 0 to 4294967295"),
        Example::fails("-p esp --espspi 4:3 -j DROP", "the range runs backwards: 4 is more than 3"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::ESP])?;
        args.next().map_or(Ok(Self::default()), |given| Ok(Self { spis: Spis::parse(&given)? }))
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_esp: spis[2], invflags
        let mut info = [0; 16];
        let (spis, invflags) = self.spis.to_xt();
        info[..8].copy_from_slice(&spis);
        info[8] = invflags;
        out.xt_match(Self::NAME, 0, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::ESP) {
            return None;
        }
        let (spis, &[invflags @ (0 | 1), 0, 0, 0, 0, 0, 0, 0]) = cursor.take_match::<16>(Self::NAME, 0)?.split_first_chunk()? else {
            return None;
        };
        Some(Self { spis: Spis::from_xt(*spis, invflags)? })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.spis.is_any() { "esp" } else { "esp " })?;
        self.spis.list(f)
    }
}

impl fmt::Display for Esp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spis.save(f, "espspi")
    }
}
