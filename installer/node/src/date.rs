//! Moments, as people read them. Pure.

use std::time::Duration;

use der::DateTime;

/// The day of a moment in seconds since 1970, such as `2125-11-06`.
pub fn date(seconds: u64) -> String {
    match DateTime::from_unix_duration(Duration::from_secs(seconds)) {
        Ok(at) => format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day()),
        Err(_) => "after the year 9999".to_owned(),
    }
}
