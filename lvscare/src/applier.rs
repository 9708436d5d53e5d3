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
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::config::value::RealServer;
use crate::desired;
use crate::health::checker::Board;
use crate::health::pool::{Member, Mode, Pool};
use crate::health::{Key, Verdict};
use crate::job::Job;
use crate::kernel::watch::Watch;
use crate::kernel::{Error, Kernel};
use crate::metrics::Metrics;
use crate::model::{Actual, Change, Desired, RouteOwner, SeenRoute, SeenService};
use crate::reconcile::plan;
use crate::repeats::Repeats;
use crate::takeover;
use crate::timer;

mod contest;
mod environment;
mod refusals;
mod stuck;
#[cfg(test)]
mod tests;

use contest::Contest;
use environment::Environment;
pub use environment::no_source;
use refusals::Refusals;

/// Rounds of read, plan and apply within one pass; more would mean that somebody else is changing the same
/// objects all the time, and then the next pass is early enough.
const ROUNDS: usize = 3;

/// What a flapping server brings about is logged so often within five minutes.
const BURST: u32 = 10;

/// What `status` says when the rounds were not enough.
const CONTESTED: &str = "somebody else keeps changing the same rules";

/// A verdict that is too old to be acted on is looked at again after this time.
const STALE: Duration = Duration::from_millis(200);

/// So long `status` tells of a virtual server that was taken over.
const TAKEOVER_SHOWN: Duration = Duration::from_secs(3600);

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
    /// What an operator should know although all is as it should be.
    pub notes: Vec<String>,
}

/// What a pass wants.
struct Decided {
    desired: Desired,
    modes: BTreeMap<SocketAddr, Mode>,
    /// Virtual and real server of every one that leaves the table with its connections cut.
    cut: Vec<Key>,
    /// A verdict is too old to be acted on.
    stale: bool,
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
    /// Virtual addresses that are configured no more and whose routes are not yet removed.
    retired_vips: BTreeSet<IpAddr>,
    /// Virtual servers that have come since the latest pass.
    joining: BTreeSet<SocketAddr>,
    /// What was found where one joined and is not kept, and when.
    takeovers: BTreeMap<SocketAddr, (Instant, String)>,
    environment: Environment,
    /// What the latest pass left in the kernel: a change that this would not need is somebody else's doing.
    last_applied: Option<Arc<Actual>>,
    refusals: Refusals,
    contest: Contest,
    repairs: u64,
    all_down: BTreeMap<SocketAddr, Duration>,
    /// When the latest pass began.
    passed_at: Option<Instant>,
    /// The latest pass has left something undone for want of a fresh verdict.
    stale: bool,
    repeats: Repeats,
    own_changes: Repeats,
}

impl<K: Kernel> Applier<K> {
    /// An applier that has not done anything yet.
    pub fn new(kernel: K, job: Arc<Job>, metrics: Metrics) -> Self {
        let joining = job.config.addresses().into_iter().collect();
        Self {
            kernel,
            job,
            metrics,
            pools: BTreeMap::new(),
            leaving: BTreeMap::new(),
            retired: BTreeSet::new(),
            retired_vips: BTreeSet::new(),
            joining,
            takeovers: BTreeMap::new(),
            environment: Environment::default(),
            last_applied: None,
            refusals: Refusals::default(),
            contest: Contest::default(),
            repairs: 0,
            all_down: BTreeMap::new(),
            passed_at: None,
            stale: false,
            repeats: Repeats::default(),
            own_changes: Repeats::after(BURST),
        }
    }

    /// What is in the kernel now.
    pub fn read(&mut self) -> Result<Actual, Error> {
        let mut vips: BTreeSet<IpAddr> =
            self.job.config.services.iter().map(|service| service.at.ip()).collect();
        vips.extend(&self.retired_vips);
        Ok(Actual {
            services: self.kernel.read_services(&self.addresses())?,
            routes: self.kernel.read_routes(&vips)?,
            sysctls: self.kernel.read_sysctls()?,
        })
    }

    /// The same, but what surrounds the table is taken from the latest pass while that is fresh.
    fn read_news(&mut self, now: Instant) -> Result<Actual, Error> {
        match &self.last_applied {
            Some(last) if self.environment.is_fresh(&self.job.config, now) => {
                let services = self.kernel.read_services(&self.addresses())?;
                Ok(Actual { services, routes: last.routes.clone(), sysctls: last.sysctls.clone() })
            }
            _ => self.read(),
        }
    }

    /// The virtual servers that are ours to look after.
    fn addresses(&self) -> Vec<SocketAddr> {
        self.job.config.addresses().into_iter().chain(self.retired.iter().copied()).collect()
    }

    /// From now on this is to be done. Real servers that are not mentioned any more finish what they have, virtual
    /// servers are removed.
    pub fn set(&mut self, job: Arc<Job>, now: Instant) {
        let before = std::mem::replace(&mut self.job, job);
        let config = &self.job.config;
        for service in &before.config.services {
            let Some(present) = config.service(service.at) else {
                self.retired.insert(service.at);
                self.retired_vips.insert(service.at.ip());
                self.pools.remove(&service.at);
                self.all_down.remove(&service.at);
                continue;
            };
            // Who is not in the table has nothing to finish.
            let last = self.last_applied.as_ref().and_then(|last| last.services.get(&service.at));
            let is_there = |server| last.is_some_and(|seen| seen.destinations.contains_key(server));
            let gone = service.servers.iter().filter(|gone| !present.has(gone.address));
            for gone in gone.filter(|gone| is_there(&gone.address)) {
                self.leaving.insert((service.at, gone.address), Verdict::leaving(now));
            }
        }
        let is_new = |at: &SocketAddr| before.config.service(*at).is_none();
        self.joining.extend(config.addresses().into_iter().filter(is_new));
        self.joining.retain(|at| config.service(*at).is_some());
        self.retired.retain(|at| config.service(*at).is_none());
        self.retired_vips.retain(|vip| config.services.iter().all(|service| service.at.ip() != *vip));
        self.leaving
            .retain(|(at, server), _| config.service(*at).is_some_and(|service| !service.has(*server)));
        self.environment.retain(config);
    }

    /// Real servers that are not configured and are found where a virtual server joins are those of somebody else: of
    /// the daemon before, which was told of other ones, or of an administrator. They finish what they have.
    fn adopt(&mut self, actual: &Actual, now: Instant) {
        for at in std::mem::take(&mut self.joining) {
            let (Some(seen), Some(service)) = (actual.services.get(&at), self.job.config.service(at)) else {
                continue;
            };
            for &server in seen.destinations.keys().filter(|server| !service.has(**server)) {
                self.leaving.insert((at, server), Verdict::leaving(now));
            }
            // Where our route is, the virtual server is that of a daemon before.
            let is_ours = actual.routes.get(&at.ip()).is_some_and(|route| route.owner == RouteOwner::Ours);
            if !is_ours && let Some(text) = lost_by_takeover(&self.job.config, at, seen) {
                warn!("{text}");
                self.takeovers.insert(at, (now, text));
            }
        }
    }

    /// One pass. What the kernel refuses is among the problems, all else is applied. The first pass ends at once with
    /// what would be refused for ever, before anything is half-made.
    pub fn pass(&mut self, board: &Board, now: Instant) -> Result<Applied, Error> {
        let is_first = self.last_applied.is_none();
        let mut round = 0;
        self.count_down(now);
        loop {
            round += 1;
            // Whatever was changed just now is looked at as a whole.
            let actual = if round == 1 { self.read_news(now)? } else { self.read()? };
            if !self.environment.is_fresh(&self.job.config, now) {
                for problem in self.environment.read(&mut self.kernel, &self.job.config, &actual.routes, now)
                {
                    self.metrics.refused();
                    self.complain(&problem, now);
                }
            }
            self.adopt(&actual, now);
            let Decided { desired, modes, cut, stale } = self.decide(board, &actual, now);
            self.stale = stale;
            let changes = self.refusals.due(plan(&desired, &actual), now);
            // Where a removal is refused, somebody may give the server weight again.
            let is_quiet = changes.is_empty() && (round > 1 || !takes_connections(&cut, &actual));
            if is_quiet || round > ROUNDS {
                return Ok(self.finish(actual, modes, !changes.is_empty(), now));
            }

            let stuck = self.find_stuck(cut, &actual, now);
            let done = self.apply(changes, &desired, is_first, now)?;
            self.free(stuck, &done, now);
        }
    }

    /// Makes these changes, each of which may fail without the others. Returns those that were made.
    fn apply(
        &mut self,
        changes: Vec<Change>,
        desired: &Desired,
        is_first: bool,
        now: Instant,
    ) -> Result<Vec<Change>, Error> {
        let plan_of_ours = |last: &Actual| plan(desired, last).into_iter().collect::<BTreeSet<Change>>();
        let ours = self.last_applied.as_deref().map(plan_of_ours);
        let (mut done, mut repairs) = (Vec::new(), Vec::new());
        let mut missing = BTreeSet::new();
        for change in changes {
            if matches!(change, Change::AddServer { at, .. } if missing.contains(&at)) {
                continue;
            }
            match self.kernel.apply(&change) {
                Ok(()) => {
                    let is_foreign = ours.as_ref().is_some_and(|ours| !ours.contains(&change));
                    self.report(&change, is_foreign, now);
                    if is_foreign {
                        repairs.push(change.clone());
                    }
                    done.push(change);
                }
                Err(error @ Error::Raced(_)) => debug!(%error, "reading again"),
                Err(error) if is_first && error.is_lasting() => return Err(error),
                Err(error) => {
                    missing.extend(refusals::created(&change));
                    // One that is to leave anyway, and cannot be brought back, is gone: others serve instead.
                    match change {
                        Change::AddService { at, .. } => {
                            self.leaving.retain(|(service, _), _| *service != at);
                        }
                        Change::AddServer { at, server, .. } => _ = self.leaving.remove(&(at, server)),
                        _ => {}
                    }
                    self.metrics.refused();
                    let why = self.refusals.add(change, &error, now);
                    self.complain(&why, now);
                }
            }
        }
        self.contest.add(&repairs, now);
        if let Some(text) = self.contest.announce(now) {
            warn!("{text}");
        }
        Ok(done)
    }

    /// Keeps in mind what is in the kernel at the end of a pass, and tells of it.
    fn finish(
        &mut self,
        actual: Actual,
        modes: BTreeMap<SocketAddr, Mode>,
        is_unfinished: bool,
        now: Instant,
    ) -> Applied {
        // Whatever is made there from now on is somebody else's.
        self.retired.retain(|at| actual.services.contains_key(at));
        let is_ours = |route: &SeenRoute| route.owner == RouteOwner::Ours;
        self.retired_vips.retain(|vip| actual.routes.get(vip).is_some_and(is_ours));
        self.leaving.retain(|(at, server), _| {
            actual.services.get(at).is_some_and(|seen| seen.destinations.contains_key(server))
        });
        let mut problems = self.refusals.problems();
        problems.extend(self.environment.problems(&self.job.config));
        problems.extend(is_unfinished.then(|| CONTESTED.to_owned()));
        self.takeovers.retain(|_, (since, _)| now.saturating_duration_since(*since) < TAKEOVER_SHOWN);
        let takeovers = self.takeovers.values().map(|(_, text)| text.clone());
        let notes = self.contest.describe(now).into_iter().chain(takeovers).collect();
        let actual = Arc::new(actual);
        self.last_applied = Some(actual.clone());
        let (all_down, repairs) = (self.all_down.clone(), self.repairs);
        Applied { at: now, actual, modes, all_down, repairs, problems, notes }
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
                Ok(latest) => _ = applied.send_replace(latest),
                Err(error) => {
                    // It may have changed what the latest complete pass had seen.
                    self.environment.expire();
                    self.metrics.refused();
                    self.complain(&error.to_string(), now);
                }
            }

            // Cancel-safety: a board change stays marked until `borrow_and_update`, a route event stays in
            // its socket; the sleep is made anew, which only delays the resync when there was a pass anyway.
            tokio::select! {
                () = timer::sleep(self.pause(Instant::now())) => {}
                changed = job.changed() => match changed {
                    // It is fetched at the top.
                    Ok(()) => job.mark_changed(),
                    Err(_) => return,
                },
                changed = board.changed() => if changed.is_err() { return },
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
        let pause = self.contest.pause(self.job.config.resync, now);
        if self.stale { pause.min(STALE) } else { pause }
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
        let mut stale = false;
        let nothing = BTreeMap::new();
        let job = self.job.clone();
        let config = &job.config;
        let mut desired = desired::judged(config, self.environment.sources(), |service| {
            let configured = service.servers.iter().filter_map(|server| {
                let RealServer { address, weight } = *server;
                let preferred = config.prefer_local && self.environment.owns(address.ip());
                let verdict = &board.get(&(service.at, address))?.verdict;
                let drained = job.drained.has(address);
                Some(Member { server: address, weight, preferred, drained, verdict })
            });
            let leaving = self.leaving.iter().filter(|((at, _), _)| *at == service.at);
            let leaving = leaving.map(|(&(_, server), verdict)| Member {
                server,
                weight: 1,
                preferred: false,
                drained: job.drained.has(server),
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
            stale |= decision.stale;
            decision.destinations
        });
        desired.retire(&self.retired, &self.retired_vips);
        Decided { desired, modes, cut, stale }
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

    fn complain(&mut self, problem: &str, now: Instant) {
        if self.repeats.admit(problem, now).is_some() {
            error!("{problem}");
        }
    }

    /// As `complain`, about something that is merely less good.
    fn note(&mut self, error: &Error, now: Instant) {
        if self.repeats.admit(&error.to_string(), now).is_some() {
            warn!("{error}");
        }
    }
}

/// What an administrator has made at `at` and lvscare does not keep.
fn lost_by_takeover(config: &Config, at: SocketAddr, seen: &SeenService) -> Option<String> {
    let wanted = desired::everything(config, &desired::Sources::new()).services.remove(&at)??;
    takeover::loses(seen, &wanted).then(|| {
        let found = takeover::describe(seen);
        format!(
            "virtual server {at} was there already and is taken over; what it had is replaced, its other real servers \
             drain: {found}"
        )
    })
}

/// Whether one of these servers gets new connections.
fn takes_connections(servers: &[Key], actual: &Actual) -> bool {
    let weight =
        |(at, server): &Key| Some(actual.services.get(at)?.destinations.get(server)?.destination.weight);
    servers.iter().filter_map(weight).any(|weight| weight > 0)
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
