//! What Prometheus gets to see, and the only place that knows its library.
//!
//! Events (a probe ended, a repair was made) are counted when they happen, through the methods of [`Metrics`];
//! states (who is up, what stands in the table) are passed as a [`Snapshot`] when somebody asks. Labels come from
//! the configuration and from short fixed lists, so their number is bounded; those of a server that is configured
//! no more are forgotten.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::health::{Condition, Failure, Outcome, ServerId};
use crate::model::Change;

mod discovery;
mod process;
mod state;
#[cfg(test)]
mod tests;

use discovery::Discoveries;
pub use discovery::Discovery;
use state::State;
pub use state::{Server, Service, Snapshot};

/// From a probe on the same switch to the longest limit.
const PROBE_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];

/// From one virtual server to hundreds.
const PASS_BUCKETS: [f64; 9] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0];

/// The labels of a real server.
const SERVER: [&str; 2] = ["virtual_server", "real_server"];

/// All metrics of this process; clones are handles of the same.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    state: State,
    discoveries: Discoveries,
    transitions: IntCounterVec,
    probe_duration: HistogramVec,
    probe_failures: IntCounterVec,
    self_probe_duration: HistogramVec,
    repairs: IntCounterVec,
    reconcile_duration: Histogram,
    netlink_errors: IntCounter,
    sockets_destroyed: IntCounter,
    /// The real servers that have labels.
    known: Mutex<BTreeSet<ServerId>>,
    /// The virtual servers whose masters are learned.
    learning: Mutex<BTreeSet<SocketAddr>>,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let vec =
                HistogramVec::new(HistogramOpts::new(name, help).buckets(PROBE_BUCKETS.to_vec()), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let reconcile_duration = Histogram::with_opts(
            HistogramOpts::new(
                "lvscare_reconcile_duration_seconds",
                "Comparisons of the kernel with what should be there.",
            )
            .buckets(PASS_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(reconcile_duration.clone()))?;
        let inner = Inner {
            state: State::new(&registry)?,
            discoveries: Discoveries::new(&registry)?,
            transitions: counters(
                "lvscare_real_server_transitions_total",
                "Changes of a real server's condition, by the new one.",
                &[SERVER[0], SERVER[1], "to"],
            )?,
            probe_duration: histograms(
                "lvscare_probe_duration_seconds",
                "Probes of a real server, whatever they saw.",
                &SERVER,
            )?,
            probe_failures: counters(
                "lvscare_probe_failures_total",
                "Probes that did not find a real server ready, by reason.",
                &[SERVER[0], SERVER[1], "reason"],
            )?,
            self_probe_duration: histograms(
                "lvscare_self_probe_duration_seconds",
                "Probes through the virtual server itself, whatever they saw.",
                &SERVER[..1],
            )?,
            repairs: counters(
                "lvscare_repairs_total",
                "Changes that somebody else made and that were undone, by what was changed.",
                &["kind"],
            )?,
            netlink_errors: counter(
                "lvscare_netlink_errors_total",
                "Refusals of the kernel and other failures to read or change it.",
            )?,
            sockets_destroyed: counter(
                "lvscare_sockets_destroyed_total",
                "Connections of this node to dead real servers that were cut.",
            )?,
            reconcile_duration,
            known: Mutex::default(),
            learning: Mutex::default(),
            registry: registry.clone(),
        };
        // What has never happened is a zero, not a gap.
        for kind in KINDS {
            inner.repairs.with_label_values(&[kind]);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Where the probes of one real server are counted.
    pub fn probes(&self, id: ServerId) -> Probes {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        let [service, server] = labels(id);
        let duration = self.0.probe_duration.with_label_values(&[&service, &server]);
        Probes { duration, failures: self.0.probe_failures.clone(), labels: [service, server] }
    }

    /// A probe through a virtual server ended.
    pub fn self_probed(&self, service: SocketAddr, took: Duration) {
        self.0.self_probe_duration.with_label_values(&[&service.to_string()]).observe(took.as_secs_f64());
    }

    /// A real server is taken for something else.
    pub fn turned(&self, id: ServerId, to: Condition) {
        let [service, server] = labels(id);
        self.0.transitions.with_label_values(&[&service, &server, &to.to_string()]).inc();
    }

    /// A change of somebody else was undone.
    pub fn repaired(&self, change: &Change) {
        self.0.repairs.with_label_values(&[kind(change)]).inc();
    }

    /// The kernel was compared with what should be there.
    pub fn passed(&self, took: Duration) {
        self.0.reconcile_duration.observe(took.as_secs_f64());
    }

    /// The kernel refused something.
    pub fn refused(&self) {
        self.0.netlink_errors.inc();
    }

    /// Connections of this node were cut.
    pub fn cut(&self, count: usize) {
        self.0.sockets_destroyed.inc_by(count as u64);
    }

    /// A question for the masters behind a virtual server came to nothing; `reason` is one of a short list.
    pub fn not_learned(&self, service: SocketAddr, reason: &'static str) {
        self.0.discoveries.failed(service, reason);
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self, snapshot: &Snapshot) -> Result<String, prometheus::Error> {
        self.forget_others(snapshot);
        self.0.state.set(snapshot);
        self.0.discoveries.set(&snapshot.discoveries);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        let mut text = String::from_utf8_lossy(&text).into_owned();
        process::render(&mut text);
        Ok(text)
    }

    /// Makes the labels of the present real servers the only ones.
    fn forget_others(&self, snapshot: &Snapshot) {
        let present: BTreeSet<ServerId> = snapshot.servers.iter().map(|server| server.id).collect();
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        for &gone in known.difference(&present) {
            let [service, server] = labels(gone);
            // Labels that were never used cannot be removed; so be it.
            let _ = self.0.probe_duration.remove_label_values(&[&service, &server]);
            for reason in REASONS {
                let _ = self.0.probe_failures.remove_label_values(&[&service, &server, reason]);
            }
            for to in CONDITIONS {
                let _ = self.0.transitions.remove_label_values(&[&service, &server, &to.to_string()]);
            }
            if !present.iter().any(|id| id.service == gone.service) {
                let _ = self.0.self_probe_duration.remove_label_values(&[&service]);
            }
        }
        for &here in &present {
            let [service, server] = labels(here);
            for to in CONDITIONS {
                self.0.transitions.with_label_values(&[&service, &server, &to.to_string()]);
            }
        }
        *known = present;
        let asking = snapshot.discoveries.iter().map(|discovery| discovery.at).collect();
        let mut learning = self.0.learning.lock().unwrap_or_else(PoisonError::into_inner);
        learning.difference(&asking).for_each(|&gone| self.0.discoveries.forget(gone));
        *learning = asking;
    }
}

/// Counts the probes of one real server. They happen all the time: its labels are looked up once.
#[derive(Clone, Debug)]
pub struct Probes {
    duration: Histogram,
    failures: IntCounterVec,
    labels: [String; 2],
}

impl Probes {
    /// A probe ended.
    pub fn ended(&self, outcome: &Outcome, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        if let Some(reason) = reason(outcome) {
            let [service, server] = &self.labels;
            self.failures.with_label_values(&[service, server, reason]).inc();
        }
    }
}

const CONDITIONS: [Condition; 4] = [Condition::Alive, Condition::Draining, Condition::Sick, Condition::Dead];

fn labels(ServerId { service, server }: ServerId) -> [String; 2] {
    [service.to_string(), server.to_string()]
}

/// Every value of the label `reason`.
const REASONS: [&str; 10] = [
    "not-ready",
    "unhealthy",
    "refused",
    "reset",
    "unreachable",
    "timeout",
    "tls",
    "garbled",
    "local",
    "late",
];

fn reason(outcome: &Outcome) -> Option<&'static str> {
    Some(match outcome {
        Outcome::Ready => return None,
        Outcome::NotReady(_) => "not-ready",
        Outcome::Unhealthy(_) => "unhealthy",
        Outcome::Failed(Failure::Refused) => "refused",
        Outcome::Failed(Failure::Reset) => "reset",
        Outcome::Failed(Failure::Unreachable) => "unreachable",
        Outcome::Failed(Failure::TimedOut(_) | Failure::Unacknowledged) => "timeout",
        Outcome::Failed(Failure::Tls(_)) => "tls",
        Outcome::Failed(Failure::Garbled(_)) => "garbled",
        Outcome::Failed(Failure::Local(_)) => "local",
        Outcome::Failed(Failure::Late) => "late",
    })
}

/// Every value of the label `kind`.
const KINDS: [&str; 6] = ["service", "server", "weight", "route", "sysctl", "foreign"];

fn kind(change: &Change) -> &'static str {
    match change {
        Change::AddService { .. } | Change::UpdateService { .. } => "service",
        Change::AddServer { .. } => "server",
        Change::UpdateServer { .. } => "weight",
        Change::SetRoute { .. } | Change::RemoveRoute { .. } => "route",
        Change::SetSysctl { .. } => "sysctl",
        Change::RemoveService { .. } | Change::RemoveServer { .. } => "foreign",
    }
}
