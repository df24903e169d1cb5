use std::fmt;

use super::{host::Host, ports::space};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Protocol, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, port},
};

/// `-m ipvs`: the connection is one of the virtual server's (IPVS), and which. Kernel:
/// `net/netfilter/xt_ipvs.c`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ipvs {
    /// Is it one at all? Not negated if anything else is tested.
    negated: bool,
    protocol: Option<Test<Protocol>>,
    address: Option<Test<Host>>,
    port: Option<Test<u16>>,
    reply: Option<bool>,
    /// A number of [`METHODS`].
    method: Option<Test<u8>>,
    control_port: Option<Test<u16>>,
}

/// `IP_VS_CONN_F_DROUTE`, `IP_VS_CONN_F_TUNNEL`, `IP_VS_CONN_F_MASQ`
const METHODS: [(&str, u8); 3] = [("GATE", 3), ("IPIP", 2), ("MASQ", 0)];
const LEN: usize = 40;

/// `XT_IPVS_…`
mod bit {
    pub const IPVS: u8 = 1;
    pub const PROTOCOL: u8 = 2;
    pub const ADDRESS: u8 = 4;
    pub const PORT: u8 = 8;
    pub const DIRECTION: u8 = 0x10;
    pub const METHOD: u8 = 0x20;
    pub const CONTROL_PORT: u8 = 0x40;
}

impl Extension for Ipvs {
    const NAME: &'static str = "ipvs";
    const SUMMARY: &'static str = "a connection of the virtual server's (IPVS)";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("ipvs", &[], "it is one; all other options say so, too").negates(),
        opt("vproto", &["PROTOCOL"], "the protocol of the virtual service").negates(),
        opt("vaddr", &["ADDRESS[/MASK]"], "its address").negates(),
        opt("vport", &["PORT"], "its port").negates(),
        opt("vdir", &["ORIGINAL|REPLY"], "the packet goes to the service, or comes from it"),
        opt("vmethod", &["GATE|IPIP|MASQ"], "how the packets get to the real server").negates(),
        opt("vportctl", &["PORT"], "the port of the connection that controls this one: 21 for FTP").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m ipvs --ipvs -j ACCEPT"),
        Example::same("-m ipvs ! --ipvs -j DROP"),
        Example::ok("-m ipvs --ipvs --vproto TCP --vport http -j DROP", "-m ipvs --vproto 6 --vport 80 -j DROP"),
        Example::ok(
            "-m ipvs ! --vportctl 21 ! --vmethod ipip --vdir reply ! --vport 22 ! --vproto 23 -j DROP",
            "-m ipvs ! --vproto 23 ! --vport 22 --vdir REPLY ! --vmethod IPIP ! --vportctl 21 -j DROP",
        ),
        Example::ok("-m ipvs ! --vaddr 1.2.3.4/255.255.255.0 -j DROP", "-m ipvs ! --vaddr 1.2.3.4/24 -j DROP").ip(),
        Example::same("-m ipvs --vproto 6 --vaddr 1.2.3.4/16 --vport 22 --vdir ORIGINAL --vmethod GATE -j DROP").ip(),
        Example::same("-m ipvs --vaddr 2001:db8::1 --vmethod MASQ -j DROP").ip6(),
        Example::fails("-m ipvs -j DROP", "needs `--ipvs`"),
        Example::fails("-m ipvs ! --ipvs --vport 80 -j DROP", "`! --ipvs` does not go with other options"),
        Example::fails("-m ipvs --vdir both -j DROP", "this is either `ORIGINAL` or `REPLY`"),
        Example::fails("-m ipvs --vmethod NAT -j DROP", "this is one of GATE, IPIP, MASQ"),
        Example::fails("-m ipvs --vproto tpc -j DROP", "`tpc` is not a protocol"),
        Example::fails("-m ipvs --vport 65536 -j DROP", "`65536` is not a port: those go from 0 to 65535"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let family = args.family();
        let mut ipvs = Self::ANY;
        let mut bare = None;
        for given in args.by_ref() {
            let negated = given.negated;
            let port = || port(&given.values[0], given.text(0)).map(|value| Some(Test { negated, value }));
            match given.name() {
                "ipvs" => {
                    ipvs.negated = negated;
                    bare = Some(given);
                }
                "vproto" => ipvs.protocol = Some(Test { negated, value: parse_protocol(&given)? }),
                "vaddr" => ipvs.address = Some(Test { negated, value: Host::parse(&given.values[0], family)? }),
                "vport" => ipvs.port = port()?,
                "vdir" => ipvs.reply = Some(parse_direction(&given)?),
                "vmethod" => ipvs.method = Some(Test { negated, value: parse_method(&given)? }),
                _ => ipvs.control_port = port()?,
            }
        }
        match (bare, ipvs.is_bare()) {
            (None, true) => Err(args.error("needs `--ipvs`").hint("or another option, which says so, too")),
            (Some(given), false) if given.negated => Err(given.error_here("`! --ipvs` does not go with other options")),
            _ => Ok(ipvs),
        }
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        let own = Self::from_xt(info, cursor.family())?;
        (own.is_bare() || !own.negated).then_some(own).filter(|own| own.to_xt() == *info)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "")
    }
}

impl Ipvs {
    /// `--ipvs`
    const ANY: Self =
        Self { negated: false, protocol: None, address: None, port: None, reply: None, method: None, control_port: None };

    /// Is nothing tested but that there is such a connection?
    fn is_bare(self) -> bool {
        Self { negated: false, ..self } == Self::ANY
    }

    fn from_xt(info: &[u8; LEN], family: Family) -> Option<Self> {
        let &[a, b, protocol, method, c, d, inverted, tested] = info.last_chunk()?;
        let negated = |bit: u8| (tested & bit != 0).then_some(inverted & bit != 0);
        let test = |bit: u8, value: u16| negated(bit).map(|negated| Test { negated, value });
        let mut own = Self {
            negated: inverted & bit::IPVS != 0,
            port: test(bit::PORT, u16::from_be_bytes([a, b])),
            reply: negated(bit::DIRECTION),
            control_port: test(bit::CONTROL_PORT, u16::from_be_bytes([c, d])),
            ..Self::ANY
        };
        if let Some(negated) = negated(bit::PROTOCOL) {
            own.protocol = Some(Test { negated, value: Protocol(protocol) }).filter(|_| protocol != 0);
        }
        if let Some(negated) = negated(bit::ADDRESS) {
            own.address = Some(Test { negated, value: Host::from_xt(info.first_chunk()?, family)? });
        }
        if let Some(negated) = negated(bit::METHOD) {
            own.method = METHODS.iter().find(|(_, number)| *number == method).map(|(_, value)| Test { negated, value: *value });
        }
        Some(own)
    }

    fn to_xt(self) -> [u8; LEN] {
        // struct xt_ipvs_mtinfo: vaddr, vmask, be16 vport, u8 l4proto, u8 fwd_method, be16 vportctl, u8 invert, u8 bitmask
        let mut info = [0; LEN];
        let (mut inverted, mut tested) = (0, 0);
        let mut flag = |bit: u8, negated: bool| {
            tested |= bit;
            inverted |= if negated { bit } else { 0 };
        };
        flag(bit::IPVS, self.negated);
        if let Some(Test { negated, value }) = self.protocol {
            flag(bit::PROTOCOL, negated);
            info[34] = value.0;
        }
        if let Some(Test { negated, value }) = self.address {
            flag(bit::ADDRESS, negated);
            info[..32].copy_from_slice(&value.to_xt());
        }
        for (test, bit, at) in [(self.port, bit::PORT, 32), (self.control_port, bit::CONTROL_PORT, 36)] {
            if let Some(Test { negated, value }) = test {
                flag(bit, negated);
                info[at..at + 2].copy_from_slice(&value.to_be_bytes());
            }
        }
        if let Some(reply) = self.reply {
            flag(bit::DIRECTION, reply);
        }
        if let Some(Test { negated, value }) = self.method {
            flag(bit::METHOD, negated);
            info[35] = value;
        }
        info[38..].copy_from_slice(&[inverted, tested]);
        info
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str) -> fmt::Result {
        if self.is_bare() {
            return write!(f, "{}{dashes}ipvs", if self.negated { "! " } else { "" });
        }
        let mut first = true;
        let mut option = |bang: &str, name: &str, value: &dyn fmt::Display| {
            space(f, &mut first)?;
            write!(f, "{bang}{dashes}{name} {value}")
        };
        if let Some(test) = &self.protocol {
            option(test.bang(), "vproto", &test.value.0)?;
        }
        if let Some(test) = &self.address {
            option(test.bang(), "vaddr", &test.value)?;
        }
        if let Some(test) = &self.port {
            option(test.bang(), "vport", &test.value)?;
        }
        if let Some(reply) = self.reply {
            option("", "vdir", &if reply { "REPLY" } else { "ORIGINAL" })?;
        }
        if let Some(test) = &self.method {
            let name = METHODS.iter().find(|(_, number)| *number == test.value).map_or("", |(name, _)| *name);
            option(test.bang(), "vmethod", &name)?;
        }
        self.control_port.as_ref().map_or(Ok(()), |test| option(test.bang(), "vportctl", &test.value))
    }
}

fn parse_protocol(given: &Given<'_>) -> Result<Protocol, SyntaxError> {
    Protocol::parse(given.text(0)).ok().flatten().ok_or_else(|| given.error(format!("`{}` is not a protocol", given.text(0))))
}

/// Is it REPLY?
fn parse_direction(given: &Given<'_>) -> Result<bool, SyntaxError> {
    match given.text(0) {
        text if text.eq_ignore_ascii_case("ORIGINAL") => Ok(false),
        text if text.eq_ignore_ascii_case("REPLY") => Ok(true),
        _ => Err(given.error("this is either `ORIGINAL` or `REPLY`")),
    }
}

fn parse_method(given: &Given<'_>) -> Result<u8, SyntaxError> {
    let found = METHODS.iter().find(|(name, _)| name.eq_ignore_ascii_case(given.text(0)));
    found.map(|(_, number)| *number).ok_or_else(|| given.error("this is one of GATE, IPIP, MASQ"))
}

impl fmt::Display for Ipvs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "--")
    }
}
