use std::fmt;

use super::host::Host;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Protocol, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m policy`: how IPsec treats the packet. Kernel: `net/netfilter/xt_policy.c`.
///
/// The kernel compares `--spi` with an SPI in network order (`match_xfrm_state`, `x->id.spi`, both
/// `__be32`), and iptables does not turn the number's bytes round: on a little-endian machine
/// `--spi 0x100` means the SPI 0x10000. The same bytes are written here, so that the words mean to
/// everybody what they mean to iptables.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    outgoing: bool,
    treatment: Treatment,
}

#[derive(Debug, Clone, PartialEq)]
enum Treatment {
    /// `--pol none`
    None,
    /// `--pol ipsec`; one to [`MAX`] elements, more than one only if `strict`.
    Ipsec { strict: bool, elements: Vec<Element> },
}

/// What is tested of one transformation of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Element {
    request: Option<Test<u32>>,
    spi: Option<Test<u32>>,
    /// One of [`PROTOCOLS`].
    protocol: Option<Test<Protocol>>,
    /// True for tunnels, false for transport.
    tunnel: Option<Test<bool>>,
    destination: Option<Test<Host>>,
    source: Option<Test<Host>>,
}

/// ESP, AH, IPCOMP
const PROTOCOLS: [Protocol; 3] = [Protocol(50), Protocol(51), Protocol(108)];
/// `XT_POLICY_MAX_ELEM`
const MAX: usize = 4;

const LEN: usize = 312;
/// `sizeof(struct xt_policy_elem)`
const ELEMENT_LEN: usize = 76;
const MATCH_IN: u16 = 1;
const MATCH_OUT: u16 = 2;
const MATCH_NONE: u16 = 4;
const MATCH_STRICT: u16 = 8;
/// Bits of `struct xt_policy_spec`, in the order of x86 and of every little-endian host.
mod bit {
    pub const SOURCE: u8 = 1;
    pub const DESTINATION: u8 = 2;
    pub const PROTOCOL: u8 = 4;
    pub const MODE: u8 = 8;
    pub const SPI: u8 = 16;
    pub const REQUEST: u8 = 32;
}

impl Extension for Policy {
    const NAME: &'static str = "policy";
    const SUMMARY: &'static str = "how IPsec treats the packet";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("dir", &["in|out"], "by how it was unwrapped, or how it will be wrapped"),
        opt("pol", &["none|ipsec"], "not by IPsec, or by IPsec; that if left out"),
        opt("strict", &[], "the elements are all there is, in this order; else there is such a one among them"),
        opt("reqid", &["NUMBER"], "the number of the policy").negates().repeats(),
        opt("spi", &["NUMBER"], "the number of the security association, its four bytes in this machine's order").negates().repeats(),
        opt("proto", &["esp|ah|ipcomp"], "the protocol").negates().repeats(),
        opt("mode", &["transport|tunnel"], "the mode").negates().repeats(),
        opt("tunnel-src", &["ADDRESS[/MASK]"], "where the tunnel begins; in tunnel mode only").negates().repeats(),
        opt("tunnel-dst", &["ADDRESS[/MASK]"], "where the tunnel ends; in tunnel mode only").negates().repeats(),
        opt("next", &[], "with strict: here begins the next element").repeats(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m policy --dir in --pol ipsec -j ACCEPT"),
        Example::ok("-m policy --dir out --proto esp -j ACCEPT", "-m policy --dir out --pol ipsec --proto esp -j ACCEPT"),
        Example::same("-m policy --dir out --pol none -j DROP"),
        Example::ok(
            "-m policy --pol ipsec --dir in ! --tunnel-dst 10.0.0.1/32 --tunnel-src 10.1.0.0/255.255.0.0 --mode tunnel -j DROP",
            "-m policy --dir in --pol ipsec --mode tunnel ! --tunnel-dst 10.0.0.1 --tunnel-src 10.1.0.0/16 -j DROP",
        )
        .ip(),
        Example::ok(
            "-m policy --dir in --strict --mode tunnel ! --tunnel-src fd00::/8 --tunnel-dst ::1 --next ! --reqid 0x10 -j DROP",
            "-m policy --dir in --pol ipsec --strict --mode tunnel --tunnel-dst ::1 ! --tunnel-src fd00::/8 --next ! --reqid 16 -j DROP",
        )
        .ip6(),
        Example::ok(
            "-m policy --dir in --pol ipsec --strict --reqid 1 ! --spi 256 ! --proto ah ! --mode tunnel --next --proto 108 --next --spi 1 \
             --next --mode transport -j DROP",
            "-m policy --dir in --pol ipsec --strict --reqid 1 ! --spi 0x100 ! --proto ah ! --mode tunnel --next --proto ipcomp --next \
             --spi 0x1 --next --mode transport -j DROP",
        ),
        Example::fails("-m policy --pol ipsec -j DROP", "needs `--dir in` or `--dir out`"),
        Example::fails("-m policy --dir both -j DROP", "this is either `in` or `out`"),
        Example::fails("-m policy --dir in --pol esp -j DROP", "this is either `none` or `ipsec`"),
        Example::fails("-m policy --dir in --mode beet -j DROP", "this is either `transport` or `tunnel`"),
        Example::fails("-m policy --dir in --proto tcp -j DROP", "IPsec's protocols are esp, ah and ipcomp"),
        Example::fails("-m policy --dir in --pol none --strict -j DROP", "with `--pol none` there is nothing more to test"),
        Example::fails("-m policy --dir in --pol none --reqid 1 -j DROP", "with `--pol none` there is nothing more to test"),
        Example::fails("-m policy --dir in --reqid 1 --next --reqid 2 -j DROP", "`--next` needs `--strict`"),
        Example::fails("-m policy --dir in --strict -j DROP", "with `--strict` every element needs a test"),
        Example::fails("-m policy --dir in --reqid 1 --reqid 2 -j DROP", "`--reqid` can be given once in an element"),
        Example::fails("-m policy --dir in --tunnel-src 10.0.0.1 -j DROP", "`--tunnel-src` and `--tunnel-dst` need `--mode tunnel`").ip(),
        Example::fails(
            "-m policy --dir in --strict --reqid 1 --next --reqid 2 --next --reqid 3 --next --reqid 4 --next --reqid 5 -j DROP",
            "there can be 4 elements at most",
        ),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let family = args.family();
        let (mut outgoing, mut none, mut strict) = (None, false, false);
        let mut next = None;
        let mut elements = vec![Element::default()];
        for given in args.by_ref() {
            match given.name() {
                "dir" => outgoing = Some(either(&given, "in", "out")?),
                "pol" => none = !either(&given, "none", "ipsec")?,
                "strict" => strict = true,
                "next" if elements.len() == MAX => return Err(given.error_here(format!("there can be {MAX} elements at most"))),
                "next" => {
                    elements.push(Element::default());
                    next.get_or_insert_with(|| given.error_here("`--next` needs `--strict`"));
                }
                _ => {
                    if let Some(element) = elements.last_mut() {
                        element.parse(&given, family)?;
                    }
                }
            }
        }
        let outgoing = outgoing.ok_or_else(|| args.error("needs `--dir in` or `--dir out`"))?;
        if none && (strict || elements != [Element::default()]) {
            return Err(args.error("with `--pol none` there is nothing more to test"));
        }
        if let (false, Some(error)) = (strict, next) {
            return Err(error);
        }
        if strict && elements.contains(&Element::default()) {
            return Err(args.error("with `--strict` every element needs a test").hint("for example `--proto esp`"));
        }
        if !elements.iter().all(Element::may_have_ends) {
            return Err(args.error("`--tunnel-src` and `--tunnel-dst` need `--mode tunnel`"));
        }
        Ok(Self { outgoing, treatment: if none { Treatment::None } else { Treatment::Ipsec { strict, elements } } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        let half = |at: usize| u16::from_ne_bytes([info[at], info[at + 1]]);
        let (flags, len) = (half(304), usize::from(half(306)));
        let strict = flags & MATCH_STRICT != 0;
        let treatment = if flags & MATCH_NONE != 0 {
            Treatment::None
        } else {
            let read = |bytes| Element::from_xt(bytes, cursor.family());
            let elements: Vec<_> = info.chunks_exact(ELEMENT_LEN).take(len.min(MAX)).map(read).collect::<Option<_>>()?;
            let few = if strict { !elements.contains(&Element::default()) } else { len == 1 };
            Some(Treatment::Ipsec { strict, elements }).filter(|_| few && len != 0)?
        };
        let policy = Self { outgoing: flags & MATCH_OUT != 0, treatment };
        (policy.to_xt() == *info).then_some(policy)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("policy match ")?;
        self.print(f, "")?;
        let Treatment::Ipsec { elements, .. } = &self.treatment else { return Ok(()) };
        for (index, element) in elements.iter().enumerate() {
            if elements.len() > 1 {
                write!(f, " [{index}]")?;
            }
            element.print(f, "", |protocol| protocol.0.to_string())?;
        }
        Ok(())
    }
}

impl Policy {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_policy_info: pol[4], u16 flags, u16 len
        let mut info = [0; LEN];
        let mut flags = if self.outgoing { MATCH_OUT } else { MATCH_IN };
        let mut len = 0_u16;
        match &self.treatment {
            Treatment::None => flags |= MATCH_NONE,
            Treatment::Ipsec { strict, elements } => {
                flags |= if *strict { MATCH_STRICT } else { 0 };
                for (slot, element) in info.chunks_exact_mut(ELEMENT_LEN).zip(elements) {
                    slot.copy_from_slice(&element.to_xt());
                    len += 1;
                }
            }
        }
        info[304..306].copy_from_slice(&flags.to_ne_bytes());
        info[306..308].copy_from_slice(&len.to_ne_bytes());
        info
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str) -> fmt::Result {
        let direction = if self.outgoing { "out" } else { "in" };
        let (policy, strict) = match self.treatment {
            Treatment::None => ("none", false),
            Treatment::Ipsec { strict, .. } => ("ipsec", strict),
        };
        write!(f, "{dashes}dir {direction} {dashes}pol {policy}")?;
        if strict { write!(f, " {dashes}strict") } else { Ok(()) }
    }
}

impl Element {
    fn parse(&mut self, given: &Given<'_>, family: Family) -> Result<(), SyntaxError> {
        let negated = given.negated;
        let number = || number(&given.values[0], u32::MAX.into()).map(|value| Test { negated, value: value as u32 });
        let host = || Host::parse(&given.values[0], family).map(|value| Test { negated, value });
        let before = match given.name() {
            "reqid" => self.request.replace(number()?).is_some(),
            "spi" => self.spi.replace(number()?).is_some(),
            "proto" => self.protocol.replace(Test { negated, value: parse_protocol(given)? }).is_some(),
            "mode" => self.tunnel.replace(Test { negated, value: either(given, "transport", "tunnel")? }).is_some(),
            "tunnel-src" => self.source.replace(host()?).is_some(),
            _ => self.destination.replace(host()?).is_some(),
        };
        match before {
            true => Err(given.error_here(format!("`--{}` can be given once in an element", given.name()))),
            false => Ok(()),
        }
    }

    /// Only a tunnel has ends. Without `--mode`, iptables takes the mode for transport.
    fn may_have_ends(&self) -> bool {
        let tunnel = self.tunnel.is_some_and(|test| test.value != test.negated);
        tunnel || (self.source.is_none() && self.destination.is_none())
    }

    fn to_xt(self) -> [u8; ELEMENT_LEN] {
        // struct xt_policy_elem: saddr, smask, daddr, dmask, be32 spi, u32 reqid, u8 proto, u8 mode, match, invert
        let mut info = [0; ELEMENT_LEN];
        let mut put = |at: usize, bytes: &[u8]| info[at..at + bytes.len()].copy_from_slice(bytes);
        let (mut matched, mut inverted) = (0, 0);
        let mut flag = |bit: u8, negated: bool| {
            matched |= bit;
            inverted |= if negated { bit } else { 0 };
        };
        for (test, bit, at) in [(self.source, bit::SOURCE, 0), (self.destination, bit::DESTINATION, 32)] {
            if let Some(test) = test {
                flag(bit, test.negated);
                put(at, &test.value.to_xt());
            }
        }
        // iptables does not turn the number round, though the kernel compares it with what the packet has.
        for (test, bit, at) in [(self.spi, bit::SPI, 64), (self.request, bit::REQUEST, 68)] {
            if let Some(test) = test {
                flag(bit, test.negated);
                put(at, &test.value.to_ne_bytes());
            }
        }
        let number = self.protocol.map(|test| Test { negated: test.negated, value: test.value.0 });
        let mode = self.tunnel.map(|test| Test { negated: test.negated, value: test.value.into() });
        for (test, bit, at) in [(number, bit::PROTOCOL, 72), (mode, bit::MODE, 73)] {
            if let Some(test) = test {
                flag(bit, test.negated);
                put(at, &[test.value]);
            }
        }
        put(74, &[matched, inverted]);
        info
    }

    fn from_xt(info: &[u8], family: Family) -> Option<Self> {
        let info: &[u8; ELEMENT_LEN] = info.try_into().ok()?;
        let negated = |bit: u8| (info[74] & bit != 0).then_some(info[75] & bit != 0);
        let number = |at: usize| Some(u32::from_ne_bytes(*info[at..].first_chunk()?));
        let mut element = Self::default();
        if let Some(negated) = negated(bit::SOURCE) {
            element.source = Some(Test { negated, value: Host::from_xt(info.first_chunk()?, family)? });
        }
        if let Some(negated) = negated(bit::DESTINATION) {
            element.destination = Some(Test { negated, value: Host::from_xt(info[32..].first_chunk()?, family)? });
        }
        if let Some(negated) = negated(bit::SPI) {
            element.spi = Some(Test { negated, value: number(64)? });
        }
        if let Some(negated) = negated(bit::REQUEST) {
            element.request = Some(Test { negated, value: number(68)? });
        }
        if let Some(negated) = negated(bit::PROTOCOL) {
            let value = PROTOCOLS.into_iter().find(|protocol| protocol.0 == info[72])?;
            element.protocol = Some(Test { negated, value });
        }
        if let Some(negated) = negated(bit::MODE) {
            element.tunnel = Some(Test { negated, value: info[73] != 0 });
        }
        (element.may_have_ends() && element.to_xt() == *info).then_some(element)
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str, protocol: impl Fn(Protocol) -> String) -> fmt::Result {
        let mut option = |bang: &str, name: &str, value: &dyn fmt::Display| write!(f, " {bang}{dashes}{name} {value}");
        if let Some(test) = &self.request {
            option(test.bang(), "reqid", &test.value)?;
        }
        if let Some(test) = &self.spi {
            option(test.bang(), "spi", &format_args!("0x{:x}", test.value))?;
        }
        if let Some(test) = &self.protocol {
            option(test.bang(), "proto", &protocol(test.value))?;
        }
        if let Some(test) = &self.tunnel {
            option(test.bang(), "mode", &if test.value { "tunnel" } else { "transport" })?;
        }
        if let Some(test) = &self.destination {
            option(test.bang(), "tunnel-dst", &test.value)?;
        }
        if let Some(test) = &self.source {
            option(test.bang(), "tunnel-src", &test.value)?;
        }
        Ok(())
    }
}

/// False for the first word, true for the second.
fn either(given: &Given<'_>, first: &str, second: &str) -> Result<bool, SyntaxError> {
    match given.text(0) {
        text if text == first => Ok(false),
        text if text == second => Ok(true),
        _ => Err(given.error(format!("this is either `{first}` or `{second}`"))),
    }
}

fn parse_protocol(given: &Given<'_>) -> Result<Protocol, SyntaxError> {
    let protocol = Protocol::parse(given.text(0)).ok().flatten().filter(|protocol| PROTOCOLS.contains(protocol));
    protocol.ok_or_else(|| given.error("IPsec's protocols are esp, ah and ipcomp"))
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "--")?;
        let Treatment::Ipsec { elements, .. } = &self.treatment else { return Ok(()) };
        for (index, element) in elements.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " --next" })?;
            element.print(f, "--", |protocol| protocol.to_string())?;
        }
        Ok(())
    }
}
