//! What is in the kernel whether or not one knows its name: how a lvscare is found that is gone and whose options are
//! forgotten. Pure.
//!
//! A route tells who made it (`rtm_protocol`), a virtual server does not. So what is lvscare's is known by the routes:
//! theirs, and the virtual servers at their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Every virtual server, and every local route that lvscare made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The local routes that lvscare made, with the source address that each gives.
    pub routes: BTreeMap<IpAddr, Option<IpAddr>>,
    /// Every virtual server for TCP, whoever made it.
    pub services: BTreeSet<SocketAddr>,
    /// The addresses of virtual servers for other protocols, none of them lvscare's.
    pub other_protocols: BTreeSet<IpAddr>,
}

impl Survey {
    /// The virtual servers at addresses that lvscare made local.
    pub fn ours(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.services.iter().copied().filter(|at| self.routes.contains_key(&at.ip()))
    }

    /// The addresses that lvscare made local and that have no virtual server for TCP, as when all real servers are down.
    pub fn bare_routes(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let is_bare = |vip: &IpAddr| self.services.iter().all(|at| at.ip() != *vip);
        self.routes.keys().copied().filter(is_bare)
    }

    /// What lvscare made and nobody guards who guards `services`.
    pub fn left_behind(&self, services: &[SocketAddr]) -> Vec<LeftBehind> {
        let ours = self.ours().filter(|at| !services.contains(at)).map(LeftBehind::Service);
        let is_guarded = |vip: &IpAddr| services.iter().any(|at| at.ip() == *vip);
        ours.chain(self.bare_routes().filter(|vip| !is_guarded(vip)).map(LeftBehind::Route)).collect()
    }

    /// Whether anything else than `services` needs the route to `vip`.
    pub fn needs_route(&self, vip: IpAddr, services: &[SocketAddr]) -> bool {
        let mut others = self.services.iter().filter(|at| at.ip() == vip && !services.contains(at));
        others.next().is_some() || self.other_protocols.contains(&vip)
    }
}

/// Something that a lvscare made which is gone, or was told otherwise since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftBehind {
    /// A virtual server, with the route to its address.
    Service(SocketAddr),
    /// A route to an address without a virtual server.
    Route(IpAddr),
}

impl LeftBehind {
    /// Its virtual address.
    pub fn vip(self) -> IpAddr {
        match self {
            Self::Service(at) => at.ip(),
            Self::Route(vip) => vip,
        }
    }

    /// What `clean --vs` takes to remove it.
    pub fn target(self) -> SocketAddr {
        match self {
            Self::Service(at) => at,
            // Any port will do.
            Self::Route(vip) => (vip, 6443).into(),
        }
    }
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(at) => write!(f, "virtual server {at}"),
            Self::Route(vip) => write!(f, "local route {vip}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_ours_is_told_by_the_routes() {
        let survey = Survey {
            routes: ["10.103.97.2", "10.103.97.3", "fd00::2"].map(|vip| (vip.parse().unwrap(), None)).into(),
            services: ["10.103.97.2:443", "10.103.97.2:6443", "10.96.0.1:443", "[fd00::2]:6443"]
                .map(at)
                .into(),
            other_protocols: BTreeSet::new(),
        };
        let ours: Vec<SocketAddr> = survey.ours().collect();
        assert_eq!(ours, ["10.103.97.2:443", "10.103.97.2:6443", "[fd00::2]:6443"].map(at));
        assert_eq!(survey.bare_routes().collect::<Vec<_>>(), [IpAddr::from([10, 103, 97, 3])]);

        let left = |guarded: &[&str]| {
            let guarded: Vec<SocketAddr> = guarded.iter().map(|text| at(text)).collect();
            let left = survey.left_behind(&guarded);
            left.iter().map(|left| format!("{left}, {}", left.target())).collect::<Vec<_>>()
        };
        assert_eq!(
            left(&["10.103.97.2:443", "10.103.97.2:6443"]),
            ["virtual server [fd00::2]:6443, [fd00::2]:6443", "local route 10.103.97.3, 10.103.97.3:6443"]
        );
        // Its daemon has removed it, since all real servers are down.
        assert_eq!(
            left(&["10.103.97.2:443", "10.103.97.2:6443", "[fd00::2]:6443", "10.103.97.3:9"]),
            [""; 0]
        );
    }

    #[test]
    fn a_route_is_needed_by_whoever_has_the_address() {
        let vip = IpAddr::from([10, 103, 97, 2]);
        let both = ["10.103.97.2:443", "10.103.97.2:6443"].map(at);
        let mut survey = Survey { services: both.into(), ..Survey::default() };
        assert!(survey.needs_route(vip, &both[..1]));
        assert!(!survey.needs_route(vip, &both));
        survey.other_protocols.insert(vip);
        assert!(survey.needs_route(vip, &both));
        assert!(!survey.needs_route([10, 103, 97, 3].into(), &[]));
    }
}
