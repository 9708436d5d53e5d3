//! The task that watches one server: a probe, the machine, and the board on which the result is written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::machine::{Machine, Transition};
use super::probe::{Prober, Report, Settings};
use super::{Condition, Entry, Key, LastProbe, Verdict};
use crate::beat;
use crate::config::Policy;
use crate::config::value::brief;
use crate::metrics::{Metrics, Probes};
use crate::repeats::Repeats;

/// What every checker has found out, by virtual and real server.
pub type Board = BTreeMap<Key, Entry>;

/// So many probes in a row may be discounted because this node was late; then they count after all, or a node
/// that is always late would never judge.
const MOST_DISCOUNTED: u32 = 3;

/// A server that flaps is logged so often within five minutes.
const BURST: u32 = 10;

/// Watches one server.
pub struct Checker {
    /// Its line on the board.
    key: Key,
    policy: Policy,
    machine: Machine,
    prober: Prober,
    board: watch::Sender<Board>,
    metrics: Metrics,
    probes: Probes,
    repeats: Repeats,
}

impl Checker {
    /// A checker for the line `key` of the board, from whose verdict it starts. Without such a line it knows
    /// nothing and nobody learns of it.
    pub fn new(
        key: Key,
        policy: Policy,
        settings: Arc<Settings>,
        board: watch::Sender<Board>,
        metrics: Metrics,
    ) -> Self {
        let verdict = board.borrow().get(&key).map(|entry| entry.verdict.clone());
        let verdict = verdict.unwrap_or_else(|| Verdict::presumed(Condition::Dead, Instant::now()));
        let machine = Machine::new(policy, verdict);
        Self {
            key,
            policy,
            machine,
            prober: Prober::new(settings, key.1),
            board,
            probes: metrics.probes(key),
            metrics,
            repeats: Repeats::after(BURST),
        }
    }

    /// Probes until the task is dropped.
    pub async fn run(mut self) {
        let mut discounted = 0;
        let mut last_trip: Option<Instant> = None;
        loop {
            let report = self.prober.probe(self.redial()).await;
            if report.late && discounted < MOST_DISCOUNTED {
                discounted += 1;
                debug!(server = %self.server(), took = %brief(report.took), "this node was late; probing again");
                continue;
            }
            discounted = 0;
            let before = self.machine.verdict().since;
            // The next attempt keeps its distance from the latest one, not from the moment when that was given up.
            let silence = report.silence;
            let delay = self.take_in(report).saturating_sub(silence);
            if self.machine.verdict().since != before {
                // Then the last trip was no false alarm, or the server has come back since.
                last_trip = None;
            }

            // Cancel-safety: `ended` keeps what it saw; the sleep is made anew each round.
            tokio::select! {
                () = beat::sleep(delay) => {}
                // The end of the held connection is a reason to look again at once. A server that closes
                // every connection gets this favour once per interval, or it would be probed without pause.
                () = self.prober.ended(), if last_trip.is_none_or(|at| at.elapsed() >= self.policy.interval) => {
                    last_trip = Some(Instant::now());
                    debug!(server = %self.server(), "held connection ended; probing again");
                }
            }
        }
    }

    /// A server that is out may be back any moment, and a packet sent before that is lost: it is dialled anew
    /// while the last dialling has not ended.
    fn redial(&self) -> Option<Duration> {
        let out = self.machine.verdict().condition != Condition::Alive;
        out.then(|| self.machine.pace(Instant::now()))
    }

    fn server(&self) -> SocketAddr {
        self.key.1
    }

    /// Judges a report, writes it on the board, and says how long to wait.
    fn take_in(&mut self, report: Report) -> Duration {
        let now = Instant::now();
        self.probes.ended(&report.outcome, report.took);
        let mut transition = None;
        for _ in 0..report.confirmations {
            transition = self.machine.observe(&report.outcome, now).or(transition);
        }
        if let Some(transition) = &transition {
            self.metrics.turned(self.key, transition.to);
            self.announce(transition, &report, now);
        }
        let delay = self.machine.delay(&report.outcome, fastrand::f64(), now);
        let verdict = self.machine.verdict();
        self.board.send_if_modified(|board| {
            let Some(entry) = board.get_mut(&self.key) else { return false };
            entry.certificate_expiry = self.prober.certificate_expiry();
            entry.last_probe = Some(LastProbe { at: now, took: report.took, outcome: report.outcome });
            let news = entry.verdict != *verdict;
            if news {
                entry.verdict = verdict.clone();
            }
            news
        });
        delay
    }

    fn announce(&mut self, transition: &Transition, report: &Report, now: Instant) {
        let Transition { from, to, after } = transition;
        let Some(kept_back) = self.repeats.admit(&format!("{from} {to}"), now) else { return };
        let server = self.server();
        let after = brief(*after);
        let probe = brief(report.took);
        let reason = &report.outcome;
        let more = if kept_back > 0 { format!(", {kept_back} times more lately") } else { String::new() };
        if to > from {
            info!(%server, %from, %to, %after, %probe, %reason, "real server is better{more}");
        } else {
            warn!(%server, %from, %to, %after, %probe, %reason, "real server is worse{more}");
        }
    }
}
