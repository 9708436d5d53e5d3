//! Everything that looks. A fact that cannot be seen is absent.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use tokio_rustls::TlsConnector;

use crate::doctor::subnet::Subnet;
use crate::exit::{Exit, Failure};
use crate::kernel::route::Routes;
use crate::kernel::{Kernel, Linux};
use crate::runtime;
use crate::status::{Status, VirtualServer};
use crate::survey::LeftBehind;
use crate::tls::{self, Pem};

pub mod certificate;
pub mod cluster;
pub mod daemon;
pub mod node;
pub mod process;
pub mod table;
pub mod visit;

use daemon::Daemon;
use table::Table;
use visit::{Caller, Visit};

/// What a person asked to have looked at.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The virtual server.
    pub vs: SocketAddr,
    /// Its real servers; none: as the daemon or the kernel has them.
    pub servers: Vec<SocketAddr>,
    /// Where the daemon listens; `None`: it is not asked.
    pub listen: Option<SocketAddr>,
    /// The name by which clients call the virtual server.
    pub name: String,
    /// The Service CIDRs, if told.
    pub service_cidrs: Vec<Subnet>,
    /// The Pod CIDRs, if told.
    pub pod_cidrs: Vec<Subnet>,
    /// The configuration of kube-proxy, if told.
    pub kube_proxy_config: Option<PathBuf>,
    /// Limit of each question over the network.
    pub timeout: Duration,
    /// What is looked at.
    pub scope: Scope,
    /// The cluster's authority, in PEM, if it must have signed the certificates.
    pub authority: Option<Vec<u8>>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Whole,
    /// What is there before lvscare is: the kernel is not made to load IPVS, and nobody waits for the virtual server.
    Before {
        /// Whether the real servers are asked.
        visits: bool,
    },
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The virtual server.
    pub vs: SocketAddr,
    /// The name by which clients call it.
    pub name: String,
    /// Seconds since 1970, by this node's clock.
    pub now: u64,
    /// What the daemon says.
    pub daemon: Daemon,
    /// What the kernel has.
    pub table: Table,
    /// Each real server, asked directly.
    pub servers: Vec<Visit>,
    /// The virtual server, asked as any client does.
    pub through: Option<Visit>,
    /// The source address towards each real server that there is a way to.
    pub sources: Vec<(SocketAddr, IpAddr)>,
    /// This node's network.
    pub node: node::Node,
    /// The cluster's ranges of addresses.
    pub cluster: cluster::Cluster,
    /// How kube-proxy is configured, if it can be seen.
    pub kube_proxy: Option<cluster::KubeProxy>,
    /// Programs that could guard a virtual address.
    pub guards: Vec<process::Guard>,
    /// What the hosts file says of the name; `None`: it cannot be read.
    pub hosts: Option<Vec<IpAddr>>,
    /// Packets that connection tracking took for invalid during the visits; `None`: it does not run.
    pub invalid: Option<u64>,
}

impl Facts {
    /// The virtual server as the daemon sees it.
    pub fn guarded(&self) -> Option<&VirtualServer> {
        let Daemon::Seen { first, .. } = &self.daemon else { return None };
        of(first, self.vs)
    }

    /// The virtual address.
    pub fn vip(&self) -> IpAddr {
        self.vs.ip()
    }
}

fn of(status: &Status, vs: SocketAddr) -> Option<&VirtualServer> {
    status.virtual_servers.iter().find(|service| service.address == vs)
}

/// Who answers at the virtual address before lvscare does, answers soon.
const SHORT: Duration = Duration::from_millis(500);

/// Looks at everything, within about twice the limit of one question.
pub fn gather(asked: &Asked) -> Result<Facts, Failure> {
    let cannot = |why: String| Failure::new(Exit::Failed, format!("cannot start: {why}"));
    let tls = unverified().map_err(|error| cannot(error.to_string()))?;
    Ok(runtime::build().map_err(|error| cannot(error.to_string()))?.block_on(look(asked, &tls)))
}

/// Visits each of `addresses` as any client of `caller.vip` does, all at the same time.
pub fn visits(addresses: &[SocketAddr], caller: &Caller) -> Result<Vec<Visit>, Failure> {
    let cannot = |why: String| Failure::new(Exit::Failed, format!("cannot ask: {why}"));
    let tls = unverified().map_err(|error| cannot(error.to_string()))?;
    let visits = addresses.iter().map(|&address| visit::visit(address, &tls, caller)).collect();
    Ok(runtime::build().map_err(|error| cannot(error.to_string()))?.block_on(visit::all(visits)))
}

/// What the daemon at `listen` says, if it says so before `limit`.
pub fn status_of(listen: SocketAddr, limit: Duration) -> Result<Option<Status>, Failure> {
    let cannot = |why: String| Failure::new(Exit::Failed, format!("cannot ask: {why}"));
    Ok(runtime::build().map_err(|error| cannot(error.to_string()))?.block_on(daemon::status(listen, limit)))
}

/// Those who may have signed a certificate.
fn roots(pem: &[u8]) -> Option<Arc<RootCertStore>> {
    Pem { name: "the cluster's authority", bytes: pem }.authorities().ok().map(Arc::new)
}

/// Whoever answers will do: what the certificate says is for the checks.
fn unverified() -> Result<TlsConnector, tls::Error> {
    Ok(TlsConnector::from(Arc::new(tls::client_config(None, None)?)))
}

async fn look(asked: &Asked, tls: &TlsConnector) -> Facts {
    let whole = asked.scope == Scope::Whole;
    // A kernel that lacks a module is asked again and again for a while; the daemon's time runs meanwhile.
    let (mut daemon, table) = tokio::join!(
        biased;
        daemon::look(asked.listen, asked.timeout),
        async { if whole || table::is_loaded() { table::look(asked.vs) } else { Table::NotLoaded } }
    );
    let mut routes = Routes::open().ok();
    let processes = process::list(Path::new("/proc"));
    let guards = process::guards(&processes, asked.vs.ip());
    let kube_proxy = cluster::kube_proxy(asked.kube_proxy_config.as_deref(), &processes);
    let cluster = cluster::look(asked, kube_proxy.as_ref());
    let mut node = node::look(asked.vs.ip());
    node.left_behind = left_behind(asked.vs, &daemon, &table, &processes);
    let hosts = node::hosts(Path::new("/etc/hosts"), &asked.name, asked.vs.is_ipv4());

    let servers = servers(asked, &daemon, &table);
    let sources = servers.iter().filter_map(|server| {
        let source = routes.as_mut()?.source_towards(server.ip()).ok()??;
        Some((*server, source))
    });
    let sources = sources.collect();
    let caller = Caller {
        vip: asked.vs.ip(),
        name: asked.name.clone(),
        limit: asked.timeout,
        authority: asked.authority.as_deref().and_then(roots),
    };
    let short =
        Caller { limit: if whole { caller.limit } else { SHORT.min(caller.limit) }, ..caller.clone() };
    let before = node::invalid();
    let mut visits = Vec::new();
    if asked.scope != (Scope::Before { visits: false }) {
        visits.extend(servers.iter().map(|&address| visit::visit(address, tls, &caller)));
        visits.push(visit::visit(asked.vs, tls, &short));
    }
    let again =
        async { if whole { daemon::look_again(&daemon, asked.listen, asked.timeout).await } else { None } };
    let (again, mut visits) = tokio::join!(again, visit::all(visits));
    let invalid = node::invalid().zip(before).map(|(after, before)| after.saturating_sub(before));
    let through = visits.pop();
    if let Daemon::Seen { later, .. } = &mut daemon {
        *later = again;
    }

    Facts {
        vs: asked.vs,
        name: asked.name.clone(),
        now: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        daemon,
        table,
        servers: visits,
        through,
        sources,
        node,
        cluster,
        kube_proxy,
        guards,
        hosts,
        invalid,
    }
}

/// What lvscare made on this node, apart from the virtual server that was asked about and from what somebody guards.
fn left_behind(
    vs: SocketAddr,
    daemon: &Daemon,
    table: &Table,
    processes: &[process::Process],
) -> Vec<LeftBehind> {
    // Who cannot be asked for one thing cannot be asked for another, and must not be made to load IPVS.
    let Table::Seen { .. } = table else { return Vec::new() };
    let Ok(survey) = Linux::open().and_then(|mut linux| linux.survey()) else { return Vec::new() };
    let mut guarded = vec![vs];
    if let Daemon::Seen { first, .. } = daemon {
        guarded.extend(first.virtual_servers.iter().map(|service| service.address));
    }
    let mut left = survey.left_behind(&guarded);
    left.retain(|left| process::guards(processes, left.vip()).is_empty());
    left
}

/// The real servers: those told, else the daemon's, else the kernel's.
fn servers(asked: &Asked, daemon: &Daemon, table: &Table) -> Vec<SocketAddr> {
    if !asked.servers.is_empty() {
        return asked.servers.clone();
    }
    let guarded = match daemon {
        Daemon::Seen { first, .. } => of(first, asked.vs),
        _ => None,
    };
    let service = guarded.or(match table {
        Table::Seen { service, .. } => Some(service),
        _ => None,
    });
    service.into_iter().flat_map(|service| &service.real_servers).map(|server| server.address).collect()
}
