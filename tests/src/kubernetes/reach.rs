//! For how long was an address cut off? Counted by whoever connects to it again and again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What somebody saw who kept connecting.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Reach {
    /// Connections that were made.
    pub good: u32,
    /// Attempts that failed.
    pub failed: u32,
    /// The longest time between two connections.
    pub longest_gap: Duration,
    last_good: Duration,
}

impl Reach {
    /// Takes down one attempt, `at` so long after the beginning.
    pub fn count(&mut self, connected: bool, at: Duration) {
        let gap = at.saturating_sub(self.last_good);
        self.longest_gap = self.longest_gap.max(gap);
        if connected {
            self.good += 1;
            self.last_good = at;
        } else {
            self.failed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_lasts_until_the_next_connection_or_the_end() {
        let mut reach = Reach::default();
        let attempts = [(100, true), (200, false), (900, true), (1000, true), (1200, false), (2500, false)];
        for (at, connected) in attempts {
            reach.count(connected, Duration::from_millis(at));
        }
        assert_eq!((reach.good, reach.failed, reach.longest_gap), (3, 3, Duration::from_millis(1500)));
    }
}
