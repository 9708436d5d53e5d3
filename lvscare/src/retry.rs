//! What failed is tried again after as long as it has been failing: a short trouble delays little and a lasting one costs
//! little. Pure; time is passed in.

use std::time::{Duration, Instant};

/// It is tried again at most this often.
pub(crate) const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// And at least this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Something that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    since: Instant,
    due_at: Instant,
}

impl Retry {
    /// It has failed at `now`; `earlier` is what was known of that before.
    pub(crate) fn after(earlier: Option<Self>, now: Instant) -> Self {
        let since = earlier.map_or(now, |earlier| earlier.since);
        let pause = now.saturating_duration_since(since).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        Self { since, due_at: now + pause }
    }

    /// Whether it is to be tried again at `now`.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.due_at
    }

    /// Something has changed: it is tried again from `now` on.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.due_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_it_fails_the_more_seldom_it_is_tried() {
        let start = Instant::now();
        let mut retry = Retry::after(None, start);
        let mut tries = Vec::new();
        for second in 1..=250 {
            let now = start + Duration::from_secs(second);
            if retry.is_due(now) {
                tries.push(second);
                retry = Retry::after(Some(retry), now);
            }
        }
        assert_eq!(tries, [1, 2, 4, 8, 16, 32, 64, 124, 184, 244]);
        retry.hasten(start);
        assert!(retry.is_due(start));
    }
}
