//! The daemon's own HTTP endpoint, on loopback by default.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while the daemon's loop runs; dead apiservers do not matter |
//! | `/readyz` | 200 once every server has a first verdict and the kernel is as it should be |
//! | `/status` | what `lvscare status` shows, as JSON |
//! | `/metrics` | what Prometheus collects |
//!
//! It must never hold up probes or repairs: connections are few and short, and an error of `accept` never ends the
//! process. Where there are too many, the oldest gives way to the newest: hostile clients that just sit there cannot
//! keep kubelet's probe out.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::active_config::ActiveConfig;
use crate::applier::Applied;
use crate::checker::self_probe::{self, Answers};
use crate::discover::{Found, Source};
use crate::health::{HealthTable, ServerId};
use crate::log_throttle::LogThrottle;
use crate::metrics::{self, Metrics, Snapshot};
use crate::status::{self, Reloads, Status};

#[cfg(test)]
mod tests;

/// Connections served at once. An honest one lasts milliseconds.
const CONNECTIONS: usize = 32;

/// A request must have arrived after this time, and a connection must have ended after twice that.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest request head that is read.
const LONGEST_HEAD: usize = 8 * 1024;

/// The wait before the next attempt when the listener fails, for want of file descriptors for example.
const RETRY: Duration = Duration::from_secs(1);

/// So many resync times without a pass mean that the loop is stuck.
const STUCK_AFTER_PASSES: u32 = 10;

/// But at least this long, for a node under heavy load.
const STUCK_AFTER: Duration = Duration::from_secs(15);

/// What the answers are made of.
#[derive(Clone)]
pub(crate) struct View {
    /// What is to be done.
    pub active: watch::Receiver<Arc<ActiveConfig>>,
    /// What probes through the virtual servers found out.
    pub answers: watch::Receiver<Answers>,
    /// Masters that were learned.
    pub masters: watch::Receiver<BTreeMap<SocketAddr, Found>>,
    /// What was counted.
    pub metrics: Metrics,
    /// What the checkers found out.
    pub health_table: watch::Receiver<HealthTable>,
    /// What the applier left behind.
    pub applied: watch::Receiver<Applied>,
    /// What became of the configuration.
    pub reloads: watch::Receiver<Reloads>,
    /// When the daemon started.
    pub start: Instant,
}

impl View {
    /// What `lvscare status` shows.
    pub(crate) fn status(&self, now: Instant) -> Status {
        let (health_table, applied, reloads) =
            (self.health_table.borrow(), self.applied.borrow(), self.reloads.borrow());
        let mut status =
            Status::of_daemon(&health_table, &applied, &self.answers.borrow(), &reloads, self.start, now);
        status.add_masters(&self.masters.borrow(), now);
        status.add_drained(&self.active.borrow().drained, clock());
        if let Some(daemon) = &mut status.daemon {
            daemon.problems.extend(self.file_problems());
        }
        status
    }

    /// What is wrong with files that are followed: how the servers are asked, and who is drained.
    fn file_problems(&self) -> Vec<String> {
        let active = self.active.borrow();
        let probes = active.settings.values().flat_map(|settings| settings.problems());
        probes.chain(active.drained.problem.clone()).collect()
    }

    /// What Prometheus gets to see besides what was counted.
    fn snapshot(&self, now: Instant) -> Snapshot {
        let (active, health_table, applied) =
            (self.active.borrow(), self.health_table.borrow(), self.applied.borrow());
        let (reloads, answers) = (self.reloads.borrow(), self.answers.borrow());
        let wall = clock();
        let clock = |time: Instant| wall.saturating_sub(now.saturating_duration_since(time)).as_secs_f64();
        let seen = |id: &ServerId| applied.actual.services.get(&id.service)?.destinations.get(&id.server);
        let servers = health_table.iter().map(|(id, state)| metrics::Server {
            id: *id,
            condition: state.verdict.condition,
            since: clock(state.verdict.since),
            weight: seen(id).map(|seen| seen.destination.weight),
            active: seen(id).map_or(0, |seen| seen.active),
            inactive: seen(id).map_or(0, |seen| seen.inactive),
            certificate_expiry: state.certificate_expiry,
            drained: active.drained.has(id.server),
        });
        let services = active.config.addresses().into_iter().map(|at| metrics::Service {
            at,
            mode: applied.modes.get(&at).copied().unwrap_or_default(),
            traffic: applied.actual.services.get(&at).map(|seen| seen.traffic).unwrap_or_default(),
            all_down: applied.all_down.get(&at).copied().unwrap_or_default(),
            route: applied.actual.routes.contains_key(&at.ip()),
            self_probe: answers.get(&at).map(|answer| self_probe::works(&answer.outcome)),
        });
        let masters = self.masters.borrow();
        let discoveries = masters.iter().map(|(&at, found)| metrics::Discovery {
            at,
            masters: found.servers.len(),
            last_success: (found.source == Source::Api).then(|| clock(found.time)),
        });
        Snapshot {
            servers: servers.collect(),
            services: services.collect(),
            discoveries: discoveries.collect(),
            last_pass: clock(applied.time),
            problems: applied.problems.len()
                + status::shortages(&health_table).len()
                + self.file_problems().len(),
            generation: reloads.generation,
            hash: reloads.hash.clone(),
            reload_failures: reloads.failures,
            reload_succeeded: reloads.problem.is_none(),
        }
    }
}

/// The time in seconds since 1970.
fn clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Serves on `address` until the task is dropped, with a listener that has it already if there is one. An address that
/// is taken is tried again and again: guarding the rules matters more.
pub(crate) async fn run(address: SocketAddr, listener: Option<TcpListener>, view: View) {
    let listener = match listener {
        Some(listener) => listener,
        None => bind(address).await,
    };
    info!("serving /metrics, /livez, /readyz and /status on {address}");
    accept(listener, view).await;
}

async fn accept(listener: TcpListener, view: View) {
    let mut tasks = JoinSet::new();
    let mut served = VecDeque::new();
    let mut repeats = LogThrottle::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while tasks.try_join_next().is_some() {}
                served.retain(|task: &AbortHandle| !task.is_finished());
                if served.len() >= CONNECTIONS
                    && let Some(oldest) = served.pop_front()
                {
                    oldest.abort();
                }
                served.push_back(tasks.spawn(serve(stream, view.clone())));
                // A flood must leave the others of this thread their turn.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                if repeats.allow(&error.to_string(), Instant::now()).is_some() {
                    warn!(%error, "cannot accept a connection");
                }
                sleep(RETRY).await;
            }
        }
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    let mut complained = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                if !complained {
                    warn!(%error, "cannot serve on {address}; trying again every second");
                    complained = true;
                }
                sleep(RETRY).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, view: View) {
    let service = service_fn(move |request| {
        let response = answer(&view, &request);
        async { Ok::<_, std::convert::Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(2 * PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a client of the status endpoint went wrong"),
        Err(_) => debug!("a client of the status endpoint was too slow"),
    }
}

fn answer<B>(view: &View, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET");
    }
    match request.uri().path() {
        "/livez" => {
            let age = view.applied.borrow().time.elapsed();
            if age < stuck_after(view.active.borrow().config.resync) {
                text(StatusCode::OK, "ok")
            } else {
                text(StatusCode::INTERNAL_SERVER_ERROR, format!("the last pass was {} s ago", age.as_secs()))
            }
        }
        "/readyz" => {
            let waiting: Vec<String> = view
                .health_table
                .borrow()
                .iter()
                .filter(|(_, state)| !state.verdict.verified)
                .map(|(id, _)| format!("{} has no verdict yet", id.server))
                .chain(view.applied.borrow().problems.iter().cloned())
                .collect();
            if waiting.is_empty() {
                text(StatusCode::OK, "ok")
            } else {
                text(StatusCode::SERVICE_UNAVAILABLE, waiting.join("\n"))
            }
        }
        "/status" => {
            let status = view.status(Instant::now());
            match serde_json::to_vec(&status) {
                Ok(json) => respond(StatusCode::OK, "application/json", json),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            }
        }
        "/metrics" => match view.metrics.render(&view.snapshot(Instant::now())) {
            Ok(text) => respond(StatusCode::OK, "text/plain; version=0.0.4", text),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /livez, /readyz and /status"),
    }
}

/// A latest pass that is older than this means that the loop is stuck. A reload may change the pause between passes.
pub(crate) fn stuck_after(resync: Duration) -> Duration {
    (resync * STUCK_AFTER_PASSES).max(STUCK_AFTER)
}

fn text(status: StatusCode, message: impl Into<String>) -> Response<Full<Bytes>> {
    let mut message = message.into();
    message.push('\n');
    respond(status, "text/plain; charset=utf-8", message)
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
