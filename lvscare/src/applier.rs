//! The one task that changes the kernel: what the checkers found out goes in, the table comes out right.
//!
//! Every pass reads what is there, decides who serves, and applies the difference; it never remembers what it
//! did. Passes happen when a verdict changes, when a route or address changes, and every `--resync`. The table is
//! read in each; what surrounds it (routes, addresses, kernel settings) when a change of it was announced, around
//! changes of our own, and every ten seconds.
//!
//! Requests to the kernel are made on the runtime's own thread: the kernel answers each within `send()`, in
//! microseconds, and a second thread would cost more than it could save.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use crate::beat;
use crate::config::value::RealServer;
use crate::desired::{self, Sources};
use crate::health::checker::Board;
use crate::health::pool::{Member, Mode, Pool};
use crate::health::{Key, Verdict};
use crate::job::Job;
use crate::kernel::watch::Watch;
use crate::kernel::{Error, Kernel};
use crate::metrics::Metrics;
use crate::model::{Actual, Change, Desired};
use crate::reconcile::plan;
use crate::repeats::Repeats;

mod around;
mod stuck;
#[cfg(test)]
mod tests;

use around::LOOK_AROUND;
pub use around::no_source;

/// Rounds of read, plan and apply within one pass; more would mean that somebody else is changing the same
/// objects all the time, and then the next pass is early enough.
const ROUNDS: usize = 3;

/// What a flapping server brings about is logged so often within five minutes.
const BURST: u32 = 10;

/// What `status` says when the rounds were not enough.
const CONTESTED: &str = "somebody else keeps changing the same rules";

/// Several routes or addresses often change together; one look at all of them is enough.
const GATHER: Duration = Duration::from_millis(20);

/// What the latest pass left behind.
#[derive(Clone, Debug)]
pub struct Applied {
    /// When the pass ended.
    pub at: Instant,
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
}

/// What a pass wants.
struct Decided {
    desired: Desired,
    modes: BTreeMap<SocketAddr, Mode>,
    /// Virtual and real server of every one that leaves the table with its connections cut.
    cut: Vec<Key>,
}

/// Keeps the kernel as it should be.
pub struct Applier<K> {
    kernel: K,
    job: Arc<Job>,
    metrics: Metrics,
    pools: BTreeMap<SocketAddr, Pool>,
    /// Real servers that are configured no more but may finish what they have.
    leaving: BTreeMap<Key, Verdict>,
    /// Virtual servers that are configured no more and not yet removed.
    retired: BTreeSet<SocketAddr>,
    sources: Sources,
    own_addresses: BTreeSet<IpAddr>,
    /// When these two were looked up; `None` when that must be done again.
    looked_at: Option<Instant>,
    /// What the latest pass left in the kernel: a change that this would not need is somebody else's doing.
    left: Option<Arc<Actual>>,
    repairs: u64,
    all_down: BTreeMap<SocketAddr, Duration>,
    /// When the latest pass began.
    passed_at: Option<Instant>,
    repeats: Repeats,
    own_changes: Repeats,
}

impl<K: Kernel> Applier<K> {
    /// An applier that has not done anything yet.
    pub fn new(kernel: K, job: Arc<Job>, metrics: Metrics) -> Self {
        Self {
            kernel,
            job,
            metrics,
            pools: BTreeMap::new(),
            leaving: BTreeMap::new(),
            retired: BTreeSet::new(),
            sources: Sources::new(),
            own_addresses: BTreeSet::new(),
            looked_at: None,
            left: None,
            repairs: 0,
            all_down: BTreeMap::new(),
            passed_at: None,
            repeats: Repeats::default(),
            own_changes: Repeats::after(BURST),
        }
    }

    /// What is in the kernel now.
    pub fn read(&mut self) -> Result<Actual, Error> {
        let mut services = self.job.config.addresses();
        services.extend(&self.retired);
        self.kernel.read(&services)
    }

    /// From now on this is to be done. Real servers that are not mentioned any more finish what they have, virtual
    /// servers are removed.
    pub fn set(&mut self, job: Arc<Job>, now: Instant) {
        let before = std::mem::replace(&mut self.job, job);
        let config = &self.job.config;
        for service in &before.config.services {
            let Some(present) = config.service(service.at) else {
                self.retired.insert(service.at);
                self.pools.remove(&service.at);
                self.all_down.remove(&service.at);
                continue;
            };
            for gone in service.servers.iter().filter(|gone| !present.has(gone.address)) {
                self.leaving.insert((service.at, gone.address), Verdict::leaving(now));
            }
        }
        self.retired.retain(|at| config.service(*at).is_none());
        self.leaving
            .retain(|(at, server), _| config.service(*at).is_some_and(|service| !service.has(*server)));
        self.sources.retain(|vip, _| config.services.iter().any(|service| service.at.ip() == *vip));
        self.looked_at = None;
    }

    /// Real servers that are not configured and are found at the start are those of the daemon before, which was told
    /// of other ones: they finish what they have.
    fn adopt(&mut self, actual: &Actual, now: Instant) {
        for service in &self.job.config.services {
            let found =
                actual.services.get(&service.at).into_iter().flat_map(|seen| seen.destinations.keys());
            for &server in found.filter(|server| !service.has(**server)) {
                self.leaving.insert((service.at, server), Verdict::leaving(now));
            }
        }
    }

    /// One pass. The errors are those of single changes; the others were applied all the same.
    pub fn pass(&mut self, board: &Board, now: Instant) -> Result<(Applied, Vec<Error>), Error> {
        let mut refused = Vec::new();
        let mut round = 0;
        self.count_down(now);
        loop {
            round += 1;
            // Whatever was changed just now is looked at as a whole.
            let actual = if round == 1 { self.read_news(now)? } else { self.read()? };
            let mut errors = self.look_around(&actual, now);
            if self.left.is_none() && round == 1 {
                self.adopt(&actual, now);
            }
            let Decided { desired, modes, cut } = self.decide(board, &actual, now);
            let changes = plan(&desired, &actual);
            if changes.is_empty() || round > ROUNDS || !refused.is_empty() {
                errors.append(&mut refused);
                let contested = (round > ROUNDS).then(|| CONTESTED.to_owned());
                let problems = errors.iter().map(ToString::to_string).chain(self.missing_sources());
                let problems = problems.chain(contested).collect();
                if errors.is_empty() && changes.is_empty() {
                    self.retired.clear();
                }
                self.leaving.retain(|(at, server), _| {
                    actual.services.get(at).is_some_and(|seen| seen.destinations.contains_key(server))
                });
                let actual = Arc::new(actual);
                self.left = Some(actual.clone());
                let (all_down, repairs) = (self.all_down.clone(), self.repairs);
                let applied = Applied { at: now, actual, modes, all_down, repairs, problems };
                return Ok((applied, errors));
            }

            let plan_of_ours = |left: &Actual| plan(&desired, left).into_iter().collect::<BTreeSet<Change>>();
            let ours = self.left.as_deref().map(plan_of_ours);
            let stuck = self.find_stuck(cut, &actual, now);
            let mut done = Vec::new();
            for change in changes {
                match self.kernel.apply(&change) {
                    Ok(()) => {
                        let foreign = ours.as_ref().is_some_and(|ours| !ours.contains(&change));
                        self.report(&change, foreign, now);
                        done.push(change);
                    }
                    Err(error @ Error::Raced(_)) => debug!(%error, "reading again"),
                    Err(
                        error @ (Error::NotPermitted | Error::NoScheduler(_) | Error::HangingScheduler(_)),
                    ) => {
                        // Nothing that follows makes sense without it.
                        refused.push(error);
                        break;
                    }
                    Err(error) => refused.push(error),
                }
            }
            for _ in &refused {
                self.metrics.refused();
            }
            self.free(stuck, &done, now);
        }
    }

    /// Passes until the task is dropped, publishing what each left behind.
    pub async fn run(
        mut self,
        mut job: watch::Receiver<Arc<Job>>,
        mut board: watch::Receiver<Board>,
        mut watch: Option<Watch>,
        applied: watch::Sender<Applied>,
    ) {
        loop {
            let now = Instant::now();
            if job.has_changed().unwrap_or(false) {
                let job = job.borrow_and_update().clone();
                self.set(job, now);
            }
            let result = self.pass(&board.borrow_and_update(), now);
            self.metrics.passed(now.elapsed());
            match result {
                Ok((latest, errors)) => {
                    for error in &errors {
                        self.complain(error, now);
                    }
                    applied.send_replace(latest);
                }
                Err(error) => {
                    // It may have changed what the latest complete pass had seen.
                    self.looked_at = None;
                    self.metrics.refused();
                    self.complain(&error, now);
                }
            }

            // Cancel-safety: a board change stays marked until `borrow_and_update`, a route event stays in
            // its socket; the sleep is made anew, which only delays the resync when there was a pass anyway.
            tokio::select! {
                () = beat::sleep(self.job.config.resync) => {}
                changed = job.changed() => match changed {
                    // It is fetched at the top.
                    Ok(()) => job.mark_changed(),
                    Err(_) => return,
                },
                changed = board.changed() => if changed.is_err() { return },
                event = route_event(&mut watch) => {
                    if let Err(error) = event {
                        warn!(%error, "route events are lost; looking every {LOOK_AROUND:?} only");
                        watch = None;
                    }
                    self.looked_at = None;
                    tokio::time::sleep(GATHER).await;
                    if let Some(watch) = &mut watch {
                        watch.drain();
                    }
                }
            }
        }
    }

    /// Adds the time since the latest pass where nobody was healthy then.
    fn count_down(&mut self, now: Instant) {
        let since = self.passed_at.replace(now).map(|at| now.saturating_duration_since(at));
        for (at, pool) in &self.pools {
            let down = matches!(pool.mode(), Mode::LastResort | Mode::Empty);
            *self.all_down.entry(*at).or_default() += since.filter(|_| down).unwrap_or_default();
        }
    }

    fn decide(&mut self, board: &Board, actual: &Actual, now: Instant) -> Decided {
        let mut modes = BTreeMap::new();
        let mut cut = Vec::new();
        let nothing = BTreeMap::new();
        let job = self.job.clone();
        let config = &job.config;
        let mut desired = desired::judged(config, &self.sources, |service| {
            let configured = service.servers.iter().filter_map(|server| {
                let RealServer { address, weight } = *server;
                let preferred = config.prefer_local && self.own_addresses.contains(&address.ip());
                let verdict = &board.get(&(service.at, address))?.verdict;
                Some(Member { server: address, weight, preferred, verdict })
            });
            let leaving = self.leaving.iter().filter(|((at, _), _)| *at == service.at);
            let leaving = leaving.map(|(&(_, server), verdict)| Member {
                server,
                weight: 1,
                preferred: false,
                verdict,
            });
            let members: Vec<Member<'_>> = configured.chain(leaving).collect();
            let present = actual.services.get(&service.at).map_or(&nothing, |seen| &seen.destinations);
            let pool = self.pools.entry(service.at).or_default();
            let before = pool.mode();
            let decision = pool.decide(&members, present, config.drain_timeout, now);
            announce(service.at, before, decision.mode);
            modes.insert(service.at, decision.mode);
            cut.extend(decision.cut.into_iter().map(|server| (service.at, server)));
            decision.destinations
        });
        desired.retire(&self.retired);
        Decided { desired, modes, cut }
    }

    fn report(&mut self, change: &Change, foreign: bool, now: Instant) {
        if !foreign {
            match self.own_changes.admit(&change.to_string(), now) {
                Some(0) => info!("{change}"),
                Some(times) => info!("{change}; {times} times more lately"),
                None => debug!("{change}"),
            }
            return;
        }
        self.repairs += 1;
        self.metrics.repaired(change);
        match self.repeats.admit(&change.to_string(), now) {
            Some(0) => warn!("repaired what somebody else had changed: {change}"),
            Some(times) => warn!("repaired what somebody else had changed, {times} times more: {change}"),
            None => debug!("repaired again: {change}"),
        }
    }

    fn complain(&mut self, error: &Error, now: Instant) {
        if self.repeats.admit(&error.to_string(), now).is_some() {
            error!("{error}");
        }
    }

    /// As `complain`, about something that is merely less good.
    fn note(&mut self, error: &Error, now: Instant) {
        if self.repeats.admit(&error.to_string(), now).is_some() {
            warn!("{error}");
        }
    }
}

async fn route_event(watch: &mut Option<Watch>) -> std::io::Result<()> {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
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
