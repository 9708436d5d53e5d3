//! What the applier says of itself: counted for Prometheus, and in the log no more often than somebody can read.

use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use crate::kernel::Error;
use crate::log_throttle::LogThrottle;
use crate::metrics::Metrics;
use crate::model::Change;

/// What a flapping server brings about is logged so often within five minutes.
const BURST: u32 = 10;

/// What was said and counted so far.
pub(super) struct Reports {
    metrics: Metrics,
    throttle: LogThrottle,
    own_changes: LogThrottle,
    repairs: u64,
}

impl Reports {
    /// Nothing yet.
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, throttle: LogThrottle::default(), own_changes: LogThrottle::after(BURST), repairs: 0 }
    }

    /// Changes that somebody else made and that were undone, since start.
    pub(super) fn repairs(&self) -> u64 {
        self.repairs
    }

    /// A pass has ended after this time.
    pub(super) fn passed(&self, took: Duration) {
        self.metrics.passed(took);
    }

    /// So many connections were cut.
    pub(super) fn cut(&self, count: usize) {
        self.metrics.cut(count);
    }

    /// A change was made because of ourselves.
    pub(super) fn changed(&mut self, change: &Change, now: Instant) {
        match self.own_changes.allow(&change.to_string(), now) {
            Some(0) => info!("{change}"),
            Some(times) => info!("{change}; {times} times more lately"),
            None => debug!("{change}"),
        }
    }

    /// A change was made because of somebody else's.
    pub(super) fn repaired(&mut self, change: &Change, now: Instant) {
        self.repairs += 1;
        self.metrics.repaired(change);
        match self.throttle.allow(&change.to_string(), now) {
            Some(0) => warn!("repaired what somebody else had changed: {change}"),
            Some(times) => warn!("repaired what somebody else had changed, {times} times more: {change}"),
            None => debug!("repaired again: {change}"),
        }
    }

    /// The kernel refused something.
    pub(super) fn refused(&mut self, problem: &str, now: Instant) {
        self.metrics.refused();
        if self.throttle.allow(problem, now).is_some() {
            error!("{problem}");
        }
    }

    /// Something is merely less good than it could be.
    pub(super) fn note(&mut self, error: &Error, now: Instant) {
        if self.throttle.allow(&error.to_string(), now).is_some() {
            warn!("{error}");
        }
    }
}
