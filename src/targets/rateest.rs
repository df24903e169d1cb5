use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer, Refused},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, readable},
};

/// `-j RATEEST`: counts the packet for an estimator of the rate, which `-m rateest` asks; the next
/// rule is then tried. Kernel: `net/netfilter/xt_RATEEST.c`, `net/core/gen_estimator.c`.
///
/// Rules with one name share its estimator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rateest {
    name: String,
    pace: Pace,
}

/// How an estimator works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// It looks every 2^interval seconds, from [`SHORTEST`] to [`LONGEST`].
    interval: i8,
    /// The older rate is worth 1 - 2^-ewma each time; so much time for the average.
    ewma: u8,
}

/// A quarter of a second.
const SHORTEST: i8 = -2;
/// 8 seconds.
const LONGEST: i8 = 3;

/// A second in the unit that options are read in.
const SECOND: u32 = 1_000_000;

/// `IFNAMSIZ` less the NUL.
const NAME_MAX: usize = 15;

const LEN: usize = 32;

impl Extension for Rateest {
    const NAME: &'static str = "RATEEST";
    const SUMMARY: &'static str = "measures the rate of the packets for `-m rateest`";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("rateest-name", &["NAME"], "the estimator's name, up to 15 bytes"),
        opt("rateest-interval", &["TIME"], "how often it looks: 250ms, 500ms, 1s, 2s, 4s or 8s; else the next longer one"),
        opt("rateest-ewmalog", &["TIME"], "over how long it averages: an interval times 2, 4, 8, …; else the next shorter one"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-j RATEEST --rateest-name eth0 --rateest-interval 250.0ms --rateest-ewmalog 500.0ms"),
        Example::ok(
            "-j RATEEST --rateest-ewmalog 10sec --rateest-interval 1.5S --rateest-name next",
            "-j RATEEST --rateest-name next --rateest-interval 2.0s --rateest-ewmalog 8.0s",
        ),
        Example::ok(
            "-j RATEEST --rateest-name fifteen-letters --rateest-interval 8000msecs --rateest-ewmalog 4000s",
            "-j RATEEST --rateest-name fifteen-letters --rateest-interval 8.0s --rateest-ewmalog 2048.0s",
        ),
        Example::ok(
            "-j RATEEST --rateest-name bare --rateest-interval 250000 --rateest-ewmalog 600000us",
            "-j RATEEST --rateest-name bare --rateest-interval 250.0ms --rateest-ewmalog 500.0ms",
        ),
        Example::fails("-j RATEEST --rateest-interval 1s --rateest-ewmalog 8s", "needs `--rateest-name NAME`"),
        Example::fails("-j RATEEST --rateest-name a --rateest-ewmalog 8s", "needs `--rateest-interval TIME`"),
        Example::fails("-j RATEEST --rateest-name a --rateest-interval 1s", "needs `--rateest-ewmalog TIME`"),
        Example::fails(
            "-j RATEEST --rateest-name sixteen-letters- --rateest-interval 1s --rateest-ewmalog 8s",
            "an estimator's name has 15 bytes at most, this has 16",
        ),
        Example::fails("-j RATEEST --rateest-name '' --rateest-interval 1s --rateest-ewmalog 8s", "an estimator's name can't be empty"),
        Example::fails("-j RATEEST --rateest-name a --rateest-interval 1h --rateest-ewmalog 8s", "this must be a time: 250ms, 1.5s"),
        Example::fails("-j RATEEST --rateest-name a --rateest-interval 9s --rateest-ewmalog 60s", "the longest interval is 8 seconds"),
        Example::fails("-j RATEEST --rateest-name a --rateest-interval 1s --rateest-ewmalog 1s", "the interval 1.0s needs 2.0s to 4096.0s"),
        Example::fails("-j RATEEST --rateest-name a --rateest-interval 1us --rateest-ewmalog 250s", "the interval 250.0ms needs 500.0ms to 4096.0s"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut name, mut interval, mut ewma) = (None, None, None);
        for given in args.by_ref() {
            match given.name() {
                "rateest-name" => name = Some(parse_name(&given)?),
                "rateest-interval" => interval = Some((parse_time(&given)?, given)),
                _ => ewma = Some((parse_time(&given)?, given)),
            }
        }
        let name = name.ok_or_else(|| args.error("needs `--rateest-name NAME`"))?;
        let interval = interval.ok_or_else(|| args.error("needs `--rateest-interval TIME`"))?;
        let ewma = ewma.ok_or_else(|| args.error("needs `--rateest-ewmalog TIME`"))?;
        Ok(Self { name, pace: Pace::of(interval, ewma)? })
    }

    fn refused(&self, errno: i32) -> Option<Refused> {
        (errno == libc::EINVAL).then(|| Refused { reason: "there is an estimator of that name with another interval or ewmalog".into(), hint: "give the same, or another name".into() })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_target(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_target::<LEN>(Self::NAME, 0)?;
        let name = extension::name(&info[..16])?.to_owned();
        let rateest = Self { name, pace: Pace { interval: info[16] as i8, ewma: info[17] } };
        let known = (1..=NAME_MAX).contains(&rateest.name.len()) && rateest.pace.is_valid();
        (known && rateest.to_xt() == *info).then_some(rateest)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pace.print(f, "", &self.name)
    }
}

impl Rateest {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_rateest_target_info: name[16], s8 interval, u8 ewma_log, est (the kernel's own, dumped as 0)
        let mut info = [0; LEN];
        info[..self.name.len()].copy_from_slice(self.name.as_bytes());
        info[16] = self.pace.interval as u8;
        info[17] = self.pace.ewma;
        info
    }
}

impl Pace {
    /// From both times, each with the option that gave it. The average is taken over the interval as
    /// it was given, as iptables does.
    fn of(interval: (u32, Given<'_>), average: (u32, Given<'_>)) -> Result<Self, SyntaxError> {
        let (time, given) = interval;
        let fits = |interval: &i8| time <= Self { interval: *interval, ewma: 0 }.interval();
        let interval = (SHORTEST..=LONGEST).find(fits).ok_or_else(|| given.error("the longest interval is 8 seconds"))?;
        let (average, given) = average;
        let over = |ewma: &u8| f64::from(time) / -(1.0 - 0.5_f64.powi((*ewma).into())).ln() > f64::from(average);
        let pace = (1..31).find(over).map(|ewma| Self { interval, ewma: ewma - 1 });
        pace.filter(|pace| pace.is_valid()).ok_or_else(|| {
            let at = |ewma| Self { interval, ewma };
            let last = (1..31).take_while(|&ewma| at(ewma).is_valid()).last().unwrap_or(1);
            let (interval, least, most) = (Time(at(1).interval()), Time(at(1).average()), Time(at(last).average()));
            given.error(format!("the interval {interval} needs {least} to {most}"))
        })
    }

    /// Does it average over more than one interval, and over no more time than iptables can print?
    fn is_valid(self) -> bool {
        let interval = (SHORTEST..=LONGEST).contains(&self.interval);
        interval && (1..31).contains(&self.ewma) && u64::from(self.interval()) << self.ewma <= u32::MAX.into()
    }

    fn interval(self) -> u32 {
        (SECOND / 4) << (self.interval - SHORTEST)
    }

    fn average(self) -> u32 {
        self.interval() << self.ewma
    }

    fn print(self, f: &mut fmt::Formatter<'_>, before: &str, name: &str) -> fmt::Result {
        let (interval, average) = (Time(self.interval()), Time(self.average()));
        write!(f, "{before}name {name} {before}interval {interval} {before}ewmalog {average}")
    }
}

/// In parts of [`SECOND`], a quarter of it at least.
struct Time(u32);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            time @ ..SECOND => write!(f, "{:.1}ms", f64::from(time) / 1000.0),
            time => write!(f, "{:.1}s", f64::from(time) / f64::from(SECOND)),
        }
    }
}

fn parse_name(given: &Given<'_>) -> Result<String, SyntaxError> {
    match given.text(0).len() {
        0 => Err(given.error("an estimator's name can't be empty")),
        len if len > NAME_MAX => Err(given.error(format!("an estimator's name has {NAME_MAX} bytes at most, this has {len}"))),
        _ if given.text(0).contains('\0') => Err(given.error("a name can't hold a NUL")),
        _ => Ok(given.text(0).to_owned()),
    }
}

/// A number with its unit; without one, microseconds.
fn parse_time(given: &Given<'_>) -> Result<u32, SyntaxError> {
    let text = given.text(0);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match text[end..].to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" => Some(f64::from(SECOND)),
        "ms" | "msec" | "msecs" => Some(1000.0),
        "us" | "usec" | "usecs" | "" => Some(1.0),
        _ => None,
    };
    let time = text[..end].parse().ok().zip(unit).map(|(number, unit): (f64, f64)| number * unit);
    let time = time.filter(|time| *time <= u32::MAX.into()).map(|time| time as u32);
    time.ok_or_else(|| given.error("this must be a time: 250ms, 1.5s").hint("the units are s, ms and us; the longest time is 4294s"))
}

impl fmt::Display for Rateest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pace.print(f, "--rateest-", &readable(&self.name))
    }
}
