//! The state machine of one server. Pure: outcomes and the time go in, transitions and delays come out.
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

use super::{Condition, Outcome, Verdict};
use crate::config::Policy;
use crate::jitter;

#[cfg(test)]
mod tests;

/// A server that is out is asked again after this part of the time it has been out.
const PATIENCE: u32 = 60;

/// The condition of one server and the evidence gathered against it.
#[derive(Clone, Debug)]
pub struct Machine {
    policy: Policy,
    verdict: Verdict,
    streak: Option<Streak>,
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
        Self { policy, verdict, streak: None }
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
            self.verdict.certain = outcome.is_certain();
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
        let transition = Transition {
            from: present,
            to: streak.nearest,
            after: now.saturating_duration_since(self.verdict.since),
        };
        self.verdict = Verdict {
            condition: streak.nearest,
            verified: true,
            certain: streak.nearest == Condition::Dead && outcome.is_certain(),
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

    /// How long to wait before the next probe, `latest` being what the last one saw.
    ///
    /// `chance` (0 to 1, random) lengthens or shortens the wait by up to a fifth, so that thousands of nodes
    /// never step together. A refusal needs one confirmation, not a wait; an answer of whatever kind is confirmed four
    /// times as fast as a failure to get one.
    pub fn delay(&self, latest: &Outcome, chance: f64, now: Instant) -> Duration {
        let fast_interval = self.policy.fast_interval;
        let base = match self.streak {
            // Nothing was learned.
            _ if latest.implies().is_none() => fast_interval,
            Some(Streak { length: 1, .. }) if latest.is_certain() => return Duration::ZERO,
            Some(_) if matches!(latest, Outcome::Failed(_)) => fast_interval,
            Some(_) => fast_interval / 4,
            None => self.pace(now),
        };
        jitter::spread(base, chance)
    }

    /// The time between probes while nothing changes.
    ///
    /// A server that is out is asked fast at first, then less and less often, down to the normal interval: whoever
    /// returns after a long time must not be greeted by all nodes within a moment.
    pub fn pace(&self, now: Instant) -> Duration {
        let Policy { interval, fast_interval, .. } = self.policy;
        if self.verdict.condition == Condition::Alive {
            return interval;
        }
        let age = now.saturating_duration_since(self.verdict.since);
        (age / PATIENCE).min(interval).max(fast_interval)
    }
}
