//! The one task that changes the kernel: what the checkers found out goes in, the table comes out right.
//!
//! Every pass reads what is there, decides who serves, and applies the difference; it never remembers what it
//! did. Passes happen when a verdict changes, when a route or address changes, soon after somebody else's change, and
//! every `--resync`. The table is read in each; what surrounds it (routes, addresses, kernel settings) when a change of
//! it was announced, around changes of our own, and every ten seconds.
//!
//! A change that the kernel refuses keeps none of the others back, in no pass.
//!
//! Requests to the kernel are made on the runtime's own thread: the kernel answers each within `send()`, in
//! microseconds, and a second thread would cost more than it could save.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, warn};

use crate::active_config::ActiveConfig;
use crate::health::pool::Mode;
use crate::health::{HealthTable, ServerId};
use crate::kernel::watch::Watch;
use crate::kernel::{Error, Kernel};
use crate::metrics::Metrics;
use crate::model::{Actual, Change, Desired};
use crate::reconcile::plan;
use crate::timer;

mod clients;
mod contest;
mod environment;
mod handover;
mod pools;
mod refusals;
mod report;
#[cfg(test)]
mod tests;

use contest::Contest;
use environment::Environment;
use handover::Handover;
use pools::{Decided, Pools};
use refusals::Refusals;
use report::Reports;

/// Rounds of read, plan and apply within one pass; more would mean that somebody else is changing the same
/// objects all the time, and then the next pass is early enough.
const ROUNDS: usize = 3;

/// What `status` says when the rounds were not enough.
const CONTESTED: &str = "somebody else keeps changing the same rules";

/// A verdict that is too old to be acted on is looked at again after this time.
const STALE: Duration = Duration::from_millis(200);

/// Several routes or addresses often change together; one look at all of them is enough.
const GATHER: Duration = Duration::from_millis(20);

/// What the latest pass left behind.
#[derive(Clone, Debug)]
pub struct Applied {
    /// When the pass ended.
    pub time: Instant,
    /// What is in the kernel.
    pub actual: Arc<Actual>,
    /// Who serves in each virtual server, and why.
    pub modes: BTreeMap<SocketAddr, Mode>,
    /// How long, in all, nobody was healthy in each virtual server.
    pub all_down: BTreeMap<SocketAddr, Duration>,
    /// Changes that somebody else made and that were undone, since start.
    pub repairs: u64,
    /// What could not be done.
    pub problems: Vec<String>,
    /// What an operator should know although all is as it should be.
    pub notes: Vec<String>,
}

/// Keeps the kernel as it should be.
pub(crate) struct Applier<K> {
    kernel: K,
    active: Arc<ActiveConfig>,
    environment: Environment,
    handover: Handover,
    pools: Pools,
    refusals: Refusals,
    contest: Contest,
    reports: Reports,
    /// What the latest pass left in the kernel: a change that this would not need is somebody else's doing.
    last_applied: Option<Arc<Actual>>,
    /// The latest pass has left something undone for want of a fresh verdict.
    stale: bool,
}

/// The changes that were made in one round.
#[derive(Default)]
struct Done {
    changes: Vec<Change>,
    /// Those of them that somebody else had made necessary.
    repairs: Vec<Change>,
    /// Virtual servers that could not be made: their servers cannot be added.
    missing: BTreeSet<SocketAddr>,
}

impl<K: Kernel> Applier<K> {
    /// An applier that has not done anything yet.
    pub(crate) fn new(kernel: K, active: Arc<ActiveConfig>, metrics: Metrics) -> Self {
        Self {
            kernel,
            handover: Handover::to(&active.config),
            active,
            environment: Environment::default(),
            pools: Pools::default(),
            refusals: Refusals::default(),
            contest: Contest::default(),
            reports: Reports::new(metrics),
            last_applied: None,
            stale: false,
        }
    }

    /// What is in the kernel now.
    pub(crate) fn read(&mut self) -> Result<Actual, Error> {
        Ok(Actual {
            services: self.kernel.read_services(&self.handover.services(&self.active.config))?,
            routes: self.kernel.read_routes(&self.handover.vips(&self.active.config))?,
            sysctls: self.kernel.read_sysctls()?,
        })
    }

    /// The same, but what surrounds the table is taken from the latest pass while that is fresh.
    fn read_news(&mut self, now: Instant) -> Result<Actual, Error> {
        match &self.last_applied {
            Some(last) if self.environment.is_fresh(&self.active.config, now) => {
                let services = self.kernel.read_services(&self.handover.services(&self.active.config))?;
                Ok(Actual { services, routes: last.routes.clone(), sysctls: last.sysctls.clone() })
            }
            _ => self.read(),
        }
    }

    /// From now on this is to be done. Real servers that are not mentioned any more finish what they have, virtual
    /// servers are removed.
    pub(crate) fn set(&mut self, active: Arc<ActiveConfig>, now: Instant) {
        self.handover.add(&self.active.config, &active.config, self.last_applied.as_deref(), now);
        self.pools.retain(&active);
        self.environment.retain(&active.config);
        self.active = active;
    }

    /// One pass. What the kernel refuses is among the problems, all else is applied. The first pass ends at once with
    /// what would be refused for ever, before anything is half-made.
    pub(crate) fn pass(&mut self, health_table: &HealthTable, now: Instant) -> Result<Applied, Error> {
        let mut round = 0;
        self.pools.count_down(now);
        loop {
            round += 1;
            // Whatever was changed just now is looked at as a whole.
            let actual = if round == 1 { self.read_news(now)? } else { self.read()? };
            if !self.environment.is_fresh(&self.active.config, now) {
                let config = &self.active.config;
                for problem in self.environment.read(&mut self.kernel, config, &actual.routes, now) {
                    self.reports.refused(&problem, now);
                }
            }
            for takeover in self.handover.adopt(&self.active.config, &actual, now) {
                warn!("{takeover}");
            }
            let Decided { desired, modes, lost, stale } = self.decide(health_table, &actual, now);
            self.stale = stale;
            let changes = self.refusals.due(plan(&desired, &actual), now);
            // Where a removal is refused, somebody may give the server weight again.
            let is_quiet = changes.is_empty() && (round > 1 || !take_connections(&lost, &actual));
            if is_quiet || round > ROUNDS {
                return Ok(self.finish(actual, modes, !changes.is_empty(), now));
            }
            self.make(changes, &desired, &lost, &actual, now)?;
        }
    }

    fn decide(&mut self, health_table: &HealthTable, actual: &Actual, now: Instant) -> Decided {
        self.pools.decide(&self.active, &self.environment, &self.handover, health_table, actual, now)
    }

    /// Makes these changes, and frees the clients of servers that are `lost`. Whoever takes over for a lost server does
    /// so before that gets no new connections: no client meets a state in which nobody serves.
    fn make(
        &mut self,
        changes: Vec<Change>,
        desired: &Desired,
        lost: &[ServerId],
        actual: &Actual,
        now: Instant,
    ) -> Result<(), Error> {
        let plan_of_ours = |last: &Actual| plan(desired, last).into_iter().collect::<BTreeSet<Change>>();
        let ours = self.last_applied.as_deref().map(plan_of_ours);
        let (removals, others): (Vec<_>, Vec<_>) = changes.into_iter().partition(Change::is_removal);
        let mut done = Done::default();
        self.apply(others, ours.as_ref(), &mut done, now)?;
        let orphaned = clients::find(&mut self.kernel, &mut self.reports, lost, actual, now);
        self.apply(removals, ours.as_ref(), &mut done, now)?;
        clients::cut(&mut self.kernel, &mut self.reports, orphaned, &done.changes, now);
        self.contest.add(&done.repairs, now);
        if let Some(text) = self.contest.announce(now) {
            warn!("{text}");
        }
        Ok(())
    }

    /// Makes these changes, each of which may fail without the others. Those that are not among `ours` are repairs.
    fn apply(
        &mut self,
        changes: Vec<Change>,
        ours: Option<&BTreeSet<Change>>,
        done: &mut Done,
        now: Instant,
    ) -> Result<(), Error> {
        let is_first = self.last_applied.is_none();
        for change in changes {
            if matches!(change, Change::AddServer { at, .. } if done.missing.contains(&at)) {
                continue;
            }
            match self.kernel.apply(&change) {
                Ok(()) => {
                    if ours.is_some_and(|ours| !ours.contains(&change)) {
                        self.reports.repaired(&change, now);
                        done.repairs.push(change.clone());
                    } else {
                        self.reports.changed(&change, now);
                    }
                    done.changes.push(change);
                }
                Err(error @ Error::Raced(_)) => debug!(%error, "reading again"),
                Err(error) if is_first && error.is_lasting() => return Err(error),
                Err(error) => {
                    done.missing.extend(refusals::created(&change));
                    self.handover.refused(&change);
                    let why = self.refusals.add(change, &error, now);
                    self.reports.refused(&why, now);
                }
            }
        }
        Ok(())
    }

    /// Keeps in mind what is in the kernel at the end of a pass, and tells of it.
    fn finish(
        &mut self,
        actual: Actual,
        modes: BTreeMap<SocketAddr, Mode>,
        is_unfinished: bool,
        now: Instant,
    ) -> Applied {
        self.handover.settle(&actual);
        let mut problems = self.refusals.problems();
        problems.extend(self.environment.problems(&self.active.config));
        problems.extend(is_unfinished.then(|| CONTESTED.to_owned()));
        let notes = self.contest.describe(now).into_iter().chain(self.handover.notes(now)).collect();
        let actual = Arc::new(actual);
        self.last_applied = Some(actual.clone());
        let (all_down, repairs) = (self.pools.all_down(), self.reports.repairs());
        Applied { time: now, actual, modes, all_down, repairs, problems, notes }
    }

    /// Passes until the task is dropped, publishing what each left behind.
    pub(crate) async fn run(
        mut self,
        mut active: watch::Receiver<Arc<ActiveConfig>>,
        mut health_table: watch::Receiver<HealthTable>,
        mut watch: Option<Watch>,
        applied: watch::Sender<Applied>,
    ) {
        loop {
            let now = Instant::now();
            if active.has_changed().unwrap_or(false) {
                let active = active.borrow_and_update().clone();
                self.set(active, now);
            }
            let result = self.pass(&health_table.borrow_and_update(), now);
            self.reports.passed(now.elapsed());
            match result {
                Ok(latest) => _ = applied.send_replace(latest),
                Err(error) => {
                    // It may have changed what the latest complete pass had seen.
                    self.environment.expire();
                    self.reports.refused(&error.to_string(), now);
                }
            }

            // Cancel-safety: a change of the health table stays marked until `borrow_and_update`, a route event stays in
            // its socket; the sleep is made anew, which only delays the resync when there was a pass anyway.
            tokio::select! {
                () = timer::sleep(self.pause(Instant::now())) => {}
                changed = active.changed() => match changed {
                    // It is fetched at the top.
                    Ok(()) => active.mark_changed(),
                    Err(_) => return,
                },
                changed = health_table.changed() => if changed.is_err() { return },
                event = route_event(&mut watch) => {
                    if let Err(error) = event {
                        warn!(%error, "route events are lost; looking every {:?} only", environment::MAX_AGE);
                        watch = None;
                    }
                    self.environment.expire();
                    self.refusals.retry_routes(Instant::now());
                    tokio::time::sleep(GATHER).await;
                    if let Some(watch) = &mut watch {
                        watch.drain();
                    }
                }
            }
        }
    }

    /// How long to wait for news before the next pass. A verdict that was too old is said again soon, and not announced.
    fn pause(&self, now: Instant) -> Duration {
        let pause = self.contest.pause(self.active.config.resync, now);
        if self.stale { pause.min(STALE) } else { pause }
    }
}

/// Whether one of these servers gets new connections.
fn take_connections(servers: &[ServerId], actual: &Actual) -> bool {
    let weight = |id: &ServerId| {
        Some(actual.services.get(&id.service)?.destinations.get(&id.server)?.destination.weight)
    };
    servers.iter().filter_map(weight).any(|weight| weight > 0)
}

async fn route_event(watch: &mut Option<Watch>) -> std::io::Result<()> {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
