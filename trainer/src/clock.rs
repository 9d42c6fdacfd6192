//! The wall clock, for the names of result files and for status. No computed result depends on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Current time in UTC, as `2024-05-06T07:08:09.123456`.
pub(crate) fn utc_now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    iso(now.as_secs(), now.subsec_micros())
}

/// Current time in seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Formats a time in seconds since 1970 in UTC, as `2024-05-06 07:08:09`.
pub(crate) fn utc(seconds: u64) -> String {
    iso(seconds, 0)[..19].replace('T', " ")
}

/// Formats seconds since 1970 as date and time.
fn iso(seconds: u64, micros: u32) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let Date { year, month, day } = civil(days as i64);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}")
}

struct Date {
    year: i64,
    month: i64,
    day: i64,
}

/// Converts days since 1970 to a date (Hinnant's algorithm for the proleptic Gregorian calendar: years begin
/// in March, eras have 400 years).
fn civil(days: i64) -> Date {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    Date { year: era * 400 + year_of_era + i64::from(month <= 2), month, day }
}

#[cfg(test)]
mod tests {
    use super::{iso, utc};

    #[test]
    fn known_moments() {
        assert_eq!(utc(951_782_405), "2000-02-29 00:00:05");
        assert_eq!(iso(0, 0), "1970-01-01T00:00:00.000000");
        assert_eq!(iso(951_782_400, 7), "2000-02-29T00:00:00.000007");
        assert_eq!(iso(1_714_979_289, 123_456), "2024-05-06T07:08:09.123456");
        assert_eq!(iso(4_107_542_400, 0), "2100-03-01T00:00:00.000000");
    }
}
