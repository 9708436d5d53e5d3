//! Clients of a server that leaves the table: found before, cut after.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use tracing::{debug, info};

use super::Applier;
use crate::health::Key;
use crate::kernel::Kernel;
use crate::model::{Actual, Change, Destination};

/// Clients that are connected to a server that is about to be removed.
pub(super) struct Stuck {
    at: SocketAddr,
    server: SocketAddr,
    clients: BTreeSet<SocketAddr>,
}

impl<K: Kernel> Applier<K> {
    /// The clients of servers that are about to be removed. Finding them means to read all connections of the node, so
    /// the servers get no new ones from here on.
    pub(super) fn find_stuck(&mut self, cut: Vec<Key>, actual: &Actual, now: Instant) -> Vec<Stuck> {
        for &(at, server) in &cut {
            let seen = actual.services.get(&at).and_then(|seen| seen.destinations.get(&server));
            let Some(seen) = seen.filter(|seen| seen.destination.weight > 0) else { continue };
            let destination = Destination { weight: 0, ..seen.destination };
            if let Err(error) = self.kernel.apply(&Change::UpdateServer { at, server, destination }) {
                debug!(%error, "it will be removed anyway");
            }
        }
        let mut stuck = Vec::new();
        for (at, server) in cut {
            match self.kernel.clients_of(at, server) {
                Ok(clients) => stuck.push(Stuck { at, server, clients }),
                Err(error) => self.note(&error, now),
            }
        }
        stuck
    }

    /// Cuts the connections of those whose server was removed, so that they need not find out by themselves.
    pub(super) fn free(&mut self, stuck: Vec<Stuck>, done: &[Change], now: Instant) {
        for Stuck { at, server, clients } in stuck {
            let removed = [Change::RemoveServer { at, server }, Change::RemoveService { at }];
            if !removed.iter().any(|removal| done.contains(removal)) {
                continue;
            }
            match self.kernel.cut(at, &clients) {
                Ok(0) => {}
                Ok(count) => {
                    self.metrics.cut(count);
                    info!(%server, "cut {count} connections of this node");
                }
                Err(error) => self.note(&error, now),
            }
        }
    }
}
