//! The words of `-m time`: dates, times of day, lists of days.

use std::fmt;

use crate::syntax::{Given, SyntaxError};

/// From Monday, which has bit 1.
pub const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The last second of 2038, the last year that iptables takes.
pub const LAST_DATE: u32 = 2_177_452_799;

const DAY: u32 = 86_400;
const MONTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Of a month counted from 1.
fn days_of(year: u32, month: u32) -> u32 {
    MONTHS[month as usize - 1] + u32::from(month == 2 && is_leap(year))
}

fn days_of_year(year: u32) -> u32 {
    365 + u32::from(is_leap(year))
}

/// A decimal number of one or two digits.
fn small(text: &str, ends: (u32, u32)) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (ends.0..=ends.1).contains(number))
}

/// Reads `YYYY[-MM[-DD[Thh[:mm[:ss]]]]]` as seconds since 1970, in UTC.
///
/// # Errors
/// At the word, also for a day that its month doesn't have (which iptables takes for one of the next).
pub fn parse_date(given: &Given<'_>) -> Result<u32, SyntaxError> {
    read_date(given.text(0)).ok_or_else(|| {
        let error = given.error(format!("`{}` is not a date from 1970 to 2038", given.text(0)));
        error.hint("write YYYY-MM-DDThh:mm:ss, or less of it: 2030-12-31")
    })
}

fn read_date(text: &str) -> Option<u32> {
    let (date, clock) = match text.split_once('T') {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = parts.next().filter(|year| year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()))?;
    let year = year.parse().ok().filter(|year| (1970..=2038).contains(year))?;
    let (month, day) = (parts.next(), parts.next());
    if parts.next().is_some() || (clock.is_some() && day.is_none()) {
        return None;
    }
    let month = month.map_or(Some(1), |month| small(month, (1, 12)))?;
    let day = day.map_or(Some(1), |day| small(day, (1, days_of(year, month))))?;
    let years: u32 = (1970..year).map(days_of_year).sum();
    let months: u32 = (1..month).map(|month| days_of(year, month)).sum();
    Some((years + months + day - 1) * DAY + clock.map_or(Some(0), |clock| read_clock(clock, 1))?)
}

/// Reads `hh:mm[:ss]` as seconds since midnight.
///
/// # Errors
/// At the word.
pub fn parse_clock(given: &Given<'_>) -> Result<u32, SyntaxError> {
    read_clock(given.text(0), 2).ok_or_else(|| {
        given.error(format!("`{}` is not a time of day", given.text(0))).hint("write hh:mm or hh:mm:ss, from 00:00:00 to 23:59:59")
    })
}

/// With at least so many numbers.
fn read_clock(text: &str, least: usize) -> Option<u32> {
    let parts: Vec<_> = text.split(':').collect();
    if !(least..=3).contains(&parts.len()) {
        return None;
    }
    let part = |at: usize, max: u32| parts.get(at).map_or(Some(0), |text| small(text, (0, max)));
    Some(part(0, 23)? * 3600 + part(1, 59)? * 60 + part(2, 59)?)
}

/// Reads days of the month as bits of `all`.
///
/// # Errors
/// At the word.
pub fn parse_month_days(given: &Given<'_>, all: u32) -> Result<u32, SyntaxError> {
    parse_days(given, all, |text| {
        let error = || given.error(format!("`{text}` is not a day of the month")).hint("write some of 1 to 31, with commas between");
        small(text, (1, 31)).ok_or_else(error)
    })
}

/// Reads days of the week as bits of `all`. Two letters of a name are enough, in any case.
///
/// # Errors
/// At the word.
pub fn parse_week_days(given: &Given<'_>, all: u8) -> Result<u8, SyntaxError> {
    let days = parse_days(given, all.into(), |text| {
        let begins = |name: &str| text.len() >= 2 && name.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
        let named = (1..).zip(WEEKDAYS).find(|(_, name)| begins(name)).map(|(day, _)| day);
        named.or_else(|| small(text, (1, 7))).ok_or_else(|| {
            let error = given.error(format!("`{text}` is not a day of the week"));
            error.hint("write some of Mon, Tue, Wed, Thu, Fri, Sat, Sun, or 1 (Monday) to 7, with commas between")
        })
    })?;
    Ok(days as u8)
}

fn parse_days(given: &Given<'_>, all: u32, one: impl Fn(&str) -> Result<u32, SyntaxError>) -> Result<u32, SyntaxError> {
    let days = given.text(0).split(',').try_fold(0, |days, text| one(text).map(|day| days | 1 << day))?;
    match if given.negated { days ^ all } else { days } {
        0 => Err(given.error("no day is left")),
        days => Ok(days),
    }
}

/// Prints seconds since midnight.
pub struct Clock(pub u32);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.0 / 3600, self.0 / 60 % 60, self.0 % 60)
    }
}

/// Prints seconds since 1970, with that character between date and time.
pub struct Date(pub u32, pub char);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut year, mut month, mut day) = (1970, 1, self.0 / DAY);
        while day >= days_of_year(year) {
            day -= days_of_year(year);
            year += 1;
        }
        while day >= days_of(year, month) {
            day -= days_of(year, month);
            month += 1;
        }
        write!(f, "{year:04}-{month:02}-{:02}{}{}", day + 1, self.1, Clock(self.0 % DAY))
    }
}

/// Prints the bits that are set, counted from 0, with commas between.
pub struct List<T: Fn(usize) -> String>(pub u32, pub T);

impl<T: Fn(usize) -> String> fmt::Display for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<_> = (0..32).filter(|day| self.0 & 1 << day != 0).map(&self.1).collect();
        f.write_str(&days.join(","))
    }
}

/// A day of the month as `iptables -n -L` prints it, `11st` and `12nd` included.
pub fn ordinal(day: usize) -> String {
    let ending = match day % 10 {
        1 => "st",
        2 => "nd",
        3 => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_printed() {
        assert_eq!(read_date("2038-12-31T23:59:59"), Some(LAST_DATE));
        assert_eq!(read_date("2038-01-19T03:14:07"), Some(0x7fff_ffff));
        for date in (0..LAST_DATE).step_by(86_399 * 5) {
            assert_eq!(read_date(&Date(date, 'T').to_string()), Some(date));
        }
        for text in ["", "1969", "2039", "2030-", "2030-13", "2030-00", "2030-04-31", "2030-01T00", "2030-01-01T24", "2030-01-01T", "+203"]
        {
            assert_eq!(read_date(text), None, "{text}");
        }
    }
}
