//! The one task that changes the kernel: what the checkers found out goes in, the table comes out right.
//!
//! Every pass reads what is there, decides who serves, and applies the difference; it never remembers what it
//! did. Passes happen when a verdict changes, when a route or address changes, and every `--resync`.
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
use crate::desired::{self, Sources};
use crate::health::checker::Board;
use crate::health::pool::{Member, Mode, Pool};
use crate::kernel::watch::Watch;
use crate::kernel::{Error, Kernel};
use crate::model::{Actual, Change, Desired};
use crate::reconcile::plan;
use crate::repeats::Repeats;

#[cfg(test)]
mod tests;

/// Rounds of read, plan and apply within one pass; more would mean that somebody else is changing the same
/// objects all the time, and then the next pass is early enough.
const ROUNDS: usize = 3;

/// What `status` says when the rounds were not enough.
const CONTESTED: &str = "somebody else keeps changing the same rules";

/// Several routes or addresses often change together; one look at all of them is enough.
const GATHER: Duration = Duration::from_millis(20);

/// Source addresses are looked up again when a route or an address changes. The kernel does not tell of every
/// change (routes that vanish with a link for example), so they are looked up this often anyway.
const SOURCES_AGE: Duration = Duration::from_secs(10);

/// What the latest pass left behind.
#[derive(Clone, Debug)]
pub struct Applied {
    /// When the pass ended.
    pub at: Instant,
    /// What is in the kernel.
    pub actual: Actual,
    /// Who serves in each virtual server, and why.
    pub modes: BTreeMap<SocketAddr, Mode>,
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
    cut: Vec<(SocketAddr, SocketAddr)>,
}

/// Clients that are connected to a server that is about to be removed.
struct Stuck {
    at: SocketAddr,
    server: SocketAddr,
    clients: BTreeSet<SocketAddr>,
}

/// Keeps the kernel as it should be.
pub struct Applier<K> {
    kernel: K,
    config: Arc<Config>,
    pools: BTreeMap<SocketAddr, Pool>,
    sources: Sources,
    /// When the sources were looked up; `None` when that must be done again.
    sources_at: Option<Instant>,
    /// What the latest pass left in the kernel: a change that this would not need is somebody else's doing.
    left: Option<Actual>,
    repairs: u64,
    repeats: Repeats,
}

impl<K: Kernel> Applier<K> {
    /// An applier that has not done anything yet.
    pub fn new(kernel: K, config: Arc<Config>) -> Self {
        Self {
            kernel,
            config,
            pools: BTreeMap::new(),
            sources: Sources::new(),
            sources_at: None,
            left: None,
            repairs: 0,
            repeats: Repeats::default(),
        }
    }

    /// What is in the kernel now.
    pub fn read(&mut self) -> Result<Actual, Error> {
        self.kernel.read(&self.config.addresses())
    }

    /// One pass. The errors are those of single changes; the others were applied all the same.
    pub fn pass(&mut self, board: &Board, now: Instant) -> Result<(Applied, Vec<Error>), Error> {
        let mut refused = Vec::new();
        let mut round = 0;
        loop {
            round += 1;
            let actual = self.read()?;
            let mut errors = self.learn_sources(&actual, now);
            let Decided { desired, modes, cut } = self.decide(board, &actual, now);
            let changes = plan(&desired, &actual);
            if changes.is_empty() || round > ROUNDS || !refused.is_empty() {
                errors.append(&mut refused);
                let contested = (round > ROUNDS).then(|| CONTESTED.to_owned());
                let problems = errors.iter().map(ToString::to_string).chain(self.missing_sources());
                let problems = problems.chain(contested).collect();
                self.left = Some(actual.clone());
                let applied = Applied { at: now, actual, modes, repairs: self.repairs, problems };
                return Ok((applied, errors));
            }

            let ours = self.left.as_ref().map(|left| plan(&desired, left));
            let stuck = self.find_stuck(cut, now);
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
            self.free(stuck, &done, now);
        }
    }

    /// Passes until the task is dropped, publishing what each left behind.
    pub async fn run(
        mut self,
        mut board: watch::Receiver<Board>,
        mut watch: Option<Watch>,
        applied: watch::Sender<Applied>,
    ) {
        loop {
            let now = Instant::now();
            let result = {
                let board = board.borrow_and_update().clone();
                self.pass(&board, now)
            };
            match result {
                Ok((latest, errors)) => {
                    for error in &errors {
                        self.complain(error, now);
                    }
                    applied.send_replace(latest);
                }
                Err(error) => self.complain(&error, now),
            }

            // Cancel-safety: a board change stays marked until `borrow_and_update`, a route event stays in
            // its socket; the sleep is made anew, which only delays the resync when there was a pass anyway.
            tokio::select! {
                () = tokio::time::sleep(self.config.resync) => {}
                changed = board.changed() => if changed.is_err() { return },
                event = route_event(&mut watch) => {
                    if let Err(error) = event {
                        warn!(%error, "route events are lost; looking every {:?} only", self.config.resync);
                        watch = None;
                    }
                    self.sources_at = None;
                    tokio::time::sleep(GATHER).await;
                    if let Some(watch) = &mut watch {
                        watch.drain();
                    }
                }
            }
        }
    }

    fn decide(&mut self, board: &Board, actual: &Actual, now: Instant) -> Decided {
        let mut modes = BTreeMap::new();
        let mut cut = Vec::new();
        let nothing = BTreeMap::new();
        let verdicts: BTreeMap<_, _> =
            board.iter().map(|entry| ((entry.service, entry.server), &entry.verdict)).collect();
        let desired = desired::judged(&self.config, &self.sources, |service| {
            let members: Vec<Member<'_>> = service
                .servers
                .iter()
                .filter_map(|server| {
                    Some(Member {
                        server: server.address,
                        weight: server.weight,
                        preferred: self.config.preferred.contains(&server.address.ip()),
                        verdict: verdicts.get(&(service.at, server.address))?,
                    })
                })
                .collect();
            let present = actual.services.get(&service.at).map_or(&nothing, |seen| &seen.destinations);
            let pool = self.pools.entry(service.at).or_default();
            let before = pool.mode();
            let decision = pool.decide(&members, present, self.config.drain_timeout, now);
            announce(service.at, before, decision.mode);
            modes.insert(service.at, decision.mode);
            cut.extend(decision.cut.into_iter().map(|server| (service.at, server)));
            decision.destinations
        });
        Decided { desired, modes, cut }
    }

    /// The clients of servers that are about to be removed.
    fn find_stuck(&mut self, cut: Vec<(SocketAddr, SocketAddr)>, now: Instant) -> Vec<Stuck> {
        let mut stuck = Vec::new();
        for (at, server) in cut {
            match self.kernel.clients_of(at, server) {
                Ok(clients) => stuck.push(Stuck { at, server, clients }),
                Err(error) => self.note(&error, now),
            }
        }
        stuck
    }

    /// Cuts the connections of those whose server was removed, so that they need not find out by themselves.
    fn free(&mut self, stuck: Vec<Stuck>, done: &[Change], now: Instant) {
        for Stuck { at, server, clients } in stuck {
            let removed = [Change::RemoveServer { at, server }, Change::RemoveService { at }];
            if !removed.iter().any(|removal| done.contains(removal)) {
                continue;
            }
            match self.kernel.cut(at, &clients) {
                Ok(0) => {}
                Ok(count) => info!(%server, "cut {count} connections of this node"),
                Err(error) => self.note(&error, now),
            }
        }
    }

    /// Finds the source address of each virtual address's route: as configured, else the one towards the
    /// first server that there is a way to, else what it was.
    fn learn_sources(&mut self, actual: &Actual, now: Instant) -> Vec<Error> {
        let mut errors = Vec::new();
        let fresh = |at| now.saturating_duration_since(at) < SOURCES_AGE;
        if self.sources_at.is_some_and(fresh) && self.missing_sources().next().is_none() {
            return errors;
        }
        self.sources_at = Some(now);
        for service in &self.config.services {
            let vip = service.at.ip();
            let found = match self.config.node_ip {
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

    fn missing_sources(&self) -> impl Iterator<Item = String> + '_ {
        let vips = self.config.services.iter().map(|service| service.at.ip());
        vips.filter(|vip| !self.sources.contains_key(vip)).map(no_source)
    }

    fn report(&mut self, change: &Change, foreign: bool, now: Instant) {
        if !foreign {
            info!("{change}");
            return;
        }
        self.repairs += 1;
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

/// Why a virtual address has no route.
pub fn no_source(vip: IpAddr) -> String {
    format!("no route for {vip}: this node has no way to any real server; give its address with --node-ip")
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
