//! The configuration, valid by construction: whoever holds a [`Config`] need not check it again.
//!
//! ```text
//! raw     what a person wrote, on the command line or in a file, value by value
//! value   the values, each with a parser whose message names what would be right
//! file    reading a file, and saying what is wrong in it
//! build   what flags, environment and file mean together: Config, or one line that helps
//! print   the way back: a Config as a file
//! ```
//!
//! Facts about the node come later, in [`preflight`](crate::preflight).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

mod build;
mod file;
mod print;
pub mod raw;
pub mod value;

#[cfg(test)]
pub(crate) mod tests;

use tracing_subscriber::filter::Targets;
use value::{LogFormat, RealServer, Scheduler, Scheme};

/// Everything `lvscare care` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The virtual servers with their real servers; at least one, none twice.
    pub services: Vec<ServiceConfig>,
    /// The source address of the virtual addresses' routes; `None`: the one used towards the servers.
    pub node_ip: Option<IpAddr>,
    /// Whether this node's own servers serve alone while they are alive.
    pub prefer_local: bool,
    /// How often the kernel is compared with what should be there.
    pub resync: Duration,
    /// How long a server that no longer serves may keep its open connections.
    pub drain_timeout: Duration,
    /// Where status and probes of this daemon are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Where learned masters are kept; `None`: nowhere.
    pub state_dir: Option<PathBuf>,
}

/// One virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The address clients connect to.
    pub at: SocketAddr,
    /// The kernel's scheduler.
    pub scheduler: Scheduler,
    /// The real servers; at least one, none twice, all of the family of `at`.
    pub servers: Vec<RealServer>,
    /// The credentials with which the masters are learned from the API; `None`: they are not.
    pub kubeconfig: Option<PathBuf>,
    /// When a server's condition changes.
    pub policy: Policy,
    /// How a server is asked.
    pub probe: ProbeConfig,
}

/// When a server's condition changes and how often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Time between probes of a server that is fine.
    pub interval: Duration,
    /// Time between probes of a server that is suspected or out.
    pub fast_interval: Duration,
    /// Bad probes in a row that make a server worse.
    pub fall: u32,
    /// Good probes in a row that make it better.
    pub rise: u32,
}

/// How a server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// HTTPS or HTTP.
    pub scheme: Scheme,
    /// The path that decides alive or dead.
    pub health_path: String,
    /// The path that decides ready or draining; `None`: not asked.
    pub ready_path: Option<String>,
    /// Answers of the health path that count as alive besides 2xx, 401 and 403.
    pub accepted: BTreeSet<u16>,
    /// Limit for the TCP connection.
    pub connect_timeout: Duration,
    /// Limit for the whole probe.
    pub timeout: Duration,
    /// The authority that must have signed the server's certificate; `None`: any certificate will do.
    pub ca_file: Option<PathBuf>,
    /// The name that must stand in the server's certificate.
    pub server_name: String,
    /// The client certificate that is shown, and the file of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The file with the bearer token that is sent.
    pub token_file: Option<PathBuf>,
}

/// What is logged and how. Apart from [`Config`], because it is needed before anything can go wrong.
#[derive(Clone, Debug)]
pub struct Logging {
    /// Which events.
    pub targets: Targets,
    /// In which form.
    pub format: LogFormat,
}

impl ServiceConfig {
    /// The hosts of the real servers.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.servers.iter().map(|server| server.address.ip())
    }

    /// Whether this is one of the real servers.
    pub fn has(&self, address: SocketAddr) -> bool {
        self.servers.iter().any(|server| server.address == address)
    }
}

impl Config {
    /// The virtual servers' addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.services.iter().map(|service| service.at).collect()
    }

    /// The virtual server at this address.
    pub fn service(&self, at: SocketAddr) -> Option<&ServiceConfig> {
        self.services.iter().find(|service| service.at == at)
    }
}
