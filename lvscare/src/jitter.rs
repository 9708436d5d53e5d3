//! Thousands of nodes that do the same must not do it in the same moment. Pure; chance is passed in.

use std::time::Duration;

/// Where nothing else is said, a pause is longer or shorter by up to this part.
pub(crate) const SPREAD: f64 = 0.2;

/// `pause`, longer or shorter by up to a fifth. `chance` is random, from 0 to 1.
pub(crate) fn spread(pause: Duration, chance: f64) -> Duration {
    spread_by(pause, SPREAD, chance)
}

/// The same, by up to `part` (0 to 1).
pub(crate) fn spread_by(pause: Duration, part: f64, chance: f64) -> Duration {
    pause.mul_f64(1.0 + part * (2.0 * chance - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_more_or_less() {
        let millis = |chance| spread(Duration::from_secs(10), chance).as_millis();
        assert_eq!([0.0, 0.5, 1.0].map(millis), [8_000, 10_000, 12_000]);
    }
}
