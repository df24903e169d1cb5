use std::fmt;

use crate::{
    expr::{self, Expr, Item},
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m limit`: matches so and so often, no matter who sends. Kernel: `net/netfilter/nft_limit.c`,
/// as iptables has long written it natively (not `xt_limit.c`).
///
/// Rates are what is left of them when iptables' unit, a ten-thousandth of a second between two
/// packets, has rounded them: `7000/sec` is `10000/sec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Packets a unit.
    rate: u32,
    /// Seconds in the unit: one of [`UNITS`].
    unit: u32,
    /// Packets that may come at once, from 1 to [`MAX_BURST`].
    burst: u32,
}

/// As parsed (their beginning is enough), as printed, and their seconds.
const UNITS: [(&str, &str, u32); 4] = [("day", "day", 86_400), ("hour", "hour", 3_600), ("minute", "min", 60), ("second", "sec", 1)];
/// `XT_LIMIT_SCALE`: iptables keeps a rate as the time between two packets in these parts of a second.
const SCALE: u32 = 10_000;
/// For iptables and for the kernel (`NFT_LIMIT_PKT_BURST_DEFAULT`, which it makes of 0).
const DEFAULT_BURST: u32 = 5;
const MAX_BURST: u32 = 10_000;

impl Extension for Limit {
    const NAME: &'static str = "limit";
    const SUMMARY: &'static str = "matches so many packets in a time, no matter whose";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("limit", &["RATE[/UNIT]"], "so many packets in a second, minute, hour or day; 3/hour if left out"),
        opt("limit-burst", &["PACKETS"], "so many may come at once, up to 10000; 5 if left out"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m limit --limit 5/s -j ACCEPT", "-m limit --limit 5/sec -j ACCEPT"),
        Example::ok("-m limit -j ACCEPT", "-m limit --limit 3/hour -j ACCEPT"),
        Example::ok("-m limit --limit 7 --limit-burst 0x14 -j ACCEPT", "-m limit --limit 7/sec --limit-burst 20 -j ACCEPT"),
        Example::ok("-m limit --limit 60/MINUTE --limit-burst 5 -j ACCEPT", "-m limit --limit 1/sec -j ACCEPT"),
        Example::ok("-m limit --limit 100/min --limit-burst 0 -j ACCEPT", "-m limit --limit 100/min -j ACCEPT"),
        Example::ok("-m limit --limit 7000/s -j ACCEPT", "-m limit --limit 10000/sec -j ACCEPT"),
        Example::same("-m limit --limit 13/day --limit-burst 10000 -j ACCEPT"),
        Example::same("-m limit --limit 1/sec -m limit --limit 100/hour -j ACCEPT"),
        Example::fails("-m limit ! --limit 5/s -j ACCEPT", "`--limit` can't be negated"),
        Example::fails("-m limit --limit 0/s -j ACCEPT", "`0/s` is not a rate"),
        Example::fails("-m limit --limit 5/week -j ACCEPT", "`5/week` is not a rate"),
        Example::fails("-m limit --limit 10001/s -j ACCEPT", "this is too fast: 10000 in a second is the most"),
        Example::fails("-m limit --limit 5/s --limit-burst 10001 -j ACCEPT", "this must be a number from 0 to 10000"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut limit = Self { rate: 3, unit: 3_600, burst: DEFAULT_BURST };
        for given in args {
            match given.name() {
                "limit" => (limit.rate, limit.unit) = quantise(parse_pause(&given)?),
                // The kernel would make it of 0, and iptables print it.
                _ => limit.burst = Some(number(&given.values[0], MAX_BURST.into())? as u32).filter(|&n| n != 0).unwrap_or(DEFAULT_BURST),
            }
        }
        Ok(limit)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // [ limit rate 5/second burst 5 type packets ]
        out.push(Expr::Limit(expr::Limit { rate: self.rate.into(), unit: self.unit.into(), burst: self.burst }));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let Some(Item::Limit(read)) = cursor.advance() else { return None };
        let rate = u32::try_from(read.rate).ok().filter(|&rate| rate != 0)?;
        let unit = UNITS.iter().map(|(_, _, unit)| *unit).find(|unit| read.unit == u64::from(*unit))?;
        let pause = SCALE * unit / rate;
        let limit = Self { rate, unit, burst: read.burst };
        ((1..=MAX_BURST).contains(&limit.burst) && pause != 0 && quantise(pause) == (rate, unit)).then_some(limit)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit: avg {}/{} burst {}", self.rate, self.unit_name(), self.burst)
    }
}

impl Limit {
    /// What iptables makes of a native limit when it reads it: the rate that it would write for the
    /// time between two packets. `None` for more than it can say.
    pub fn read_again(native: expr::Limit) -> Option<expr::Limit> {
        let parts = u64::from(SCALE).checked_mul(native.unit)?;
        let pause = parts.checked_div(native.rate).and_then(|pause| u32::try_from(pause).ok()).filter(|&pause| pause != 0)?;
        let (rate, unit) = quantise(pause);
        Some(expr::Limit { rate: rate.into(), unit: unit.into(), ..native })
    }

    fn unit_name(&self) -> &'static str {
        UNITS.iter().find(|(_, _, unit)| *unit == self.unit).map_or("sec", |(_, name, _)| name)
    }
}

/// The time between two packets, in parts of a second; not 0.
fn parse_pause(given: &Given<'_>) -> Result<u32, SyntaxError> {
    let wrong = || {
        given.error(format!("`{}` is not a rate", given.text(0))).hint("write for example 10/second, 5/min, 3/hour or 1/day, from 1/day on")
    };
    let (rate, unit) = given.text(0).split_once('/').unwrap_or((given.text(0), "second"));
    let unit = unit.to_ascii_lowercase();
    let begins = |name: &str| !unit.is_empty() && name.starts_with(&unit);
    let (_, _, seconds) = UNITS.iter().find(|(name, ..)| begins(name)).ok_or_else(wrong)?;
    let rate = rate.parse::<u32>().ok().filter(|&rate| rate != 0).ok_or_else(wrong)?;
    match SCALE * seconds / rate {
        0 => Err(given.error(format!("this is too fast: {SCALE} in a second is the most"))),
        pause => Ok(pause),
    }
}

/// The rate and unit that iptables writes and prints for a time between two packets: the smallest
/// unit up to which the rates come out nearly even.
///
/// Source: iptables `nft.c`, `add_nft_limit`.
fn quantise(pause: u32) -> (u32, u32) {
    let even = |(_, _, unit): &&(_, _, u32)| {
        let parts = SCALE * unit;
        pause <= parts && parts / pause >= parts % pause
    };
    let (_, _, unit) = UNITS[1..].iter().take_while(even).last().unwrap_or(&UNITS[0]);
    (SCALE * unit / pause, *unit)
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--limit {}/{}", self.rate, self.unit_name())?;
        match self.burst {
            DEFAULT_BURST => Ok(()),
            burst => write!(f, " --limit-burst {burst}"),
        }
    }
}
