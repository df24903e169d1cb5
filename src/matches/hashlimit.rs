use std::fmt;

use super::{
    proc_name,
    rate::{self, Bytes},
};
use crate::{
    extension::{self, Cursor, Extension, Linearizer},
    model::Family,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt, readable},
};

/// `-m hashlimit`: so many packets or bytes in a time, of each sender, receiver, … Kernel:
/// `net/netfilter/xt_hashlimit.c`; what it counts stands in `/proc/net/ipt_hashlimit`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hashlimit {
    limit: Box<Limit>,
}

#[derive(Debug, Clone, PartialEq)]
struct Limit {
    name: String,
    /// What is faster matches; else what is not.
    above: bool,
    rate: Rate,
    /// Whose packets are counted together: bits of [`MODES`].
    mode: u32,
    /// Buckets and entries of the table; 0: as the kernel likes.
    size: u32,
    max: u32,
    /// Milliseconds.
    gc_interval: u32,
    expire: u32,
    /// Only the rate of the last so many seconds counts, and there is no burst.
    rate_match: Option<u32>,
    /// How many bits of the addresses count; all if `None`.
    source: Option<u8>,
    destination: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rate {
    /// The time between two packets, in parts of a second, and how many may come at once.
    Packets { pause: u64, burst: u64 },
    Bytes(Bytes),
}

/// `XT_HASHLIMIT_HASH_…`, in the order in which they are printed.
const MODES: [(&str, u32); 4] = [("srcip", 4), ("srcport", 8), ("dstip", 1), ("dstport", 2)];
const INVERT: u32 = 16;
const BYTES: u32 = 32;
const RATE_MATCH: u32 = 64;

const LEN: usize = 312;
/// `NAME_MAX` less the NUL.
const NAME_LEN: usize = 254;
const DEFAULT_BURST: u64 = 5;
const MAX_BURST: u64 = 1_000_000;
const DEFAULT_GC_INTERVAL: u32 = 1_000;
/// `HASHLIMIT_MAX_SIZE`: the kernel makes it of more.
const MAX_SIZE: u32 = 1 << 20;

impl Extension for Hashlimit {
    const NAME: &'static str = "hashlimit";
    const SUMMARY: &'static str = "so many packets or bytes in a time, of each sender, receiver, …";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("hashlimit-upto", &["RATE"], "no faster than 5, 5/sec, 5/min, 5/hour, 5/day; 512b/s, 512kb/s, 512mb/s").aliases(&["hashlimit"]).negates(),
        opt("hashlimit-above", &["RATE"], "faster than that").negates(),
        opt("hashlimit-burst", &["NUMBER"], "so many packets, or 10kb, 1mb, may come at once; 5 packets if left out"),
        opt("hashlimit-mode", &["MODE[,…]"], "counted for each srcip, srcport, dstip, dstport; all together if left out"),
        opt("hashlimit-srcmask", &["BITS"], "of the sender's address count so many bits; all if left out"),
        opt("hashlimit-dstmask", &["BITS"], "of the receiver's address count so many bits; all if left out"),
        opt("hashlimit-name", &["NAME"], "the table in /proc/net/ipt_hashlimit; rules with one name share it"),
        opt("hashlimit-htable-size", &["NUMBER"], "the table's buckets"),
        opt("hashlimit-htable-max", &["NUMBER"], "the table's entries, at most"),
        opt("hashlimit-htable-gcinterval", &["MILLISECONDS"], "how often old entries are looked for; 1000 if left out"),
        opt("hashlimit-htable-expire", &["MILLISECONDS"], "when an entry is old; by the rate if left out"),
        opt("hashlimit-rate-match", &[], "by the rate alone, without a burst"),
        opt("hashlimit-rate-interval", &["SECONDS"], "with rate-match: over so long a time; the rate's unit if left out"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok(
            "-m hashlimit --hashlimit 5/s --hashlimit-name web -j ACCEPT",
            "-m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 5 --hashlimit-name web -j ACCEPT",
        ),
        Example::ok(
            "-p tcp --dport 80 -m hashlimit --hashlimit-name web --hashlimit-mode dstport,srcip --hashlimit-above 100/m --hashlimit-burst 0x14 -j DROP",
            "-p tcp -m tcp --dport 80 -m hashlimit --hashlimit-above 100/min --hashlimit-burst 20 --hashlimit-mode srcip,dstport --hashlimit-name web -j DROP",
        ),
        Example::ok(
            "-m hashlimit ! --hashlimit-above 60/min --hashlimit-name one -j ACCEPT",
            "-m hashlimit --hashlimit-upto 1/sec --hashlimit-burst 5 --hashlimit-name one --hashlimit-htable-expire 60000 -j ACCEPT",
        ),
        Example::ok(
            "-m hashlimit ! --hashlimit-upto 7/day --hashlimit-name one -j DROP",
            "-m hashlimit --hashlimit-above 7/day --hashlimit-burst 5 --hashlimit-name one -j DROP",
        ),
        Example::ok(
            "-m hashlimit --hashlimit-name net --hashlimit-upto 7000 --hashlimit-mode srcip|dstip|srcport --hashlimit-srcmask 24 \
             --hashlimit-dstmask 0x10 --hashlimit-htable-size 1024 --hashlimit-htable-max 2000000 --hashlimit-htable-expire 10000 \
             --hashlimit-htable-gcinterval 500 -j ACCEPT",
            "-m hashlimit --hashlimit-upto 7042/sec --hashlimit-burst 5 --hashlimit-mode srcip,srcport,dstip --hashlimit-name net \
             --hashlimit-htable-size 1024 --hashlimit-htable-max 1048576 --hashlimit-htable-gcinterval 500 \
             --hashlimit-htable-expire 10000 --hashlimit-srcmask 24 --hashlimit-dstmask 16 -j ACCEPT",
        ),
        Example::ok(
            "-m hashlimit --hashlimit-name v4 --hashlimit-upto 300/hour --hashlimit-srcmask 32 --hashlimit-dstmask 0 -j ACCEPT",
            "-m hashlimit --hashlimit-upto 5/min --hashlimit-burst 5 --hashlimit-name v4 --hashlimit-htable-expire 3600000 --hashlimit-dstmask 0 \
             -j ACCEPT",
        )
        .ip(),
        Example::same("-m hashlimit --hashlimit-upto 1/sec --hashlimit-burst 1000000 --hashlimit-name v6 --hashlimit-srcmask 64 -j ACCEPT").ip6(),
        Example::same("-m hashlimit --hashlimit-above 10mb/s --hashlimit-name big -j DROP"),
        Example::same("-m hashlimit --hashlimit-above 100kb/s --hashlimit-burst 1mb --hashlimit-mode dstip --hashlimit-name down -j DROP"),
        Example::ok(
            "-m hashlimit --hashlimit-upto 1000b/s --hashlimit-burst 1mb --hashlimit-name b -j ACCEPT",
            "-m hashlimit --hashlimit-upto 992b/s --hashlimit-burst 1mb --hashlimit-name b -j ACCEPT",
        ),
        Example::ok(
            "-m hashlimit --hashlimit-upto 30/min --hashlimit-rate-match --hashlimit-name r -j ACCEPT",
            "-m hashlimit --hashlimit-upto 30/sec --hashlimit-burst 5 --hashlimit-name r --hashlimit-htable-expire 60000 \
             --hashlimit-rate-match --hashlimit-rate-interval 60 -j ACCEPT",
        ),
        Example::same(
            "-m hashlimit --hashlimit-upto 1kb/s --hashlimit-name r --hashlimit-rate-match --hashlimit-rate-interval 10 -j ACCEPT",
        ),
        Example::fails("-m hashlimit --hashlimit-name web -j DROP", "needs `--hashlimit-upto` or `--hashlimit-above`"),
        Example::fails("-m hashlimit --hashlimit-upto 5/s -j DROP", "needs `--hashlimit-name`"),
        Example::fails("-m hashlimit --hashlimit-upto 5/s --hashlimit-above 9/s --hashlimit-name x -j DROP", "one rate is enough"),
        Example::fails("-m hashlimit --hashlimit-upto 5/week --hashlimit-name x -j DROP", "`5/week` is not a rate"),
        Example::fails("-m hashlimit --hashlimit-upto 2000000/s --hashlimit-name x -j DROP", "this is too fast: 1000000 in a second is the most"),
        Example::fails("-m hashlimit --hashlimit-upto 5b/s --hashlimit-name x -j DROP", "this must be from 16 bytes to 64 gigabytes in a second"),
        Example::fails("-m hashlimit --hashlimit-upto 5/s --hashlimit-burst 1000001 --hashlimit-name x -j DROP", "a burst has from 1 to 1000000 packets"),
        Example::fails("-m hashlimit --hashlimit-upto 1mb/s --hashlimit-burst 5 --hashlimit-name x -j DROP", "the burst is smaller than what may come in a second"),
        Example::fails("-m hashlimit --hashlimit-upto 5/s --hashlimit-mode ip --hashlimit-name x -j DROP", "`ip` is not a mode"),
        Example::fails("-m hashlimit --hashlimit-upto 5/s --hashlimit-srcmask 33 --hashlimit-name x -j DROP", "this must be a number from 0 to 32").ip(),
        Example::fails("-m hashlimit --hashlimit-upto 5/s --hashlimit-rate-interval 5 --hashlimit-name x -j DROP", "`--hashlimit-rate-interval` needs `--hashlimit-rate-match`"),
        Example::fails("-m hashlimit --hashlimit-upto 5/s --hashlimit-htable-expire 0 --hashlimit-name x -j DROP", "this must be a number from 1 to 4294967295"),
        Example::fails("-m hashlimit --hashlimit-upto 5/s --hashlimit-name a/b -j DROP", "this is the name of a file in /proc, and can't be so"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let all = bits(args.family());
        let (mut limit, mut found) = (Limit::default(), None);
        let (mut burst, mut expire, mut interval, mut rate_match) = (None, None, None, false);
        for given in args.by_ref() {
            let size = || number(&given.values[0], u32::MAX.into()).map(|size| MAX_SIZE.min(size as u32));
            let mask = || number(&given.values[0], all.into()).map(|bits| Some(bits as u8).filter(|bits| *bits != all));
            match given.name() {
                "hashlimit-upto" | "hashlimit-above" if found.is_some() => return Err(given.error_here("one rate is enough")),
                side @ ("hashlimit-upto" | "hashlimit-above") => {
                    limit.above = given.negated == (side == "hashlimit-upto");
                    found = Some(rate::parse(&given)?);
                }
                "hashlimit-burst" => burst = Some((rate::parse_burst(&given)?, given.error("the burst is wrong"))),
                "hashlimit-mode" => limit.mode = parse_mode(&given)?,
                "hashlimit-srcmask" => limit.source = mask()?,
                "hashlimit-dstmask" => limit.destination = mask()?,
                "hashlimit-name" => limit.name = proc_name::parse(&given, NAME_LEN)?,
                "hashlimit-htable-size" => limit.size = size()?,
                "hashlimit-htable-max" => limit.max = size()?,
                "hashlimit-htable-gcinterval" => limit.gc_interval = positive(&given, u32::MAX)?,
                "hashlimit-htable-expire" => expire = Some(positive(&given, u32::MAX)?),
                "hashlimit-rate-match" => rate_match = true,
                _ => interval = Some((positive(&given, i32::MAX as u32)?, given.error_here("`--hashlimit-rate-interval` needs `--hashlimit-rate-match`"))),
            }
        }
        let found = found.ok_or_else(|| args.error("needs `--hashlimit-upto` or `--hashlimit-above`"))?;
        if limit.name.is_empty() {
            return Err(args.error("needs `--hashlimit-name`").hint("rules with the same name share what they count"));
        }
        let (rate, usual_expire, usual_interval) = finish(found, burst, rate_match)?;
        limit.rate = rate;
        limit.expire = expire.unwrap_or(usual_expire);
        limit.rate_match = match interval {
            Some((_, error)) if !rate_match => return Err(error),
            Some((seconds, _)) => Some(seconds),
            None => rate_match.then_some(usual_interval),
        };
        Ok(Self { limit: Box::new(limit) })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 3, &self.limit.to_xt(out.family()));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let limit = Limit::from_xt(cursor.take_match(Self::NAME, 3)?, cursor.family())?;
        Some(Self { limit: Box::new(limit) })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.limit.above { "limit: above " } else { "limit: up to " })?;
        let usual_expire = match &self.limit.rate {
            Rate::Bytes(bytes) => bytes.print(f, "")?,
            Rate::Packets { pause, burst } => {
                let period = pause.saturating_mul(self.limit.rate_match.unwrap_or(1).into());
                let (rate, unit) = rate::quantise(period);
                write!(f, "{rate}/{} burst {burst}", unit.name)?;
                unit.milliseconds()
            }
        };
        self.limit.print(f, "", "-", usual_expire)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            name: String::new(),
            above: false,
            rate: Rate::Packets { pause: 0, burst: DEFAULT_BURST },
            mode: 0,
            size: 0,
            max: 0,
            gc_interval: DEFAULT_GC_INTERVAL,
            expire: 0,
            rate_match: None,
            source: None,
            destination: None,
        }
    }
}

impl Limit {
    fn to_xt(&self, family: Family) -> [u8; LEN] {
        // struct xt_hashlimit_mtinfo3: name[255], { u64 avg, u64 burst, u32 mode, u32 size, u32 max,
        // u32 gc_interval, u32 expire, u32 interval, u8 srcmask, u8 dstmask }, hinfo
        let mut info = [0; LEN];
        let mut mode = self.mode;
        mode |= if self.above { INVERT } else { 0 };
        mode |= if self.rate_match.is_some() { RATE_MATCH } else { 0 };
        let (avg, burst) = match self.rate {
            Rate::Packets { pause, burst } => (pause, burst),
            Rate::Bytes(Bytes { cost, burst }) => {
                mode |= BYTES;
                (cost.into(), burst.into())
            }
        };
        info[..self.name.len()].copy_from_slice(self.name.as_bytes());
        info[256..264].copy_from_slice(&avg.to_ne_bytes());
        info[264..272].copy_from_slice(&burst.to_ne_bytes());
        let numbers = [mode, self.size, self.max, self.gc_interval, self.expire, self.rate_match.unwrap_or(0)];
        for (slot, number) in info[272..296].chunks_exact_mut(4).zip(numbers) {
            slot.copy_from_slice(&number.to_ne_bytes());
        }
        info[296] = self.source.unwrap_or(bits(family));
        info[297] = self.destination.unwrap_or(bits(family));
        info
    }

    fn from_xt(info: &[u8; LEN], family: Family) -> Option<Self> {
        let number = |at: usize| Some(u32::from_ne_bytes(*info[at..].first_chunk()?));
        let long = |at: usize| Some(u64::from_ne_bytes(*info[at..].first_chunk()?));
        let all = bits(family);
        let (avg, burst, mode) = (long(256)?, long(264)?, number(272)?);
        let rate_match = mode & RATE_MATCH != 0;
        let rate = if mode & BYTES != 0 {
            Rate::Bytes(Bytes::new(avg, burst)?)
        } else {
            let faithful = rate::spell(avg, rate_match).is_some() && (1..=MAX_BURST).contains(&burst);
            Some(Rate::Packets { pause: avg, burst }).filter(|_| faithful)?
        };
        let limit = Self {
            name: extension::name(&info[..255])?.to_owned(),
            above: mode & INVERT != 0,
            rate,
            mode: mode & MODES.iter().fold(0, |all, (_, bit)| all | bit),
            size: number(276)?,
            max: number(280)?,
            gc_interval: number(284)?,
            expire: number(288)?,
            rate_match: rate_match.then_some(number(292)?),
            source: Some(info[296]).filter(|bits| *bits != all),
            destination: Some(info[297]).filter(|bits| *bits != all),
        };
        let interval = limit.rate_match.is_none_or(|seconds| (1..=i32::MAX as u32).contains(&seconds));
        let is_valid = interval
            && proc_name::is_valid(&limit.name, NAME_LEN)
            && limit.size.max(limit.max) <= MAX_SIZE
            && limit.gc_interval != 0
            && limit.expire != 0
            && limit.source.max(limit.destination).is_none_or(|bits| bits < all);
        (is_valid && limit.to_xt(family) == *info).then_some(limit)
    }

    /// What comes behind rate and burst; the name only with dashes.
    fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str, comma: &str, usual_expire: u32) -> fmt::Result {
        let mut modes = MODES.iter().filter(|(_, bit)| self.mode & bit != 0).map(|(name, _)| name);
        if let Some(first) = modes.next() {
            write!(f, " {dashes}mode {first}")?;
            modes.try_for_each(|name| write!(f, "{comma}{name}"))?;
        }
        if !dashes.is_empty() {
            write!(f, " {dashes}name {}", readable(&self.name))?;
        }
        let mask = |mask: Option<u8>| mask.map(u32::from);
        for (name, value) in [
            ("htable-size", Some(self.size).filter(|size| *size != 0)),
            ("htable-max", Some(self.max).filter(|max| *max != 0)),
            ("htable-gcinterval", Some(self.gc_interval).filter(|interval| *interval != DEFAULT_GC_INTERVAL)),
            ("htable-expire", Some(self.expire).filter(|expire| *expire != usual_expire)),
            ("srcmask", mask(self.source)),
            ("dstmask", mask(self.destination)),
        ] {
            if let Some(value) = value {
                write!(f, " {dashes}{name} {value}")?;
            }
        }
        match self.rate_match {
            None => Ok(()),
            Some(1) => write!(f, " {dashes}rate-match"),
            Some(seconds) => write!(f, " {dashes}rate-match {dashes}rate-interval {seconds}"),
        }
    }
}

/// How many bits an address has.
fn bits(family: Family) -> u8 {
    if family == Family::Ip { 32 } else { 128 }
}

/// The rate with its burst, and what entries' age and rate-match's interval are if left out.
fn finish(found: rate::Parsed, burst: Option<(u64, SyntaxError)>, rate_match: bool) -> Result<(Rate, u32, u32), SyntaxError> {
    let wrong = |error: SyntaxError, message: &str| Err(SyntaxError::new(error.span, message));
    match (found, burst) {
        (rate::Parsed::Packets { .. }, Some((burst, error))) if burst > MAX_BURST => {
            wrong(error, &format!("a burst has from 1 to {MAX_BURST} packets"))
        }
        (rate::Parsed::Packets { pause, seconds }, burst) => {
            let pause = if rate_match { pause / u64::from(seconds) } else { pause };
            let burst = burst.map_or(DEFAULT_BURST, |(burst, _)| burst);
            Ok((Rate::Packets { pause, burst }, seconds * 1_000, seconds))
        }
        (rate::Parsed::Bytes { cost }, None) => Ok((Rate::Bytes(Bytes { cost, burst: 0 }), rate::EXPIRE, 1)),
        (rate::Parsed::Bytes { cost }, Some((bytes, error))) => match Bytes::with_burst(cost, bytes) {
            Ok(bytes) => Ok((Rate::Bytes(bytes), rate::EXPIRE_BURST, 1)),
            Err(message) => wrong(error, message),
        },
    }
}

fn positive(given: &Given<'_>, max: u32) -> Result<u32, SyntaxError> {
    match number(&given.values[0], max.into()) {
        Ok(value @ 1..) => Ok(value as u32),
        _ => Err(given.error(format!("this must be a number from 1 to {max}"))),
    }
}

fn parse_mode(given: &Given<'_>) -> Result<u32, SyntaxError> {
    let words = given.text(0).split([',', '|']).filter(|word| !word.is_empty());
    words.map(|word| {
        let known = MODES.iter().find(|(known, _)| *known == word).map(|(_, bit)| *bit);
        known.ok_or_else(|| {
            given.error(format!("`{word}` is not a mode")).hint("write some of srcip, srcport, dstip, dstport, with commas between")
        })
    })
    .try_fold(0, |all, bit| bit.map(|bit| all | bit))
}

impl fmt::Display for Hashlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.limit.above { "--hashlimit-above " } else { "--hashlimit-upto " })?;
        let usual_expire = match &self.limit.rate {
            Rate::Bytes(bytes) => bytes.print(f, "--hashlimit-")?,
            Rate::Packets { pause, burst } => {
                let (rate, unit) = rate::spell(*pause, self.limit.rate_match.is_some()).unwrap_or(rate::quantise(*pause));
                write!(f, "{rate}/{} --hashlimit-burst {burst}", unit.name)?;
                unit.milliseconds()
            }
        };
        self.limit.print(f, "--hashlimit-", ",", usual_expire)
    }
}
