//! Numbers as people read them: three significant digits, a unit that fits, thousands apart.
//!
//! Invariant: the same value reads the same on the terminal, on the page and in a comparison. Files keep the exact
//! numbers; nothing here is ever parsed again.

/// Beyond this many microseconds three digits would not fit before the point.
const MICROSECONDS_MAX: f64 = 999.5;
const MILLISECONDS_MAX: f64 = MICROSECONDS_MAX * 1e3;
const KIB: f64 = 1024.0;
/// Bytes up to here are written out: what a connection costs is compared to the byte.
const PLAIN_BYTES_MAX: f64 = 9_999.5;
const SECONDS_A_MINUTE: u64 = 60;
const SECONDS_AN_HOUR: u64 = 3_600;
const SECONDS_A_DAY: u64 = 86_400;

/// A number with three significant digits, such as `0.123`, `12.3`, `1234`; `–` if it is none.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // The exponent after rounding: 999.6 has four digits before the point, not three.
    let rounded = format!("{value:.2e}");
    let magnitude: i32 = rounded.rsplit('e').next().and_then(|power| power.parse().ok()).unwrap_or(0);
    let decimals = usize::try_from(2 - magnitude).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// A time of so many microseconds, such as `92.0 µs`, `1.20 ms`, `2.00 s`.
pub fn time(us: f64) -> String {
    match us {
        us if us < MICROSECONDS_MAX => format!("{} µs", significant(us)),
        us if us < MILLISECONDS_MAX => format!("{} ms", significant(us / 1e3)),
        us => format!("{} s", significant(us / 1e6)),
    }
}

/// A length of so many seconds, such as `60.0 s`, `45 min 10 s`, `3 h 20 min`.
pub fn length(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    if whole < 2 * SECONDS_A_MINUTE {
        return format!("{} s", significant(seconds));
    }
    if whole < 2 * SECONDS_AN_HOUR {
        return format!("{} min {} s", whole / SECONDS_A_MINUTE, whole % SECONDS_A_MINUTE);
    }
    format!("{} h {} min", whole / SECONDS_AN_HOUR, whole % SECONDS_AN_HOUR / SECONDS_A_MINUTE)
}

/// A whole number with its thousands apart, such as `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that may be large: whole with thousands apart from 1000 on, else three digits.
pub fn amount(value: f64) -> String {
    if value.is_finite() && value >= MICROSECONDS_MAX {
        return count(value.round() as u64);
    }
    significant(value)
}

/// So many a second, such as `12,345/s`.
pub fn rate(per_second: f64) -> String {
    format!("{}/s", amount(per_second))
}

/// Bytes, such as `412 B`, `1.21 MiB`.
pub fn bytes(value: f64) -> String {
    if value.abs() < PLAIN_BYTES_MAX {
        return format!("{} B", amount(value));
    }
    let (mut value, mut unit) = (value / KIB, "KiB");
    for larger in ["MiB", "GiB", "TiB"] {
        if value.abs() < MICROSECONDS_MAX {
            break;
        }
        (value, unit) = (value / KIB, larger);
    }
    format!("{} {unit}", significant(value))
}

/// The unit that [`bytes()`] writes a value in.
pub fn byte_unit(value: f64) -> f64 {
    let units = [KIB, KIB.powi(2), KIB.powi(3), KIB.powi(4)];
    units.into_iter().rev().find(|unit| value.abs() >= *unit).unwrap_or(1.0)
}

/// A round value beside an axis: what [`time`] and the others write, without zeros after the point.
pub fn mark(text: &str) -> String {
    let (number, unit) =
        text.split_once(' ').map_or((text, ""), |(number, _)| (number, &text[number.len()..]));
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number}{unit}")
}

/// A share of one as per cent, such as `0.0016 %`.
pub fn share(value: f64) -> String {
    format!("{} %", significant(value * 100.0))
}

/// A moment as date and time of day in UTC, such as `2026-11-21 04:48:01 UTC`.
pub fn moment(unix_s: u64) -> String {
    let (days, second) = (unix_s / SECONDS_A_DAY, unix_s % SECONDS_A_DAY);
    let (year, month, day) = civil(days);
    let (hour, minute) = (second / SECONDS_AN_HOUR, second % SECONDS_AN_HOUR / SECONDS_A_MINUTE);
    let second = second % SECONDS_A_MINUTE;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The date of a day since 1970. Years begin in March here, so that the leap day is the last one.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    const DAYS_FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    let days = days_since_1970 + DAYS_FROM_MARCH_OF_YEAR_0;
    let (era, day_of_era) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_the_unit_that_fits() {
        let read = [0.25, 92.0, 999.4, 999.6, 1_234.0, 48_200.0, 2_000_000.0].map(time);
        assert_eq!(read, ["0.250 µs", "92.0 µs", "999 µs", "1.00 ms", "1.23 ms", "48.2 ms", "2.00 s"]);
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([12.34, 12_345.6].map(rate), ["12.3/s", "12,346/s"]);
    }

    #[test]
    fn bytes_of_a_connection_are_not_rounded() {
        assert_eq!([412.0, 4_321.0, 20_480.0, 1e9].map(bytes), ["412 B", "4,321 B", "20.0 KiB", "954 MiB"]);
    }

    #[test]
    fn marks_of_an_axis_have_no_idle_zeros() {
        assert_eq!(
            ["10.0 ms", "1.91 MiB", "100 µs", "50.0", "0"].map(mark),
            ["10 ms", "1.91 MiB", "100 µs", "50", "0"]
        );
    }

    #[test]
    fn lengths_of_hours_do_not_count_seconds() {
        assert_eq!([30.0, 2_710.0, 12_000.0].map(length), ["30.0 s", "45 min 10 s", "3 h 20 min"]);
    }

    #[test]
    fn dates_are_right_around_leap_days_and_the_turn_of_a_year() {
        let read = [0, 951_827_696, 1_735_689_599, 1_795_236_481].map(moment);
        let dates =
            ["1970-01-01 00:00:00", "2000-02-29 12:34:56", "2024-12-31 23:59:59", "2026-11-21 04:48:01"];
        assert_eq!(read, dates.map(|date| format!("{date} UTC")));
    }
}
