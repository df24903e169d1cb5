use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt},
};

/// `-m ipv6header`: which extension headers the packet has. Kernel:
/// `net/ipv6/netfilter/ip6t_ipv6header.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6header {
    /// Bits of [`HEADERS`], at least one.
    headers: Test<u8>,
    /// It may have others, too.
    soft: bool,
}

/// `MASK_…`, in the order in which they are printed, with what is read for them. The first name is
/// the one of `/etc/protocols` where that has one.
const HEADERS: [(u8, &[&str]); 8] = [
    (128, &["hop-by-hop", "hop", "hopopt", "0"]),
    (64, &["ipv6-opts", "dst", "60"]),
    (32, &["ipv6-route", "route", "43"]),
    (16, &["ipv6-frag", "frag", "44"]),
    (8, &["ah", "auth", "51"]),
    (4, &["esp", "50"]),
    (2, &["ipv6-nonxt", "none", "59"]),
    (1, &["protocol", "prot", "255"]),
];

impl Extension for Ipv6header {
    const NAME: &'static str = "ipv6header";
    const FAMILIES: &'static [Family] = &[Family::Ip6];
    const SUMMARY: &'static str = "which extension headers the packet has";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("header", &["HEADER[,…]"], "all of hop, dst, route, frag, auth, esp, none, prot that are named").negates(),
        opt("soft", &[], "there may be others, too; without it, there are none but these"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m ipv6header --header frag --soft -j DROP", "-m ipv6header --header ipv6-frag --soft -j DROP"),
        Example::ok(
            "-m ipv6header ! --header prot,none,50,auth,44,route,60,hop -j DROP",
            "-m ipv6header ! --header hop-by-hop,ipv6-opts,ipv6-route,ipv6-frag,ah,esp,ipv6-nonxt,protocol -j DROP",
        ),
        Example::fails("-m ipv6header --soft -j DROP", "needs `--header`"),
        Example::fails("-m ipv6header --header frag,tcp -j DROP", "`tcp` is not an extension header"),
        Example::fails("-m ipv6header --header , -j DROP", "no header is named"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut headers, mut soft) = (None, false);
        for given in args.by_ref() {
            match given.name() {
                "header" => headers = Some(Test { negated: given.negated, value: parse_headers(&given)? }),
                _ => soft = true,
            }
        }
        Ok(Self { headers: headers.ok_or_else(|| args.error("needs `--header`"))?, soft })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct ip6t_ipv6header_info: u8 matchflags, u8 invflags, u8 modeflag
        let all = |is: bool| if is { 0xff } else { 0 };
        out.xt_match(Self::NAME, 0, &[self.headers.value, all(self.headers.negated), all(self.soft), 0, 0, 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[value @ 1..=255, inverted @ (0 | 0xff), soft @ (0 | 0xff), 0, 0, 0, 0, 0] = cursor.take_match(Self::NAME, 0)? else { return None };
        Some(Self { headers: Test { negated: inverted != 0, value }, soft: soft != 0 })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ipv6header flags:{}0x{:02X}", if self.headers.negated { "!" } else { "" }, self.headers.value)?;
        f.write_str(if self.soft { " soft" } else { "" })
    }
}

fn parse_headers(given: &Given<'_>) -> Result<u8, SyntaxError> {
    let words = given.text(0).split(',').filter(|word| !word.is_empty());
    let mut bits = words.map(|word| {
        let known = HEADERS.iter().find(|(_, names)| names.contains(&word)).map(|(bit, _)| *bit);
        known.ok_or_else(|| {
            let error = given.error(format!("`{word}` is not an extension header"));
            error.hint("write some of hop, dst, route, frag, auth, esp, none, prot, with commas between")
        })
    });
    match bits.try_fold(0, |all, bit| bit.map(|bit| all | bit))? {
        0 => Err(given.error("no header is named")),
        headers => Ok(headers),
    }
}

impl fmt::Display for Ipv6header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = format!("{}--header ", self.headers.bang());
        for (_, names) in HEADERS.iter().filter(|(bit, _)| self.headers.value & bit != 0) {
            write!(f, "{before}{}", names.first().copied().unwrap_or_default())?;
            before = ",".into();
        }
        f.write_str(if self.soft { " --soft" } else { "" })
    }
}
