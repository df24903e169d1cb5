use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Protocol,
    syntax::{Args, Example, OptionSpec, SyntaxError, number, opt},
};

/// `-j SYNPROXY`: answers a SYN in the server's place, and opens the connection to the server once the
/// client has shown that it is there. Kernel: `net/ipv4/netfilter/ipt_SYNPROXY.c`,
/// `net/ipv6/netfilter/ip6t_SYNPROXY.c`.
///
/// It needs packets that connection tracking lets alone (`-t raw … -j CT --notrack`) or finds
/// invalid, and `net.netfilter.nf_conntrack_tcp_loose` at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Synproxy {
    window_scale: Option<u8>,
    segment: Option<u16>,
    /// Bits of [`FLAGS`].
    flags: u8,
}

/// `XT_SYNPROXY_OPT_MSS`
const SEGMENT: u8 = 1;
/// `XT_SYNPROXY_OPT_WSCALE`
const WINDOW_SCALE: u8 = 2;

/// The options that are flags, and their bits (`XT_SYNPROXY_OPT_…`).
const FLAGS: [(&str, u8); 3] = [("sack-perm", 4), ("timestamp", 8), ("ecn", 0x10)];

impl Extension for Synproxy {
    const NAME: &'static str = "SYNPROXY";
    const SUMMARY: &'static str = "answers TCP SYNs in the server's place, against floods of them";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("sack-perm", &[], "the server takes selective acknowledgements"),
        opt("timestamp", &[], "the server takes timestamps"),
        opt("wscale", &["NUMBER"], "the server's window scale; TCP has 0 to 14"),
        opt("mss", &["BYTES"], "the server's largest segment"),
        opt("ecn", &[], "the server takes ECN"),
    ];
    const HOOKS: Option<&'static str> = Some("`-j SYNPROXY` works for packets from INPUT or FORWARD only");
    const EXAMPLES: &'static [Example] = &[
        Example::ok(
            "-p tcp -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --mss 1460 --wscale 7 --timestamp --sack-perm",
            "-p tcp -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460",
        ),
        Example::same("-p tcp -j SYNPROXY"),
        Example::same("-p tcp -j SYNPROXY --wscale 0 --mss 0 --ecn"),
        Example::same("-p tcp -j SYNPROXY --timestamp --wscale 255 --mss 65535"),
        Example::fails("-j SYNPROXY --sack-perm", "needs `-p tcp`"),
        Example::fails("-p udp -j SYNPROXY --sack-perm", "needs `-p tcp`"),
        Example::fails("-p tcp -j SYNPROXY --wscale 256", "this must be a number from 0 to 255"),
        Example::fails("-p tcp -j SYNPROXY --mss 65536", "this must be a number from 0 to 65535"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::TCP])?;
        let mut proxy = Self::default();
        for given in args {
            match given.name() {
                "wscale" => proxy.window_scale = Some(number(&given.values[0], u8::MAX.into())? as u8),
                "mss" => proxy.segment = Some(number(&given.values[0], u16::MAX.into())? as u16),
                name => proxy.flags |= FLAGS.iter().find(|(flag, _)| *flag == name).map_or(0, |(_, bit)| *bit),
            }
        }
        Ok(proxy)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_target(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info: &[u8; 8] = cursor.take_target(Self::NAME, 0)?;
        let proxy = Self {
            window_scale: (info[0] & WINDOW_SCALE != 0).then_some(info[1]),
            segment: (info[0] & SEGMENT != 0).then_some(u16::from_ne_bytes([info[2], info[3]])),
            flags: info[0] & FLAGS.iter().fold(0, |all, (_, bit)| all | bit),
        };
        (cursor.is_protocol(Protocol::TCP) && proxy.to_xt() == *info).then_some(proxy)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SYNPROXY ")?;
        self.options(|option| write!(f, "{option} "))
    }
}

impl Synproxy {
    fn to_xt(self) -> [u8; 8] {
        // struct xt_synproxy_info: u8 options, u8 wscale, u16 mss
        let options = self.flags
            | if self.window_scale.is_some() { WINDOW_SCALE } else { 0 }
            | if self.segment.is_some() { SEGMENT } else { 0 };
        let [low, high] = self.segment.unwrap_or_default().to_ne_bytes();
        [options, self.window_scale.unwrap_or_default(), low, high, 0, 0, 0, 0]
    }

    /// Calls `print` with each option and its value, in the order in which iptables prints them.
    fn options(&self, mut print: impl FnMut(fmt::Arguments<'_>) -> fmt::Result) -> fmt::Result {
        let [sack, timestamp, ecn] = FLAGS.map(|(name, bit)| (self.flags & bit != 0).then_some(name));
        for name in [sack, timestamp].into_iter().flatten() {
            print(format_args!("{name}"))?;
        }
        if let Some(scale) = self.window_scale {
            print(format_args!("wscale {scale}"))?;
        }
        if let Some(bytes) = self.segment {
            print(format_args!("mss {bytes}"))?;
        }
        ecn.map_or(Ok(()), |name| print(format_args!("{name}")))
    }
}

impl fmt::Display for Synproxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        self.options(|option| write!(f, "{}--{option}", std::mem::replace(&mut space, " ")))
    }
}
