//! The task that watches one server: a probe, the machine, and the health table into which the result is written.
//!
//! - [`checkers`] are all of them, and [`peers`] is what those of one virtual server know of each other.
//! - [`self_probe`] asks through the virtual server itself, to see whether it all works.
//! - [`suspects`] looks at this node's own clients, and has a server asked anew that does not answer them.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

use crate::config::Policy;
use crate::config::value::brief;
use crate::health::cadence::{self, News, Situation};
use crate::health::lag::Lag;
use crate::health::machine::{Machine, Transition};
use crate::health::witness::{Answer, DOUBT, Trial};
use crate::health::{Condition, Failure, HealthTable, LastProbe, Outcome, ServerId, Verdict};
use crate::kernel::neighbour;
use crate::log_throttle::LogThrottle;
use crate::metrics::{Metrics, Probes};
use crate::probe::{GIVEN_UP_AFTER, Prober, Report, Settings};
use crate::timer;
use peers::{Peers, Wanted};

pub mod checkers;
pub mod peers;
pub mod self_probe;
pub mod suspects;
#[cfg(test)]
mod tests;

/// After this time a server that is taken for dead, and of which nobody can say more, is watched no more closely than
/// others that are out.
const TRIAL: Duration = Duration::from_secs(60);

/// A question is given this time where the latest one ended while this node was late: longer than the kernel goes on
/// without an acknowledgement, whose word counts however late it is heard.
const PATIENCE_OF_THE_LATE: Duration = GIVEN_UP_AFTER.saturating_add(Duration::from_secs(1));

/// A server that flaps is logged so often within five minutes.
const BURST: u32 = 10;

/// Watches one server.
pub struct Checker {
    id: ServerId,
    policy: Policy,
    machine: Machine,
    prober: Prober,
    health_table: watch::Sender<HealthTable>,
    metrics: Metrics,
    probes: Probes,
    repeats: LogThrottle,
    peers: Arc<Peers>,
    wanted: Arc<Wanted>,
    /// What is held against the server since it last answered.
    trial: Option<Trial>,
    /// Whether the next hop to the server was known when others were asked.
    hop_was_known: bool,
    is_hop_known: fn(SocketAddr) -> bool,
    /// How long its latest answer took.
    usual: Duration,
}

impl Checker {
    /// A checker of the server `id`, which starts from the verdict in the table. Without one it knows
    /// nothing and nobody learns of it.
    pub fn new(
        id: ServerId,
        policy: Policy,
        settings: Arc<Settings>,
        health_table: watch::Sender<HealthTable>,
        peers: Arc<Peers>,
        metrics: Metrics,
    ) -> Self {
        let verdict = health_table.borrow().get(&id).map(|state| state.verdict.clone());
        let verdict = verdict.unwrap_or_else(|| Verdict::presumed(Condition::Dead, Instant::now()));
        let wanted = peers.join(id.server, verdict.condition == Condition::Alive);
        let machine = Machine::new(policy, verdict);
        Self {
            id,
            policy,
            machine,
            prober: Prober::new(settings, id.server, policy),
            health_table,
            probes: metrics.probes(id),
            metrics,
            repeats: LogThrottle::after(BURST),
            wanted,
            peers,
            trial: None,
            hop_was_known: false,
            is_hop_known,
            usual: Duration::ZERO,
        }
    }

    /// Probes until the task is dropped.
    pub async fn run(mut self) {
        let mut watch_from = Instant::now();
        let others = self.peers.others_alive(self.server());
        let mut delay =
            cadence::first(&self.policy, self.machine.verdict().condition, others, fastrand::f64());
        loop {
            // Cancel-safety: `ended` and `wanted` keep what they saw; the sleep is made anew each round.
            let in_turn = tokio::select! {
                () = timer::sleep(delay) => true,
                // The end of the held connection is a reason to look again at once, though not without pause.
                () = ended(&mut self.prober, watch_from) => {
                    watch_from = Instant::now() + cadence::endings_apart(&self.policy);
                    debug!(server = %self.server(), "held connection ended; probing again");
                    false
                }
                () = self.wanted.wanted() => {
                    debug!(server = %self.server(), "wanted; probing again");
                    false
                }
            };
            let anew = self.wanted.take_anew();
            if anew {
                self.prober.renew();
            }
            let began = Instant::now();
            let report = self.ask(began).await;
            let before = self.machine.verdict().since;
            // The next attempt keeps its distance from the latest one, not from the moment when that was given up.
            let silence = report.silence;
            delay = self.take_in(report, began, anew, in_turn, Instant::now()).saturating_sub(silence);
            if self.machine.verdict().since != before {
                // Then the last end was no false alarm, or the server has come back since.
                watch_from = Instant::now();
            }
        }
    }

    /// Asks once. While a server that matters does not answer, others are asked what they know, and this node's own
    /// lateness is measured.
    async fn ask(&mut self, began: Instant) -> Report {
        let reconnect_every = self.reconnect_every();
        let is_watched = self.is_watched(began);
        let on_trial = self.machine.verdict().condition == Condition::Dead;
        if let Some(trial) = self.trial.as_mut().filter(|_| on_trial) {
            trial.retry(began);
        }
        let mut lag = Lag::new(began);
        let mut doubtful = if on_trial { Duration::ZERO } else { DOUBT.min(self.prober.limit() / 2) };
        let in_doubt = self.prober.is_in_doubt();
        let Self {
            id, machine, prober, health_table, peers, trial, hop_was_known, is_hop_known, usual, ..
        } = self;
        *hop_was_known = false;
        let mut ask_witnesses = || {
            *hop_was_known = is_hop_known(id.server);
            peers.ask_others(id.server, began, false);
        };
        // The kernel has waited long enough.
        if in_doubt {
            ask_witnesses();
        }
        let mut wants_witness = !in_doubt;
        let mut question = pin!(prober.probe(reconnect_every));
        let mut report = loop {
            // Cancel-safety: the question goes on, the sleep is made anew.
            tokio::select! {
                biased;
                report = &mut question => break report,
                () = sleep_until(lag.due().into()), if is_watched => {}
            }
            let now = Instant::now();
            lag.tick(now);
            if now.saturating_duration_since(began) < doubtful {
                continue;
            }
            doubtful = Duration::ZERO;
            if std::mem::take(&mut wants_witness) {
                ask_witnesses();
            }
            let trial = trial.get_or_insert_with(|| Trial::new(began));
            hear(trial, peers, id.server);
            if !lag.spoils(now) && !machine.verdict().confirmed && trial.proves_silence(began, *usual, now) {
                machine.confirm(now);
                publish(health_table, *id, machine.verdict());
            }
        };
        let by_our_clock = matches!(report.outcome, Outcome::Failed(Failure::TimedOut(_)));
        if by_our_clock && is_watched && lag.spoils(Instant::now()) {
            report.outcome = Outcome::Failed(Failure::Late);
        }
        report
    }

    /// Whether an answer that does not come is of interest to anybody: a server that has been out for long, or for
    /// certain, cannot fall any further.
    fn is_watched(&self, now: Instant) -> bool {
        let Verdict { condition, certain, confirmed, since, .. } = *self.machine.verdict();
        let is_lost = certain || confirmed || now.saturating_duration_since(since) >= TRIAL;
        condition != Condition::Dead || !is_lost
    }

    /// A server that is out may be back any moment, and a packet sent before that is lost: it is dialled anew
    /// while the last dialling has not ended.
    fn reconnect_every(&self) -> Option<Duration> {
        let situation = self.situation(News::Same, true, Instant::now());
        (situation.condition != Condition::Alive).then(|| situation.backoff(&self.policy))
    }

    fn situation(&self, news: News, in_turn: bool, now: Instant) -> Situation {
        let condition = self.machine.verdict().condition;
        let (outage, others) = (self.machine.outage(now), self.peers.others_alive(self.server()));
        Situation { condition, outage, others, news, in_turn }
    }

    fn server(&self) -> SocketAddr {
        self.id.server
    }

    /// Judges the report of a question that began then and has ended at `now`, `in_turn` or not, over a new connection if
    /// `anew`; writes it into the health table, and says how long to wait.
    fn take_in(
        &mut self,
        report: Report,
        began: Instant,
        anew: bool,
        in_turn: bool,
        now: Instant,
    ) -> Duration {
        self.probes.ended(&report.outcome, report.took);
        self.excuse(&report.outcome, now);
        let mut transition = None;
        for _ in 0..report.confirmations {
            transition = self.machine.observe(&report.outcome, now).or(transition);
        }
        if let Some(transition) = &transition {
            self.metrics.turned(self.id, transition.to);
            self.peers.turned(self.server(), transition.to == Condition::Alive);
            self.announce(transition, &report, now);
        }
        self.hold_against(&report, began, anew, now);
        let news = self.machine.news(&report.outcome, transition.as_ref());
        let delay = self.situation(news, in_turn, now).pause(&self.policy, fastrand::f64());
        let last_probe = LastProbe { time: now, took: report.took, outcome: report.outcome };
        let certificate_expiry = self.prober.certificate_expiry();
        self.health_table.send_if_modified(|health_table| {
            let Some(state) = health_table.get_mut(&self.id) else { return false };
            state.certificate_expiry = certificate_expiry;
            state.last_probe = Some(last_probe);
            false
        });
        publish(&self.health_table, self.id, self.machine.verdict());
        delay
    }

    /// This node's own trouble is no evidence: it is made good where possible, and said.
    fn excuse(&mut self, outcome: &Outcome, now: Instant) {
        let is_late = *outcome == Outcome::Failed(Failure::Late);
        self.prober.wait_at_least(if is_late { PATIENCE_OF_THE_LATE } else { Duration::ZERO });
        if let Outcome::Failed(Failure::Local(why)) = outcome
            && let Some(kept_back) = self.peers.admit_shortage(why, now)
        {
            let more = if kept_back > 0 { format!(", {kept_back} times more lately") } else { String::new() };
            warn!(server = %self.server(), "this node cannot ask real servers; what is known of them stays: {why}{more}");
        }
    }

    /// What a question that has ended means for the trial of the server, and for those of others.
    fn hold_against(&mut self, report: &Report, began: Instant, anew: bool, now: Instant) {
        // Where nothing was learned, whatever is held against anybody stays: nothing was heard of the server, either.
        let Some(implied) = report.outcome.implies() else { return };
        let answered = implied != Condition::Dead;
        self.peers.ended(self.id.server, answered.then_some(Answer { began, ended: now, anew }));
        if answered {
            self.usual = report.took;
            self.trial = None;
            return;
        }
        let verdict = self.machine.verdict();
        if report.outcome.is_conclusive() || verdict.confirmed {
            return;
        }
        let is_silence = report.outcome.is_silence();
        let trial = self.trial.get_or_insert_with(|| Trial::new(began));
        hear(trial, &self.peers, self.id.server);
        let packets_are_lost = |dialled| {
            self.hop_was_known
                && trial.proves_lost_packets(dialled, now)
                && (self.is_hop_known)(self.id.server)
        };
        let is_proved = if is_silence {
            trial.proves_failed_silence(now) || report.redialled.is_some_and(packets_are_lost)
        } else {
            trial.proves_failure()
        };
        if verdict.condition == Condition::Dead && is_proved {
            self.machine.confirm(now);
        } else {
            self.peers.ask_others(self.id.server, began, !is_silence);
        }
    }

    fn announce(&mut self, transition: &Transition, report: &Report, now: Instant) {
        let Transition { from, to, after } = transition;
        let Some(kept_back) = self.repeats.allow(&format!("{from} {to}"), now) else { return };
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

/// Waits for the end of the held connection, which is of no interest before `watch_from`. Cancel-safe.
async fn ended(prober: &mut Prober, watch_from: Instant) {
    sleep_until(watch_from.into()).await;
    prober.ended().await;
}

/// Whether packets to the server leave this node at once. Where the kernel cannot tell, it takes longer to be sure.
fn is_hop_known(server: SocketAddr) -> bool {
    neighbour::is_known(server.ip()).inspect_err(|error| debug!(%error, "next hop")).unwrap_or_default()
}

/// Takes in what others have answered lately.
fn hear(trial: &mut Trial, peers: &Peers, server: SocketAddr) {
    for answer in peers.witnesses(server, |answer| trial.wants(answer)) {
        trial.hear(&answer);
    }
}

/// Writes a verdict into the health table; whoever reads it is told only if it says something else.
fn publish(health_table: &watch::Sender<HealthTable>, id: ServerId, verdict: &Verdict) {
    health_table.send_if_modified(|health_table| {
        let Some(state) = health_table.get_mut(&id) else { return false };
        let news = state.verdict.differs(verdict);
        state.verdict = verdict.clone();
        news
    });
}
