//! Real servers that an administrator has taken out of service, until further notice: `lvscare drain`.
//!
//! Who is drained stands in a small file in the state directory, which only root and the daemon can write and which the
//! daemon follows: its endpoint is open to everybody on the node and takes no orders. So it is remembered across
//! restarts, and works before the daemon runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::config::Config;
use crate::config::value::endpoint;
use crate::health::Condition;
use crate::status::{RealServer, Status, VirtualServer};

pub mod command;
pub mod file;

#[cfg(test)]
mod tests;

/// Who is drained, behind every virtual server that has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Since when, in seconds since 1970.
    pub since: BTreeMap<SocketAddr, u64>,
}

impl Drained {
    /// Whether this real server is drained.
    pub fn has(&self, server: SocketAddr) -> bool {
        self.since.contains_key(&server)
    }

    /// The configuration without those that are drained. A virtual server that would have none left keeps all: it is not
    /// to be empty.
    pub fn without(&self, config: &Config) -> Config {
        let mut config = config.clone();
        for service in &mut config.services {
            if service.servers.iter().any(|server| !self.has(server.address)) {
                service.servers.retain(|server| !self.has(server.address));
            }
        }
        config
    }
}

/// Whom an administrator means: one real server, or all of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// `10.0.0.1:6443`
    Server(SocketAddr),
    /// `10.0.0.1`
    Host(IpAddr),
}

impl Whom {
    /// Those of `servers` that are meant.
    fn among<'a>(self, servers: impl IntoIterator<Item = &'a SocketAddr>) -> BTreeSet<SocketAddr> {
        let is_meant = |server: &&SocketAddr| match self {
            Self::Server(address) => **server == address,
            Self::Host(ip) => server.ip() == ip,
        };
        servers.into_iter().filter(is_meant).copied().collect()
    }
}

impl FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(ip) => Ok(Self::Host(ip)),
            Err(_) => endpoint(text).map(Self::Server),
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(address) => address.fmt(f),
            Self::Host(ip) => ip.fmt(f),
        }
    }
}

/// Every real server that is known.
fn known(status: &Status) -> BTreeSet<SocketAddr> {
    let servers = status.virtual_servers.iter().flat_map(|service| &service.real_servers);
    servers.map(|server| server.address).collect()
}

/// Those that are meant and known; an error names the known ones.
fn find(whom: Whom, status: &Status) -> Result<BTreeSet<SocketAddr>, String> {
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
fn forsaken<'a>(
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
fn outcome(at: SocketAddr, server: &RealServer) -> String {
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
