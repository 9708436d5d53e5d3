//! The daemon's own HTTP endpoint, on loopback by default.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while the daemon's loop runs; dead apiservers do not matter |
//! | `/readyz` | 200 once every server has a first verdict and the kernel is as it should be |
//! | `/status` | what `lvscare status` shows, as JSON |
//!
//! It must never hold up probes or repairs: connections are few, short and slow to nobody but themselves, and
//! an error of `accept` never ends the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::applier::Applied;
use crate::health::checker::Board;
use crate::job::Reloads;
use crate::status::Status;

/// Connections served at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 32;

/// A request must have arrived after this time, and a connection must have ended after twice that.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest request head that is read.
const LONGEST_HEAD: usize = 8 * 1024;

/// The wait before the next attempt when the listener fails, for want of file descriptors for example.
const RETRY: Duration = Duration::from_secs(1);

/// What the answers are made of.
#[derive(Clone)]
pub struct View {
    /// What the checkers found out.
    pub board: watch::Receiver<Board>,
    /// What the applier left behind.
    pub applied: watch::Receiver<Applied>,
    /// What became of the configuration.
    pub reloads: watch::Receiver<Reloads>,
    /// When the daemon started.
    pub start: Instant,
    /// A pass that is older than this means that the loop is stuck.
    pub stuck_after: Duration,
}

impl View {
    /// What `lvscare status` shows.
    pub fn status(&self, now: Instant) -> Status {
        let (board, applied, reloads) = (self.board.borrow(), self.applied.borrow(), self.reloads.borrow());
        Status::of_daemon(&board, &applied, &reloads, self.start, now)
    }
}

/// Serves on `address` until the task is dropped. An address that is taken is tried again and again: guarding
/// the rules matters more.
pub async fn run(address: SocketAddr, view: View) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let listener = bind(address).await;
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let view = view.clone();
                tokio::spawn(async move {
                    serve(stream, view).await;
                    drop(slot);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(RETRY).await;
            }
        }
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    let mut complained = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                info!("serving /livez, /readyz and /status on {address}");
                return listener;
            }
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
            let age = view.applied.borrow().at.elapsed();
            if age < view.stuck_after {
                text(StatusCode::OK, "ok")
            } else {
                text(StatusCode::INTERNAL_SERVER_ERROR, format!("the last pass was {} s ago", age.as_secs()))
            }
        }
        "/readyz" => {
            let waiting: Vec<String> = view
                .board
                .borrow()
                .iter()
                .filter(|(_, entry)| !entry.verdict.verified)
                .map(|((_, server), _)| format!("{server} has no verdict yet"))
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
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /status"),
    }
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
