use std::fmt;

use super::spis::Spis;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Protocol,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m ipcomp`: the SPI (here called CPI) of a packet that IPsec has compressed. Kernel:
/// `net/netfilter/xt_ipcomp.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipcomp {
    /// Not every SPI: iptables prints nothing for it, and reads nothing as 0.
    spis: Spis,
    /// Not looked at by the kernel.
    reserved: bool,
}

impl Extension for Ipcomp {
    const NAME: &'static str = "ipcomp";
    const PROTOCOL: Option<Protocol> = Some(Protocol::IPCOMP);
    const SUMMARY: &'static str = "the SPI of a compressed packet of IPsec's";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("ipcompspi", &["SPI[:SPI]"], "the security parameter index, or a range of them").negates(),
        opt("compres", &[], "the header's reserved field is 0; the kernel does not look at it"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-p ipcomp -m ipcomp --ipcompspi 18 -j DROP"),
        Example::ok("-p ipcomp --compres --ipcompspi 0x10:0x20 -j DROP", "-p ipcomp -m ipcomp --ipcompspi 16:32 --compres -j DROP"),
        Example::ok("-p 108 -m ipcomp ! --ipcompspi :5 -j DROP", "-p ipcomp -m ipcomp ! --ipcompspi 0:5 -j DROP"),
        Example::same("-p ipcomp -m ipcomp ! --ipcompspi 0:4294967295 -j DROP"),
        Example::fails("-m ipcomp --ipcompspi 500 -j DROP", "needs `-p ipcomp`"),
        Example::fails("-p ipcomp -m ipcomp -j DROP", "needs `--ipcompspi`: iptables takes nothing for 0"),
        Example::fails("-p ipcomp -m ipcomp --ipcompspi : -j DROP", "iptables prints nothing for every SPI, and reads that as 0"),
        Example::fails("-p ipcomp --ipcompspi 4:3 -j DROP", "the range runs backwards: 4 is more than 3"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::IPCOMP])?;
        let hint = "leave out `-m ipcomp`: `-p ipcomp` matches every SPI";
        let (mut spis, mut reserved) = (None, false);
        for given in args.by_ref() {
            match given.name() {
                "ipcompspi" => {
                    let some = Some(Spis::parse(&given)?).filter(|spis| !spis.is_any());
                    spis = Some(some.ok_or_else(|| given.error("iptables prints nothing for every SPI, and reads that as 0").hint(hint))?);
                }
                _ => reserved = true,
            }
        }
        let spis = spis.ok_or_else(|| args.error("needs `--ipcompspi`: iptables takes nothing for 0").hint(hint))?;
        Ok(Self { spis, reserved })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_ipcomp: spis[2], u8 invflags, u8 hdrres
        let mut info = [0; 16];
        let (spis, invflags) = self.spis.to_xt();
        info[..8].copy_from_slice(&spis);
        info[8..10].copy_from_slice(&[invflags, self.reserved.into()]);
        out.xt_match(Self::NAME, 0, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::IPCOMP) {
            return None;
        }
        let info = cursor.take_match::<16>(Self::NAME, 0)?.split_first_chunk()?;
        let (spis, &[invflags @ (0 | 1), reserved @ (0 | 1), 0, 0, 0, 0, 0, 0]) = info else { return None };
        let spis = Spis::from_xt(*spis, invflags).filter(|spis| !spis.is_any())?;
        Some(Self { spis, reserved: reserved != 0 })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("comp ")?;
        self.spis.list(f)?;
        f.write_str(if self.reserved { " reserved" } else { "" })
    }
}

impl fmt::Display for Ipcomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spis.save(f, "ipcompspi")?;
        f.write_str(if self.reserved { " --compres" } else { "" })
    }
}
