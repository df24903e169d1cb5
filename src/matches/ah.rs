use std::fmt;

use super::spis::Spis;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Protocol, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, number, opt},
};

/// `-m ah`: the SPI of a signed packet of IPsec's; for IPv6 more of the header. Kernel:
/// `net/ipv4/netfilter/ipt_ah.c`, `net/ipv6/netfilter/ip6t_ah.c`.
///
/// For IPv4 it needs `-p ah`, for IPv6 not: there the header is looked for among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ah {
    spis: Spis,
    /// Bytes of the whole header; not 0 unless negated. IPv6 only.
    length: Option<Test<u32>>,
    /// The reserved field must be 0. IPv6 only.
    reserved: bool,
}

const INV_LEN: u8 = 2;

impl Extension for Ah {
    const NAME: &'static str = "ah";
    const PROTOCOL: Option<Protocol> = Some(Protocol::AH);
    const SUMMARY: &'static str = "the SPI of a signed packet of IPsec's";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("ahspi", &["SPI[:SPI]"], "the security parameter index, or a range of them").negates(),
        opt("ahlen", &["BYTES"], "the header has that length (IPv6)").negates(),
        opt("ahres", &[], "the header's reserved field is 0 (IPv6)"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-p ah -m ah --ahspi 500 -j DROP"),
        Example::ok("-p ah --ahspi 0x10:0x20 -j DROP", "-p ah -m ah --ahspi 16:32 -j DROP"),
        Example::ok("-p ah -m ah ! --ahspi :5 -j DROP", "-p ah -m ah ! --ahspi 0:5 -j DROP"),
        Example::ok("-p ah -m ah --ahspi : -j DROP", "-p ah -m ah -j DROP"),
        Example::same("-p ah -m ah ! --ahspi 0:4294967295 -j DROP"),
        Example::same("-m ah --ahspi 500 -j DROP").ip6(),
        Example::same("-m ah --ahspi 1:2 --ahlen 24 --ahres -j DROP").ip6(),
        Example::same("-m ah ! --ahlen 0 -j DROP").ip6(),
        Example::same("-m ah --ahres -j DROP").ip6(),
        Example::fails("-m ah --ahspi 500 -j DROP", "needs `-p ah`").ip(),
        Example::fails("-p ah -m ah --ahres -j DROP", "`--ahres` is for IPv6 only").ip(),
        Example::fails("-m ah --ahlen 0 -j DROP", "no header has length 0").ip6(),
        Example::fails("-p ah --ahspi one -j DROP", "`one` is not an SPI: those go from 0 to 4294967295"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let family = args.family();
        if family == Family::Ip {
            args.needs_protocol(&[Protocol::AH])?;
        }
        let mut ah = Self::default();
        for given in args {
            match given.name() {
                "ahspi" => ah.spis = Spis::parse(&given)?,
                name if family == Family::Ip => {
                    return Err(given.error_here(format!("`--{name}` is for IPv6 only")).hint("leave it out, or use ip6tables"));
                }
                "ahlen" => {
                    let value = number(&given.values[0], u32::MAX.into())? as u32;
                    if value == 0 && !given.negated {
                        // iptables would print nothing for it, and the kernel test nothing.
                        return Err(given.error("no header has length 0"));
                    }
                    ah.length = Some(Test { negated: given.negated, value });
                }
                _ => ah.reserved = true,
            }
        }
        Ok(ah)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt(out.family()));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let family = cursor.family();
        if family == Family::Ip && !cursor.is_protocol(Protocol::AH) {
            return None;
        }
        let info = cursor.take_match::<16>(Self::NAME, 0)?;
        let (spis, &[a, b, c, d, reserved, invflags, 0, 0]) = info.split_first_chunk()? else { return None };
        let ah = match family {
            Family::Ip => Self { spis: Spis::from_xt(*spis, a)?, ..Self::default() },
            Family::Ip6 => {
                let (negated, value) = (invflags & INV_LEN != 0, u32::from_ne_bytes([a, b, c, d]));
                let length = (negated || value != 0).then_some(Test { negated, value });
                Self { spis: Spis::from_xt(*spis, invflags)?, length, reserved: reserved == 1 }
            }
        };
        (ah.to_xt(family) == *info).then_some(ah)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With a blank too many, and one too few before the length, as iptables prints it.
        f.write_str("ah ")?;
        self.spis.list(f)?;
        if let Some(Test { negated, value }) = self.length {
            write!(f, "length:{}{value}", if negated { "!" } else { "" })?;
        }
        f.write_str(if self.reserved { " reserved" } else { "" })
    }
}

impl Ah {
    fn to_xt(self, family: Family) -> [u8; 16] {
        let mut info = [0; 16];
        let (spis, mut invflags) = self.spis.to_xt();
        info[..8].copy_from_slice(&spis);
        match family {
            // struct ipt_ah: spis[2], invflags
            Family::Ip => info[8] = invflags,
            // struct ip6t_ah: spis[2], hdrlen, hdrres, invflags
            Family::Ip6 => {
                let length = self.length.unwrap_or(Test::is(0));
                invflags |= if length.negated { INV_LEN } else { 0 };
                info[8..12].copy_from_slice(&length.value.to_ne_bytes());
                info[12] = self.reserved.into();
                info[13] = invflags;
            }
        }
        info
    }
}

impl fmt::Display for Ah {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spis.save(f, "ahspi")?;
        let mut blank = if self.spis.is_any() { "" } else { " " };
        if let Some(length) = &self.length {
            write!(f, "{blank}{}--ahlen {}", length.bang(), length.value)?;
            blank = " ";
        }
        if self.reserved { write!(f, "{blank}--ahres") } else { Ok(()) }
    }
}
