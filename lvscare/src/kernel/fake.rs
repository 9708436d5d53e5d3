//! A kernel in memory that refuses what the real one refuses, and records what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::{Error, Kernel};
use crate::model::{Actual, Change, RouteOwner, SeenDestination, SeenRoute, SeenService, Services, Traffic};
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
    /// The clients whose connections were cut.
    pub cut: Vec<(SocketAddr, SocketAddr)>,
    /// What [`Kernel::source_towards`] answers.
    pub source: Option<IpAddr>,
    /// What [`Kernel::own_addresses`] answers.
    pub own: BTreeSet<IpAddr>,
    /// The addresses of virtual servers for other protocols than TCP.
    pub other_protocols: BTreeSet<IpAddr>,
}

impl Kernel for Fake {
    fn read(&mut self, services: &[SocketAddr]) -> Result<Actual, Error> {
        let mut actual = Actual { services: self.read_services(services)?, ..self.state.clone() };
        actual.routes.retain(|vip, _| services.iter().any(|at| at.ip() == *vip));
        Ok(actual)
    }

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

    fn apply(&mut self, change: &Change) -> Result<(), Error> {
        self.changes.push(change.clone());
        let raced = || Error::Raced(change.to_string());
        let services = &mut self.state.services;
        match change.clone() {
            Change::SetSysctl { sysctl, value } => {
                self.state.sysctls.insert(sysctl, value);
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
