//! What one configuration leaves to the next: servers that may finish, virtual servers that are to go, and what somebody
//! else had where we come. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::config::{Config, ServiceConfig};
use crate::desired::{self, Sources};
use crate::health::{ServerId, Verdict};
use crate::model::{Actual, Change, Desired, RouteOwner, SeenRoute, SeenService};
use crate::takeover;

/// So long `status` tells of a virtual server that was taken over.
pub(super) const TAKEOVER_SHOWN: Duration = Duration::from_secs(3600);

/// What is left to be done.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Real servers that are configured no more but may finish what they have.
    pub(super) leaving: BTreeMap<ServerId, Verdict>,
    /// Virtual servers that are configured no more and not yet removed.
    pub(super) retired: BTreeSet<SocketAddr>,
    /// Virtual addresses that are configured no more and whose routes are not yet removed.
    retired_vips: BTreeSet<IpAddr>,
    /// Virtual servers that have come since the latest pass.
    joining: BTreeSet<SocketAddr>,
    /// What was found where one joined and is not kept, and when.
    takeovers: BTreeMap<SocketAddr, (Instant, String)>,
}

impl Handover {
    /// From nothing to `config`.
    pub(super) fn to(config: &Config) -> Self {
        Self { joining: config.addresses().into_iter().collect(), ..Self::default() }
    }

    /// `after` takes the place of `before`, while `last` is in the kernel.
    pub(super) fn add(&mut self, before: &Config, after: &Config, last: Option<&Actual>, now: Instant) {
        for service in &before.services {
            let Some(present) = after.service(service.at) else {
                self.retired.insert(service.at);
                self.retired_vips.insert(service.at.ip());
                continue;
            };
            // Who is not in the table has nothing to finish.
            let last = last.and_then(|last| last.services.get(&service.at));
            let is_there = |server| last.is_some_and(|seen| seen.destinations.contains_key(server));
            let gone = service.servers.iter().filter(|gone| !present.has(gone.address));
            for gone in gone.filter(|gone| is_there(&gone.address)) {
                self.leaving
                    .insert(ServerId { service: service.at, server: gone.address }, Verdict::leaving(now));
            }
        }
        let is_new = |at: &SocketAddr| before.service(*at).is_none();
        self.joining.extend(after.addresses().into_iter().filter(is_new));
        self.joining.retain(|at| after.service(*at).is_some());
        self.retired.retain(|at| after.service(*at).is_none());
        self.retired_vips.retain(|vip| after.services.iter().all(|service| service.at.ip() != *vip));
        self.leaving.retain(|id, _| after.service(id.service).is_some_and(|service| !service.has(id.server)));
    }

    /// Real servers that are not configured and are found where a virtual server joins are those of somebody else: of
    /// the daemon before, which was told of other ones, or of an administrator. They finish what they have. Returns what
    /// is to be said about it.
    pub(super) fn adopt(&mut self, config: &Config, actual: &Actual, now: Instant) -> Vec<String> {
        let mut said = Vec::new();
        for at in std::mem::take(&mut self.joining) {
            let (Some(seen), Some(service)) = (actual.services.get(&at), config.service(at)) else {
                continue;
            };
            for &server in seen.destinations.keys().filter(|server| !service.has(**server)) {
                self.leaving.insert(ServerId { service: at, server }, Verdict::leaving(now));
            }
            // Where our route is, the virtual server is that of a daemon before.
            let is_ours = actual.routes.get(&at.ip()).is_some_and(|route| route.owner == RouteOwner::Ours);
            if !is_ours && let Some(text) = lost_by_takeover(config, at, seen) {
                said.push(text.clone());
                self.takeovers.insert(at, (now, text));
            }
        }
        said
    }

    /// The virtual servers that are ours to look after, those of `config` included.
    pub(super) fn services(&self, config: &Config) -> Vec<SocketAddr> {
        config.addresses().into_iter().chain(self.retired.iter().copied()).collect()
    }

    /// As [`services`](Self::services), the virtual addresses.
    pub(super) fn vips(&self, config: &Config) -> BTreeSet<IpAddr> {
        config
            .services
            .iter()
            .map(|service| service.at.ip())
            .chain(self.retired_vips.iter().copied())
            .collect()
    }

    /// The real servers of this virtual server that may finish.
    pub(super) fn leaving(&self, service: &ServiceConfig) -> impl Iterator<Item = (SocketAddr, &Verdict)> {
        let at = service.at;
        let of_service = self.leaving.iter().filter(move |(id, _)| id.service == at);
        of_service.map(|(id, verdict)| (id.server, verdict))
    }

    /// What is to go must not be there.
    pub(super) fn retire(&self, desired: &mut Desired) {
        desired.retire(&self.retired, &self.retired_vips);
    }

    /// A change was refused. A server that is to leave anyway, and cannot be brought back, is gone: others serve instead.
    pub(super) fn refused(&mut self, change: &Change) {
        match *change {
            Change::AddService { at, .. } => self.leaving.retain(|id, _| id.service != at),
            Change::AddServer { at, server, .. } => {
                _ = self.leaving.remove(&ServerId { service: at, server });
            }
            _ => {}
        }
    }

    /// A pass has ended with this. Whatever is made from now on where nothing of ours is left is somebody else's.
    pub(super) fn settle(&mut self, actual: &Actual) {
        self.retired.retain(|at| actual.services.contains_key(at));
        let is_ours = |route: &SeenRoute| route.owner == RouteOwner::Ours;
        self.retired_vips.retain(|vip| actual.routes.get(vip).is_some_and(is_ours));
        self.leaving.retain(|id, _| {
            actual.services.get(&id.service).is_some_and(|seen| seen.destinations.contains_key(&id.server))
        });
    }

    /// What was taken over lately, in words.
    pub(super) fn notes(&mut self, now: Instant) -> Vec<String> {
        self.takeovers.retain(|_, (since, _)| now.saturating_duration_since(*since) < TAKEOVER_SHOWN);
        self.takeovers.values().map(|(_, text)| text.clone()).collect()
    }
}

/// What an administrator has made at `at` and lvscare does not keep.
fn lost_by_takeover(config: &Config, at: SocketAddr, seen: &SeenService) -> Option<String> {
    let wanted = desired::everything(config, &Sources::new()).services.remove(&at)??;
    takeover::loses(seen, &wanted).then(|| {
        let found = takeover::describe(seen);
        format!(
            "virtual server {at} was there already and is taken over; what it had is replaced, its other real servers \
             drain: {found}"
        )
    })
}
