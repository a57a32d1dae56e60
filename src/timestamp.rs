//! Wall time as ISO 8601 in UTC with milliseconds, from milliseconds since 1970 and back. Civil dates from day numbers are ten lines of
//! arithmetic; a date library would bring time zones that logs do not want. Reads no clock.

use std::fmt;
use std::str::FromStr;

const MS_PER_SECOND: u64 = 1_000;
const MS_PER_DAY: u64 = 86_400_000;
/// Days of a 400-year cycle of the Gregorian calendar; every cycle has the same number.
const DAYS_PER_ERA: u64 = 146_097;
/// Days from 0000-03-01, where this arithmetic begins, to 1970-01-01.
const EPOCH_FROM_MARCH_0000: u64 = 719_468;

/// Milliseconds since 1970-01-01T00:00:00Z; displays as `2026-11-21T01:44:12.345Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / MS_PER_DAY);
        let (second, ms) = (self.0 % MS_PER_DAY / MS_PER_SECOND, self.0 % MS_PER_SECOND);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Why a text is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMoment;

impl FromStr for Timestamp {
    type Err = NoMoment;

    /// A date (its midnight in UTC) or a moment of RFC 3339: `2026-11-21`, `2026-11-21T14:00:00Z`, `2026-11-21 15:00:00.5+01:00`.
    /// A moment without a zone is one in UTC.
    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let (date, time) = match text.find(['T', 't', ' ']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let day_ms = i64::try_from(days_of(date).ok_or(NoMoment)? * MS_PER_DAY).map_err(|_| NoMoment)?;
        let time_ms = time.map_or(Some(0), time_of_day_ms).ok_or(NoMoment)?;
        u64::try_from(day_ms + time_ms).map(Self).map_err(|_| NoMoment)
    }
}

/// The day number of `YYYY-MM-DD`, from 1970 on.
fn days_of(date: &str) -> Option<u64> {
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let is_date = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    // The year begins in March here too, and is one less before that.
    let year_from_march = if month > 2 { year } else { year.saturating_sub(1) };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.saturating_sub(1);
    let leap_days = year_from_march / 4 - year_from_march / 100 + year_from_march / 400;
    let days = (year_from_march * 365 + leap_days + day_of_year).checked_sub(EPOCH_FROM_MARCH_0000)?;
    // The 31st of a month that has 30 days is the first of the next.
    (is_date && civil_from_days(days) == (year, month, day)).then_some(days)
}

/// Milliseconds from midnight UTC to `HH:MM:SS[.fraction][zone]`; may be less than 0 or more than a day.
fn time_of_day_ms(text: &str) -> Option<i64> {
    let (clock, zone_minutes) = split_zone(text)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    // A leap second is taken for the one after it.
    let is_time = hour < 24 && minute < 60 && second <= 60;
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let seconds = i64::try_from(hour * 3_600 + minute * 60 + second).ok()? - zone_minutes * 60;
    (is_time && is_fraction).then_some(seconds * 1_000 + ms)
}

/// A time of day without its zone, and the zone in minutes east of Greenwich.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, 0)) };
    let [hours, minutes] = numbers(&text[at + 1..], ':', [2, 2])?;
    let minutes = i64::try_from(hours * 60 + minutes).ok().filter(|minutes| *minutes < 24 * 60)?;
    Some((&text[..at], if text[at..].starts_with('-') { -minutes } else { minutes }))
}

/// Numbers of so many digits each, and nothing else.
fn numbers<const LEN: usize>(text: &str, separator: char, digits: [usize; LEN]) -> Option<[u64; LEN]> {
    let mut numbers = [0; LEN];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = if is_number { part.parse().ok()? } else { return None };
    }
    parts.next().is_none().then_some(numbers)
}

/// Year, month and day of a day number, 0 being 1970-01-01. The year is taken to begin in March, so that the leap day is its last.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_FROM_MARCH_0000;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    // A leap day each 4 years (1,461 days), none each 100 (36,524), one each 400 (146,096 is the era's last day).
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March to July and August to December both last 153 days, so months follow a straight line.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_the_calendar_says() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_210_096_001, "2024-02-29T12:34:56.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(Timestamp(ms).to_string(), text);
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_zones_count() {
        for ms in [0, 951_782_399_999, 951_782_400_000, 1_709_210_096_001, 4_107_542_400_000] {
            assert_eq!(Timestamp(ms).to_string().parse(), Ok(Timestamp(ms)));
        }
        let noon = Ok(Timestamp(1_795_262_400_000));
        for text in [
            "2026-11-21T12:00:00Z",
            "2026-11-21 12:00:00",
            "2026-11-21t14:00:00.000000+02:00",
            "2026-11-20T22:30:00-13:30",
        ] {
            assert_eq!(text.parse(), noon, "{text}");
        }
        assert_eq!("2026-11-21".parse(), Ok(Timestamp(1_795_219_200_000)));
        assert_eq!("2026-11-21T12:00:00.5Z".parse(), Ok(Timestamp(1_795_262_400_500)));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-1-1",
            "1969-12-31",
            "2026-11-21T",
            "2026-11-21T24:00:00Z",
            "2026-11-21T12:00Z",
            "2026-11-21T12:00:00.Z",
            "2026-11-21T12:00:00+1",
            "2026-11-21T12:00:00+24:00",
            "1970-01-01T00:00:00+01:00",
            "2026-11-21-",
            "é026-11-21",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NoMoment), "{text}");
        }
    }

    #[test]
    fn each_day_follows_the_one_before_for_four_hundred_years() {
        let mut before = civil_from_days(0);
        for day in 1..=DAYS_PER_ERA {
            let date = civil_from_days(day);
            let next_in_month = date.0 == before.0 && date.1 == before.1 && date.2 == before.2 + 1;
            let next_month = date.0 == before.0 && date.1 == before.1 + 1 && date.2 == 1 && before.2 >= 28;
            let next_year =
                date.0 == before.0 + 1 && (date.1, date.2) == (1, 1) && (before.1, before.2) == (12, 31);
            assert!(next_in_month || next_month || next_year, "{before:?} then {date:?}");
            let (year, month, number) = date;
            assert_eq!(days_of(&format!("{year:04}-{month:02}-{number:02}")), Some(day));
            before = date;
        }
        assert_eq!(before, (2370, 1, 1));
    }
}
