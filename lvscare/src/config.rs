//! The configuration, valid by construction: whoever holds a [`Config`] need not check it again.
//!
//! What a person typed is a [`CareArgs`]; [`Config::from_args`] makes sense of it or says in one line what is
//! wrong. Facts about the node come later, in [`preflight`](crate::preflight).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::exit::Failure;

pub mod raw;
pub mod value;

#[cfg(test)]
pub(crate) mod tests;

use raw::CareArgs;
use value::{RealServer, Scheduler, Scheme, show};

/// A node waits this long at most for an apiserver that says nothing.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Less would be a busy loop, more would be no check.
const INTERVALS: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(300)];

/// What a path with a query may hold besides letters and digits (RFC 3986, section 3.3).
const URL_PUNCTUATION: &[u8] = b"-._~!$&'()*+,;=:@/?%";

/// Everything `lvscare care` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The virtual servers with their real servers; at least one.
    pub services: Vec<ServiceConfig>,
    /// The source address of the virtual addresses' routes; `None`: the one used towards the servers.
    pub node_ip: Option<IpAddr>,
    /// Addresses whose servers serve alone while they are alive: this node's own, with `--prefer-local`.
    pub preferred: BTreeSet<IpAddr>,
    /// When a server's condition changes.
    pub policy: Policy,
    /// How a server is asked.
    pub probe: ProbeConfig,
    /// How often the kernel is compared with what should be there.
    pub resync: Duration,
    /// How long a server that no longer serves may keep its open connections.
    pub drain_timeout: Duration,
    /// Where status and probes of this daemon are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
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
}

impl ServiceConfig {
    /// The hosts of the real servers.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.servers.iter().map(|server| server.address.ip())
    }
}

impl Config {
    /// Makes sense of what was typed.
    pub fn from_args(args: &CareArgs) -> Result<Self, Failure> {
        let service = service(args)?;
        let health = &args.health;

        let interval = within("--interval", health.interval, INTERVALS)?;
        let fast_interval = within("--fast-interval", health.fast_interval, INTERVALS)?.min(interval);
        let timeout = limit("--health-timeout", health.timeout, health.fall)?;
        let connect_timeout = limit("--connect-timeout", health.connect_timeout, health.fall)?.min(timeout);
        let resync = within("--resync", args.resync, INTERVALS)?;
        for (flag, count) in [("--fall", health.fall), ("--rise", health.rise)] {
            if !(1..=100).contains(&count) {
                return Err(Failure::usage(format!(
                    "{flag} {count} is not a number of probes from 1 to 100"
                )));
            }
        }
        if health.skip_verify == Some(false) && health.ca_file.is_none() {
            return Err(Failure::usage(
                "--health-insecure-skip-verify=false needs --ca-file, the authority to verify with \
                 (kubeadm keeps it in /etc/kubernetes/pki/ca.crt)",
            ));
        }
        let node_ip = args.node_ip;
        if let Some(node_ip) = node_ip
            && node_ip.is_ipv4() != service.at.is_ipv4()
        {
            return Err(Failure::usage(format!(
                "--node-ip {node_ip} and --vs {} are of different families",
                service.at
            )));
        }

        Ok(Self {
            services: vec![service],
            node_ip,
            preferred: BTreeSet::new(),
            policy: Policy { interval, fast_interval, fall: health.fall, rise: health.rise },
            probe: ProbeConfig {
                scheme: health.scheme,
                health_path: path("--health-path", &health.path)?,
                ready_path: match health.ready_path.as_str() {
                    "" | "none" => None,
                    given => Some(path("--ready-path", given)?),
                },
                accepted: health.status.iter().copied().collect(),
                connect_timeout,
                timeout,
                ca_file: health.ca_file.clone().filter(|_| health.skip_verify != Some(true)),
                server_name: health.server_name.clone(),
            },
            resync,
            drain_timeout: args.drain_timeout,
            listen: args.listen.0,
        })
    }

    /// The virtual servers' addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.services.iter().map(|service| service.at).collect()
    }
}

fn service(args: &CareArgs) -> Result<ServiceConfig, Failure> {
    let at = args.target.vs;
    let servers: Vec<RealServer> = args.rs.iter().flat_map(|list| list.0.iter().copied()).collect();
    if servers.is_empty() {
        return Err(Failure::usage(
            "no real server given; name every apiserver with --rs, as --rs 10.0.0.1:6443",
        ));
    }
    let mut seen = BTreeSet::new();
    for server in &servers {
        let address = server.address;
        if address.is_ipv4() != at.is_ipv4() {
            return Err(Failure::usage(format!(
                "--rs {address} and --vs {at} are of different families; IPVS cannot translate between IPv4 and IPv6"
            )));
        }
        if address.ip() == at.ip() {
            return Err(Failure::usage(format!(
                "--rs {address} is the virtual address itself; name the apiserver's own address"
            )));
        }
        if !seen.insert(address) {
            return Err(Failure::usage(format!("--rs {address} is given twice; name each apiserver once")));
        }
    }
    Ok(ServiceConfig { at, scheduler: args.scheduler.clone(), servers })
}

fn within(flag: &str, given: Duration, [least, most]: [Duration; 2]) -> Result<Duration, Failure> {
    if (least..=most).contains(&given) {
        return Ok(given);
    }
    Err(Failure::usage(format!("{flag} {} is not between {} and {}", show(given), show(least), show(most))))
}

/// A limit above [`LONGEST_TIMEOUT`] is refused with its consequence, because it looks harmless.
fn limit(flag: &str, given: Duration, fall: u32) -> Result<Duration, Failure> {
    if given < Duration::from_millis(10) {
        return Err(Failure::usage(format!(
            "{flag} {} is less than any answer takes; give at least 10ms",
            show(given)
        )));
    }
    if given > LONGEST_TIMEOUT {
        return Err(Failure::usage(format!(
            "{flag} {} is too long: a silent apiserver would keep its traffic for {} (--fall {fall} times that); \
             give at most {}",
            show(given),
            show(given.saturating_mul(fall)),
            show(LONGEST_TIMEOUT)
        )));
    }
    Ok(given)
}

/// A missing leading slash is added, as older lvscare did.
fn path(flag: &str, given: &str) -> Result<String, Failure> {
    let path = if given.starts_with('/') { given.to_owned() } else { format!("/{given}") };
    if path.bytes().all(|byte| byte.is_ascii_alphanumeric() || URL_PUNCTUATION.contains(&byte)) {
        return Ok(path);
    }
    Err(Failure::usage(format!("{flag} {given:?} is not a URL path")))
}
