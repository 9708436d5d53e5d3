//! When to ask the API next. Pure; chance is passed in as a number from 0 to 1.

use std::time::Duration;

use crate::jitter;

/// The first repetition after a failure comes so soon, further ones later and later.
const RETRY: Duration = Duration::from_secs(5);

/// But not later than this.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The first question comes within this part of an interval: a cluster that was switched on starts all its nodes
/// together.
const HEAD_START: f64 = 0.1;

/// The pause before the first question.
pub(super) fn first(interval: Duration, chance: f64) -> Duration {
    interval.mul_f64(HEAD_START * chance)
}

/// The pause after a question; `failures` in a row, the last one included.
pub(super) fn next(interval: Duration, failures: u32, chance: f64) -> Duration {
    let pause = match failures.checked_sub(1) {
        None => interval,
        Some(before) => {
            let doubled = RETRY.min(interval).saturating_mul(2_u32.saturating_pow(before));
            doubled.min(LONGEST_RETRY)
        }
    };
    jitter::spread(pause, chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    #[test]
    fn pauses_are_spread() {
        let millis = |failures, chance| next(INTERVAL, failures, chance).as_millis();
        assert_eq!([0.0, 0.5, 1.0].map(|chance| millis(0, chance)), [24_000, 30_000, 36_000]);
        assert_eq!([0.0, 0.5, 1.0].map(|chance| millis(1, chance)), [4_000, 5_000, 6_000]);
        assert_eq!([0.0, 1.0].map(|chance| first(INTERVAL, chance).as_secs()), [0, 3]);
    }

    #[test]
    fn failures_are_repeated_more_and_more_slowly() {
        let pauses = [1, 2, 3, 4, 5, 6, u32::MAX].map(|failures| next(INTERVAL, failures, 0.5).as_secs());
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60, 60]);
    }

    #[test]
    fn a_failure_is_never_repeated_more_slowly_than_a_success() {
        assert_eq!(next(Duration::from_secs(1), 1, 0.5), Duration::from_secs(1));
    }
}
