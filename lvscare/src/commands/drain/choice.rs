//! Who may be drained, and what is said of it. Pure.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::drain::{Drained, Whom};
use crate::health::Condition;
use crate::status::{RealServer, Status, VirtualServer};

#[cfg(test)]
mod tests;

/// Every real server that is known.
fn known(status: &Status) -> BTreeSet<SocketAddr> {
    let servers = status.virtual_servers.iter().flat_map(|service| &service.real_servers);
    servers.map(|server| server.address).collect()
}

/// Those that are meant and known; an error names the known ones.
pub(super) fn find(whom: Whom, status: &Status) -> Result<BTreeSet<SocketAddr>, String> {
    let known = known(status);
    let found = whom.among(&known);
    if !found.is_empty() {
        return Ok(found);
    }
    if known.is_empty() {
        return Err(format!(
            "{whom} is no real server here: there is none; lvscare status shows what there is"
        ));
    }
    let all: Vec<String> = known.iter().map(ToString::to_string).collect();
    Err(format!("{whom} is no real server here; there are {}", all.join(", ")))
}

/// The virtual server that would have nobody left who serves well, without `servers` and those that are `drained`
/// already.
pub(super) fn forsaken<'a>(
    status: &'a Status,
    drained: &Drained,
    servers: &BTreeSet<SocketAddr>,
) -> Option<&'a VirtualServer> {
    let is_concerned = |server: &RealServer| servers.contains(&server.address);
    let remains =
        |server: &RealServer| !is_concerned(server) && !drained.has(server.address) && is_well(server);
    status.virtual_servers.iter().find(|service| {
        service.real_servers.iter().any(is_concerned) && !service.real_servers.iter().any(remains)
    })
}

/// A daemon knows; without one, who takes connections is presumed to be well.
fn is_well(server: &RealServer) -> bool {
    match server.health.as_ref().and_then(|health| health.condition) {
        Some(condition) => condition == Condition::Alive,
        None => server.weight.is_some_and(|weight| weight > 0),
    }
}

/// What has become of a real server that was drained or, the other way, is not any more.
pub(super) fn outcome(at: SocketAddr, server: &RealServer) -> String {
    let address = server.address;
    match (server.drained_seconds.is_some(), server.weight) {
        (true, None) => format!("{address} is out of {at}"),
        (true, Some(0)) => match server.active {
            0 => format!("{address} gets no new connections from {at}; it leaves in a moment"),
            1 => format!("{address} gets no new connections from {at}; its open one may finish"),
            many => format!("{address} gets no new connections from {at}; its {many} open ones may finish"),
        },
        (true, Some(_)) => format!("{address} goes on serving {at} for now: nobody else can"),
        (false, Some(1..)) => format!("{address} serves {at}"),
        (false, _) => match server.health.as_ref().and_then(|health| health.condition) {
            Some(Condition::Alive) => format!("{address} stands by for {at}"),
            Some(condition) => format!("{address} is {condition}; it serves {at} once it is alive"),
            None => format!("{address} serves {at} once it has been asked how it is"),
        },
    }
}
