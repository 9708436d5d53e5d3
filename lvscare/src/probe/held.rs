//! A connection that is kept between probes, with the questions that are asked over it.

use std::time::Instant;

use tokio::time::timeout_at;

use super::classify::unanswered;
use super::inquiry::{Question, Untold};
use super::settings::Settings;
use super::silence::Endpoints;
use super::stream::GivenUp;
use crate::health::{Failure, Phase};
use crate::http::{self, Connection, Limits, Request, Stream};

/// A health page is judged by its status, whatever stands in it, but nobody is listened to for ever.
const LIMITS: Limits = Limits { body_bytes: 1 << 20, keep_body: false };

/// What apiservers find in their logs.
const AGENT: &str = concat!("lvscare/", env!("CARGO_PKG_VERSION"));

/// A connection that is kept between probes.
pub(super) struct PersistentConnection {
    connection: Connection,
    given_up: GivenUp,
    /// Between whom.
    pub(super) ends: Endpoints,
    health: Request,
    readiness: Request,
    /// What the server has not told over this connection.
    pub(super) untold: Untold,
    /// How often the server had been suspected when the connection was made.
    pub(super) suspected: u64,
    /// Another one is to take its place then.
    pub(super) renew_at: Instant,
}

impl PersistentConnection {
    /// A new connection to `ends.server` over `stream`. Tokens are renewed, so each connection reads its own.
    pub(super) fn new(stream: impl Stream, given_up: GivenUp, ends: Endpoints, settings: &Settings) -> Self {
        let token = settings.credentials.token();
        let request = |path| http::get(path, ends.server, AGENT, token.as_ref());
        Self {
            connection: Connection::new(stream, LIMITS),
            given_up,
            ends,
            health: request(&settings.health_path),
            readiness: request(&settings.ready_path),
            untold: Untold::default(),
            suspected: 0,
            renew_at: Instant::now(),
        }
    }

    /// Whether another question can be asked.
    pub(super) fn is_usable(&self) -> bool {
        self.connection.is_usable()
    }

    /// Waits until the connection ends. Cancel-safe.
    pub(super) async fn ended(&mut self) {
        self.connection.ended().await;
    }

    /// Whether it has ended because for a while nobody has acknowledged anything.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_true()
    }

    /// Asks; [`answer`](Self::answer) has the answer.
    pub(super) fn ask(&mut self, question: Question) {
        let request = match question {
            Question::Health => &self.health,
            Question::Readiness => &self.readiness,
        };
        self.connection.send(request.clone());
    }

    /// The status of the answer to what was asked last. Cancel-safe.
    pub(super) async fn answer(&mut self, deadline: Instant) -> Result<u16, Failure> {
        match timeout_at(deadline.into(), self.connection.answer()).await {
            Ok(answer) => answer.map(|answer| answer.status).map_err(unanswered),
            Err(_) => Err(Failure::TimedOut(Phase::Answer)),
        }
    }
}
