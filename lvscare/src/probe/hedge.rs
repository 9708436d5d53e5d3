//! When is a second connection tried, while the first has not answered yet? Pure: time is passed in.
//!
//! - Where nobody even acknowledges the question (see `silence`), at once, and briefly: packets are lost, and another
//!   connection may take another way. If none comes about either, two witnesses agree.
//! - Where an answer is merely late, too, but seldom: a server under load must not be loaded with handshakes on top. If
//!   it comes to nothing within the rest of the time, one probe is as good as two.

use std::time::{Duration, Instant};

use crate::jitter;

/// An answer is late after this part of its time limit.
const LATE: f64 = 0.25;

/// After a late answer the next one is not looked for elsewhere for so long, a fifth more or less.
const PAUSE: Duration = Duration::from_secs(60);

/// There is no answer at the doubtful time; `silent` tells that there is no acknowledgement either.
pub(super) fn doubtful(silent: bool) -> Next {
    if silent { Next::HedgeBriefly } else { Next::Wait }
}

/// A question over a held connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// When it was asked.
    pub(super) asked: Instant,
    /// When the answer must be there.
    pub(super) deadline: Instant,
    /// The time limit of a whole probe.
    pub(super) timeout: Duration,
    /// How long an acknowledgement may take.
    pub(super) patience: Duration,
}

/// What to do about a question that is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait on.
    Wait,
    /// Try another connection beside it.
    Hedge,
    /// The same, and briefly.
    HedgeBriefly,
}

/// Whether a late answer is looked for elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hedge {
    /// Before this it is not.
    hedge_after: Instant,
}

impl Pending {
    /// When to look whether the question has been acknowledged.
    pub(super) fn doubtful_at(&self) -> Instant {
        self.asked + self.patience
    }

    /// When the answer is late.
    pub(super) fn late_at(&self) -> Instant {
        self.deadline.checked_sub(self.timeout.mul_f64(1.0 - LATE)).unwrap_or(self.deadline)
    }
}

impl Hedge {
    /// From `now` on late answers are looked for elsewhere.
    pub(super) fn new(now: Instant) -> Self {
        Self { hedge_after: now }
    }

    /// There is no answer at the late time. `chance` (0 to 1, random) spreads the time until the next hedge.
    pub(super) fn late(&mut self, now: Instant, chance: f64) -> Next {
        if now < self.hedge_after {
            return Next::Wait;
        }
        self.hedge_after = now + jitter::spread(PAUSE, chance);
        Next::Hedge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn pending(asked: Instant) -> Pending {
        Pending { asked, deadline: asked + millis(2000), timeout: millis(2000), patience: millis(260) }
    }

    #[test]
    fn silence_is_looked_at_before_lateness() {
        let asked = Instant::now();
        let pending = pending(asked);
        assert_eq!((pending.doubtful_at(), pending.late_at()), (asked + millis(260), asked + millis(500)));
    }

    #[test]
    fn silence_is_hedged_every_time_and_briefly() {
        assert_eq!((doubtful(true), doubtful(false)), (Next::HedgeBriefly, Next::Wait));
    }

    #[test]
    fn lateness_is_hedged_once_and_then_after_a_pause() {
        let start = Instant::now();
        let mut hedge = Hedge::new(start);
        let mut hedged = Vec::new();
        for second in (0..200).step_by(2) {
            let now = pending(start + millis(second * 1000)).late_at();
            if hedge.late(now, 0.5) == Next::Hedge {
                hedged.push(second);
            }
        }
        assert_eq!(hedged, [0, 60, 120, 180]);
    }

    /// No time is so odd that it makes us panic.
    #[test]
    fn limits_of_any_length() {
        let now = Instant::now();
        for timeout in [0, 1, 1 << 40].map(millis) {
            let pending = Pending { timeout, ..pending(now) };
            assert!(pending.late_at() <= pending.deadline);
        }
    }
}
