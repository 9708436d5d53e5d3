//! What the data path does to throughput: the kernel's, made by ours and by hand, and the proxies'.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::config;
use super::contender::{OURS, lvscare};
use super::family::Family;
use super::measure::{Measure, Results};
use super::plain;
use super::stage::{route, run};
use crate::daemon::{VIP, vip};
use crate::lab::{Lab, Master};
use crate::process::Process;
use crate::wait::eventually;

/// No balancer at all: what the others are compared with.
const DIRECT: &str = "direct";

/// The same rules, made with `ipvsadm`.
pub(super) const BY_HAND: &str = "IPVS by hand";

/// How long bytes or connections are counted at a time. Short, and taken in turns: the machine's speed wanders.
const WHILE: Duration = Duration::from_millis(250);

/// How often in each round. Only the best turn of a round counts: what disturbs a machine only ever takes away.
const TURNS: usize = 8;

const LIMIT: Duration = Duration::from_secs(20);

/// A way from the node to the servers.
struct Path {
    name: &'static str,
    lab: Lab,
    /// Where clients connect.
    to: Vec<SocketAddr>,
    balancer: Option<Process>,
}

/// What came through a path in one turn.
#[derive(Clone, Copy)]
struct Done {
    bytes: f64,
    connections: f64,
    /// Seconds that the balancer's processes took for each.
    cpu_per_byte: f64,
}

/// Measures every path, in turns.
pub(super) fn measure(rounds: usize, results: &Results) {
    let direct = Path::open(DIRECT, None);
    let paths = [
        Path::open(BY_HAND, Some(by_hand)),
        Path::open(OURS, Some(|lab| Some(run(lab, &lvscare(lab, &["--health-scheme=http"]))))),
        Path::open("haproxy", Some(|lab| Some(run_behind_route(lab, &config::haproxy(lab, "", "5s"))))),
        Path::open("nginx", Some(|lab| Some(run_behind_route(lab, &config::nginx(lab))))),
    ];
    for _ in 0..rounds {
        let mut reference = direct.work();
        let mut best = paths.each_ref().map(Path::work);
        for _ in 1..TURNS {
            reference = reference.or(direct.work());
            best = std::array::from_fn(|number| best[number].or(paths[number].work()));
        }
        for (path, done) in paths.iter().zip(best) {
            results.add(path.name, Measure::Download, done.bytes / reference.bytes);
            results.add(path.name, Measure::Connections, done.connections / reference.connections);
            if path.balancer.is_some() {
                results.add(path.name, Measure::CpuPerGigabyte, done.cpu_per_byte * 1e9);
            }
        }
    }
}

impl Done {
    /// The better of each.
    fn or(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            connections: self.connections.max(other.connections),
            cpu_per_byte: self.cpu_per_byte.min(other.cpu_per_byte),
        }
    }
}

impl Path {
    fn open(name: &'static str, balance: Option<fn(&Lab) -> Option<Process>>) -> Self {
        let lab = Lab::new();
        plain::serve(&lab);
        let balancer = balance.and_then(|balance| balance(&lab));
        let servers = || lab.masters().iter().map(Master::address).collect();
        let to = balance.map_or_else(servers, |_| vec![vip()]);
        let path = Self { name, lab, to, balancer };
        let works = || path.lab.node().enter(|| plain::connect(&path.to, Duration::from_millis(50))).ok();
        eventually(LIMIT, name, works);
        path
    }

    /// One turn.
    fn work(&self) -> Done {
        let cpu = || self.balancer.as_ref().map(|process| Family::of(process.id()).cpu()).unwrap_or_default();
        let before = cpu();
        let bytes = self.inside(|| plain::download(self.to[0], WHILE)) as f64;
        let cpu_per_byte = cpu().saturating_sub(before).as_secs_f64() / bytes;
        let connections = self.inside(|| plain::connect(&self.to, WHILE)) as f64;
        Done { bytes, connections, cpu_per_byte }
    }

    fn inside(&self, work: impl FnOnce() -> io::Result<u64> + Send) -> u64 {
        self.lab.node().enter(work).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

fn by_hand(lab: &Lab) -> Option<Process> {
    route(lab);
    lab.node().check(&["ipvsadm", "-A", "-t", VIP, "-s", "rr"]);
    for master in lab.masters() {
        lab.node().check(&["ipvsadm", "-a", "-t", VIP, "-r", &master.address().to_string(), "-m"]);
    }
    None
}

fn run_behind_route(lab: &Lab, command: &[String]) -> Process {
    route(lab);
    run(lab, command)
}
