//! What comes of a probe.

use std::time::{Duration, Instant};

use super::super::{Failure, Outcome};

/// A limit that was noticed this late was not the server's doing: this node was stalled or asleep.
const LATENESS: Duration = Duration::from_millis(250);

/// What a probe saw.
#[derive(Debug)]
pub struct Report {
    /// The answer, or why there was none.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// The time limit was noticed late: this node was stalled, and the outcome says little about the server.
    pub late: bool,
    /// How long the server had kept silent, when the probe gave up, since it was last spoken to; zero unless time ran
    /// out. So much of the wait until the next probe is over.
    pub silence: Duration,
    /// How many connections came to this result, each by itself.
    pub confirmations: u32,
}

/// What ended a probe that got no answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// As in [`Report`].
    pub(super) late: bool,
    /// As in [`Report`].
    pub(super) confirmations: u32,
}

impl Failed {
    /// One connection has failed just now, which had to be done with by `deadline`.
    pub(super) fn by(deadline: Instant, failure: Failure) -> Self {
        let late = Instant::now() > deadline + LATENESS && matches!(failure, Failure::TimedOut(_));
        Self { failure, late, confirmations: 1 }
    }

    /// Another one has failed as well. Whoever was late confirms nothing.
    pub(super) fn and(self, other: Self) -> Self {
        match (self.late, other.late) {
            (true, _) => other,
            (_, true) => self,
            _ => Self { confirmations: self.confirmations + other.confirmations, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Phase;
    use super::*;

    const SILENT: Failure = Failure::TimedOut(Phase::Connect);

    #[test]
    fn only_who_was_in_time_confirms() {
        let now = Instant::now();
        let failed = |late| {
            let deadline = if late { now.checked_sub(Duration::from_secs(1)).unwrap_or(now) } else { now };
            Failed::by(deadline, SILENT)
        };
        for (one, other, late, confirmations) in [
            (false, false, false, 2),
            (false, true, false, 1),
            (true, false, false, 1),
            (true, true, true, 1),
        ] {
            let both = failed(one).and(failed(other));
            assert_eq!((both.late, both.confirmations), (late, confirmations), "{one} {other}");
        }
    }

    /// Whoever refuses has spoken, however late this node looks.
    #[test]
    fn only_a_limit_can_be_missed() {
        let long_ago = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert!(Failed::by(long_ago, SILENT).late);
        assert!(!Failed::by(long_ago, Failure::Refused).late);
    }
}
