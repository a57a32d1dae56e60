//! Wall time as ISO 8601 in UTC with milliseconds, from milliseconds since 1970. Civil dates from day numbers are ten lines of
//! arithmetic; a date library would bring time zones that logs do not want. Reads no clock.

use std::fmt;

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
    fn each_day_follows_the_one_before_for_four_hundred_years() {
        let mut before = civil_from_days(0);
        for day in 1..=DAYS_PER_ERA {
            let date = civil_from_days(day);
            let next_in_month = date.0 == before.0 && date.1 == before.1 && date.2 == before.2 + 1;
            let next_month = date.0 == before.0 && date.1 == before.1 + 1 && date.2 == 1 && before.2 >= 28;
            let next_year =
                date.0 == before.0 + 1 && (date.1, date.2) == (1, 1) && (before.1, before.2) == (12, 31);
            assert!(next_in_month || next_month || next_year, "{before:?} then {date:?}");
            before = date;
        }
        assert_eq!(before, (2370, 1, 1));
    }
}
