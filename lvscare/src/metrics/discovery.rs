//! Masters that are learned from the API: how many, how lately, and why not.

use std::net::SocketAddr;

use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

use super::SERVER;

/// One virtual server whose masters are learned.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Which one.
    pub at: SocketAddr,
    /// How many masters it has at present, however they were found.
    pub masters: usize,
    /// When the API last said who they are, in seconds since 1970; `None`: not since start.
    pub last_success: Option<f64>,
}

/// Every value of the label `reason`.
const REASONS: [&str; 7] =
    ["kubeconfig", "unreachable", "timeout", "unauthorized", "forbidden", "bad-status", "useless"];

/// What is counted of all discoveries.
#[derive(Debug)]
pub(super) struct Discoveries {
    masters: GaugeVec,
    last_success: GaugeVec,
    failures: IntCounterVec,
}

impl Discoveries {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let service = &SERVER[..1];
        let gauges = |name: &str, help: &str| {
            let vec = GaugeVec::new(Opts::new(name, help), service)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let failures = IntCounterVec::new(
            Opts::new(
                "lvscare_discovery_failures_total",
                "Questions for the masters that the API did not answer usefully, by reason.",
            ),
            &[SERVER[0], "reason"],
        )?;
        registry.register(Box::new(failures.clone()))?;
        Ok(Self {
            masters: gauges(
                "lvscare_discovery_masters",
                "Masters that are known, learned from the API or not yet.",
            )?,
            last_success: gauges(
                "lvscare_discovery_last_success_timestamp_seconds",
                "When the API last said who the masters are; 0: not since start.",
            )?,
            failures,
        })
    }

    /// A question came to nothing.
    pub(super) fn failed(&self, at: SocketAddr, reason: &str) {
        self.failures.with_label_values(&[&at.to_string(), reason]).inc();
    }

    /// Shows these discoveries and no others.
    pub(super) fn set(&self, discoveries: &[Discovery]) {
        self.masters.reset();
        self.last_success.reset();
        for discovery in discoveries {
            let at = discovery.at.to_string();
            #[expect(clippy::cast_precision_loss, reason = "there are at most 64")]
            self.masters.with_label_values(&[&at]).set(discovery.masters as f64);
            self.last_success.with_label_values(&[&at]).set(discovery.last_success.unwrap_or_default());
            for reason in REASONS {
                self.failures.with_label_values(&[at.as_str(), reason]);
            }
        }
    }

    /// Forgets what was counted for a virtual server whose masters are learned no more.
    pub(super) fn forget(&self, at: SocketAddr) {
        for reason in REASONS {
            // Labels that were never used cannot be removed; so be it.
            let _ = self.failures.remove_label_values(&[&at.to_string(), reason]);
        }
    }
}
