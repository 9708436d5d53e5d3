//! Who serves in each virtual server, and for how long nobody was healthy there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::environment::Environment;
use super::handover::Handover;
use crate::active_config::ActiveConfig;
use crate::config::ServiceConfig;
use crate::config::value::RealServer;
use crate::desired;
use crate::health::pool::{Member, Mode, Pool};
use crate::health::{HealthTable, ServerId};
use crate::model::{Actual, Desired};

/// What a pass wants.
pub(super) struct Decided {
    pub(super) desired: Desired,
    pub(super) modes: BTreeMap<SocketAddr, Mode>,
    /// Virtual and real server of every one that leaves the table with its connections cut.
    pub(super) lost: Vec<ServerId>,
    /// A verdict is too old to be acted on.
    pub(super) stale: bool,
}

/// The pools of all virtual servers.
#[derive(Debug, Default)]
pub(super) struct Pools {
    by_service: BTreeMap<SocketAddr, Pool>,
    all_down: BTreeMap<SocketAddr, Duration>,
    /// When the latest pass began.
    passed_at: Option<Instant>,
}

impl Pools {
    /// Forgets those that are configured no more.
    pub(super) fn retain(&mut self, active: &ActiveConfig) {
        self.by_service.retain(|at, _| active.config.service(*at).is_some());
        self.all_down.retain(|at, _| active.config.service(*at).is_some());
    }

    /// How long, in all, nobody was healthy in each virtual server.
    pub(super) fn all_down(&self) -> BTreeMap<SocketAddr, Duration> {
        self.all_down.clone()
    }

    /// A pass begins. Adds the time since the latest one where nobody was healthy then.
    pub(super) fn count_down(&mut self, now: Instant) {
        let since = self.passed_at.replace(now).map(|at| now.saturating_duration_since(at));
        for (at, pool) in &self.by_service {
            let down = matches!(pool.mode(), Mode::LastResort | Mode::Empty);
            *self.all_down.entry(*at).or_default() += since.filter(|_| down).unwrap_or_default();
        }
    }

    /// What is wanted, by what the checkers say and what is there.
    pub(super) fn decide(
        &mut self,
        active: &ActiveConfig,
        environment: &Environment,
        handover: &Handover,
        health_table: &HealthTable,
        actual: &Actual,
        now: Instant,
    ) -> Decided {
        let (mut modes, mut lost, mut stale) = (BTreeMap::new(), Vec::new(), false);
        let nothing = BTreeMap::new();
        let mut desired = desired::judged(&active.config, environment.sources(), |service| {
            let members = members(active, environment, handover, health_table, service);
            let present = actual.services.get(&service.at).map_or(&nothing, |seen| &seen.destinations);
            let pool = self.by_service.entry(service.at).or_default();
            let before = pool.mode();
            let decision = pool.decide(&members, present, active.config.drain_timeout, now);
            announce(service.at, before, decision.mode);
            modes.insert(service.at, decision.mode);
            lost.extend(decision.cut.into_iter().map(|server| ServerId { service: service.at, server }));
            stale |= decision.stale;
            decision.destinations
        });
        handover.retire(&mut desired);
        Decided { desired, modes, lost, stale }
    }
}

/// The real servers of a virtual server: those that are configured, and those that may finish.
fn members<'a>(
    active: &ActiveConfig,
    environment: &Environment,
    handover: &'a Handover,
    health_table: &'a HealthTable,
    service: &ServiceConfig,
) -> Vec<Member<'a>> {
    let configured = service.servers.iter().filter_map(|server| {
        let RealServer { address, weight } = *server;
        let preferred = active.config.prefer_local && environment.owns(address.ip());
        let verdict = &health_table.get(&ServerId { service: service.at, server: address })?.verdict;
        Some(Member { server: address, weight, preferred, drained: active.drained.has(address), verdict })
    });
    let leaving = handover.leaving(service).map(|(server, verdict)| {
        let drained = active.drained.has(server);
        Member { server, weight: 1, preferred: false, drained, verdict }
    });
    configured.chain(leaving).collect()
}

fn announce(at: SocketAddr, before: Mode, now: Mode) {
    if before == now {
        return;
    }
    match now {
        Mode::Normal => info!(virtual_server = %at, "a real server is alive again; only alive ones serve"),
        Mode::Unready => {
            warn!(virtual_server = %at, "no real server is ready; those that are healthy go on serving");
        }
        Mode::LastResort => {
            warn!(virtual_server = %at, "no real server is healthy; the last good ones go on serving");
        }
        Mode::Empty => {
            error!(virtual_server = %at, "every real server is down; clients are refused at once");
        }
    }
}
