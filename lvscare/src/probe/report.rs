//! What comes of a probe.

use std::time::{Duration, Instant};

use crate::health::{Failure, Outcome};

/// A limit that was noticed this late was not the server's doing: this node was stalled or asleep.
const LATENESS: Duration = Duration::from_millis(250);

/// Servers close a connection on which nothing is said for about ten seconds. A connection that is reset when its time
/// limit has been over for so long may have been closed because this node was late.
const PEERS_PATIENCE: Duration = Duration::from_secs(5);

/// What a probe saw.
#[derive(Debug)]
pub struct Report {
    /// The answer, or why there was none.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// How long the server had kept silent, when the probe gave up, since it was last spoken to; zero unless time ran
    /// out. So much of the wait until the next probe is over.
    pub silence: Duration,
    /// How many connections came to this result, each by itself.
    pub confirmations: u32,
    /// When the server was dialled last, where neither a held connection nor a new one was acknowledged.
    pub redialled: Option<Instant>,
}

/// What ended a probe that got no answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// As in [`Report`].
    pub(super) confirmations: u32,
    /// As in [`Report`].
    pub(super) redialled: Option<Instant>,
}

impl Failed {
    /// One connection has failed just now, which had to be done with by `deadline`.
    pub(super) fn by(deadline: Instant, failure: Failure) -> Self {
        let tolerance = match failure {
            Failure::TimedOut(_) => Some(LATENESS),
            // The server may have lost its patience with us.
            Failure::Reset => Some(PEERS_PATIENCE),
            _ => None,
        };
        let late = tolerance.is_some_and(|tolerance| Instant::now() > deadline + tolerance);
        Self { failure: if late { Failure::Late } else { failure }, confirmations: 1, redialled: None }
    }

    /// Another one has failed as well. Whoever learned nothing confirms nothing.
    pub(super) fn and(self, other: Self) -> Self {
        let nothing = |failed: &Self| matches!(failed.failure, Failure::Late | Failure::Local(_));
        match (nothing(&self), nothing(&other)) {
            (true, _) => other,
            (_, true) => self,
            _ => Self { confirmations: self.confirmations + other.confirmations, ..self },
        }
    }

    /// A held connection was silent, and so is a new one, which was dialled last at `dialled`. Whoever was late has not
    /// given it its time.
    pub(super) fn redialled(self, dialled: Instant) -> Self {
        Self { redialled: (self.failure != Failure::Late).then_some(dialled), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Phase;

    const SILENT: Failure = Failure::TimedOut(Phase::Connect);

    #[test]
    fn only_who_was_in_time_confirms() {
        let failed = |late| Failed::by(ago(u64::from(late)), SILENT);
        for (one, other, failure, confirmations) in [
            (false, false, SILENT, 2),
            (false, true, SILENT, 1),
            (true, false, SILENT, 1),
            (true, true, Failure::Late, 1),
        ] {
            let both = failed(one).and(failed(other));
            assert_eq!((&both.failure, both.confirmations), (&failure, confirmations), "{one} {other}");
            let redialled = both.redialled(ago(0)).redialled;
            assert_eq!(redialled.is_some(), failure != Failure::Late, "{one} {other}");
        }
    }

    /// Whoever refuses has spoken, however late this node looks; and so has this node's kernel.
    #[test]
    fn only_a_limit_can_be_missed() {
        for (seconds, failure, late) in [
            (1, SILENT, true),
            (1, Failure::Reset, false),
            (20, Failure::Reset, true),
            (20, Failure::Refused, false),
            (20, Failure::Unacknowledged, false),
            (20, Failure::Unreachable, false),
        ] {
            let failed = Failed::by(ago(seconds), failure.clone());
            assert_eq!(failed.failure == Failure::Late, late, "{failure}, {seconds} s late");
        }
    }

    fn ago(seconds: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap()
    }
}
