//! Who the masters are, as the API itself says.
//!
//! ```text
//!   kubeconfig ──► query ────virtual server──► API
//!                     │ answer
//!                  membership (pure) ◄── health of each server
//!                     │
//!      store ◄── run ─┴─► Found ──► whoever fills the virtual server
//! ```
//!
//! - [`membership`] decides which servers count, given one answer after another; pure. Start reading there.
//! - `answer` reads what the API says, `backoff` says when to ask; both pure.
//! - `query` asks once; `kubeconfig` and `tls` say as whom.
//! - `store` keeps the last good list for a start without the API; `disk` is the thread that waits for files.
//! - `discoveries` are all of them, one per virtual server whose masters are learned.
//!
//! # How to use it
//!
//! ```text
//! let found = watch::Sender::new(discover::initial(&settings));
//! tasks.spawn(discover::run(settings, health_table.subscribe(), health_on_board, found.clone(), metrics));
//! // found.borrow().servers are the real servers, now and after every change
//! ```
//!
//! [`Found::servers`] is complete: the configured servers, with those of an earlier life if there are any, until the API
//! has answered; what was learned afterwards. Whoever reads it never merges. The task may be aborted at any time and another one started with
//! other settings and the same sender: it goes on from what was found. Another virtual server needs another
//! sender.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use tracing::{info, warn};

use crate::log_throttle::LogThrottle;
use crate::metrics::Metrics;

mod answer;
mod backoff;
mod discoveries;
mod disk;
mod kubeconfig;
pub mod membership;
mod query;
mod store;

pub use discoveries::Discoveries;
use disk::Disk;
use membership::{Health, Members, Step};
use store::Origin;

/// How the masters are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The virtual server: where to ask, and what the masters stand behind. Only masters of its family count.
    pub at: SocketAddr,
    /// Who serves until something was learned, and is tried when all that was learned are dead.
    pub configured: Vec<SocketAddr>,
    /// The credentials; kubelet's are in `/etc/kubernetes/kubelet.conf`.
    pub kubeconfig: PathBuf,
    /// The name in the apiservers' certificates, unless the kubeconfig says another.
    pub server_name: String,
    /// Where the last good list is kept; `None`: nowhere.
    pub store: Option<PathBuf>,
    /// How often to ask, give or take a fifth.
    pub interval: Duration,
}

/// The masters, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Sorted, none twice, never empty unless nothing is configured, at most [`membership::MOST`].
    pub servers: Vec<SocketAddr>,
    /// How they were found.
    pub source: Source,
    /// When the source last said so. It moves with every answer, without waking those who wait for changes.
    pub time: Instant,
    /// What keeps the list from being learned or kept; for people.
    pub problem: Option<String>,
}

/// How the masters were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// They are the configured ones.
    Configured,
    /// They were learned in an earlier life of the daemon; the configured ones are tried as well.
    Disk,
    /// The API said so.
    Api,
}

/// What is known before anybody is asked: the configured servers, and those on disk if they were learned there.
pub fn initial(settings: &Settings) -> Found {
    // Before a join there are no credentials yet; then the file's authorities cannot be compared.
    let trust = || kubeconfig::read(&settings.kubeconfig).ok().map(|credentials| credentials.trust());
    let load = |file| store::load(file, &Origin { trust: trust(), ..origin(settings) });
    let loaded = settings.store.as_deref().map_or(Ok(None), load);
    let (learned, problem) = match loaded {
        Ok(learned) => (learned, None),
        Err(error) => {
            warn!("{error}");
            (None, Some(error.to_string()))
        }
    };
    let time = Instant::now();
    match learned {
        Some(servers) => {
            info!(servers = %list(&servers), "masters as learned before; the configured ones are tried as well");
            Found { servers: with_configured(settings, &servers), source: Source::Disk, time, problem }
        }
        None => Found { servers: configured(settings), source: Source::Configured, time, problem },
    }
}

/// Asks again and again and publishes what it learns, until the task is dropped.
///
/// `health` reads from the latest `health_table` what is known of a server. A change of the health table is a reason to look
/// whether anybody is alive.
pub async fn run<B, H>(
    settings: Settings,
    health_table: watch::Receiver<B>,
    health: H,
    found: watch::Sender<Found>,
    metrics: Metrics,
) where
    B: Send + Sync,
    H: Fn(&B, SocketAddr) -> Health + Send + Sync,
{
    // Other settings may have come since the list was made.
    found.send_if_modified(|found| {
        let earlier = if found.source == Source::Configured { Vec::new() } else { found.servers.clone() };
        // Whoever has answered before may not answer these settings.
        let servers = with_configured(&settings, &earlier);
        let stale = found.servers != servers;
        found.servers = servers;
        stale
    });
    let members = Members::new(found.borrow().servers.iter().copied(), settings.interval.mul_f64(0.5));
    let discovery = Discovery {
        settings,
        health_table,
        health,
        found,
        metrics,
        members,
        disk: Disk::default(),
        saved: None,
        unsaved: None,
        failures: 0,
        said: LogThrottle::default(),
    };
    discovery.run().await;
}

struct Discovery<B, H> {
    settings: Settings,
    health_table: watch::Receiver<B>,
    health: H,
    found: watch::Sender<Found>,
    metrics: Metrics,
    members: Members,
    disk: Disk,
    /// What the disk is known to hold.
    saved: Option<(Origin, Vec<SocketAddr>)>,
    /// Why the list could not be written.
    unsaved: Option<String>,
    /// Questions in a row that came to nothing.
    failures: u32,
    said: LogThrottle,
}

impl<B, H> Discovery<B, H>
where
    B: Send + Sync,
    H: Fn(&B, SocketAddr) -> Health + Send + Sync,
{
    async fn run(mut self) {
        let mut due = after(backoff::first(self.settings.interval, fastrand::f64()));
        loop {
            self.rescue();
            // Cancel-safety: the time of the next question is kept, and a change of the health table stays visible.
            tokio::select! {
                () = tokio::time::sleep_until(due) => {
                    self.ask().await;
                    let pause = backoff::next(self.settings.interval, self.failures, fastrand::f64());
                    due = after(pause);
                }
                Ok(()) = self.health_table.changed() => {}
            }
        }
    }

    /// Asks once, publishes what came of it, and keeps it.
    async fn ask(&mut self) {
        let reply = match query::ask(&self.settings, &mut self.disk).await {
            Ok(reply) => reply,
            Err(problem) => {
                self.failures = self.failures.saturating_add(1);
                self.metrics.not_learned(self.settings.at, problem.reason());
                let problem = self.complain(&problem.kind(), problem.to_string());
                return self.publish(None, Some(problem));
            }
        };
        self.failures = 0;
        if !reply.verified {
            let problem = "the API is asked without verifying its certificate, as the kubeconfig wants";
            self.complain(problem, problem.to_owned());
        }
        if let Some(detour) = reply.detour {
            let problem = format!("{detour}; the server that the kubeconfig names has answered instead");
            self.complain(&detour.kind(), problem);
        }
        let now = Instant::now();
        let step = {
            let health_table = self.health_table.borrow();
            self.members.learn(&reply.masters, |server| (self.health)(&health_table, server), now)
        };
        self.announce(&step, now);
        // A disk that hangs is not to hold up the list.
        self.publish(Some(now), self.unsaved.clone());
        self.unsaved =
            self.save(reply.trust).await.err().map(|problem| self.complain(&problem.clone(), problem));
        self.publish(None, self.unsaved.clone());
    }

    /// When nobody is alive, the configured servers are tried as well.
    fn rescue(&mut self) {
        let added = {
            let health_table = self.health_table.borrow_and_update();
            self.members.rescue(&self.settings.configured, |server| (self.health)(&health_table, server))
        };
        if !added.is_empty() {
            warn!(servers = %list(&added), "no known master is alive; trying the configured ones as well");
            let problem = self.found.borrow().problem.clone();
            self.publish(None, problem);
        }
    }

    /// Wakes the readers if there is news for them. `learned`: when the API has just answered.
    fn publish(&self, learned: Option<Instant>, problem: Option<String>) {
        let servers = self.members.servers();
        self.found.send_if_modified(|found| {
            let source = if learned.is_some() { Source::Api } else { found.source };
            let time = learned.unwrap_or(found.time);
            let next = Found { servers, source, time, problem };
            let news = Found { time, ..found.clone() } != next;
            *found = next;
            news
        });
    }

    /// Writes the list when it is another one than on disk. A failure is repeated with the next answer.
    async fn save(&mut self, trust: String) -> Result<(), String> {
        let Some(file) = self.settings.store.clone() else { return Ok(()) };
        let now = (Origin { trust: Some(trust), ..origin(&self.settings) }, self.members.servers());
        if self.saved.as_ref() == Some(&now) {
            return Ok(());
        }
        let (origin, servers) = now.clone();
        let saved = self.disk.run(move || store::save(&file, &origin, &servers)).await;
        saved.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        self.saved = Some(now);
        Ok(())
    }

    fn announce(&mut self, step: &Step, now: Instant) {
        let Step { added, dropped, kept } = step;
        if !added.is_empty() {
            info!(servers = %list(added), "the API names new masters");
        }
        if !dropped.is_empty() {
            info!(servers = %list(dropped), "masters that the API no longer names are dropped");
        }
        let kept = list(kept);
        if !kept.is_empty() && self.said.allow(&kept, now).is_some() {
            info!(servers = %kept, "the API no longer names these masters; they are kept for now");
        }
    }

    /// `kind` is what stays the same while the problem does.
    fn complain(&mut self, kind: &str, problem: String) -> String {
        if self.said.allow(kind, Instant::now()).is_some() {
            warn!("{problem}");
        }
        problem
    }
}

fn configured(settings: &Settings) -> Vec<SocketAddr> {
    let set: BTreeSet<SocketAddr> = settings.configured.iter().copied().collect();
    set.into_iter().take(membership::MOST).collect()
}

/// A pause so long that no clock can tell its end is none.
fn after(pause: Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

/// The configured servers, then others as far as there is room for them.
fn with_configured(settings: &Settings, others: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut servers: BTreeSet<SocketAddr> = configured(settings).into_iter().collect();
    for &other in others {
        if servers.len() < membership::MOST {
            servers.insert(other);
        }
    }
    servers.into_iter().collect()
}

/// Where a list is learned, as far as that can be said without reading a file.
fn origin(settings: &Settings) -> Origin {
    Origin { at: settings.at, configured: configured(settings), trust: None }
}

fn list(servers: &[SocketAddr]) -> String {
    servers.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}
