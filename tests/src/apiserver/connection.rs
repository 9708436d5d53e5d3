//! One connection, from its acceptance to its (perhaps untimely) end.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::Behaviour;
use super::answer::answer;
use super::dribble::Dribble;
use super::state::State;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(1 << 20);

/// Serves a connection until either side, or the behaviour, ends it.
pub(super) async fn handle(stream: TcpStream, state: Arc<State>) {
    let _open = state.opened();
    let _ = stream.set_nodelay(true);
    // A second handle on the socket: the first disappears inside TLS and HTTP.
    let Ok(socket) = stream.as_fd().try_clone_to_owned() else { return };
    let accepted = Instant::now();
    tokio::select! {
        biased;
        () = cut(&state, accepted) => {}
        // How a client breaks off is none of our business.
        _ = converse(stream, state.clone()) => {}
    }
    if state.behaviour() == Behaviour::Reset {
        let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    }
}

/// Returns when the behaviour wants a connection of that age closed.
async fn cut(state: &State, accepted: Instant) {
    let mut behaviour = state.subscribe();
    loop {
        let age = match *behaviour.borrow_and_update() {
            Behaviour::Reset => return,
            Behaviour::CloseAfter(age) => age,
            _ => NEVER,
        };
        if timeout_at(accepted + age, behaviour.changed()).await.is_err() {
            return;
        }
    }
}

async fn converse(mut stream: TcpStream, state: Arc<State>) -> Result<()> {
    if state.other_than(&[Behaviour::HangAccept]).await == Behaviour::TlsGarbage {
        // Read first: closing a socket with unread bytes would reset it, and the junk would be lost.
        let _ = stream.read(&mut [0; 4096]).await?;
        stream.write_all(b"220 mail.example.com ESMTP ready\r\n").await?;
        return Ok(stream.shutdown().await?);
    }
    let tls = state.tls.accept(stream).await?;
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(Dribble::new(tls, state.clone()));
    let service = service_fn(move |request| answer(state.clone(), request));
    if http2 {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new()).serve_connection(io, service).await?;
    } else {
        // Clients hold idle connections for minutes.
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(None);
        http.serve_connection(io, service).await?;
    }
    Ok(())
}
