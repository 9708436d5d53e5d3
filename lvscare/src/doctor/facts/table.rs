//! What the kernel has of the virtual server, and which parts of itself it lacks.

use std::net::SocketAddr;
use std::path::Path;

use crate::kernel::{Error, Kernel, Linux};
use crate::model::{RouteOwner, Sysctl};
use crate::status::{Status, VirtualServer};
use crate::takeover;

/// What came of asking the kernel.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
#[derive(Clone, Debug, PartialEq)]
pub enum Table {
    /// It answered.
    Seen {
        /// The virtual server as it stands in the table.
        service: VirtualServer,
        /// Who made the local route of its address, if there is one.
        route: Option<RouteOwner>,
        /// What the virtual server has, if the route does not tell that lvscare has made it.
        of_others: Option<String>,
        /// `net.ipv4.vs.expire_nodest_conn`.
        expire_nodest: Option<u32>,
    },
    /// It was not asked, since that would have made it load IPVS.
    NotLoaded,
    /// It has no IPVS.
    NoIpvs,
    /// It tells only root.
    NotPermitted,
    /// Something else went wrong.
    Failed(String),
}

/// Whether asking makes the kernel load nothing.
pub(super) fn is_loaded() -> bool {
    Path::new("/sys/module/ip_vs").is_dir()
}

/// Looks.
pub(super) fn look(vs: SocketAddr) -> Table {
    let actual = match Linux::open().and_then(|mut linux| linux.read(&[vs])) {
        Ok(actual) => actual,
        Err(error) => return failed(&error),
    };
    let status = Status::of_kernel(&actual, [&vs]);
    let Some(service) = status.virtual_servers.into_iter().next() else {
        return Table::Failed("the virtual server was not told".into());
    };
    let route = actual.routes.get(&vs.ip()).map(|route| route.owner);
    let of_others = actual.services.get(&vs).filter(|_| route != Some(RouteOwner::Ours));
    Table::Seen {
        service,
        route,
        of_others: of_others.map(takeover::describe),
        expire_nodest: actual.sysctls.get(&Sysctl::ExpireNodestConn).copied(),
    }
}

fn failed(error: &Error) -> Table {
    match error {
        Error::NoIpvs => Table::NoIpvs,
        Error::NotPermitted => Table::NotPermitted,
        other => Table::Failed(other.to_string()),
    }
}
