//! When is a server asked next? Pure: what is known goes in, a pause comes out; time and chance are passed in.
//!
//! Every question costs an apiserver a third of a millisecond, every handshake two, and thousands of nodes ask. So a
//! server that is well is asked seldom: the kernels keep watch meanwhile (see [`probe`](crate::probe)). How urgently one
//! that is out is asked depends on how much it is needed.
//!
//! | the server | the next question |
//! |---|---|
//! | is well, and was asked when its turn came | after `interval` |
//! | is well, and was asked out of turn | at any moment within `interval`: what woke this node may have woken all |
//! | has just come back | in the last quarter of `interval` |
//! | has just refused for the first time | at once |
//! | has just failed, or this node could not ask | after `fast_interval` |
//! | has just answered otherwise than before | after a quarter of that |
//! | is out, and [`ENOUGH`] others serve | after a tenth of the time it has been out, `interval` at most |
//! | is out, and needed | after a hundredth of that time, [`NEEDED_AT_MOST`] at most |
//!
//! While a server is out, no pause is shorter than `fast_interval`.

use std::time::Duration;

use super::Condition;
use crate::config::Policy;
use crate::jitter::{spread, spread_by};

/// With so many servers that are well nobody needs another one within moments.
pub const ENOUGH: usize = 2;

/// The time a server has been out, divided by this, is the pause where enough others serve.
pub const SPARE_DIVISOR: u32 = 10;

/// The same where they do not. Restarts end within seconds; whoever has been out for longer will not be back by the
/// split second.
pub const NEEDED_DIVISOR: u32 = 100;

/// The longest pause before a question to a server that is needed.
pub const NEEDED_AT_MOST: Duration = Duration::from_secs(1);

/// At the start all but what is needed is asked within this time, or half an interval if that is shorter.
pub const START_SPREAD: Duration = Duration::from_millis(2500);

/// A held connection is renewed after so many questions, so that a dead listener behind a living connection is noticed;
/// but handshakes are the dearest answers, so not sooner and not later than after these times.
const RENEWAL_QUESTIONS: u32 = 60;
const RENEWAL_AT_LEAST: Duration = Duration::from_secs(60);
const RENEWAL_AT_MOST: Duration = Duration::from_secs(300);

/// In turn, a pause is longer or shorter by up to this part. Chance at the start, at each change and out of turn keeps
/// nodes apart; here it only keeps them from being bound to each other.
pub const STEADY_SPREAD: f64 = 0.04;

/// After a return a pause is shorter by up to this part: other nodes are still about to return.
const RETURN_SPREAD: f64 = 0.25;

/// The life of a held connection is longer or shorter by up to this part.
const RENEWAL_SPREAD: f64 = 0.25;

/// What the latest question brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// What was known before.
    Same,
    /// The server is in another condition than before.
    Changed,
    /// Nothing; this node could not ask, or was late.
    Nothing,
    /// A refusal, the first after something better.
    FirstRefusal,
    /// A failure that is out of line with the condition.
    Failure,
    /// An answer that is out of line with the condition.
    Answer,
}

/// What the time of the next question depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// What the server is taken for.
    pub condition: Condition,
    /// How long it has been out, if it is.
    pub outage: Duration,
    /// How many others of the same virtual server are alive.
    pub others: usize,
    /// What the latest question brought.
    pub news: News,
    /// Whether it was asked when its turn came.
    pub in_turn: bool,
}

impl Situation {
    /// The pause before the next question. `chance` (0 to 1, random) spreads it.
    pub fn pause(&self, policy: &Policy, chance: f64) -> Duration {
        let Policy { interval, fast_interval, .. } = *policy;
        let is_well = self.condition == Condition::Alive;
        match self.news {
            News::FirstRefusal => Duration::ZERO,
            News::Nothing | News::Failure => spread(fast_interval, chance),
            News::Answer => spread(fast_interval / 4, chance),
            News::Same if is_well && self.in_turn => spread_by(interval, STEADY_SPREAD, chance),
            News::Same if is_well => interval.mul_f64(chance),
            News::Changed if is_well => interval.mul_f64(1.0 - RETURN_SPREAD * chance),
            News::Same | News::Changed => spread(self.backoff(policy), chance),
        }
    }

    /// The time between questions to a server that is out, more or less.
    pub fn backoff(&self, policy: &Policy) -> Duration {
        let (divisor, at_most) = match self.others {
            ENOUGH.. => (SPARE_DIVISOR, policy.interval),
            _ => (NEEDED_DIVISOR, policy.interval.min(NEEDED_AT_MOST)),
        };
        (self.outage / divisor).min(at_most).max(policy.fast_interval)
    }
}

/// The pause before the first question to a server that is presumed to be in `condition`, beside so many `others` that
/// are presumed alive. All nodes may start within a moment, so all but what is needed is asked at any moment within
/// [`START_SPREAD`].
pub fn first(policy: &Policy, condition: Condition, others: usize, chance: f64) -> Duration {
    if condition == Condition::Alive || others >= ENOUGH {
        START_SPREAD.min(policy.interval / 2).mul_f64(chance)
    } else {
        Duration::ZERO
    }
}

/// How long a new connection is held. `chance` (0 to 1, random) spreads it.
pub fn renewal(policy: &Policy, chance: f64) -> Duration {
    let every = (policy.interval * RENEWAL_QUESTIONS).clamp(RENEWAL_AT_LEAST, RENEWAL_AT_MOST);
    spread_by(every, RENEWAL_SPREAD, chance)
}

/// For how long after the end of a connection the end of another one is no reason to ask out of turn. A server that ends
/// every connection is looked at twice an interval, then.
pub fn endings_apart(policy: &Policy) -> Duration {
    policy.interval
}

/// The longest pause between two questions to a server that is well.
pub fn longest_interval(policy: &Policy) -> Duration {
    spread_by(policy.interval, STEADY_SPREAD, 1.0)
}

#[cfg(test)]
mod tests;
