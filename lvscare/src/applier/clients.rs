//! Clients of a server that leaves the table: found before, cut after.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use tracing::{debug, info};

use super::report::Reports;
use crate::health::ServerId;
use crate::kernel::Kernel;
use crate::model::{Actual, Change, Destination};

/// Clients that are connected to a server that is about to be removed.
pub(super) struct OrphanedClients {
    at: SocketAddr,
    server: SocketAddr,
    clients: BTreeSet<SocketAddr>,
}

/// The clients of servers that are about to be removed. Finding them means to read all connections of the node, so the
/// servers get no new ones from here on; whoever takes over for them must have weight already.
pub(super) fn find(
    kernel: &mut impl Kernel,
    reports: &mut Reports,
    lost: &[ServerId],
    actual: &Actual,
    now: Instant,
) -> Vec<OrphanedClients> {
    for &ServerId { service: at, server } in lost {
        let seen = actual.services.get(&at).and_then(|seen| seen.destinations.get(&server));
        let Some(seen) = seen.filter(|seen| seen.destination.weight > 0) else { continue };
        let destination = Destination { weight: 0, ..seen.destination };
        if let Err(error) = kernel.apply(&Change::UpdateServer { at, server, destination }) {
            debug!(%error, "it will be removed anyway");
        }
    }
    let mut orphaned = Vec::new();
    for &ServerId { service: at, server } in lost {
        match kernel.clients_of(at, server) {
            Ok(clients) => orphaned.push(OrphanedClients { at, server, clients }),
            Err(error) => reports.note(&error, now),
        }
    }
    orphaned
}

/// Cuts the connections of those whose server was removed, so that they need not find out by themselves.
pub(super) fn cut(
    kernel: &mut impl Kernel,
    reports: &mut Reports,
    orphaned: Vec<OrphanedClients>,
    done: &[Change],
    now: Instant,
) {
    for OrphanedClients { at, server, clients } in orphaned {
        let removed = [Change::RemoveServer { at, server }, Change::RemoveService { at }];
        if !removed.iter().any(|removal| done.contains(removal)) {
            continue;
        }
        match kernel.cut(at, &clients) {
            Ok(0) => {}
            Ok(count) => {
                reports.cut(count);
                info!(%server, "cut {count} connections of this node");
            }
            Err(error) => reports.note(&error, now),
        }
    }
}
