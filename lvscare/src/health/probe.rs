//! One server, asked over one held connection.
//!
//! A probe asks `/healthz` and, when that is fine, `/readyz`, as HTTP/1.1 over the connection of the last
//! probe. A held connection that fails is replaced within the same probe: "closed" alone is never "down".
//! Only what a fresh connection sees counts against the server.
//!
//! While all is well both questions are sent at once, which halves the work for both sides. A server that is in trouble
//! is asked one after the other, and so is one that does not answer two questions (some boxes in between do not).
//!
//! Where nobody even acknowledges the question (see `silence`), another connection is tried while the first may still
//! be answered. If both come to nothing, one probe is as good as two, in little more than the time of one. So it is where
//! an answer is merely late, but not more often than connections are renewed anyway: a server under load must not be
//! loaded with handshakes on top.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::tls::Tls;
use super::{Failure, Outcome, Phase};
use crate::certificate;
use crate::config::ProbeConfig;
use crate::config::value::Scheme;
use crate::exit;

mod dial;
mod held;
mod http;
mod report;
mod silence;
#[cfg(test)]
mod tests;

pub use held::renewal;
use held::{Held, Question, read_token};
use report::Failed;
pub use report::Report;
use silence::Ends;

/// An answer is late after this part of its time limit.
const LATE: f64 = 0.25;

/// How every server is asked; shared by all probers.
#[derive(Debug)]
pub struct Settings {
    config: ProbeConfig,
    tls: Option<Tls>,
    ports: dial::Ports,
}

impl Settings {
    /// Reads the files that are configured.
    pub fn new(config: &ProbeConfig) -> Result<Self, exit::Failure> {
        let tls = match config.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Tls::new(config)?),
        };
        if let Some(file) = &config.token_file {
            read_token(file)
                .map_err(|why| exit::Failure::usage(format!("--token-file {}: {why}", file.display())))?;
        }
        Ok(Self { config: config.clone(), tls, ports: dial::Ports::outside_ephemeral() })
    }

    /// What they are made from.
    pub fn config(&self) -> &ProbeConfig {
        &self.config
    }
}

/// What came of waiting for the first answer.
enum First {
    /// It came, or will not come.
    Answer(Result<u16, Failure>),
    /// Another connection may look for it, until then.
    Overdue { until: Instant },
}

/// Asks one server again and again.
pub struct Prober {
    settings: Arc<Settings>,
    server: SocketAddr,
    held: Option<Held>,
    /// Whether `/readyz` is asked as well.
    readiness: bool,
    /// The server has not failed to answer two questions that were asked at once.
    takes_two: bool,
    /// Before this another connection is no remedy for a late answer.
    hurry_at: Instant,
    certificate_expiry: Option<u64>,
    /// When the latest attempt to connect began.
    dialled: Instant,
}

impl Prober {
    /// A prober of `server` without a connection yet.
    pub fn new(settings: Arc<Settings>, server: SocketAddr) -> Self {
        Self {
            settings,
            server,
            held: None,
            readiness: true,
            takes_two: true,
            hurry_at: Instant::now(),
            certificate_expiry: None,
            dialled: Instant::now(),
        }
    }

    /// The same, asking `/healthz` alone.
    #[must_use]
    pub fn without_readiness(self) -> Self {
        Self { readiness: false, ..self }
    }

    /// Asks once. Where no connection comes about, another is tried every `redial`; the first one counts.
    pub async fn probe(&mut self, redial: Option<Duration>) -> Report {
        let start = Instant::now();
        let deadline = start + self.settings.config.timeout;
        self.dialled = start;
        let result = self.ask(deadline, redial).await;
        let took = start.elapsed();
        let Failed { failure, late, witnesses } = match result {
            Ok(outcome) => {
                return Report { outcome, took, late: false, silence: Duration::ZERO, witnesses: 1 };
            }
            Err(failed) => failed,
        };
        self.held = None;
        let spoken = if redial.is_some() { self.dialled } else { start };
        let silent = matches!(failure, Failure::TimedOut(_));
        let silence = if silent { spoken.elapsed() } else { Duration::ZERO };
        Report { outcome: Outcome::Failed(failure), took, late, silence, witnesses }
    }

    /// When the certificate that the server showed last ends, in seconds since 1970.
    pub fn certificate_expiry(&self) -> Option<u64> {
        self.certificate_expiry
    }

    /// Waits until the held connection ends; for ever when there is none.
    ///
    /// Cancel-safe: the end of a connection stays visible until the next probe.
    pub async fn ended(&mut self) {
        match &mut self.held {
            Some(held) => {
                held.ended().await;
                self.held = None;
            }
            None => std::future::pending().await,
        }
    }

    async fn ask(&mut self, deadline: Instant, redial: Option<Duration>) -> Result<Outcome, Failed> {
        let reusable = |held: &mut Held| held.is_usable() && Instant::now() < held.renew_at;
        if let Some(mut held) = self.held.take_if(reusable) {
            let health = match self.ask_patiently(&mut held, deadline).await {
                First::Answer(health) => health,
                First::Overdue { until } => return self.ask_another(held, deadline, until).await,
            };
            match self.judge(&mut held, health, deadline).await {
                Ok(outcome) => {
                    self.keep(held);
                    return Ok(outcome);
                }
                Err(failure @ Failure::TimedOut(_)) => return Err(Failed::by(deadline, failure)),
                // The peer closed it just now, or garbled it: a fresh one will tell.
                Err(_) => {}
            }
        }
        self.ask_anew(deadline, redial).await.map_err(|failure| Failed::by(deadline, failure))
    }

    /// Waits for the first answer until there is reason to look for it elsewhere.
    async fn ask_patiently(&mut self, held: &mut Held, deadline: Instant) -> First {
        let question = self.question(held);
        if let Ok(health) = timeout(held.ends.patience(), held.ask(question, deadline)).await {
            return First::Answer(health);
        }
        if held.ends.are_silent() {
            // Where no packet gets an answer, none of a new connection will.
            return First::Overdue { until: deadline.max(Instant::now() + held.ends.patience()) };
        }
        let late = deadline - self.settings.config.timeout.mul_f64(1.0 - LATE);
        if let Ok(health) = timeout_at(late, held.answer(deadline)).await {
            return First::Answer(health);
        }
        let now = Instant::now();
        if now >= self.hurry_at {
            self.hurry_at = now + renewal(fastrand::f64());
            // A server that is late is given its time.
            return First::Overdue { until: now + self.settings.config.timeout };
        }
        First::Answer(held.answer(deadline).await)
    }

    /// What was asked over `held` is not answered yet. Another connection is tried `until` then; whatever is heard
    /// first counts.
    async fn ask_another(
        &mut self,
        mut held: Held,
        deadline: Instant,
        until: Instant,
    ) -> Result<Outcome, Failed> {
        let mut other = Self { readiness: self.readiness, ..Self::new(self.settings.clone(), self.server) };
        let first = async {
            let health = held.answer(deadline).await;
            match self.judge(&mut held, health, deadline).await {
                Err(failure @ Failure::TimedOut(_)) => Ok(Some(Failed::by(deadline, failure))),
                // That a held connection ends says nothing.
                Err(_) => Ok(None),
                Ok(outcome) => Err(outcome),
            }
        };
        let second = async {
            match other.ask_anew(until, None).await.unwrap_or_else(Outcome::Failed) {
                Outcome::Failed(failure) if !failure.is_certain() => Ok(Failed::by(until, failure)),
                outcome => Err(outcome),
            }
        };
        // Here an error is an answer, which ends both.
        let answer = tokio::try_join!(first, second);
        match answer {
            Ok((Some(first), second)) => Err(first.and(second)),
            Ok((None, second)) => Err(second),
            Err(outcome) => {
                self.certificate_expiry = other.certificate_expiry.or(self.certificate_expiry);
                self.held = other.held;
                self.keep(held);
                Ok(outcome)
            }
        }
    }

    /// Asks over a connection of its own. Make before break: the old one lives until the new one has answered.
    async fn ask_anew(&mut self, deadline: Instant, redial: Option<Duration>) -> Result<Outcome, Failure> {
        let mut fresh = self.connect(deadline, redial).await.inspect_err(|_| {
            // It had other reasons not to answer.
            self.takes_two = true;
        })?;
        let question = self.question(&mut fresh);
        let health = fresh.ask(question, deadline).await;
        let outcome = self.judge(&mut fresh, health, deadline).await?;
        self.held = None;
        self.keep(fresh);
        Ok(outcome)
    }

    fn keep(&mut self, held: Held) {
        if held.is_usable() {
            self.held = Some(held);
        }
    }

    /// What to ask over `held`, which is fine no more until it has answered.
    fn question(&self, held: &mut Held) -> Question {
        let both = std::mem::take(&mut held.fine) && self.takes_two && self.asks_readiness();
        if both { Question::Both } else { Question::Health }
    }

    /// What the answer to the first question means, together with that to the second.
    async fn judge(
        &mut self,
        held: &mut Held,
        health: Result<u16, Failure>,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let health = health?;
        if !is_success(health) {
            // A second answer, if it comes, belongs to nobody: then the connection is not usable any more.
            let alive = matches!(health, 401 | 403) || self.settings.config.accepted.contains(&health);
            return Ok(if alive { Outcome::Ready } else { Outcome::Unhealthy(health) });
        }
        if !self.asks_readiness() {
            return Ok(Outcome::Ready);
        }
        let ready = if held.is_awaited() {
            let answer = held.answer(deadline).await;
            self.takes_two = answer.is_ok();
            answer?
        } else {
            if !held.is_usable() {
                // A server that ends the connection after each answer gets another for the next question.
                *held = self.connect(deadline, None).await?;
            }
            held.ask(Question::Readiness, deadline).await?
        };
        // These three say that the server does not tell us.
        let untold = matches!(ready, 401 | 403 | 404);
        held.fine = is_success(ready) || untold;
        Ok(if held.fine { Outcome::Ready } else { Outcome::NotReady(ready) })
    }

    fn asks_readiness(&self) -> bool {
        self.readiness && self.settings.config.ready_path.is_some()
    }

    async fn connect(&mut self, deadline: Instant, redial: Option<Duration>) -> Result<Held, Failure> {
        let by = deadline.min(Instant::now() + self.settings.config.connect_timeout);
        let dial = self.settings.ports.connect(self.server, redial, &mut self.dialled);
        let stream = match timeout_at(by, dial).await {
            Err(_) => return Err(Failure::TimedOut(Phase::Connect)),
            Ok(Err(error)) => return Err(classify_io(&error)),
            Ok(Ok(stream)) => stream,
        };
        let local = stream.local_addr().map_err(|error| classify_io(&error))?;
        let ends = Ends { local, server: self.server, apart: self.dialled.elapsed() };
        match &self.settings.tls {
            None => Ok(Held::new(stream, ends, &self.settings.config)),
            Some(tls) => {
                let connector = TlsConnector::from(tls.client_config());
                match timeout_at(deadline, connector.connect(tls.server_name(), stream)).await {
                    Err(_) => Err(Failure::TimedOut(Phase::Handshake)),
                    Ok(Err(error)) => Err(classify(&error)),
                    Ok(Ok(stream)) => {
                        let shown = stream.get_ref().1.peer_certificates();
                        self.certificate_expiry =
                            shown.and_then(|chain| chain.first()).and_then(certificate::not_after);
                        Ok(Held::new(stream, ends, &self.settings.config))
                    }
                }
            }
        }
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
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

/// As `classify_io`, for a connection that may be encrypted.
fn classify(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Failure::Tls(error.to_string()),
        _ => classify_io(error),
    }
}
