//! A kernel in memory that refuses what the real one refuses, and records what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use super::{Error, Kernel};
use crate::model::{
    Actual, Change, RouteOwner, SeenDestination, SeenRoute, SeenService, Services, Sysctl, Traffic,
};
use crate::netlink;
use crate::survey::Survey;

/// The state and the history.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    /// Everything there is, ours or not.
    pub state: Actual,
    /// Every change that was asked for.
    pub changes: Vec<Change>,
    /// The clients of each real server of each virtual server.
    pub clients: BTreeMap<(SocketAddr, SocketAddr), Vec<SocketAddr>>,
    /// Schedulers that this kernel does not have.
    pub missing_schedulers: BTreeSet<String>,
    /// Changes that are refused for another reason, for ever.
    pub refused: BTreeSet<Change>,
    /// The clients whose connections were cut.
    pub cut: Vec<(SocketAddr, SocketAddr)>,
    /// What [`Kernel::source_towards`] answers.
    pub source: Option<IpAddr>,
    /// What [`Kernel::own_addresses`] answers. Unless it is empty, routes take no other source.
    pub own: BTreeSet<IpAddr>,
    /// The addresses of virtual servers for other protocols than TCP.
    pub other_protocols: BTreeSet<IpAddr>,
}

impl Fake {
    /// What the real kernel would say before it looks at what is there.
    fn refuse(&self, change: &Change) -> Result<(), Error> {
        if self.refused.contains(change) {
            let source = ErrorKind::OutOfMemory.into();
            return Err(Error::Netlink {
                action: change.to_string(),
                source: netlink::Error::Kernel(source),
            });
        }
        match change {
            Change::AddService { service, .. } | Change::UpdateService { service, .. }
                if self.missing_schedulers.contains(&service.scheduler) =>
            {
                Err(Error::NoScheduler(service.scheduler.clone()))
            }
            Change::SetRoute { source, .. } if !self.own.is_empty() && !self.own.contains(source) => {
                Err(Error::ForeignSource(*source))
            }
            _ => Ok(()),
        }
    }
}

impl Kernel for Fake {
    fn read_services(&mut self, services: &[SocketAddr]) -> Result<Services, Error> {
        let mut found = self.state.services.clone();
        found.retain(|at, _| services.contains(at));
        Ok(found)
    }

    fn survey(&mut self) -> Result<Survey, Error> {
        let ours = self.state.routes.iter().filter(|(_, route)| route.owner == RouteOwner::Ours);
        Ok(Survey {
            routes: ours.map(|(&vip, route)| (vip, route.source)).collect(),
            services: self.state.services.keys().copied().collect(),
            other_protocols: self.other_protocols.clone(),
        })
    }

    fn read_routes(&mut self, vips: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, SeenRoute>, Error> {
        let mut found = self.state.routes.clone();
        found.retain(|vip, _| vips.contains(vip));
        Ok(found)
    }

    fn read_sysctls(&mut self) -> Result<BTreeMap<Sysctl, u32>, Error> {
        Ok(self.state.sysctls.clone())
    }

    fn apply(&mut self, change: &Change) -> Result<(), Error> {
        self.changes.push(change.clone());
        let raced = || Error::Raced(change.to_string());
        self.refuse(change)?;
        let services = &mut self.state.services;
        match change.clone() {
            Change::SetSysctl { sysctl, value } => {
                let missing =
                    || Error::File { path: sysctl.name().to_owned(), source: ErrorKind::NotFound.into() };
                *self.state.sysctls.get_mut(&sysctl).ok_or_else(missing)? = value;
            }
            Change::SetRoute { vip, source } => {
                self.state.routes.insert(vip, SeenRoute { source: Some(source), owner: RouteOwner::Ours });
            }
            Change::RemoveRoute { vip } => {
                let ours = self.state.routes.get(&vip).is_some_and(|route| route.owner == RouteOwner::Ours);
                if !ours {
                    return Err(raced());
                }
                self.state.routes.remove(&vip);
            }
            Change::AddService { at, service } => {
                if services.contains_key(&at) {
                    return Err(raced());
                }
                services.insert(
                    at,
                    SeenService { service, destinations: BTreeMap::new(), traffic: Traffic::default() },
                );
            }
            Change::UpdateService { at, service } => {
                services.get_mut(&at).ok_or_else(raced)?.service = service;
            }
            Change::RemoveService { at } => {
                services.remove(&at).ok_or_else(raced)?;
            }
            Change::AddServer { at, server, destination } => {
                let destinations = &mut services.get_mut(&at).ok_or_else(raced)?.destinations;
                if destinations.contains_key(&server) {
                    return Err(raced());
                }
                destinations.insert(server, SeenDestination { destination, active: 0, inactive: 0 });
            }
            Change::UpdateServer { at, server, destination } => {
                let destinations = &mut services.get_mut(&at).ok_or_else(raced)?.destinations;
                destinations.get_mut(&server).ok_or_else(raced)?.destination = destination;
            }
            Change::RemoveServer { at, server } => {
                let destinations = &mut services.get_mut(&at).ok_or_else(raced)?.destinations;
                destinations.remove(&server).ok_or_else(raced)?;
            }
        }
        Ok(())
    }

    fn clients_of(&mut self, at: SocketAddr, server: SocketAddr) -> Result<BTreeSet<SocketAddr>, Error> {
        Ok(self.clients.get(&(at, server)).into_iter().flatten().copied().collect())
    }

    fn cut(&mut self, at: SocketAddr, clients: &BTreeSet<SocketAddr>) -> Result<usize, Error> {
        self.cut.extend(clients.iter().map(|client| (at, *client)));
        Ok(clients.len())
    }

    fn source_towards(&mut self, _server: IpAddr) -> Result<Option<IpAddr>, Error> {
        Ok(self.source)
    }

    fn own_addresses(&mut self) -> Result<BTreeSet<IpAddr>, Error> {
        Ok(self.own.clone())
    }
}
