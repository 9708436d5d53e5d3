//! What should be in the kernel, for each of lvscare's purposes. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::config::value::Scheduler;
use crate::config::{Config, ServiceConfig};
use crate::ipvs::ServiceFlags;
use crate::model::{Desired, Destination, Service, Sysctl, WantedService};
use crate::survey::Survey;

/// The source address of each virtual address's route, as far as it is known.
pub type Sources = BTreeMap<IpAddr, IpAddr>;

/// Every configured server, whatever its health: for `--run-once`.
pub fn everything(config: &Config, sources: &Sources) -> Desired {
    judged(config, sources, |service| {
        Some(service.servers.iter().map(|server| (server.address, server.weight)).collect())
    })
}

/// Neither `services` nor our routes to their addresses, apart from those that another virtual server needs: for
/// `clean`.
pub fn nothing(services: &[SocketAddr], survey: &Survey) -> Desired {
    let addresses = services.iter().map(SocketAddr::ip);
    Desired {
        services: services.iter().map(|&at| (at, None)).collect(),
        routes: addresses.filter(|&vip| !survey.needs_route(vip, services)).map(|vip| (vip, None)).collect(),
        sysctls: BTreeMap::new(),
    }
}

impl Desired {
    /// These virtual servers must not exist, and no route of ours to these addresses.
    pub fn retire(&mut self, services: &BTreeSet<SocketAddr>, vips: &BTreeSet<IpAddr>) {
        self.services.extend(services.iter().map(|&at| (at, None)));
        self.routes.extend(vips.iter().map(|&vip| (vip, None)));
    }
}

/// The settings of a virtual server with this scheduler.
fn settings(scheduler: &Scheduler) -> Service {
    let fallback = if scheduler.needs_fallback() { ServiceFlags::SCHEDULER_1 } else { ServiceFlags::empty() };
    Service { scheduler: scheduler.name().to_owned(), flags: fallback.bits() }
}

/// Per virtual server the weights that `decide` gives, or no virtual server at all.
///
/// A route stays as it is while its source address is unknown.
pub fn judged(
    config: &Config,
    sources: &Sources,
    mut decide: impl FnMut(&ServiceConfig) -> Option<BTreeMap<SocketAddr, u32>>,
) -> Desired {
    let wanted = |service: &ServiceConfig, weights: BTreeMap<SocketAddr, u32>| WantedService {
        service: settings(&service.scheduler),
        destinations: weights
            .into_iter()
            .map(|(server, weight)| (server, Destination::masqueraded(weight)))
            .collect(),
    };
    Desired {
        services: config
            .services
            .iter()
            .map(|service| (service.at, decide(service).map(|weights| wanted(service, weights))))
            .collect(),
        routes: sources.iter().map(|(&vip, &source)| (vip, Some(source))).collect(),
        sysctls: Sysctl::ALL.map(|sysctl| (sysctl, sysctl.wanted())).into(),
    }
}

/// Why a virtual address has no route.
pub fn no_source(vip: IpAddr) -> String {
    format!("no route for {vip}: this node has no way to any real server; give its address with --node-ip")
}
