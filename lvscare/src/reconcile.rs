//! From what is there to what should be there: a pure comparison that yields a list of [`Change`]s.
//!
//! Two-way (what is missing is added, what is too much is removed), level-triggered (it never asks how a
//! difference came about) and limited to what [`Desired`] names.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::model::{Actual, Change, Desired, Destination, RouteOwner, SeenDestination, WantedService};

#[cfg(test)]
mod tests;

/// The changes that turn `actual` into `desired`, in an order that keeps traffic flowing: new real servers
/// before the removal of old ones, the route that leads to a virtual server after the virtual server, and what
/// is to vanish altogether last.
///
/// The list is empty exactly when there is nothing to do. A route that belongs to an interface address is
/// never touched: replacing it would take the address's own traffic away.
pub fn plan(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let mut changes = Vec::new();
    for (&at, wanted) in &desired.services {
        if let Some(wanted) = wanted {
            plan_service(at, wanted, actual, &mut changes);
        }
    }
    for (&sysctl, &value) in &desired.sysctls {
        // A setting that does not exist (an older kernel) cannot be written either.
        if actual.sysctls.get(&sysctl).is_some_and(|&seen| seen != value) {
            changes.push(Change::SetSysctl { sysctl, value });
        }
    }
    for (&vip, wanted) in &desired.routes {
        if let Some(source) = *wanted {
            let right = actual
                .routes
                .get(&vip)
                .is_some_and(|seen| seen.source == Some(source) || seen.owner == RouteOwner::Interface);
            if !right {
                changes.push(Change::SetRoute { vip, source });
            }
        }
    }
    for (&at, wanted) in &desired.services {
        if wanted.is_none() && actual.services.contains_key(&at) {
            changes.push(Change::RemoveService { at });
        }
    }
    for (&vip, wanted) in &desired.routes {
        if wanted.is_none() && actual.routes.get(&vip).is_some_and(|seen| seen.owner == RouteOwner::Ours) {
            changes.push(Change::RemoveRoute { vip });
        }
    }
    changes
}

fn plan_service(at: SocketAddr, wanted: &WantedService, actual: &Actual, changes: &mut Vec<Change>) {
    let nothing = BTreeMap::new();
    let seen = actual.services.get(&at);
    let present = seen.map_or(&nothing, |seen| &seen.destinations);
    let service = || wanted.service.clone();
    if seen.is_none() {
        changes.push(Change::AddService { at, service: service() });
    } else if seen.is_some_and(|seen| seen.service != wanted.service) {
        changes.push(Change::UpdateService { at, service: service() });
    }

    for (&server, &destination) in &wanted.destinations {
        if !present.contains_key(&server) {
            changes.push(Change::AddServer { at, server, destination });
        }
    }
    // First what takes traffic, then what loses it.
    let mut drained = Vec::new();
    for (&server, &destination) in &wanted.destinations {
        if differs(present.get(&server), destination) {
            let change = Change::UpdateServer { at, server, destination };
            if destination.weight == 0 { drained.push(change) } else { changes.push(change) }
        }
    }
    changes.append(&mut drained);
    for &server in present.keys() {
        if !wanted.destinations.contains_key(&server) {
            changes.push(Change::RemoveServer { at, server });
        }
    }
}

fn differs(seen: Option<&SeenDestination>, wanted: Destination) -> bool {
    seen.is_some_and(|seen| seen.destination != wanted)
}
