//! One server, asked over one held connection.
//!
//! A probe asks `/readyz`, and `/healthz` only when that is not fine (see `inquiry`), as HTTP/1.1 over the connection of
//! the last probe. A held connection that fails is replaced within the same probe: "closed" alone is never "down".
//! Only what a fresh connection sees counts against the server.
//!
//! Between questions the kernels watch the held connection; when nobody has acknowledged anything for a while (see
//! `silence`) another one is tried at once, and briefly. While the first question over a held connection is not answered,
//! a second connection may be tried (see `hedge`); whatever is heard first counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout_at;

use crate::config::Policy;
use crate::health::{Failure, Outcome, Phase, cadence};

mod classify;
mod connect;
mod credentials;
pub(crate) mod dial;
mod hedge;
mod held;
mod inquiry;
mod report;
mod settings;
mod silence;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

use connect::Dial;
use dial::Ports;
use hedge::{Hedge, Next, Pending};
use held::PersistentConnection;
use inquiry::{Inquiry, Plan, Question, Step};
use report::Failed;
pub use report::Report;
use settings::Suspected;
pub use settings::{Settings, SettingsError};
pub(crate) use silence::GIVEN_UP_AFTER;
use silence::{Brief, Endpoints};

/// What came of waiting for the first answer.
enum First {
    /// It came, or will not come.
    Answer(Result<u16, Failure>),
    /// Another connection may look for it, briefly where nobody has even acknowledged the question.
    Overdue { briefly: bool },
}

/// Asks one server again and again.
pub struct Prober {
    settings: Arc<Settings>,
    server: SocketAddr,
    /// How often a connection that is kept is renewed; `None`: none is kept.
    policy: Option<Policy>,
    plan: Plan,
    ports: Ports,
    held: Option<PersistentConnection>,
    hedge: Hedge,
    suspected: watch::Receiver<Suspected>,
    certificate_expiry: Option<u64>,
    /// When the latest attempt to connect began.
    dialled: Instant,
    /// The shortest time limit of a question.
    at_least: Duration,
    /// The held connection was given up in silence; so another one is tried.
    doubt: Option<Brief>,
}

impl Prober {
    /// A prober of `server` without a connection yet, to be asked so often.
    pub fn new(settings: Arc<Settings>, server: SocketAddr, policy: Policy) -> Self {
        Self { policy: Some(policy), ..Self::once(settings, server) }
    }

    fn once(settings: Arc<Settings>, server: SocketAddr) -> Self {
        let now = Instant::now();
        let (plan, ports, hedge) = (settings.plan, settings.ports.clone(), Hedge::new(now));
        let suspected = settings.suspected();
        Self {
            settings,
            server,
            policy: None,
            plan,
            ports,
            held: None,
            hedge,
            suspected,
            certificate_expiry: None,
            dialled: now,
            at_least: Duration::ZERO,
            doubt: None,
        }
    }

    /// A prober of the virtual server `service`, as a client: from a client's port, over a new connection each time, and with the
    /// health question alone, since whoever is healthy can be worked with.
    pub fn self_probe(settings: Arc<Settings>, service: SocketAddr) -> Self {
        Self { plan: Plan::Health, ports: Ports::of_clients(), ..Self::once(settings, service) }
    }

    /// Asks once. Where no connection comes about, another is tried every `reconnect_every`; the first one counts.
    pub async fn probe(&mut self, reconnect_every: Option<Duration>) -> Report {
        let start = Instant::now();
        let deadline = start + self.limit();
        self.dialled = start;
        let result = self.ask(deadline, reconnect_every).await;
        let took = start.elapsed();
        let Failed { failure, confirmations, redialled } = match result {
            Ok(outcome) => {
                let silence = Duration::ZERO;
                return Report { outcome, took, silence, confirmations: 1, redialled: None };
            }
            Err(failed) => failed,
        };
        self.held = None;
        let spoken = if reconnect_every.is_some() { self.dialled } else { start };
        let silent = matches!(failure, Failure::TimedOut(_));
        let silence = if silent { spoken.elapsed() } else { Duration::ZERO };
        Report { outcome: Outcome::Failed(failure), took, silence, confirmations, redialled }
    }

    /// Whether the held connection was given up in silence, so that the next question is asked because of that.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// From now on each question is given this time at least.
    pub fn wait_at_least(&mut self, time: Duration) {
        self.at_least = time;
    }

    /// The next question is asked over a new connection.
    pub fn renew(&mut self) {
        if let Some(held) = &mut self.held {
            held.renew_at = Instant::now();
        }
    }

    /// The time limit of a question.
    pub fn limit(&self) -> Duration {
        self.settings.config.timeout.max(self.at_least)
    }

    /// When the certificate that the server showed last ends, in seconds since 1970.
    pub fn certificate_expiry(&self) -> Option<u64> {
        self.certificate_expiry
    }

    /// Waits until the held connection ends or its server is suspected; for ever when there is none.
    ///
    /// Cancel-safe: the end of a connection stays visible until the next probe, and so does a suspicion.
    pub async fn ended(&mut self) {
        let Some(held) = &mut self.held else { return std::future::pending().await };
        let (server, timeout) = (self.server, self.settings.config.timeout);
        let times = |suspected: &Suspected| suspected.get(&server).copied().unwrap_or_default();
        let known = held.suspected;
        tokio::select! {
            () = held.ended() => {
                self.doubt = held.is_given_up().then(|| held.ends.brief(timeout));
                self.held = None;
            }
            Ok(suspected) = self.suspected.wait_for(|suspected| times(suspected) != known) => {
                // It lives until another one has answered.
                held.renew_at = Instant::now();
                held.suspected = times(&suspected);
            }
        }
    }

    async fn ask(&mut self, deadline: Instant, reconnect_every: Option<Duration>) -> Result<Outcome, Failed> {
        let mut doubt = self.doubt.take();
        let reusable = |held: &mut PersistentConnection| held.is_usable() && Instant::now() < held.renew_at;
        if let Some(mut held) = self.held.take_if(reusable) {
            let settings = self.settings.clone();
            let inquiry = Inquiry::new(self.plan, &settings.config.accepted, held.untold);
            let question = inquiry.first();
            held.ask(question);
            let ends = held.ends;
            let result = match self.wait(&mut held, deadline).await {
                First::Answer(Ok(status)) => self.go_on(held, inquiry, question, status, deadline).await,
                First::Answer(Err(failure)) => Err(failure),
                First::Overdue { briefly } => {
                    let first = async |prober: &mut Self| {
                        let status = held.answer(deadline).await?;
                        prober.go_on(held, inquiry, question, status, deadline).await
                    };
                    // It is rare, and large.
                    return Box::pin(self.hedge_with_another(first, ends, briefly, deadline)).await;
                }
            };
            match result {
                Ok(outcome) => return Ok(outcome),
                Err(failure @ Failure::TimedOut(_)) => return Err(Failed::by(deadline, failure)),
                // The peer closed it just now, or garbled it, or the kernel has given it up: a fresh one will tell.
                Err(failure) => doubt = failure.is_silence().then(|| ends.brief(self.limit())),
            }
        }
        let dial = doubt.map_or_else(|| self.usual_dial(reconnect_every), |brief| self.brief_dial(brief));
        self.ask_anew(dial, deadline).await.map_err(|failure| match doubt {
            // Two connections have come to nothing.
            Some(_) if failure.is_silence() => {
                let given_up = Failed::by(deadline, Failure::Unacknowledged);
                if is_unconnected(&failure) {
                    Failed::by(dial.by, failure).and(given_up).redialled(self.dialled)
                } else {
                    Failed::by(deadline, failure).and(given_up)
                }
            }
            _ => Failed::by(deadline, failure),
        })
    }

    /// Waits for the first answer until there is reason to look for it elsewhere.
    async fn wait(&mut self, held: &mut PersistentConnection, deadline: Instant) -> First {
        let timeout = self.limit();
        let pending =
            Pending { asked: Instant::now(), deadline, timeout, patience: held.ends.patience(timeout) };
        if let Ok(answer) = timeout_at(pending.doubtful_at().into(), held.answer(deadline)).await {
            return First::Answer(answer);
        }
        let mut next = hedge::doubtful(held.ends.are_silent());
        if next == Next::Wait {
            if let Ok(answer) = timeout_at(pending.late_at().into(), held.answer(deadline)).await {
                return First::Answer(answer);
            }
            next = self.hedge.late(Instant::now(), fastrand::f64());
        }
        match next {
            Next::Hedge => First::Overdue { briefly: false },
            Next::HedgeBriefly => First::Overdue { briefly: true },
            Next::Wait => First::Answer(held.answer(deadline).await),
        }
    }

    /// What was asked over a held connection between `ends` is not answered yet; `first` waits on. Another connection is
    /// tried; whatever is heard first counts.
    async fn hedge_with_another(
        &mut self,
        first: impl AsyncFnOnce(&mut Self) -> Result<Outcome, Failure>,
        ends: Endpoints,
        briefly: bool,
        deadline: Instant,
    ) -> Result<Outcome, Failed> {
        let Self { policy, plan, at_least, .. } = *self;
        let ports = self.ports.clone();
        let mut other =
            Self { policy, plan, ports, at_least, ..Self::once(self.settings.clone(), self.server) };
        let dial = if briefly { self.brief_dial(ends.brief(self.limit())) } else { self.usual_dial(None) };
        // A connection takes its time, even where the limit has nearly passed.
        let until = if briefly { deadline.max(dial.by) } else { deadline };
        let first = async {
            match first(self).await {
                Err(failure) if failure.is_silence() => Ok(Some(Failed::by(deadline, failure))),
                // That a held connection ends says nothing.
                Err(_) => Ok(None),
                Ok(outcome) => Err(Ok(outcome)),
            }
        };
        let second = async {
            match other.ask_anew(dial, until).await.unwrap_or_else(Outcome::Failed) {
                Outcome::Failed(failure) if briefly && is_unconnected(&failure) && ends.are_silent() => {
                    let unanswered = Failed::by(dial.by, Failure::TimedOut(Phase::Answer));
                    Err(Err(Failed::by(dial.by, failure).and(unanswered).redialled(other.dialled)))
                }
                Outcome::Failed(failure) if !failure.is_conclusive() => Ok(Failed::by(until, failure)),
                outcome => Err(Ok(outcome)),
            }
        };
        // Here an error is the last word, which ends both.
        match tokio::try_join!(first, second) {
            Ok((Some(first), second)) => Err(first.and(second)),
            Ok((None, second)) => Err(second),
            Err(Err(failed)) => Err(failed),
            Err(Ok(outcome)) => {
                self.certificate_expiry = other.certificate_expiry.or(self.certificate_expiry);
                self.held = self.held.take().or(other.held);
                Ok(outcome)
            }
        }
    }

    fn usual_dial(&self, reconnect_every: Option<Duration>) -> Dial {
        Dial { by: Instant::now() + self.settings.config.connect_timeout.max(self.at_least), reconnect_every }
    }

    fn brief_dial(&self, Brief { limit, reconnect_every }: Brief) -> Dial {
        let limit = limit.min(self.settings.config.connect_timeout).max(self.at_least);
        Dial { by: Instant::now() + limit, reconnect_every: Some(reconnect_every) }
    }

    /// Asks over a connection of its own. Make before break: the old one lives until the new one has answered.
    async fn ask_anew(&mut self, dial: Dial, deadline: Instant) -> Result<Outcome, Failure> {
        let settings = self.settings.clone();
        let mut fresh = self.connect(dial, deadline).await?;
        let inquiry = Inquiry::new(self.plan, &settings.config.accepted, fresh.untold);
        let question = inquiry.first();
        fresh.ask(question);
        let status = fresh.answer(deadline).await?;
        self.go_on(fresh, inquiry, question, status, deadline).await
    }

    /// Asks what else there is to be known after the first answer, and keeps the connection.
    async fn go_on(
        &mut self,
        mut held: PersistentConnection,
        mut inquiry: Inquiry<'_>,
        mut question: Question,
        mut status: u16,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        loop {
            inquiry.heard(question, status);
            self.settings.credentials.answered(self.server, status);
            match inquiry.next() {
                Step::Done(outcome) => {
                    held.untold = inquiry.untold();
                    self.held = Some(held).filter(PersistentConnection::is_usable);
                    return Ok(outcome);
                }
                Step::Ask(next) => question = next,
            }
            if !held.is_usable() {
                // A server that ends the connection after each answer gets another for the next question.
                held = self.connect(self.usual_dial(None), deadline).await?;
            }
            held.ask(question);
            status = held.answer(deadline).await?;
        }
    }

    async fn connect(&mut self, dial: Dial, deadline: Instant) -> Result<PersistentConnection, Failure> {
        let (settings, ports, server) = (&self.settings, &self.ports, self.server);
        // A probe over a held connection is not to carry what a handshake needs.
        let fresh = connect::connect(settings, ports, server, dial, deadline, &mut self.dialled);
        let fresh = Box::pin(fresh).await?;
        self.certificate_expiry = fresh.certificate_expiry.or(self.certificate_expiry);
        let mut held = fresh.held;
        if let Some(policy) = &self.policy {
            held.renew_at = Instant::now() + cadence::renewal(policy, fastrand::f64());
        }
        held.suspected = self.suspected.borrow().get(&self.server).copied().unwrap_or_default();
        Ok(held)
    }
}

/// Whether there was no TCP connection in time.
fn is_unconnected(failure: &Failure) -> bool {
    *failure == Failure::TimedOut(Phase::Connect)
}
