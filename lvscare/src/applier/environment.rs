//! What surrounds the table: this node's addresses and the source address of each virtual address's route.
//!
//! Finding it out costs as much as reading the table, and it hardly ever changes: so not every pass does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::desired::{Sources, no_source};
use crate::kernel::Kernel;
use crate::model::SeenRoute;

/// It is read anew when a route or an address changes. The kernel does not tell of every change (routes that vanish
/// with a link, settings), so that is done this often anyway.
pub(super) const MAX_AGE: Duration = Duration::from_secs(10);

/// What is known of it, and since when.
#[derive(Debug, Default)]
pub(super) struct Environment {
    sources: Sources,
    own_addresses: BTreeSet<IpAddr>,
    /// `None` when it must be read again.
    read_at: Option<Instant>,
    /// What could not be read the last time.
    problems: Vec<String>,
}

impl Environment {
    /// The source address of each virtual address's route, as far as it is known.
    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether `address` is one of this node. Known only with `--prefer-local`.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.own_addresses.contains(&address)
    }

    /// Something has changed: it is to be read again.
    pub(super) fn expire(&mut self) {
        self.read_at = None;
    }

    /// Forgets the virtual addresses that are configured no more.
    pub(super) fn retain(&mut self, config: &Config) {
        self.sources.retain(|vip, _| config.services.iter().any(|service| service.at.ip() == *vip));
        self.expire();
    }

    /// Whether it was read lately, and nothing has been announced or left open since.
    pub(super) fn is_fresh(&self, config: &Config, now: Instant) -> bool {
        let is_young = |at| now.saturating_duration_since(at) < MAX_AGE;
        self.read_at.is_some_and(is_young) && self.without_source(config).next().is_none()
    }

    /// Finds this node's addresses and the source address of each virtual address's route: as configured, else
    /// the one towards the first server that there is a way to, else what it was. Returns what went wrong.
    pub(super) fn read<K: Kernel>(
        &mut self,
        kernel: &mut K,
        config: &Config,
        routes: &BTreeMap<IpAddr, SeenRoute>,
        now: Instant,
    ) -> Vec<String> {
        self.read_at = Some(now);
        self.problems.clear();
        if config.prefer_local {
            match kernel.own_addresses() {
                Ok(addresses) => self.own_addresses = addresses,
                Err(error) => self.problems.push(error.to_string()),
            }
        }
        for service in &config.services {
            let vip = service.at.ip();
            let found = match config.node_ip {
                Some(node_ip) => Ok(Some(node_ip)),
                None => kernel.source_towards_any(service.hosts()),
            };
            let source = found.unwrap_or_else(|error| {
                self.problems.push(error.to_string());
                None
            });
            let known = || routes.get(&vip).and_then(|route| route.source);
            if let Some(source) = source.or_else(|| self.sources.get(&vip).copied()).or_else(known) {
                self.sources.insert(vip, source);
            }
        }
        self.problems.clone()
    }

    /// What could not be found out.
    pub(super) fn problems(&self, config: &Config) -> Vec<String> {
        self.problems.iter().cloned().chain(self.without_source(config).map(no_source)).collect()
    }

    fn without_source(&self, config: &Config) -> impl Iterator<Item = IpAddr> {
        let vips = config.services.iter().map(|service| service.at.ip());
        vips.filter(|vip| !self.sources.contains_key(vip))
    }
}
