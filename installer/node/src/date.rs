//! Moments, as people read them. Pure.

use std::time::Duration;

use der::DateTime;

/// A day, in seconds.
pub const DAY: u64 = 24 * 60 * 60;

/// The day of a moment in seconds since 1970, such as `2125-11-06`.
pub fn date(seconds: u64) -> String {
    match DateTime::from_unix_duration(Duration::from_secs(seconds)) {
        Ok(at) => format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day()),
        Err(_) => "after the year 9999".to_owned(),
    }
}

/// A moment since 1970, to the millisecond and in UTC, as RFC 3339 writes it: `2026-11-28T11:30:00.123Z`.
pub fn instant(since: Duration) -> String {
    match DateTime::from_unix_duration(Duration::from_secs(since.as_secs())) {
        Ok(at) => {
            let (hour, minute, second) = (at.hour(), at.minutes(), at.seconds());
            let millis = since.subsec_millis();
            format!("{}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", date(since.as_secs()))
        }
        Err(_) => "9999-12-31T23:59:59.999Z".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_everybody_reads_it() {
        assert_eq!(instant(Duration::ZERO), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(Duration::from_millis(1_795_865_401_007)), "2026-11-28T11:30:01.007Z");
        assert_eq!(instant(Duration::from_secs(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
