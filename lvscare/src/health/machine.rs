//! The state machine of one server. Pure: outcomes and the time go in, transitions come out.
//!
//! One rule covers every pair of conditions. Outcomes that are all worse than the present condition form a
//! streak downwards; `fall` of them move the server down, to the *least bad* condition seen in the streak.
//! Outcomes that are all better form a streak upwards; `rise` of them move it up, to the *least good* one.
//! An outcome that agrees ends any streak. So one lost packet changes nothing, and mixed evidence never
//! moves a server further than all of it supports.
//!
//! ```text
//!            fall bad probes                          rise good probes
//!   alive ──────────────────► draining | sick | dead ──────────────────► alive
//! ```

use std::time::{Duration, Instant};

use super::cadence::News;
use super::{Condition, Outcome, Verdict};
use crate::config::Policy;

#[cfg(test)]
mod tests;

/// The condition of one server and the evidence gathered against it.
#[derive(Clone, Debug)]
pub struct Machine {
    policy: Policy,
    verdict: Verdict,
    streak: Option<Streak>,
    /// Since when it has not been alive, while it is not.
    out_since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Streak {
    /// The outcome in the streak that is nearest to the present condition.
    nearest: Condition,
    length: u32,
}

/// A change of condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What the server was taken for.
    pub from: Condition,
    /// What it is taken for now.
    pub to: Condition,
    /// How long the old condition had lasted.
    pub after: Duration,
}

impl Machine {
    /// A server about which so much is known, or presumed.
    pub fn new(policy: Policy, verdict: Verdict) -> Self {
        let out_since = verdict.since;
        Self { policy, verdict, streak: None, out_since }
    }

    /// What the server is taken for.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Takes in what a probe saw at `now`.
    pub fn observe(&mut self, outcome: &Outcome, now: Instant) -> Option<Transition> {
        let seen = outcome.implies()?;
        let present = self.verdict.condition;
        if seen == present {
            self.streak = None;
            self.verdict.verified = true;
            self.verdict.certain = outcome.is_conclusive();
            self.verdict.seen = now;
            return None;
        }

        let down = seen < present;
        let streak = match self.streak {
            Some(streak) if (streak.nearest < present) == down => Streak {
                nearest: if down { streak.nearest.max(seen) } else { streak.nearest.min(seen) },
                length: streak.length + 1,
            },
            _ => Streak { nearest: seen, length: 1 },
        };
        let enough = if down { self.policy.fall } else { self.policy.rise };
        if streak.length < enough {
            self.streak = Some(streak);
            return None;
        }

        self.streak = None;
        if present == Condition::Alive {
            self.out_since = now;
        }
        let transition = Transition {
            from: present,
            to: streak.nearest,
            after: now.saturating_duration_since(self.verdict.since),
        };
        self.verdict = Verdict {
            condition: streak.nearest,
            verified: true,
            certain: streak.nearest == Condition::Dead && outcome.is_conclusive(),
            confirmed: false,
            since: now,
            seen: now,
        };
        Some(transition)
    }

    /// Others have answered while this one, which is taken for dead, did not (see [`witness`](super::witness)).
    pub fn confirm(&mut self, now: Instant) {
        self.verdict.confirmed = self.verdict.condition == Condition::Dead;
        self.verdict.seen = now;
    }

    /// How long it has been out; zero while it is alive. Whoever goes from one bad condition to another is out all along.
    pub fn outage(&self, now: Instant) -> Duration {
        match self.verdict.condition {
            Condition::Alive => Duration::ZERO,
            _ => now.saturating_duration_since(self.out_since),
        }
    }

    /// What the outcome brought that was observed last, with this `transition` if there was one.
    pub fn news(&self, latest: &Outcome, transition: Option<&Transition>) -> News {
        match self.streak {
            _ if latest.implies().is_none() => News::Nothing,
            Some(Streak { length: 1, .. }) if latest.is_conclusive() => News::FirstRefusal,
            Some(_) if matches!(latest, Outcome::Failed(_)) => News::Failure,
            Some(_) => News::Answer,
            None if transition.is_some() => News::Changed,
            None => News::Same,
        }
    }
}
