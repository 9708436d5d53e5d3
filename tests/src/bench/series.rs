//! What repetitions of one measurement gave.

/// What did not happen within its limit.
const NEVER: f64 = f64::INFINITY;

/// The values of one measurement, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(Vec<f64>);

impl Series {
    /// Adds a value; `None` means that it did not happen.
    pub(super) fn add(&mut self, value: Option<f64>) {
        self.0.push(value.unwrap_or(NEVER));
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle one, or the mean of the two in the middle.
    pub(super) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let half = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) }
    }

    pub(super) fn least(&self) -> f64 {
        self.sorted()[0]
    }

    pub(super) fn most(&self) -> f64 {
        self.sorted()[self.0.len() - 1]
    }

    /// It has not happened yet, so why should it the next time.
    pub(super) fn is_hopeless(&self) -> bool {
        self.0.iter().all(|&value| value == NEVER)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_more_than_anything() {
        let mut series = Series::default();
        series.add(None);
        assert!(series.is_hopeless());
        series.add(Some(3.0));
        series.add(Some(1.0));
        assert!(!series.is_hopeless());
        assert_eq!((series.least(), series.median(), series.most()), (1.0, 3.0, NEVER));
        series.add(Some(2.0));
        assert!((series.median() - 2.5).abs() < 1e-9);
    }
}
