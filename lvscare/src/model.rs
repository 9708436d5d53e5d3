//! The words of the data path: plain values that can be compared, ordered and printed.
//!
//! A *virtual server* is the address clients connect to; behind it stand *real servers*. Both are TCP
//! here (apiservers speak nothing else), so an address and a port name one. Nothing in this module
//! knows about netlink, time or health.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// How IPVS hands a packet to a real server (`IP_VS_CONN_F_FWD_MASK` in `linux/ip_vs.h`).
///
/// lvscare always wants [`Masquerade`](Forwarding::Masquerade); the others exist so that a foreign hand's
/// change is seen and repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forwarding {
    /// The destination address is rewritten (NAT); the reply passes the node again.
    Masquerade,
    /// Any of the kernel's other methods, by its number.
    Other(u32),
}

/// The settings of a virtual server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// The kernel's name of the scheduler, such as `rr`.
    pub scheduler: String,
    /// The `IP_VS_SVC_F_*` bits that lvscare looks after: persistence and the scheduler's fallback. What only shapes
    /// the choice (`sh-port`, `mh-port`) is left to the administrator and never stands here.
    pub flags: u32,
}

/// The settings of a real server within a virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// Share of new connections relative to the other servers; 0 takes none.
    pub weight: u32,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Connections above which the kernel passes it over; 0 is no limit. lvscare wants none.
    pub upper_threshold: u32,
}

impl Destination {
    /// A destination as lvscare makes them: masqueraded, unlimited.
    pub fn masqueraded(weight: u32) -> Self {
        Self { weight, forwarding: Forwarding::Masquerade, upper_threshold: 0 }
    }
}

/// What a real server looks like in the kernel right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenDestination {
    /// Its settings.
    pub destination: Destination,
    /// Connections in the established state.
    pub active: u32,
    /// Connections in any other state (being opened, being closed).
    pub inactive: u32,
}

/// What a virtual server looks like in the kernel right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenService {
    /// Its settings.
    pub service: Service,
    /// Its real servers.
    pub destinations: BTreeMap<SocketAddr, SeenDestination>,
    /// What went through it.
    pub traffic: Traffic,
}

/// What the kernel has counted at a virtual server since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// Connections that were scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

/// The route that makes a virtual address local, as found in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenRoute {
    /// The source address it gives to this node's connections.
    pub source: Option<IpAddr>,
    /// Who made it.
    pub owner: RouteOwner,
}

/// Who made a route, by its `rtm_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteOwner {
    /// lvscare.
    Ours,
    /// The kernel itself: the address is assigned to an interface.
    Interface,
    /// An administrator or another program.
    Foreign,
}

/// Virtual servers by their addresses.
pub type Services = BTreeMap<SocketAddr, SeenService>;

/// Everything lvscare guards, as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// The virtual servers that were asked for and exist.
    pub services: Services,
    /// The local routes of the virtual addresses that were asked for and exist.
    pub routes: BTreeMap<IpAddr, SeenRoute>,
    /// The sysctls that matter to this kernel and exist.
    pub sysctls: BTreeMap<Sysctl, u32>,
}

/// A kernel setting that lvscare depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sysctl {
    /// `net.ipv4.vs.expire_nodest_conn` (kernel `Documentation/networking/ipvs-sysctl.rst`): packets of a
    /// connection whose real server was deleted are answered with a reset instead of being dropped.
    ExpireNodestConn,
    /// `net.ipv4.vs.conntrack`: connection tracking sees the connections of IPVS. Otherwise it takes the real servers'
    /// answers for invalid, and firewalls drop those: firewalld towards the node, kube-proxy in mode iptables
    /// towards pods.
    Conntrack,
    /// `net.ipv4.vs.conn_reuse_mode`: before Linux 5.9, and with `conntrack`, the first packet of a connection that
    /// reuses the port of an old one is dropped, and the client waits a second for its retry. 0 prevents that
    /// (kube-proxy does the same). Later kernels have the cure (35dfb013149f) and keep their value.
    ConnReuseMode,
}

/// The first kernel that needs no [`Sysctl::ConnReuseMode`].
const CONN_REUSE_FIXED: (u32, u32) = (5, 9);

impl Sysctl {
    /// Every setting that lvscare looks after on some kernel.
    pub const ALL: [Self; 3] = [Self::ExpireNodestConn, Self::Conntrack, Self::ConnReuseMode];

    /// Those that matter to a kernel of this release, as `uname -r` tells it (`6.1.0-18-amd64`). One that cannot be
    /// read is taken for a recent one.
    pub fn for_release(release: &str) -> Vec<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        let is_old = match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < CONN_REUSE_FIXED,
            _ => false,
        };
        Self::ALL.into_iter().filter(|sysctl| is_old || *sysctl != Self::ConnReuseMode).collect()
    }

    /// What it must be.
    pub fn wanted(self) -> u32 {
        match self {
            Self::ExpireNodestConn | Self::Conntrack => 1,
            Self::ConnReuseMode => 0,
        }
    }

    /// The dotted name, as `sysctl` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExpireNodestConn => "net.ipv4.vs.expire_nodest_conn",
            Self::Conntrack => "net.ipv4.vs.conntrack",
            Self::ConnReuseMode => "net.ipv4.vs.conn_reuse_mode",
        }
    }
}

/// What should be there. Whatever is not mentioned is none of lvscare's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Per virtual server: its settings and real servers, or `None` for "must not exist".
    pub services: BTreeMap<SocketAddr, Option<WantedService>>,
    /// Per virtual address: the source address of its local route, or `None` for "no route of ours".
    pub routes: BTreeMap<IpAddr, Option<IpAddr>>,
    /// Kernel settings and their values.
    pub sysctls: BTreeMap<Sysctl, u32>,
}

/// A virtual server that should exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedService {
    /// Its settings.
    pub service: Service,
    /// Exactly the real servers it should have.
    pub destinations: BTreeMap<SocketAddr, Destination>,
}

/// One step from what is there to what should be there. Its `Display` is what logs and `--run-once` print.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the fields carry the names of what they hold")]
pub enum Change {
    /// Write a kernel setting.
    SetSysctl { sysctl: Sysctl, value: u32 },
    /// Add or replace the local route of a virtual address.
    SetRoute { vip: IpAddr, source: IpAddr },
    /// Remove that route.
    RemoveRoute { vip: IpAddr },
    /// Create a virtual server, without real servers.
    AddService { at: SocketAddr, service: Service },
    /// Change a virtual server's settings; its connections stay.
    UpdateService { at: SocketAddr, service: Service },
    /// Delete a virtual server with all its real servers.
    RemoveService { at: SocketAddr },
    /// Add a real server.
    AddServer { at: SocketAddr, server: SocketAddr, destination: Destination },
    /// Change a real server's settings; its connections stay.
    UpdateServer { at: SocketAddr, server: SocketAddr, destination: Destination },
    /// Delete a real server; the kernel resets its connections on their next packet.
    RemoveServer { at: SocketAddr, server: SocketAddr },
}

impl Change {
    /// Whether something is there no longer.
    pub fn is_removal(&self) -> bool {
        matches!(self, Self::RemoveRoute { .. } | Self::RemoveService { .. } | Self::RemoveServer { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetSysctl { sysctl, value } => write!(f, "set {} = {value}", sysctl.name()),
            Self::SetRoute { vip, source } => write!(f, "set route local {vip} dev lo src {source}"),
            Self::RemoveRoute { vip } => write!(f, "remove route local {vip}"),
            Self::AddService { at, service } => {
                write!(f, "add virtual server {at} scheduler {}", service.scheduler)
            }
            Self::UpdateService { at, service } => {
                write!(f, "update virtual server {at} scheduler {}", service.scheduler)
            }
            Self::RemoveService { at } => write!(f, "remove virtual server {at}"),
            Self::AddServer { at, server, destination } => {
                write!(f, "add real server {server} weight {} to {at}", destination.weight)
            }
            Self::UpdateServer { at, server, destination } => {
                write!(f, "update real server {server} weight {} of {at}", destination.weight)
            }
            Self::RemoveServer { at, server } => write!(f, "remove real server {server} from {at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_settings_matter_to_which_kernel() {
        let always = [Sysctl::ExpireNodestConn, Sysctl::Conntrack];
        for release in ["5.9.0", "5.10.0-28-amd64", "6.1.192", "6.12-rc1", "10.0", "", "unknown", "5"] {
            assert_eq!(Sysctl::for_release(release), always, "{release}");
        }
        for release in ["5.8.18", "5.4.0-150-generic", "4.18.0-553.el8_10.x86_64", "3.10.0-1160.el7"] {
            assert_eq!(Sysctl::for_release(release), Sysctl::ALL, "{release}");
        }
    }
}
