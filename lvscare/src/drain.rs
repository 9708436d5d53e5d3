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

pub(crate) mod file;

#[cfg(test)]
mod tests;

/// Who is drained, behind every virtual server that has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Since when, in seconds since 1970.
    pub since: BTreeMap<SocketAddr, u64>,
    /// Why the file that says so is not followed, for people.
    pub problem: Option<String>,
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
    pub fn among<'a>(self, servers: impl IntoIterator<Item = &'a SocketAddr>) -> BTreeSet<SocketAddr> {
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
