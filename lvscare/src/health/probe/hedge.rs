//! When is a second connection tried, while the first has not answered yet? Pure: time is passed in.
//!
//! - Where nobody even acknowledges the question (see `silence`), at once: packets are lost, and another connection may
//!   take another way. If it comes to nothing as well, one probe is as good as two, in little more than the time of one.
//! - Where an answer is merely late, too, but not more often than connections are renewed anyway: a server under load
//!   must not be loaded with handshakes on top.

use std::time::{Duration, Instant};

/// An answer is late after this part of its time limit.
const LATE: f64 = 0.25;

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
    /// Try another connection, until then.
    Hedge { until: Instant },
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

    /// There is no answer at the doubtful time; `silent` tells that there is no acknowledgement either.
    pub(super) fn doubtful(&self, silent: bool, now: Instant) -> Next {
        // Where no packet gets an answer, none of a new connection will.
        if silent { Next::Hedge { until: self.deadline.max(now + self.patience) } } else { Next::Wait }
    }
}

impl Hedge {
    /// From `now` on late answers are looked for elsewhere.
    pub(super) fn new(now: Instant) -> Self {
        Self { hedge_after: now }
    }

    /// There is no answer at the late time. `pause` is to pass before the next time.
    pub(super) fn late(&mut self, pending: &Pending, now: Instant, pause: Duration) -> Next {
        if now < self.hedge_after {
            return Next::Wait;
        }
        self.hedge_after = now + pause;
        // A server that is late is given its time.
        Next::Hedge { until: now + pending.timeout }
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
    fn silence_is_hedged_every_time_within_the_time_limit() {
        let asked = Instant::now();
        let pending = pending(asked);
        let now = pending.doubtful_at();
        for _ in 0..3 {
            assert_eq!(pending.doubtful(true, now), Next::Hedge { until: pending.deadline });
        }
        assert_eq!(pending.doubtful(false, now), Next::Wait);
        // A connection takes its time, even where the limit has nearly passed.
        let late = pending.asked + millis(1990);
        assert_eq!(pending.doubtful(true, late), Next::Hedge { until: late + millis(260) });
    }

    #[test]
    fn lateness_is_hedged_once_and_then_after_a_pause() {
        let start = Instant::now();
        let mut hedge = Hedge::new(start);
        let pause = millis(60_000);
        let mut hedged = Vec::new();
        for second in (0..200).step_by(2) {
            let pending = pending(start + millis(second * 1000));
            let now = pending.late_at();
            if let Next::Hedge { until } = hedge.late(&pending, now, pause) {
                assert_eq!(until, now + pending.timeout, "a server that is late is given its time");
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
