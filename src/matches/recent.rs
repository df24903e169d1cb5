use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::proc_name;
use crate::{
    extension::{self, Cursor, Extension, Linearizer},
    model::{Family, Ip6Text},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt, readable},
};

/// `-m recent`: a list of addresses that rules fill and ask. Kernel: `net/netfilter/xt_recent.c`;
/// the lists are files in `/proc/net/xt_recent`.
#[derive(Debug, Clone, PartialEq)]
pub struct Recent {
    entry: Box<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    negated: bool,
    /// What is done: one of [`ACTIONS`], and perhaps [`TTL`] and [`REAP`].
    flags: u8,
    /// 0: however long ago.
    seconds: u32,
    /// 0: however often.
    hits: u32,
    name: String,
    /// The destination's address is meant, not the source's.
    destination: bool,
    mask: Mask,
}

/// The bits of an address that count.
#[derive(Debug, Clone, Copy)]
struct Mask {
    value: IpAddr,
    /// Are the bytes that IPv4 doesn't use 0xff? They are without `--mask`, they are not with it; the
    /// kernel does not look at them.
    filled: bool,
}

impl PartialEq for Mask {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// `XT_RECENT_…`
const ACTIONS: [(&str, &str, u8); 4] = [("set", "SET", 2), ("rcheck", "CHECK", 1), ("update", "UPDATE", 4), ("remove", "REMOVE", 8)];
const ASKS: u8 = 1 | 4;
const TTL: u8 = 16;
const REAP: u8 = 32;

const LEN: usize = 232;
/// `XT_RECENT_NAME_LEN` less the NUL.
const NAME_MAX: usize = 199;
/// What is there before `--name` writes over it, and so behind a short name.
const DEFAULT: &str = "DEFAULT";

impl Extension for Recent {
    const NAME: &'static str = "recent";
    const SUMMARY: &'static str = "a list of addresses that rules fill and ask";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("set", &[], "puts the address into the list, or notes it there again; always matches").negates(),
        opt("rcheck", &[], "the address is in the list").negates(),
        opt("update", &[], "the address is in the list; it is noted there again").negates(),
        opt("remove", &[], "the address is in the list; it is taken out").negates(),
        opt("seconds", &["SECONDS"], "with rcheck or update: it was noted in the last so many seconds"),
        opt("reap", &[], "with seconds: what was noted longer ago is taken out"),
        opt("hitcount", &["NUMBER"], "with rcheck or update: it was noted so often"),
        opt("rttl", &[], "with rcheck or update: the packet has the TTL that was noted"),
        opt("name", &["LIST"], "the list; DEFAULT if left out"),
        opt("rsource", &[], "the source address is meant; so if left out"),
        opt("rdest", &[], "the destination address is meant"),
        opt("mask", &["MASK"], "the bits of the address that count; all if left out"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m recent --set -j ACCEPT", "-m recent --set --name DEFAULT --mask 255.255.255.255 --rsource -j ACCEPT").ip(),
        Example::ok(
            "-p tcp --dport 22 -m recent --name ssh --update --seconds 60 --hitcount 4 -j DROP",
            "-p tcp -m tcp --dport 22 -m recent --update --seconds 60 --hitcount 4 --name ssh --mask 255.255.255.255 --rsource -j DROP",
        )
        .ip(),
        Example::ok(
            "-m recent --name ssh ! --rcheck --rttl --seconds 0x3c --reap --rdest -j DROP",
            "-m recent ! --rcheck --seconds 60 --reap --rttl --name ssh --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rdest -j DROP",
        )
        .ip6(),
        Example::ok(
            "-m recent --remove --mask 255.255.255.0 --name nets --rsource -j DROP",
            "-m recent --remove --name nets --mask 255.255.255.0 --rsource -j DROP",
        )
        .ip(),
        Example::same("-m recent ! --remove --name seven.. --mask 255.255.255.255 --rsource -j DROP").ip(),
        Example::same("-m recent ! --set --name nets --mask ffff:ffff:: --rdest -j DROP").ip6(),
        Example::same("-m recent ! --update --name nets --mask :: --rsource -j DROP").ip6(),
        Example::ok(
            "-m recent --rcheck --hitcount 0 --name x -j DROP",
            "-m recent --rcheck --name x --mask 255.255.255.255 --rsource -j DROP",
        )
        .ip(),
        Example::fails("-m recent --name ssh -j DROP", "needs `--set`, `--rcheck`, `--update` or `--remove`"),
        Example::fails("-m recent --set --rcheck -j DROP", "one of `--set`, `--rcheck`, `--update` and `--remove` is enough"),
        Example::fails("-m recent --set --seconds 60 -j DROP", "`--seconds` goes with `--rcheck` and `--update` only"),
        Example::fails("-m recent --remove --rttl -j DROP", "`--rttl` goes with `--rcheck` and `--update` only"),
        Example::fails("-m recent --set --hitcount 4 -j DROP", "`--hitcount` goes with `--rcheck` and `--update` only"),
        Example::fails("-m recent --update --reap -j DROP", "`--reap` needs `--seconds`"),
        Example::fails("-m recent --update --seconds 0 -j DROP", "this must be a number from 1 to 4294967295"),
        Example::fails("-m recent --set --name a/b -j DROP", "this is the name of a file in /proc, and can't be so"),
        Example::fails("-m recent --set --mask 24 -j DROP", "this is not a mask"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let family = args.family();
        let mut entry = Entry::new(family);
        let mut asks: Vec<SyntaxError> = Vec::new();
        let mut reap = None;
        for given in args.by_ref() {
            match given.name() {
                "seconds" => entry.seconds = parse_seconds(&given)?,
                "hitcount" => entry.hits = number(&given.values[0], u32::MAX.into())? as u32,
                "rttl" => entry.flags |= TTL,
                "reap" => {
                    entry.flags |= REAP;
                    reap = Some(given.error_here("`--reap` needs `--seconds`").hint("say how old what goes must be"));
                }
                "name" => entry.name = proc_name::parse(&given, NAME_MAX)?,
                "rsource" => entry.destination = false,
                "rdest" => entry.destination = true,
                "mask" => entry.mask = parse_mask(&given, family)?,
                _ if entry.action().is_some() => {
                    return Err(given.error_here("one of `--set`, `--rcheck`, `--update` and `--remove` is enough"));
                }
                action => {
                    entry.flags |= ACTIONS.iter().find(|(name, ..)| *name == action).map_or(0, |(_, _, bit)| *bit);
                    entry.negated = given.negated;
                }
            }
            if matches!(given.name(), "seconds" | "hitcount" | "rttl" | "reap") {
                let error = given.error_here(format!("`--{}` goes with `--rcheck` and `--update` only", given.name()));
                asks.push(error.hint("one rule fills the list, another one asks it"));
            }
        }
        match (entry.action(), asks.into_iter().next(), reap) {
            (None, ..) => Err(args.error("needs `--set`, `--rcheck`, `--update` or `--remove`")),
            (Some(action), Some(error), _) if action & ASKS == 0 => Err(error),
            (_, _, Some(error)) if entry.seconds == 0 => Err(error),
            _ => Ok(Self { entry: Box::new(entry) }),
        }
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &self.entry.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let entry = Entry::from_xt(cursor.take_match(Self::NAME, 1)?, cursor.family())?;
        Some(Self { entry: Box::new(entry) })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = &*self.entry;
        f.write_str(if entry.negated { "! recent:" } else { "recent:" })?;
        for (_, name, _) in ACTIONS.iter().filter(|(_, _, bit)| entry.flags & bit != 0) {
            write!(f, " {name}")?;
        }
        entry.details(f, [" seconds: ", " reap", " hit_count: ", " TTL-Match"])?;
        let side = if entry.destination { "dest" } else { "source" };
        write!(f, " name: {} side: {side} mask: {}", entry.name, entry.mask)
    }
}

impl Entry {
    fn new(family: Family) -> Self {
        let mask = match family {
            Family::Ip => Mask { value: Ipv4Addr::BROADCAST.into(), filled: true },
            Family::Ip6 => Mask { value: Ipv6Addr::from(u128::MAX).into(), filled: false },
        };
        Self { negated: false, flags: 0, seconds: 0, hits: 0, name: DEFAULT.into(), destination: false, mask }
    }

    fn action(&self) -> Option<u8> {
        ACTIONS.iter().map(|(_, _, bit)| self.flags & bit).find(|bit| *bit != 0)
    }

    /// Would the kernel refuse it, or could `parse` not have made it?
    fn is_valid(&self) -> bool {
        let action = self.flags & !(TTL | REAP);
        let asks = self.flags != action || self.seconds != 0 || self.hits != 0;
        ACTIONS.iter().any(|(_, _, bit)| *bit == action)
            && (!asks || action & ASKS != 0)
            && (self.flags & REAP == 0 || self.seconds != 0)
            && proc_name::is_valid(&self.name, NAME_MAX)
    }

    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_recent_mtinfo_v1: u32 seconds, u32 hit_count, u8 check_set, u8 invert, name[200], u8 side, mask
        let mut info = [0; LEN];
        info[..4].copy_from_slice(&self.seconds.to_ne_bytes());
        info[4..8].copy_from_slice(&self.hits.to_ne_bytes());
        info[8] = self.flags;
        info[9] = self.negated.into();
        // The shorter name and its NUL are written over DEFAULT: iptables compares all 200 bytes.
        info[10..10 + DEFAULT.len()].copy_from_slice(DEFAULT.as_bytes());
        info[10..10 + self.name.len()].copy_from_slice(self.name.as_bytes());
        info[10 + self.name.len()] = 0;
        info[210] = self.destination.into();
        match self.mask.value {
            IpAddr::V4(mask) => {
                info[212..228].fill(if self.mask.filled { 0xff } else { 0 });
                info[212..216].copy_from_slice(&mask.octets());
            }
            IpAddr::V6(mask) => info[212..228].copy_from_slice(&mask.octets()),
        }
        info
    }

    fn from_xt(info: &[u8; LEN], family: Family) -> Option<Self> {
        let mask: [u8; 16] = *info[212..].first_chunk()?;
        let filled = family == Family::Ip && mask == [0xff; 16];
        let value = match family {
            Family::Ip => IpAddr::from(*mask.first_chunk::<4>()?),
            Family::Ip6 => IpAddr::from(mask),
        };
        let name = info[10..210].split(|&byte| byte == 0).next()?;
        let entry = Self {
            negated: info[9] != 0,
            flags: info[8],
            seconds: u32::from_ne_bytes(*info.first_chunk()?),
            hits: u32::from_ne_bytes(*info[4..].first_chunk()?),
            name: extension::name(name)?.to_owned(),
            destination: info[210] != 0,
            mask: Mask { value, filled },
        };
        (entry.is_valid() && entry.to_xt() == *info).then_some(entry)
    }

    /// What `--rcheck` and `--update` may ask besides, each behind its word.
    fn details(&self, f: &mut fmt::Formatter<'_>, [seconds, reap, hits, ttl]: [&str; 4]) -> fmt::Result {
        if self.seconds != 0 {
            write!(f, "{seconds}{}", self.seconds)?;
        }
        f.write_str(if self.flags & REAP != 0 { reap } else { "" })?;
        if self.hits != 0 {
            write!(f, "{hits}{}", self.hits)?;
        }
        f.write_str(if self.flags & TTL != 0 { ttl } else { "" })
    }
}

fn parse_seconds(given: &Given<'_>) -> Result<u32, SyntaxError> {
    match number(&given.values[0], u32::MAX.into()) {
        Ok(seconds @ 1..) => Ok(seconds as u32),
        _ => Err(given.error(format!("this must be a number from 1 to {}", u32::MAX))),
    }
}

fn parse_mask(given: &Given<'_>, family: Family) -> Result<Mask, SyntaxError> {
    let (value, hint) = match family {
        Family::Ip => (given.text(0).parse::<Ipv4Addr>().ok().map(IpAddr::from), "write it as an address: 255.255.255.0"),
        Family::Ip6 => (given.text(0).parse::<Ipv6Addr>().ok().map(IpAddr::from), "write it as an address: ffff:ffff:ffff:ffff::"),
    };
    let value = value.ok_or_else(|| given.error("this is not a mask").hint(hint))?;
    Ok(Mask { value, filled: false })
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            IpAddr::V4(mask) => mask.fmt(f),
            IpAddr::V6(mask) => Ip6Text(mask).fmt(f),
        }
    }
}

impl fmt::Display for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = &*self.entry;
        f.write_str(if entry.negated { "! " } else { "" })?;
        for (name, ..) in ACTIONS.iter().filter(|(_, _, bit)| entry.flags & bit != 0) {
            write!(f, "--{name}")?;
        }
        entry.details(f, [" --seconds ", " --reap", " --hitcount ", " --rttl"])?;
        let side = if entry.destination { "rdest" } else { "rsource" };
        write!(f, " --name {} --mask {} --{side}", readable(&entry.name), entry.mask)
    }
}
