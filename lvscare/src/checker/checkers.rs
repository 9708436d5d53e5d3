//! All checkers: one task per real server of each virtual server, as the configuration says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Checker;
use super::peers::Peers;
use crate::active_config::ActiveConfig;
use crate::config::{Config, Policy, ProbeConfig};
use crate::health::{Condition, HealthTable, ServerId, ServerState, Verdict};
use crate::metrics::Metrics;
use crate::model::Actual;

/// The tasks and the health table into which they write.
pub struct Checkers {
    metrics: Metrics,
    health_table: watch::Sender<HealthTable>,
    tasks: JoinSet<()>,
    running: BTreeMap<ServerId, Running>,
    /// By virtual server.
    peers: BTreeMap<SocketAddr, Arc<Peers>>,
}

/// A task and what it was started with.
struct Running {
    policy: Policy,
    probe: ProbeConfig,
    task: tokio::task::AbortHandle,
}

impl Checkers {
    /// No checkers yet, and an empty health table.
    pub fn new(metrics: Metrics) -> Self {
        let health_table = watch::Sender::new(HealthTable::new());
        Self {
            metrics,
            health_table,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            peers: BTreeMap::new(),
        }
    }

    /// The health table.
    pub fn health_table(&self) -> watch::Receiver<HealthTable> {
        self.health_table.subscribe()
    }

    /// Starts, restarts and ends checkers so that they are those of `active`. Servers that are in the health table already
    /// keep their verdict; of the others `actual` tells what to presume.
    pub fn set(&mut self, active: &ActiveConfig, actual: &Actual, now: Instant) {
        let guarded = self.health_table.borrow().keys().map(|id| id.service).collect();
        let presumed = presume(&active.config, actual, &guarded, now);
        self.health_table.send_modify(|health_table| {
            let mut before = std::mem::take(health_table);
            *health_table =
                presumed.into_iter().map(|(id, state)| (id, before.remove(&id).unwrap_or(state))).collect();
        });

        let mut before = std::mem::take(&mut self.running);
        for service in &active.config.services {
            let (policy, probe) = (service.policy, &service.probe);
            let Some(settings) = active.settings.get(&service.at) else { continue };
            let peers = self.peers.entry(service.at).or_default().clone();
            peers.retain(&service.servers.iter().map(|server| server.address).collect());
            for server in &service.servers {
                let id = ServerId { service: service.at, server: server.address };
                let same = |running: &Running| running.policy == policy && running.probe == *probe;
                let running = if before.get(&id).is_some_and(same) { before.remove(&id) } else { None };
                let running = running.unwrap_or_else(|| {
                    let (health_table, metrics) = (self.health_table.clone(), self.metrics.clone());
                    let checker =
                        Checker::new(id, policy, settings.clone(), health_table, peers.clone(), metrics);
                    Running { policy, probe: probe.clone(), task: self.tasks.spawn(checker.run()) }
                });
                self.running.insert(id, running);
            }
        }
        // Those that are not wanted any more, and those that were started with other settings.
        for running in before.into_values() {
            running.task.abort();
        }
        self.peers.retain(|at, _| active.config.service(*at).is_some());
        // Ended tasks are of no interest to anybody.
        while self.tasks.try_join_next().is_some() {}
    }
}

/// What the table says about every server before any probe has: one that takes traffic is presumed alive, one
/// at weight 0 sick, one that is not there dead. A table without any of our servers says nothing; then all are
/// presumed alive, so that a join need not wait. A virtual server that is `guarded` already has others that serve
/// until the new ones are known.
fn presume(config: &Config, actual: &Actual, guarded: &BTreeSet<SocketAddr>, now: Instant) -> HealthTable {
    let mut health_table = HealthTable::new();
    for service in &config.services {
        let weight = |address| {
            let seen = actual.services.get(&service.at)?.destinations.get(&address)?;
            Some(seen.destination.weight)
        };
        let fresh = !guarded.contains(&service.at)
            && service.servers.iter().all(|server| weight(server.address).is_none());
        for server in &service.servers {
            let condition = match weight(server.address) {
                None if !fresh => Condition::Dead,
                Some(0) => Condition::Sick,
                _ => Condition::Alive,
            };
            let state = ServerState {
                verdict: Verdict::presumed(condition, now),
                last_probe: None,
                certificate_expiry: None,
            };
            health_table.insert(ServerId { service: service.at, server: server.address }, state);
        }
    }
    health_table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    /// A join need not wait for a verdict; a master that takes another's place has to.
    #[test]
    fn unknown_servers_are_trusted_only_where_nothing_serves_yet() {
        let config = config("--rs 10.0.0.1:6443").unwrap();
        for (guarded, condition) in [(vec![], Condition::Alive), (config.addresses(), Condition::Dead)] {
            let guarded = guarded.into_iter().collect();
            let health_table = presume(&config, &Actual::default(), &guarded, Instant::now());
            assert!(health_table.values().all(|state| state.verdict.condition == condition), "{guarded:?}");
        }
    }
}
