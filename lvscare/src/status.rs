//! What `lvscare status` shows, as data: the daemon serves it as JSON, the command renders it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::applier::Applied;
use crate::checker::self_probe::Answers;
use crate::discover::{Found, Source};
use crate::drain::Drained;
use crate::health::pool::Mode;
use crate::health::{Condition, Failure, HealthTable, LastProbe, Outcome, ServerId, ServerState};
use crate::model::{Actual, SeenDestination, Traffic};
use crate::place;
use crate::survey::Survey;
use crate::terminal::printable;

mod table;

#[cfg(test)]
mod tests;

pub use table::{Style, render};

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon, if one answered; without it the rest comes from the kernel alone.
    pub daemon: Option<Daemon>,
    /// Every virtual server that was asked for.
    pub virtual_servers: Vec<VirtualServer>,
    /// Local routes that lvscare made to addresses without a virtual server, where everything was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bare_routes: Vec<IpAddr>,
}

/// The daemon that answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Daemon {
    /// Its version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: f64,
    /// Seconds since it last compared the kernel with what should be there.
    pub last_pass_seconds: f64,
    /// Foreign changes that it undid since it started.
    pub repairs: u64,
    /// What it could not do.
    pub problems: Vec<String>,
    /// What an operator should know although all is as it should be.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What became of its configuration.
    pub configuration: Reloads,
    /// Which process it is, and the pod or the service that it belongs to, as far as it can see that.
    #[serde(default)]
    pub process: String,
}

/// What became of the configuration since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloads {
    /// How many configurations have been in force, the first included.
    pub generation: u64,
    /// A short name of the one in force: equal for equal configurations.
    pub hash: String,
    /// How many were refused.
    pub failures: u64,
    /// Why the latest was refused; `None` if it was not.
    pub problem: Option<String>,
}

/// One virtual server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// The address clients connect to.
    pub address: SocketAddr,
    /// Its scheduler; `None`: it is not in the kernel's table.
    pub scheduler: Option<String>,
    /// The source address that its local route gives; `None`: there is no such route.
    pub route_source: Option<IpAddr>,
    /// Who serves, and why; only the daemon knows.
    pub mode: Option<Mode>,
    /// The latest probe through it; only the daemon makes them.
    pub self_probe: Option<Probe>,
    /// How its real servers were learned, if they were.
    pub masters: Option<Masters>,
    /// What the kernel has counted since it was made.
    pub traffic: Traffic,
    /// Its real servers, configured ones and those found in the table.
    pub real_servers: Vec<RealServer>,
}

/// How real servers were learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Masters {
    /// How many there are.
    pub count: usize,
    /// From where.
    pub source: Source,
    /// Seconds since the source last said so.
    pub ago_seconds: f64,
    /// What keeps them from being learned.
    pub problem: Option<String>,
}

/// One real server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RealServer {
    /// Its address.
    pub address: SocketAddr,
    /// Its weight; `None`: it is not in the kernel's table.
    pub weight: Option<u32>,
    /// Established connections.
    pub active: u32,
    /// Connections being opened or closed.
    pub inactive: u32,
    /// What the daemon knows; `None` without a daemon.
    pub health: Option<Health>,
    /// Seconds since an administrator has taken it out of service, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_seconds: Option<f64>,
}

/// What the daemon knows about a real server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// What it is taken for; `None` until the first verdict.
    pub condition: Option<Condition>,
    /// Seconds since that last changed.
    pub since_seconds: f64,
    /// Its latest probe.
    pub last_probe: Option<Probe>,
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Seconds since it ended.
    pub ago_seconds: f64,
    /// How long it took, in seconds.
    pub took_seconds: f64,
    /// What it saw.
    pub result: String,
}

impl Status {
    /// Reads what somebody answered who may be anybody; nothing in it does anything to a terminal.
    pub fn from_json(json: &[u8]) -> serde_json::Result<Self> {
        let mut value = serde_json::from_slice(json)?;
        make_printable(&mut value);
        serde_json::from_value(value)
    }

    /// What the daemon, started at `start`, knows at `now`.
    pub fn of_daemon(
        health_table: &HealthTable,
        applied: &Applied,
        answers: &Answers,
        reloads: &Reloads,
        start: Instant,
        now: Instant,
    ) -> Self {
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
        let mut status = Self::of_kernel(&applied.actual, applied.modes.keys());
        for service in &mut status.virtual_servers {
            service.mode = applied.modes.get(&service.address).copied();
            service.self_probe = answers.get(&service.address).map(|answer| probe(answer, seconds));
            let (first, last) = (([0; 4], 0).into(), (Ipv6Addr::from([0xff; 16]), u16::MAX).into());
            let id = |server| ServerId { service: service.address, server };
            for (id, state) in health_table.range(id(first)..=id(last)) {
                let address = &id.server;
                let servers = &mut service.real_servers;
                let health = Some(health(state, seconds));
                match servers.iter_mut().find(|server| server.address == *address) {
                    Some(server) => server.health = health,
                    None => servers.push(RealServer { health, ..RealServer::absent(*address) }),
                }
            }
            service.real_servers.sort_by_key(|server| server.address);
        }
        status.daemon = Some(Daemon {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: seconds(start),
            last_pass_seconds: seconds(applied.time),
            repairs: applied.repairs,
            problems: applied.problems.iter().cloned().chain(shortages(health_table)).collect(),
            notes: applied.notes.clone(),
            configuration: reloads.clone(),
            process: place::own().to_owned(),
        });
        status
    }

    /// Adds how real servers were learned.
    pub fn add_masters(&mut self, found: &BTreeMap<SocketAddr, Found>, now: Instant) {
        for service in &mut self.virtual_servers {
            service.masters = found.get(&service.address).map(|found| Masters {
                count: found.servers.len(),
                source: found.source,
                ago_seconds: now.saturating_duration_since(found.time).as_secs_f64(),
                problem: found.problem.clone(),
            });
        }
    }

    /// Adds whom an administrator has taken out of service; `clock` is the time in seconds since 1970.
    pub fn add_drained(&mut self, drained: &Drained, clock: Duration) {
        let servers = self.virtual_servers.iter_mut().flat_map(|service| &mut service.real_servers);
        for server in servers {
            let since = drained.since.get(&server.address).copied().map(Duration::from_secs);
            server.drained_seconds = since.map(|since| clock.saturating_sub(since).as_secs_f64());
        }
    }

    /// What the kernel alone tells about `services`.
    pub fn of_kernel<'a>(actual: &Actual, services: impl IntoIterator<Item = &'a SocketAddr>) -> Self {
        let nothing = BTreeMap::new();
        let virtual_servers = services
            .into_iter()
            .map(|&address| {
                let seen = actual.services.get(&address);
                let destinations = seen.map_or(&nothing, |seen| &seen.destinations);
                VirtualServer {
                    address,
                    scheduler: seen.map(|seen| seen.service.scheduler.clone()),
                    route_source: actual.routes.get(&address.ip()).and_then(|route| route.source),
                    mode: None,
                    self_probe: None,
                    masters: None,
                    traffic: seen.map(|seen| seen.traffic).unwrap_or_default(),
                    real_servers: destinations.iter().map(|(&at, seen)| RealServer::seen(at, seen)).collect(),
                }
            })
            .collect();
        Self { daemon: None, virtual_servers, bare_routes: Vec::new() }
    }
}

impl Status {
    /// Adds what lvscare made and the daemon, if there is one, does not guard.
    pub fn add_unguarded(&mut self, survey: &Survey, actual: &Actual) {
        let guarded: Vec<SocketAddr> = self.addresses();
        let others: Vec<SocketAddr> = survey.ours().filter(|at| !guarded.contains(at)).collect();
        self.virtual_servers.extend(Self::of_kernel(actual, &others).virtual_servers);
        let is_guarded = |vip: &IpAddr| guarded.iter().any(|at| at.ip() == *vip);
        self.bare_routes = survey.bare_routes().filter(|vip| !is_guarded(vip)).collect();
    }

    /// The virtual servers' addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.virtual_servers.iter().map(|service| service.address).collect()
    }
}

impl RealServer {
    fn seen(address: SocketAddr, seen: &SeenDestination) -> Self {
        Self {
            address,
            weight: Some(seen.destination.weight),
            active: seen.active,
            inactive: seen.inactive,
            health: None,
            drained_seconds: None,
        }
    }

    fn absent(address: SocketAddr) -> Self {
        Self { address, weight: None, active: 0, inactive: 0, health: None, drained_seconds: None }
    }
}

/// What keeps this node from asking real servers, if anything does.
pub fn shortages(health_table: &HealthTable) -> Vec<String> {
    let mut affected = BTreeMap::<&str, usize>::new();
    for state in health_table.values() {
        if let Some(LastProbe { outcome: Outcome::Failed(Failure::Local(why)), .. }) = &state.last_probe {
            *affected.entry(why).or_default() += 1;
        }
    }
    let told = |(why, count)| {
        format!("this node cannot ask {count} of its real servers, what is known of them stays: {why}")
    };
    affected.into_iter().map(told).collect()
}

fn health(state: &ServerState, seconds: impl Fn(Instant) -> f64) -> Health {
    Health {
        condition: state.verdict.verified.then_some(state.verdict.condition),
        since_seconds: seconds(state.verdict.since),
        last_probe: state.last_probe.as_ref().map(|last| probe(last, seconds)),
    }
}

fn probe(last: &LastProbe, seconds: impl Fn(Instant) -> f64) -> Probe {
    Probe {
        ago_seconds: seconds(last.time),
        took_seconds: last.took.as_secs_f64(),
        result: last.outcome.to_string(),
    }
}

/// Nothing here is a map, so keys are the names of fields.
fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => *text = printable(text),
        Value::Array(values) => values.iter_mut().for_each(make_printable),
        Value::Object(fields) => fields.values_mut().for_each(make_printable),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
