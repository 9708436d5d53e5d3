//! How late this node itself is. Pure: the time is passed in.
//!
//! One thread does everything. On a node that gives it no processor time an answer may have come long ago when its time
//! limit is over, and the server had less than its due. So whoever waits for an answer is woken now and then, and sees
//! how late that was. A limit that passed while this node was late is no evidence.

use std::time::{Duration, Instant};

/// Whoever waits is woken this often.
const TICK: Duration = Duration::from_millis(50);

/// A wait of which more than this part was lost says nothing.
const SPOILT: u32 = 2;

/// What was lost of one wait.
#[derive(Clone, Copy, Debug)]
pub struct Lag {
    began: Instant,
    due: Instant,
    lost: Duration,
}

impl Lag {
    /// A wait begins.
    pub fn new(now: Instant) -> Self {
        Self { began: now, due: now + TICK, lost: Duration::ZERO }
    }

    /// When to wake whoever waits.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whoever waits was woken, more or less in time.
    pub fn tick(&mut self, now: Instant) {
        self.lost += now.saturating_duration_since(self.due);
        self.due = now + TICK;
    }

    /// Whether so much was lost that the wait says nothing about whoever was waited for.
    pub fn spoils(&self, now: Instant) -> bool {
        let lost = self.lost + now.saturating_duration_since(self.due);
        lost > now.saturating_duration_since(self.began) / SPOILT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits two seconds, being woken so late each time.
    fn wait(late: Duration) -> bool {
        let began = Instant::now();
        let mut lag = Lag::new(began);
        while lag.due() + late < began + Duration::from_secs(2) {
            lag.tick(lag.due() + late);
        }
        lag.spoils(began + Duration::from_secs(2))
    }

    #[test]
    fn a_node_that_is_a_little_late_may_judge() {
        for (millis, spoilt) in [(0, false), (5, false), (30, false), (80, true), (900, true), (5000, true)] {
            assert_eq!(wait(Duration::from_millis(millis)), spoilt, "{millis} ms late each time");
        }
    }

    /// Stopped or starved once, however the rest went.
    #[test]
    fn one_long_gap_is_enough() {
        let began = Instant::now();
        for (gap, spoilt) in [(900, false), (1100, true)] {
            let mut lag = Lag::new(began);
            lag.tick(lag.due() + Duration::from_millis(gap));
            while lag.due() < began + Duration::from_secs(2) {
                lag.tick(lag.due());
            }
            assert_eq!(lag.spoils(began + Duration::from_secs(2)), spoilt, "{gap} ms");
        }
    }

    /// It was not woken at all.
    #[test]
    fn what_was_not_noticed_yet_counts() {
        let began = Instant::now();
        let lag = Lag::new(began);
        assert!(!lag.spoils(began + TICK));
        assert!(lag.spoils(began + Duration::from_secs(1)));
    }
}
