use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer},
    model::{Family, Protocol, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt, readable},
};

/// `-m osf`: which operating system opens the connection, by the looks of its TCP SYN. Kernel:
/// `net/netfilter/xt_osf.c`, `net/netfilter/nfnetlink_osf.c`.
///
/// It knows only what `nfnl_osf -f pf.os` has told it. With `--log` it takes every system that it
/// knows, whichever is named; and it does not look at the `!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Osf {
    /// One to [`GENRE_MAX`] bytes.
    genre: Test<String>,
    /// 0 to 2.
    ttl: Option<u32>,
    /// 0 to 2.
    log: Option<u32>,
}

const LEN: usize = 48;
/// `MAXGENRELEN` less the NUL.
const GENRE_MAX: usize = 31;
/// `XT_OSF_…`
const TTL: u32 = 2;
const LOG: u32 = 4;
const INVERT: u32 = 8;

impl Extension for Osf {
    const NAME: &'static str = "osf";
    const FAMILIES: &'static [Family] = &[Family::Ip];
    const SUMMARY: &'static str = "which operating system opens the TCP connection";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("genre", &["NAME"], "the system, as in the list that nfnl_osf has loaded; the kernel ignores `!`").negates(),
        opt("ttl", &["0|1|2"], "the TTL is just that of the system, is less, or does not matter; 0 if left out"),
        opt("log", &["0|1|2"], "writes all, the first, or all known systems to the kernel's log, and then takes every system"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-p tcp -m osf --genre Linux -j DROP"),
        Example::ok("-p tcp -m osf --log 0 --ttl 2 ! --genre Windows -j DROP", "-p tcp -m osf ! --genre Windows --ttl 2 --log 0 -j DROP"),
        Example::same("-p tcp -m osf --genre NMAP --ttl 0 -j DROP"),
        Example::same("-p tcp -m osf --genre a-name-of-thirty-one-letters... --log 2 -j DROP"),
        Example::fails("-m osf --genre Linux -j DROP", "needs `-p tcp`"),
        Example::fails("-p tcp -m osf --ttl 0 -j DROP", "needs `--genre`"),
        Example::fails("-p tcp -m osf --genre Linux --ttl 3 -j DROP", "this must be a number from 0 to 2"),
        Example::fails("-p tcp -m osf --genre Linux --log 3 -j DROP", "this must be a number from 0 to 2"),
        Example::fails("-p tcp -m osf --genre a-name-of-thirty-two-letters.... -j DROP", "a system's name has 1 to 31 bytes, this has 32"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::TCP])?;
        let (mut genre, mut ttl, mut log) = (None, None, None);
        for given in args.by_ref() {
            let level = || number(&given.values[0], 2).map(|level| Some(level as u32));
            match given.name() {
                "genre" => genre = Some(Test { negated: given.negated, value: parse_genre(&given)? }),
                "ttl" => ttl = level()?,
                _ => log = level()?,
            }
        }
        let genre = genre.ok_or_else(|| args.error("needs `--genre`").hint("write for example `--genre Linux`"))?;
        Ok(Self { genre, ttl, log })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::TCP) {
            return None;
        }
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        let (genre, numbers) = info.split_at(GENRE_MAX + 1);
        let &[_, flags, log, ttl] = numbers.as_chunks().0 else { return None };
        let flags = u32::from_ne_bytes(flags);
        let level = |bit: u32, bytes: [u8; 4]| (flags & bit != 0).then_some(u32::from_ne_bytes(bytes));
        let value = extension::name(genre).filter(|genre| (1..=GENRE_MAX).contains(&genre.len()))?.to_owned();
        let osf = Self { genre: Test { negated: flags & INVERT != 0, value }, ttl: level(TTL, ttl), log: level(LOG, log) };
        let known = [osf.ttl, osf.log].into_iter().flatten().all(|level| level <= 2);
        (known && osf.to_xt() == *info).then_some(osf)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OS fingerprint match {}{}", self.genre.bang(), self.genre.value)
    }
}

impl Osf {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_osf_info: char genre[32], u32 len, u32 flags, u32 loglevel, u32 ttl
        let mut info = [0; LEN];
        let (genre, numbers) = info.split_at_mut(GENRE_MAX + 1);
        genre[..self.genre.value.len()].copy_from_slice(self.genre.value.as_bytes());
        let bit = |is: bool, bit: u32| if is { bit } else { 0 };
        let flags = bit(self.genre.negated, INVERT) | bit(self.ttl.is_some(), TTL) | bit(self.log.is_some(), LOG);
        let values = [self.genre.value.len() as u32, flags, self.log.unwrap_or(0), self.ttl.unwrap_or(0)];
        for (slot, value) in numbers.as_chunks_mut().0.iter_mut().zip(values) {
            *slot = value.to_ne_bytes();
        }
        info
    }
}

fn parse_genre(given: &Given<'_>) -> Result<String, SyntaxError> {
    let genre = given.text(0);
    match genre.len() {
        1..=GENRE_MAX => Ok(genre.to_owned()),
        len => Err(given.error(format!("a system's name has 1 to {GENRE_MAX} bytes, this has {len}"))),
    }
}

impl fmt::Display for Osf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--genre {}", self.genre.bang(), readable(&self.genre.value))?;
        self.ttl.map_or(Ok(()), |ttl| write!(f, " --ttl {ttl}"))?;
        self.log.map_or(Ok(()), |log| write!(f, " --log {log}"))
    }
}
