//! A connection that is kept between probes, with the requests that are sent over it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::super::{Failure, Phase};
use super::http::{Connection, Stream};
use super::silence::Ends;
use crate::config::ProbeConfig;

/// A held connection is renewed this often, a quarter more or less, so that a dead listener behind a living connection
/// is noticed. More often would load apiservers with handshakes, which are their dearest answer to a probe.
const RENEWAL: Duration = Duration::from_secs(60);

/// How long a new connection is held; `spread` (0 to 1, random) keeps thousands of nodes apart.
pub fn renewal(spread: f64) -> Duration {
    RENEWAL.mul_f64(0.75 + 0.5 * spread)
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Alive or dead?
    Health,
    /// Ready or draining?
    Readiness,
    /// Both at once.
    Both,
}

/// A connection that is kept between probes.
pub(super) struct Held {
    connection: Connection,
    /// Between whom.
    pub(super) ends: Ends,
    /// Both requests, one behind the other, ready to be sent.
    requests: Vec<u8>,
    /// Where the second begins.
    readiness: usize,
    /// Everything was fine when it was last used.
    pub(super) fine: bool,
    /// Another one is to take its place then.
    pub(super) renew_at: Instant,
}

impl Held {
    /// A new connection to `ends.server` over `stream`. Tokens are renewed, so each connection reads its own.
    pub(super) fn new(stream: impl Stream + 'static, ends: Ends, config: &ProbeConfig) -> Self {
        let token = config.token_file.as_deref().and_then(|file| match read_token(file) {
            Ok(token) => Some(token),
            Err(why) => {
                debug!("token file {}: {why}", file.display());
                None
            }
        });
        let mut requests = get(&config.health_path, ends.server, token.as_deref());
        let readiness = requests.len();
        if let Some(path) = &config.ready_path {
            requests.extend(get(path, ends.server, token.as_deref()));
        }
        let renew_at = Instant::now() + renewal(fastrand::f64());
        Self { connection: Connection::new(stream), ends, requests, readiness, fine: false, renew_at }
    }

    /// Whether another question can be asked.
    pub(super) fn is_usable(&self) -> bool {
        self.connection.is_usable()
    }

    /// Whether an answer is still to come.
    pub(super) fn is_awaited(&self) -> bool {
        self.connection.is_awaited()
    }

    /// Waits until the connection ends. Cancel-safe.
    pub(super) async fn ended(&mut self) {
        self.connection.ended().await;
    }

    /// Asks, and returns the status of the first answer. Whoever gives up waiting can still fetch it with
    /// [`answer`](Self::answer).
    pub(super) async fn ask(&mut self, question: Question, deadline: Instant) -> Result<u16, Failure> {
        let (health, readiness) = self.requests.split_at(self.readiness);
        let (requests, count) = match question {
            Question::Health => (health, 1),
            Question::Readiness => (readiness, 1),
            Question::Both => (&self.requests[..], 2),
        };
        let connection = &mut self.connection;
        by(deadline, async {
            connection.send(requests, count).await?;
            connection.answer().await
        })
        .await
    }

    /// The status of the next answer. Cancel-safe.
    pub(super) async fn answer(&mut self, deadline: Instant) -> Result<u16, Failure> {
        by(deadline, self.connection.answer()).await
    }
}

async fn by(deadline: Instant, answer: impl Future<Output = Result<u16, Failure>>) -> Result<u16, Failure> {
    timeout_at(deadline, answer).await.unwrap_or(Err(Failure::TimedOut(Phase::Answer)))
}

fn get(path: &str, server: SocketAddr, token: Option<&str>) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: lvscare/{version}\r\n");
    if let Some(token) = token {
        request.push_str("Authorization: Bearer ");
        request.push_str(token);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// The token of a file, without the line end that editors leave.
pub(super) fn read_token(file: &Path) -> Result<String, String> {
    let text = crate::files::read_text(file).map_err(|error| error.to_string())?;
    let token = text.trim();
    if token.is_empty() || token.contains(|c: char| c.is_ascii_control()) {
        return Err("holds no token in one line".into());
    }
    Ok(token.to_owned())
}
