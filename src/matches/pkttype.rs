use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m pkttype`: whom the link layer sent the packet to. Kernel: `net/netfilter/xt_pkttype.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pkttype {
    kind: Test<Kind>,
}

/// A kind of packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    other_name: &'static str,
    /// `PACKET_…` of `include/uapi/linux/if_packet.h`.
    number: u8,
}

const KINDS: [Kind; 4] = [
    Kind { name: "unicast", other_name: "host", number: 0 },
    Kind { name: "broadcast", other_name: "bcast", number: 1 },
    Kind { name: "multicast", other_name: "mcast", number: 2 },
    Kind { name: "otherhost", other_name: "otherhost", number: 3 },
];

impl Extension for Pkttype {
    const NAME: &'static str = "pkttype";
    const SUMMARY: &'static str = "whom the link layer sent the packet to";
    const OPTIONS: &'static [OptionSpec] =
        &[opt("pkt-type", &["KIND"], "to us (unicast), all (broadcast), a group (multicast) or others (otherhost)").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m pkttype --pkt-type broadcast -j DROP"),
        Example::same("-m pkttype --pkt-type otherhost -j DROP"),
        Example::ok("-m pkttype --pkt-type BCAST -j DROP", "-m pkttype --pkt-type broadcast -j DROP"),
        Example::ok("-m pkttype --pkt-type mcast -j DROP", "-m pkttype --pkt-type multicast -j DROP"),
        Example::ok("-m pkttype ! --pkt-type host -j DROP", "-m pkttype ! --pkt-type unicast -j DROP"),
        Example::fails("-m pkttype -j DROP", "needs `--pkt-type KIND`"),
        Example::fails("-m pkttype --pkt-type outgoing -j DROP", "`outgoing` is not a kind of packet"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--pkt-type KIND`"))?;
        let called = |name: &str| name.eq_ignore_ascii_case(given.text(0));
        let kind = KINDS.into_iter().find(|kind| called(kind.name) || called(kind.other_name)).ok_or_else(|| {
            let error = given.error(format!("`{}` is not a kind of packet", given.text(0)));
            error.hint("they are unicast (or host), broadcast (bcast), multicast (mcast) and otherhost")
        })?;
        Ok(Self { kind: Test { negated: given.negated, value: kind } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match(Self::NAME, 0)?;
        let all = KINDS.into_iter().flat_map(|value| [false, true].map(|negated| Self { kind: Test { negated, value } }));
        all.into_iter().find(|one| one.to_xt() == *info)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PKTTYPE {}= {}", if self.kind.negated { "!" } else { "" }, self.kind.value.name)
    }
}

impl Pkttype {
    fn to_xt(self) -> [u8; 8] {
        // struct xt_pkttype_info: int pkttype, int invert
        let mut info = [0; 8];
        info[..4].copy_from_slice(&i32::from(self.kind.value.number).to_ne_bytes());
        info[4..].copy_from_slice(&i32::from(self.kind.negated).to_ne_bytes());
        info
    }
}

impl fmt::Display for Pkttype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--pkt-type {}", self.kind.bang(), self.kind.value.name)
    }
}
