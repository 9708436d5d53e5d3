//! The only modules that change the kernel.
//!
//! [`Kernel`] is all that the rest of the program sees: read what is there, apply one [`Change`]. [`Linux`] is
//! the real one, made of [`ipvs`] (the table), [`route`] (the local route of the virtual address), [`sysctl`]
//! and [`sockets`] (clients stuck to a dead server); [`address`], [`neighbour`] and [`watch`] only look. `fake` keeps the same
//! promises in memory, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;

use crate::exit::{Exit, Failure};
use crate::ipvs::Protocol;
use crate::model::{Actual, Change, SeenRoute, Services, Sysctl};
use crate::netlink;
use crate::survey::Survey;

pub mod address;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod ipvs;
pub mod neighbour;
pub mod route;
mod rtnetlink;
pub mod sockets;
pub mod sysctl;
pub mod watch;

/// Why the kernel did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The generic netlink family `IPVS` does not exist and could not be loaded.
    #[error("this kernel has no IPVS and could not load it")]
    NoIpvs,
    /// `CAP_NET_ADMIN` in the initial user namespace is missing.
    #[error("not permitted to change IPVS or routes: CAP_NET_ADMIN is missing")]
    NotPermitted,
    /// The module of the scheduler does not exist and could not be loaded.
    #[error("this kernel has no IPVS scheduler `{0}` and could not load it")]
    NoScheduler(String),
    /// The scheduler's module is not loaded, and loading it on demand can hang the kernel.
    #[error("the IPVS scheduler `{0}` is not loaded, and this kernel may hang when it loads it on demand")]
    HangingScheduler(String),
    /// The source address of a route belongs to no interface of this node.
    #[error("{0} is not an address of this node")]
    ForeignSource(IpAddr),
    /// Sockets cannot be destroyed from outside (`CONFIG_INET_DIAG_DESTROY`).
    #[error(
        "this kernel cannot destroy sockets; idle clients of a dead server learn of it when they next send"
    )]
    NoSocketDestroy,
    /// Somebody else changed the same object at the same time; read again and plan anew.
    #[error("{0}: somebody else changed it at the same time")]
    Raced(String),
    /// Anything else that went wrong with netlink.
    #[error("{action}: {source}")]
    Netlink {
        /// What was tried.
        action: String,
        /// What the kernel said.
        source: netlink::Error,
    },
    /// A file under `/proc` could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl Error {
    /// Whether the same will be refused again until somebody changes the configuration or the node.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::NotPermitted | Self::NoScheduler(_) | Self::HangingScheduler(_) | Self::ForeignSource(_)
        )
    }

    /// Wraps a refusal that has no meaning of its own for `action`, apart from a missing permission.
    fn from_netlink(action: impl FnOnce() -> String, source: netlink::Error) -> Self {
        match source.errno() {
            Some(Errno::PERM) => Self::NotPermitted,
            _ => Self::Netlink { action: action(), source },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotPermitted => Self::new(
                Exit::NotPermitted,
                format!("{error}; run as root, or give the container the capability NET_ADMIN"),
            ),
            Error::NoIpvs => {
                Self::new(Exit::KernelLacksPart, format!("{error}; try `modprobe ip_vs` on the host"))
            }
            Error::HangingScheduler(ref name) => Self::new(
                Exit::KernelLacksPart,
                format!("{error}; run `modprobe ip_vs_{name}` on the host first"),
            ),
            Error::NoScheduler(ref name) => {
                let hint = format!("{error}; try `modprobe ip_vs_{name}` on the host, or `--scheduler rr`");
                Self::new(Exit::KernelLacksPart, hint)
            }
            Error::ForeignSource(address) => {
                Self::usage(format!("{error}; give one of this node's addresses instead of {address}"))
            }
            _ => Self::new(Exit::Failed, error.to_string()),
        }
    }
}

/// The part of the kernel that lvscare guards.
pub trait Kernel {
    /// Reads the virtual servers at `services`.
    fn read_services(&mut self, services: &[SocketAddr]) -> Result<Services, Error>;

    /// Finds every virtual server, and every local route of lvscare's.
    fn survey(&mut self) -> Result<Survey, Error>;

    /// Reads the local routes of `vips`.
    fn read_routes(&mut self, vips: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, SeenRoute>, Error>;

    /// Reads the kernel settings that matter.
    fn read_sysctls(&mut self) -> Result<BTreeMap<Sysctl, u32>, Error>;

    /// Reads the virtual servers at `services`, the local routes of their addresses, and the kernel settings.
    fn read(&mut self, services: &[SocketAddr]) -> Result<Actual, Error> {
        Ok(Actual {
            services: self.read_services(services)?,
            routes: self.read_routes(&services.iter().map(SocketAddr::ip).collect())?,
            sysctls: self.read_sysctls()?,
        })
    }

    /// Makes one change.
    fn apply(&mut self, change: &Change) -> Result<(), Error>;

    /// The clients of `at` that are connected to `server`. To be asked before it is removed.
    fn clients_of(&mut self, at: SocketAddr, server: SocketAddr) -> Result<BTreeSet<SocketAddr>, Error>;

    /// Cuts the connections of `clients` to `at`, as far as they are this namespace's. Returns how many.
    fn cut(&mut self, at: SocketAddr, clients: &BTreeSet<SocketAddr>) -> Result<usize, Error>;

    /// The source address this node would use towards `server`; `None` when there is no way to it.
    fn source_towards(&mut self, server: IpAddr) -> Result<Option<IpAddr>, Error>;

    /// The addresses of this node's interfaces.
    fn own_addresses(&mut self) -> Result<BTreeSet<IpAddr>, Error>;

    /// The source address towards the first of `servers` that there is a way to.
    fn source_towards_any(&mut self, servers: impl Iterator<Item = IpAddr>) -> Result<Option<IpAddr>, Error> {
        for server in servers {
            if let Some(source) = self.source_towards(server)? {
                return Ok(Some(source));
            }
        }
        Ok(None)
    }
}

/// The kernel of this machine, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Linux {
    ipvs: ipvs::Table,
    routes: route::Routes,
    sysctls: sysctl::Sysctls,
}

impl Linux {
    /// Connects to the kernel, which loads its `ip_vs` module if need be (Linux 5.15 and later).
    pub fn open() -> Result<Self, Error> {
        let sysctls = sysctl::Sysctls::default();
        Ok(Self { ipvs: ipvs::Table::open()?, routes: route::Routes::open()?, sysctls })
    }
}

impl Kernel for Linux {
    fn read_services(&mut self, services: &[SocketAddr]) -> Result<Services, Error> {
        let mut found = Services::new();
        for &at in services {
            if let Some(service) = self.ipvs.read(at)? {
                found.insert(at, service);
            }
        }
        Ok(found)
    }

    fn survey(&mut self) -> Result<Survey, Error> {
        let mut survey = Survey { routes: route::ours()?, ..Survey::default() };
        for (protocol, address) in self.ipvs.list()? {
            if protocol == Protocol::Tcp {
                survey.services.insert(address);
            } else {
                survey.other_protocols.insert(address.ip());
            }
        }
        Ok(survey)
    }

    fn read_routes(&mut self, vips: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, SeenRoute>, Error> {
        self.routes.read(vips)
    }

    fn read_sysctls(&mut self) -> Result<BTreeMap<Sysctl, u32>, Error> {
        self.sysctls.read_all()
    }

    fn apply(&mut self, change: &Change) -> Result<(), Error> {
        match *change {
            Change::SetSysctl { sysctl, value } => sysctl::write(sysctl, value),
            Change::SetRoute { vip, source } => self.routes.set(vip, source),
            Change::RemoveRoute { vip } => self.routes.remove(vip),
            _ => self.ipvs.apply(change),
        }
    }

    fn clients_of(&mut self, at: SocketAddr, server: SocketAddr) -> Result<BTreeSet<SocketAddr>, Error> {
        sockets::clients_of(at, server)
    }

    fn cut(&mut self, at: SocketAddr, clients: &BTreeSet<SocketAddr>) -> Result<usize, Error> {
        sockets::destroy(at, clients)
    }

    fn source_towards(&mut self, server: IpAddr) -> Result<Option<IpAddr>, Error> {
        self.routes.source_towards(server)
    }

    fn own_addresses(&mut self) -> Result<BTreeSet<IpAddr>, Error> {
        Ok(address::list()?.into_iter().map(|own| own.address).collect())
    }
}
