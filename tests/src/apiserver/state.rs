//! What all connections of one server share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Behaviour;
use crate::pki::Identity;

/// What a server has seen so far.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Connections ever accepted.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
    /// Requests for `/healthz`.
    pub healthz: u64,
    /// Requests for `/readyz`.
    pub readyz: u64,
    /// All other requests.
    pub other: u64,
    /// Requests without the right token.
    pub unauthorized: u64,
}

impl Stats {
    /// Requests of those who want to know how the server is.
    pub fn questions(&self) -> u64 {
        self.healthz + self.readyz
    }
}

/// The behaviour of the moment and the counters.
pub(super) struct State {
    pub(super) name: String,
    pub(super) tls: TlsAcceptor,
    /// The file with the token that requests must carry.
    pub(super) token: Option<PathBuf>,
    /// Where its certificate and its authority's lie.
    pub(super) directory: PathBuf,
    /// The list of masters that it hands out, as JSON.
    pub(super) masters: Mutex<Option<String>>,
    behaviour: watch::Sender<Behaviour>,
    listening: watch::Sender<bool>,
    stats: Mutex<Stats>,
}

impl State {
    pub(super) fn new(name: String, tls: TlsAcceptor, token: Option<PathBuf>, identity: &Identity) -> Self {
        Self {
            name,
            tls,
            token,
            directory: identity.certificate.parent().map(Path::to_owned).unwrap_or_default(),
            masters: Mutex::default(),
            behaviour: watch::Sender::new(Behaviour::Healthy),
            listening: watch::Sender::new(true),
            stats: Mutex::default(),
        }
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        *self.behaviour.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Behaviour> {
        self.behaviour.subscribe()
    }

    /// Waits until the behaviour is none of `these`, and says which it is.
    pub(super) async fn other_than(&self, these: &[Behaviour]) -> Behaviour {
        let mut receiver = self.subscribe();
        match receiver.wait_for(|now| !these.contains(now)).await {
            Ok(now) => *now,
            Err(_) => unreachable!("the sender lives in self"),
        }
    }

    /// Switches, and returns when a new connection would notice: a listener closes a moment later.
    pub(super) async fn switch(&self, to: Behaviour) {
        self.behaviour.send_replace(to);
        let listens = to != Behaviour::Deaf;
        // Whoever switches again meanwhile waits for its own.
        let done = |now: &bool| *now == listens || self.behaviour() != to;
        let _ = self.listening.subscribe().wait_for(done).await;
    }

    /// The accepting loop says whether it does.
    pub(super) fn listens(&self, yes: bool) {
        self.listening.send_replace(yes);
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().expect("no counter panics")
    }

    /// Counts a connection as open for as long as the result lives.
    pub(super) fn opened(self: &Arc<Self>) -> Open {
        let mut stats = self.stats();
        stats.accepted += 1;
        stats.open += 1;
        Open(self.clone())
    }
}

/// A connection that is counted as open.
pub(super) struct Open(Arc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.stats().open -= 1;
    }
}
