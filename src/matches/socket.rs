use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m socket`: a socket of this host takes the packet. Kernel: `net/netfilter/xt_socket.c`, which
/// takes it only where packets come in: not in `DOCKER-USER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Bits of [`FLAGS`].
    flags: u8,
}

/// `XT_SOCKET_…`, in the order in which they are printed.
const FLAGS: [(&str, u8); 3] = [("transparent", 1), ("nowildcard", 2), ("restore-skmark", 4)];

impl Extension for Socket {
    const NAME: &'static str = "socket";
    const NOT_FORWARDED: Option<&'static str> =
        Some("no socket of this host takes a forwarded packet: test where it goes, `-d`, `-o` or `-m set`");
    const SUMMARY: &'static str = "a socket of this host takes the packet; only in chains of incoming packets";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("transparent", &[], "the socket is transparent: it takes what is meant for others"),
        opt("nowildcard", &[], "sockets that listen on all addresses count, too"),
        opt("restore-skmark", &[], "the packet gets the socket's mark"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m socket -j ACCEPT"),
        Example::ok("-m socket --nowildcard --transparent -j ACCEPT", "-m socket --transparent --nowildcard -j ACCEPT"),
        Example::same("-m socket --restore-skmark -j ACCEPT"),
        Example::fails("-m socket ! --transparent -j DROP", "`--transparent` can't be negated"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let bit = |name: &str| FLAGS.iter().find(|(known, _)| *known == name).map_or(0, |(_, bit)| *bit);
        Ok(Self { flags: args.fold(0, |flags, given| flags | bit(given.name())) })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 3, &[self.flags, 0, 0, 0, 0, 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[flags @ 0..8, 0, 0, 0, 0, 0, 0, 0] = cursor.take_match(Self::NAME, 3)? else { return None };
        Some(Self { flags })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("socket")?;
        self.names().try_for_each(|name| write!(f, " --{name}"))
    }
}

impl Socket {
    fn names(self) -> impl Iterator<Item = &'static str> {
        FLAGS.into_iter().filter(move |(_, bit)| self.flags & bit != 0).map(|(name, _)| name)
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        self.names().try_for_each(|name| write!(f, "{}--{name}", std::mem::replace(&mut blank, " ")))
    }
}
