use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer},
    matches::host::Host,
    model::Interface,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt},
};

/// `-j TEE`: sends a copy of the packet to another host of this network; the next rule is then tried.
/// Kernel: `net/netfilter/xt_TEE.c`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tee {
    /// Without a mask.
    gateway: Host,
    /// Never a prefix.
    out_interface: Option<Interface>,
}

const LEN: usize = 40;

impl Extension for Tee {
    const NAME: &'static str = "TEE";
    const SUMMARY: &'static str = "sends a copy of the packet to a host next door and goes on to the next rule";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("gateway", &["ADDRESS"], "the host that gets the copy; it must be in reach without a router"),
        opt("oif", &["INTERFACE"], "the route to it is looked for on this interface only"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-i eth0 -j TEE --gateway 192.0.2.9").ip(),
        Example::ok("-j TEE --oif docker0 --gateway 192.0.2.9", "-j TEE --gateway 192.0.2.9 --oif docker0").ip(),
        Example::same("-j TEE --gateway 192.0.2.9 --oif fifteen-letters").ip(),
        Example::ok("-i eth0 -j TEE --gateway FD00:0::9", "-i eth0 -j TEE --gateway fd00::9").ip6(),
        Example::same("-j TEE --gateway fd00::9 --oif docker0").ip6(),
        Example::fails("-j TEE", "needs `--gateway ADDRESS`"),
        Example::fails("-j TEE --gateway fd00::9", "`fd00::9` is not an IPv4 address").ip(),
        Example::fails("-j TEE --gateway 192.0.2.9", "`192.0.2.9` is not an IPv6 address").ip6(),
        Example::fails("-j TEE --gateway 192.0.2.0/24", "this is one address, without a mask"),
        Example::fails("-j TEE --gateway 0.0.0.0", "no host has this address").ip(),
        Example::fails("-j TEE --gateway ::", "no host has this address").ip6(),
        Example::fails("-j TEE --gateway 192.0.2.9 --oif eth+", "`--oif` takes one interface, not all that begin so").ip(),
        Example::fails("-j TEE --gateway fd00::9 --oif sixteen-letters-", "an interface's name has 15 characters at most").ip6(),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let family = args.family();
        let (mut gateway, mut out_interface) = (None, None);
        for given in args.by_ref() {
            match given.name() {
                "gateway" if given.text(0).contains('/') => return Err(given.error("this is one address, without a mask")),
                "gateway" => gateway = Some((Host::parse(&given.values[0], family)?, given)),
                _ => out_interface = Some(parse_interface(&given)?),
            }
        }
        let (gateway, given) = gateway.ok_or_else(|| args.error("needs `--gateway ADDRESS`"))?;
        let tee = Self { gateway, out_interface };
        if tee.to_xt()[..16] == [0; 16] {
            return Err(given.error("no host has this address"));
        }
        Ok(tee)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_target(Self::NAME, 1, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let family = cursor.family();
        let info = cursor.take_target::<LEN>(Self::NAME, 1)?;
        let mut host = [0xff; 32];
        host[..16].copy_from_slice(&info[..16]);
        let name = extension::name(&info[16..32])?;
        let out_interface = if name.is_empty() { None } else { Some(Interface::exact(name.as_bytes())?) };
        let tee = Self { gateway: Host::from_xt(&host, family)?, out_interface };
        (info[..16] != [0; 16] && tee.to_xt() == *info).then_some(tee)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TEE gw:{}", self.gateway)?;
        self.out_interface.map_or(Ok(()), |name| write!(f, " oif={name}"))
    }
}

impl Tee {
    fn to_xt(self) -> [u8; LEN] {
        // struct xt_tee_tginfo: gw[16], oif[16], priv (the kernel's own, dumped as 0)
        let mut info = [0; LEN];
        info[..16].copy_from_slice(&self.gateway.to_xt()[..16]);
        if let Some(name) = &self.out_interface {
            info[16..16 + name.as_bytes().len()].copy_from_slice(name.as_bytes());
        }
        info
    }
}

fn parse_interface(given: &Given<'_>) -> Result<Interface, SyntaxError> {
    let interface = Interface::new(given.text(0)).map_err(|error| given.error(error.to_string()))?;
    match interface.is_prefix() {
        true => Err(given.error("`--oif` takes one interface, not all that begin so")),
        false => Ok(interface),
    }
}

impl fmt::Display for Tee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--gateway {}", self.gateway)?;
        self.out_interface.map_or(Ok(()), |name| write!(f, " --oif {name}"))
    }
}
