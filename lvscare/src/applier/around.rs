//! What surrounds the table: routes, addresses, ways to the servers, kernel settings.
//!
//! Reading all of it costs as much as reading the table, and it hardly ever changes: so not every pass does.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Applier;
use crate::kernel::{Error, Kernel};
use crate::model::Actual;

/// What is around (addresses, routes, ways to the servers, settings) is looked up again when a route or an address
/// changes. The kernel does not tell of every change (routes that vanish with a link, settings), so it is done this
/// often anyway.
pub(super) const LOOK_AROUND: Duration = Duration::from_secs(10);

impl<K: Kernel> Applier<K> {
    /// As `read`, but what surrounds the table is taken from the latest pass while that is fresh.
    pub(super) fn read_news(&mut self, now: Instant) -> Result<Actual, Error> {
        match &self.left {
            Some(left) if self.knows_around(now) => {
                let services = self.kernel.read_services(&self.job.config.addresses())?;
                Ok(Actual { services, routes: left.routes.clone(), sysctls: left.sysctls.clone() })
            }
            _ => self.read(),
        }
    }

    /// Finds this node's addresses and the source address of each virtual address's route: as configured, else
    /// the one towards the first server that there is a way to, else what it was.
    pub(super) fn look_around(&mut self, actual: &Actual, now: Instant) -> Vec<Error> {
        let mut errors = Vec::new();
        if self.knows_around(now) {
            return errors;
        }
        self.looked_at = Some(now);
        let job = self.job.clone();
        if job.config.prefer_local {
            match self.kernel.own_addresses() {
                Ok(addresses) => self.own_addresses = addresses,
                Err(error) => errors.push(error),
            }
        }
        for service in &job.config.services {
            let vip = service.at.ip();
            let found = match job.config.node_ip {
                Some(node_ip) => Ok(Some(node_ip)),
                None => self.kernel.source_towards_any(service.hosts()),
            };
            let source = found.unwrap_or_else(|error| {
                errors.push(error);
                None
            });
            let known = || actual.routes.get(&vip).and_then(|route| route.source);
            if let Some(source) = source.or_else(|| self.sources.get(&vip).copied()).or_else(known) {
                self.sources.insert(vip, source);
            }
        }
        errors
    }

    /// Whether what is around was looked up lately, and nothing has been announced or left open since.
    fn knows_around(&self, now: Instant) -> bool {
        let fresh = |at| now.saturating_duration_since(at) < LOOK_AROUND;
        self.looked_at.is_some_and(fresh)
            && self.retired.is_empty()
            && self.missing_sources().next().is_none()
    }

    pub(super) fn missing_sources(&self) -> impl Iterator<Item = String> + '_ {
        let vips = self.job.config.services.iter().map(|service| service.at.ip());
        vips.filter(|vip| !self.sources.contains_key(vip)).map(no_source)
    }
}

/// Why a virtual address has no route.
pub fn no_source(vip: IpAddr) -> String {
    format!("no route for {vip}: this node has no way to any real server; give its address with --node-ip")
}
