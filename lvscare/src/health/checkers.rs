//! All checkers: one task per real server of each virtual server, as the configuration says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::checker::{Board, Checker};
use super::peers::Peers;
use super::{Condition, Entry, Key, Verdict};
use crate::active_config::ActiveConfig;
use crate::config::{Config, Policy, ProbeConfig};
use crate::metrics::Metrics;
use crate::model::Actual;

/// The tasks and the board on which they write.
pub struct Checkers {
    metrics: Metrics,
    board: watch::Sender<Board>,
    tasks: JoinSet<()>,
    running: BTreeMap<Key, Running>,
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
    /// No checkers yet, and an empty board.
    pub fn new(metrics: Metrics) -> Self {
        let board = watch::Sender::new(Board::new());
        Self { metrics, board, tasks: JoinSet::new(), running: BTreeMap::new(), peers: BTreeMap::new() }
    }

    /// The board.
    pub fn board(&self) -> watch::Receiver<Board> {
        self.board.subscribe()
    }

    /// Starts, restarts and ends checkers so that they are those of `active`. Servers that are on the board already
    /// keep their verdict; of the others `actual` tells what to presume.
    pub fn set(&mut self, active: &ActiveConfig, actual: &Actual, now: Instant) {
        let guarded = self.board.borrow().keys().map(|(at, _)| *at).collect();
        let presumed = presume(&active.config, actual, &guarded, now);
        self.board.send_modify(|board| {
            let mut before = std::mem::take(board);
            *board = presumed
                .into_iter()
                .map(|(key, entry)| (key, before.remove(&key).unwrap_or(entry)))
                .collect();
        });

        let mut before = std::mem::take(&mut self.running);
        for service in &active.config.services {
            let (policy, probe) = (service.policy, &service.probe);
            let Some(settings) = active.settings.get(&service.at) else { continue };
            let peers = self.peers.entry(service.at).or_default().clone();
            peers.retain(&service.servers.iter().map(|server| server.address).collect());
            for server in &service.servers {
                let key = (service.at, server.address);
                let same = |running: &Running| running.policy == policy && running.probe == *probe;
                let running = if before.get(&key).is_some_and(same) { before.remove(&key) } else { None };
                let running = running.unwrap_or_else(|| {
                    let (board, metrics) = (self.board.clone(), self.metrics.clone());
                    let checker = Checker::new(key, policy, settings.clone(), board, peers.clone(), metrics);
                    Running { policy, probe: probe.clone(), task: self.tasks.spawn(checker.run()) }
                });
                self.running.insert(key, running);
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
fn presume(config: &Config, actual: &Actual, guarded: &BTreeSet<SocketAddr>, now: Instant) -> Board {
    let mut board = Board::new();
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
            let entry = Entry {
                verdict: Verdict::presumed(condition, now),
                last_probe: None,
                certificate_expiry: None,
            };
            board.insert((service.at, server.address), entry);
        }
    }
    board
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
            let board = presume(&config, &Actual::default(), &guarded, Instant::now());
            assert!(board.values().all(|entry| entry.verdict.condition == condition), "{guarded:?}");
        }
    }
}
