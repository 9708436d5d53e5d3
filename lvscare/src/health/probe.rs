//! One server, asked over one held connection.
//!
//! A probe asks `/healthz` and, when that is fine, `/readyz`, as HTTP/1.1 over the connection of the last
//! probe. A held connection that fails is replaced within the same probe: "closed" alone is never "down".
//! Only what a fresh connection sees counts against the server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::{Failure, Outcome, Phase, tls};
use crate::config::ProbeConfig;
use crate::config::value::Scheme;
use crate::exit;

mod dial;

/// A held connection is renewed this often, so that a dead listener behind a living connection is noticed.
const RENEWAL: Duration = Duration::from_secs(30);

/// What an apiserver says about its health fits here many times over.
const LONGEST_BODY: usize = 64 * 1024;

/// A limit that was noticed this late was not the server's doing: this node was stalled or asleep.
const LATENESS: Duration = Duration::from_millis(250);

/// How every server is asked; shared by all probers.
#[derive(Clone)]
pub struct Settings {
    config: ProbeConfig,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    ports: dial::Ports,
}

impl Settings {
    /// Reads the authority file, if one is configured.
    pub fn new(config: &ProbeConfig) -> Result<Self, exit::Failure> {
        let tls = match config.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let client: Arc<ClientConfig> = tls::client_config(config)?;
                Some((TlsConnector::from(client), tls::server_name(config)?))
            }
        };
        Ok(Self { config: config.clone(), tls, ports: dial::Ports::outside_ephemeral() })
    }

    /// Whether probes are encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// What a probe saw.
#[derive(Debug)]
pub struct Report {
    /// The answer, or why there was none.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// The time limit was noticed late: this node was stalled, and the outcome says little about the server.
    pub late: bool,
}

/// Asks one server again and again.
pub struct Prober {
    settings: Arc<Settings>,
    server: SocketAddr,
    held: Option<Held>,
}

/// A connection that is kept between probes.
struct Held {
    sender: SendRequest<Empty<Bytes>>,
    /// Drives the connection; ends when the peer closes it.
    driver: JoinHandle<()>,
    renew_at: Instant,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Prober {
    /// A prober of `server` without a connection yet.
    pub fn new(settings: Arc<Settings>, server: SocketAddr) -> Self {
        Self { settings, server, held: None }
    }

    /// Asks once.
    pub async fn probe(&mut self) -> Report {
        let start = Instant::now();
        let deadline = start + self.settings.config.timeout;
        let result = self.ask(deadline).await;
        let now = Instant::now();
        let late = now > deadline + LATENESS && matches!(result, Err(Failure::TimedOut(_)));
        let outcome = result.unwrap_or_else(|failure| {
            self.held = None;
            Outcome::Failed(failure)
        });
        Report { outcome, took: now - start, late }
    }

    /// Waits until the held connection ends; for ever when there is none.
    ///
    /// Cancel-safe: the end of a connection stays visible until the next probe.
    pub async fn ended(&mut self) {
        match &mut self.held {
            Some(held) => {
                // How the driver ended makes no difference; the next probe will see for itself.
                let _ = (&mut held.driver).await;
                self.held = None;
            }
            None => std::future::pending().await,
        }
    }

    async fn ask(&mut self, deadline: Instant) -> Result<Outcome, Failure> {
        let reusable = |held: &mut Held| !held.sender.is_closed() && Instant::now() < held.renew_at;
        if let Some(mut held) = self.held.take_if(reusable) {
            match self.ask_over(&mut held, deadline).await {
                Ok(outcome) => {
                    self.keep(held);
                    return Ok(outcome);
                }
                Err(failure @ Failure::TimedOut(_)) => return Err(failure),
                // The peer closed it just now, or garbled it: a fresh one will tell.
                Err(_) => {}
            }
        }
        // Make before break: the old connection lives until the new one has answered.
        let mut fresh = self.connect(deadline).await?;
        let outcome = self.ask_over(&mut fresh, deadline).await?;
        self.keep(fresh);
        Ok(outcome)
    }

    fn keep(&mut self, held: Held) {
        self.held = (!held.sender.is_closed()).then_some(held);
    }

    async fn ask_over(&self, held: &mut Held, deadline: Instant) -> Result<Outcome, Failure> {
        let config = &self.settings.config;
        let health = self.get(held, &config.health_path, deadline).await?;
        if !health.is_success() {
            let alive = matches!(health, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                || config.accepted.contains(&health.as_u16());
            return Ok(if alive { Outcome::Ready } else { Outcome::Unhealthy(health.as_u16()) });
        }
        let Some(path) = &config.ready_path else { return Ok(Outcome::Ready) };
        let ready = self.get(held, path, deadline).await?;
        // These three say that the server does not tell us.
        let untold =
            matches!(ready, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
        Ok(if ready.is_success() || untold { Outcome::Ready } else { Outcome::NotReady(ready.as_u16()) })
    }

    async fn get(&self, held: &mut Held, path: &str, deadline: Instant) -> Result<StatusCode, Failure> {
        let exchange = async {
            held.sender.ready().await?;
            let request = Request::get(path)
                .header(HOST, self.server.to_string())
                .header(USER_AGENT, concat!("lvscare/", env!("CARGO_PKG_VERSION")))
                .body(Empty::new());
            let Ok(request) = request else { return Ok(Err(Failure::Garbled(format!("bad path {path}")))) };
            let response = held.sender.send_request(request).await?;
            let status = response.status();
            let mut body = response.into_body();
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame?.data_ref().map_or(0, Bytes::len);
                if length > LONGEST_BODY {
                    return Ok(Err(Failure::Garbled(format!(
                        "more than {LONGEST_BODY} bytes in the answer"
                    ))));
                }
            }
            Ok(Ok(status))
        };
        match timeout_at(deadline, exchange).await {
            Err(_) => Err(Failure::TimedOut(Phase::Answer)),
            Ok(Err(error)) => Err(classify_http(&error)),
            Ok(Ok(result)) => result,
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Held, Failure> {
        let by = deadline.min(Instant::now() + self.settings.config.connect_timeout);
        let stream = match timeout_at(by, self.settings.ports.connect(self.server)).await {
            Err(_) => return Err(Failure::TimedOut(Phase::Connect)),
            Ok(Err(error)) => return Err(classify_io(&error)),
            Ok(Ok(stream)) => stream,
        };
        match &self.settings.tls {
            None => self.hold(stream).await,
            Some((connector, name)) => {
                match timeout_at(deadline, connector.connect(name.clone(), stream)).await {
                    Err(_) => Err(Failure::TimedOut(Phase::Handshake)),
                    Ok(Err(error)) => Err(classify_tls(&error)),
                    Ok(Ok(stream)) => self.hold(stream).await,
                }
            }
        }
    }

    async fn hold<S>(&self, stream: S) -> Result<Held, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| classify_http(&error))?;
        let driver = tokio::spawn(async move {
            // An error here is the peer's way of ending the connection.
            let _ = connection.await;
        });
        let renew_at = Instant::now() + RENEWAL.mul_f64(0.5 + fastrand::f64());
        Ok(Held { sender, driver, renew_at })
    }
}

fn classify_io(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::Reset,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Failure::Unreachable,
        // The kernel's own retransmissions gave up before our limit.
        io::ErrorKind::TimedOut => Failure::TimedOut(Phase::Connect),
        _ => Failure::Garbled(error.to_string()),
    }
}

fn classify_tls(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Failure::Tls(error.to_string()),
        _ => classify_io(error),
    }
}

fn classify_http(error: &hyper::Error) -> Failure {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return classify_tls(io);
        }
        source = inner.source();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Failure::Garbled("closed without an answer".into());
    }
    Failure::Garbled(error.to_string())
}
