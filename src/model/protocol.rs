use std::fmt;

/// A transport protocol's number (`IPPROTO_…`); never 0, which iptables calls `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u8);

/// A word that is neither a protocol's name nor a number from 0 to 255.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no protocol is called `{0}`")]
pub struct UnknownProtocol(pub String);

/// The names that iptables itself knows, in its order: the first with a number is the one it
/// prints (iptables `libxtables/xtables.c`, `xtables_chain_protos`).
const NAMES: &[(&str, u8)] = &[
    ("tcp", 6),
    ("sctp", 132),
    ("udp", 17),
    ("udplite", 136),
    ("icmp", 1),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("esp", 50),
    ("ah", 51),
    ("mobility-header", 135),
    ("ipv6-mh", 135),
    ("mh", 135),
    ("dccp", 33),
    ("ipcomp", 108),
];

/// Further names from IANA's list as `/etc/protocols` has them: read, but printed as numbers, as
/// iptables 1.8.11 and later do.
const MORE_NAMES: &[(&str, u8)] = &[
    ("hopopt", 0),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("ipip", 4),
    ("st", 5),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("skip", 57),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ax.25", 93),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("fc", 133),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
];

impl Protocol {
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// UDP-Lite.
    pub const UDPLITE: Self = Self(136);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// DCCP.
    pub const DCCP: Self = Self(33);
    /// The Encapsulating Security Payload of IPsec.
    pub const ESP: Self = Self(50);
    /// The Authentication Header of IPsec.
    pub const AH: Self = Self(51);
    /// The mobility header of Mobile IPv6.
    pub const MH: Self = Self(135);
    /// The compression of IPsec.
    pub const IPCOMP: Self = Self(108);
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);

    /// The protocol a word names; `None` for `all` and 0.
    ///
    /// # Errors
    /// [`UnknownProtocol`].
    pub fn parse(word: &str) -> Result<Option<Self>, UnknownProtocol> {
        if word.eq_ignore_ascii_case("all") {
            return Ok(None);
        }
        let named = || NAMES.iter().chain(MORE_NAMES).find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|&(_, number)| number);
        let number = number(word).or_else(named).ok_or_else(|| UnknownProtocol(word.to_owned()))?;
        Ok((number != 0).then_some(Self(number)))
    }

    /// The name that iptables 1.8.11 and later print, if they print one.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(_, number)| *number == self.0).map(|&(name, _)| name)
    }
}

/// Decimal, or `0x…`.
fn number(word: &str) -> Option<u8> {
    match word.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => self.0.fmt(f),
        }
    }
}
