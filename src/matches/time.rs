use std::fmt;

use super::time_parts::{self, Clock, Date, WEEKDAYS};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m time`: when the packet comes. Kernel: `net/netfilter/xt_time.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Seconds since 1970; 0: no test. Both dates belong to the time.
    date_start: u32,
    /// Not 0; [`NO_DATE`]: no test, though iptables prints it.
    date_stop: u32,
    /// Seconds since midnight. Both belong to the time.
    day_start: u32,
    /// May be less: then the time goes on over midnight.
    day_stop: u32,
    /// Bits 1 to 31, at least one.
    month_days: u32,
    /// Bits 1 (Monday) to 7, at least one.
    week_days: u8,
    /// By the kernel's time zone, not by UTC.
    kernel_zone: bool,
    /// A time over midnight belongs to the day on which it begins.
    contiguous: bool,
}

/// `INT_MAX`
const NO_DATE: u32 = 0x7fff_ffff;
/// `XT_TIME_MAX_DAYTIME`
const LAST_SECOND: u32 = 86_399;
/// `XT_TIME_ALL_MONTHDAYS`
const ALL_MONTH_DAYS: u32 = !1;
/// `XT_TIME_ALL_WEEKDAYS`
const ALL_WEEK_DAYS: u8 = !1;
const LOCAL_TZ: u8 = 1;
const CONTIGUOUS: u8 = 2;

impl Extension for Time {
    const NAME: &'static str = "time";
    const SUMMARY: &'static str = "when the packet comes: dates, days, times of day";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("datestart", &["DATE"], "from this date on: YYYY[-MM[-DD[Thh[:mm[:ss]]]]]"),
        opt("datestop", &["DATE"], "up to this date"),
        opt("timestart", &["hh:mm[:ss]"], "each day from this time on"),
        opt("timestop", &["hh:mm[:ss]"], "each day up to this time"),
        opt("contiguous", &[], "a time over midnight belongs to the day on which it begins"),
        opt("weekdays", &["DAY[,…]"], "on these days: Mon, Tue, …, or 1 (Monday) to 7").negates(),
        opt("monthdays", &["DAY[,…]"], "on these days of the month").negates(),
        opt("kerneltz", &[], "by the kernel's time zone, not by UTC"),
        opt("localtz", &[], "the old name of --kerneltz"),
        opt("utc", &[], "by UTC, as if left out"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok(
            "-m time --timestart 8:00 --timestop 17:30:15 -j DROP",
            "-m time --timestart 08:00:00 --timestop 17:30:15 --datestop 2038-01-19T03:14:07 -j DROP",
        ),
        Example::ok(
            "-m time ! --weekdays Saturday,Su --utc -j DROP",
            "-m time --weekdays Mon,Tue,Wed,Thu,Fri --datestop 2038-01-19T03:14:07 -j DROP",
        ),
        Example::ok(
            "-m time --weekdays 1,Fri --datestop 2030 --kerneltz -j DROP",
            "-m time --weekdays Mon,Fri --datestop 2030-01-01T00:00:00 --kerneltz -j DROP",
        ),
        Example::ok(
            "-m time --datestart 2028-02-29T12 --datestop 2028-12-31T23:59 -j DROP",
            "-m time --datestart 2028-02-29T12:00:00 --datestop 2028-12-31T23:59:00 -j DROP",
        ),
        Example::ok(
            "-m time --timestart 22:00 --timestop 06:00 --contiguous --localtz -j DROP",
            "-m time --timestart 22:00:00 --timestop 06:00:00 --datestop 2038-01-19T03:14:07 --kerneltz --contiguous -j DROP",
        ),
        Example::same("-m time --monthdays 1,2,3,4,11,21,31 --weekdays Sun --datestop 2038-12-31T23:59:59 -j DROP"),
        Example::ok(
            "-m time ! --monthdays 31,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29 -j DROP",
            "-m time --monthdays 30 --datestop 2038-01-19T03:14:07 -j DROP",
        ),
        Example::ok("-m time -j DROP", "-m time --datestop 2038-01-19T03:14:07 -j DROP"),
        Example::fails("-m time --timestart 24:00 -j DROP", "`24:00` is not a time of day"),
        Example::fails("-m time --datestart 2027-02-29 -j DROP", "`2027-02-29` is not a date from 1970 to 2038"),
        Example::fails("-m time --datestop 1970 -j DROP", "nothing comes before this date"),
        Example::fails("-m time --weekdays Mon,0 -j DROP", "`0` is not a day of the week"),
        Example::fails("-m time --monthdays 32 -j DROP", "`32` is not a day of the month"),
        Example::fails("-m time ! --weekdays 1,2,3,4,5,6,7 -j DROP", "no day is left"),
        Example::fails("-m time --utc --kerneltz -j DROP", "`--utc` and `--kerneltz` don't go together"),
        Example::fails(
            "-m time --timestart 06:00 --timestop 22:00 --contiguous -j DROP",
            "`--contiguous` needs a time that goes on over midnight",
        ),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut time = Self::ALWAYS;
        let (mut utc, mut contiguous) = (false, None);
        for given in args.by_ref() {
            match given.name() {
                "datestart" => time.date_start = time_parts::parse_date(&given)?,
                "datestop" => match time_parts::parse_date(&given)? {
                    // Of which iptables prints nothing, as if there were no test.
                    0 => return Err(given.error("nothing comes before this date")),
                    date => time.date_stop = date,
                },
                "timestart" => time.day_start = time_parts::parse_clock(&given)?,
                "timestop" => time.day_stop = time_parts::parse_clock(&given)?,
                "contiguous" => contiguous = Some(given),
                "weekdays" => time.week_days = time_parts::parse_week_days(&given, ALL_WEEK_DAYS)?,
                "monthdays" => time.month_days = time_parts::parse_month_days(&given, ALL_MONTH_DAYS)?,
                "utc" => utc = true,
                _ => time.kernel_zone = true,
            }
            if utc && time.kernel_zone {
                return Err(args.error("`--utc` and `--kerneltz` don't go together"));
            }
        }
        if let Some(given) = contiguous {
            if time.day_start < time.day_stop {
                return Err(given.error_here("`--contiguous` needs a time that goes on over midnight"));
            }
            time.contiguous = true;
        }
        Ok(time)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<24>(Self::NAME, 0)?;
        let number = |at: usize| info[at..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        let time = Self {
            date_start: number(0)?,
            date_stop: number(4)?,
            day_start: number(8)?,
            day_stop: number(12)?,
            month_days: number(16)?,
            week_days: info[20],
            kernel_zone: info[21] & LOCAL_TZ != 0,
            contiguous: info[21] & CONTIGUOUS != 0,
        };
        let dates = time.date_start.max(time.date_stop) <= time_parts::LAST_DATE && time.date_stop != 0;
        let clock = time.day_start.max(time.day_stop) <= LAST_SECOND && (!time.contiguous || time.day_start >= time.day_stop);
        let days = time.month_days & 1 == 0 && time.month_days != 0 && time.week_days & 1 == 0 && time.week_days != 0;
        (dates && clock && days && time.to_xt() == *info).then_some(time)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TIME")?;
        if self.has_clock() {
            write!(f, " from {} to {}", Clock(self.day_start), Clock(self.day_stop))?;
        }
        if self.week_days != ALL_WEEK_DAYS {
            write!(f, " on {}", time_parts::List(self.week_days.into(), week_day))?;
        }
        if self.month_days != ALL_MONTH_DAYS {
            write!(f, " on {}", time_parts::List(self.month_days, time_parts::ordinal))?;
        }
        if self.date_start != 0 {
            write!(f, " starting from {}", Date(self.date_start, ' '))?;
        }
        if self.date_stop != NO_DATE {
            write!(f, " until date {}", Date(self.date_stop, ' '))?;
        }
        f.write_str(if self.kernel_zone { "" } else { " UTC" })?;
        f.write_str(if self.contiguous { " contiguous" } else { "" })
    }
}

impl Time {
    const ALWAYS: Self = Self {
        date_start: 0,
        date_stop: NO_DATE,
        day_start: 0,
        day_stop: LAST_SECOND,
        month_days: ALL_MONTH_DAYS,
        week_days: ALL_WEEK_DAYS,
        kernel_zone: false,
        contiguous: false,
    };

    fn has_clock(&self) -> bool {
        (self.day_start, self.day_stop) != (0, LAST_SECOND)
    }

    fn to_xt(self) -> [u8; 24] {
        // struct xt_time_info: date_start, date_stop, daytime_start, daytime_stop, monthdays_match,
        // u8 weekdays_match, u8 flags
        let mut info = [0; 24];
        let numbers = [self.date_start, self.date_stop, self.day_start, self.day_stop, self.month_days];
        for (slot, number) in info.chunks_exact_mut(4).zip(numbers) {
            slot.copy_from_slice(&number.to_ne_bytes());
        }
        info[20] = self.week_days;
        info[21] = if self.kernel_zone { LOCAL_TZ } else { 0 } | if self.contiguous { CONTIGUOUS } else { 0 };
        info
    }
}

fn week_day(day: usize) -> String {
    WEEKDAYS[day - 1][..3].to_owned()
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_clock() {
            write!(f, "--timestart {} --timestop {} ", Clock(self.day_start), Clock(self.day_stop))?;
        }
        if self.month_days != ALL_MONTH_DAYS {
            write!(f, "--monthdays {} ", time_parts::List(self.month_days, |day| day.to_string()))?;
        }
        if self.week_days != ALL_WEEK_DAYS {
            write!(f, "--weekdays {} ", time_parts::List(self.week_days.into(), week_day))?;
        }
        if self.date_start != 0 {
            write!(f, "--datestart {} ", Date(self.date_start, 'T'))?;
        }
        // Also where nobody gave it, as iptables prints it.
        write!(f, "--datestop {}", Date(self.date_stop, 'T'))?;
        f.write_str(if self.kernel_zone { " --kerneltz" } else { "" })?;
        f.write_str(if self.contiguous { " --contiguous" } else { "" })
    }
}
