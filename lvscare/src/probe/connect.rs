//! A new connection to a server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;

use super::classify::{broken, failed};
use super::dial::Ports;
use super::held::PersistentConnection;
use super::settings::Settings;
use super::silence::{self, Endpoints};
use super::stream::Tracked;
use crate::certificate;
use crate::health::{Failure, Phase};

/// A connection that nobody has asked anything over yet.
pub(super) struct Fresh {
    pub(super) held: PersistentConnection,
    /// When the certificate that the server showed ends, in seconds since 1970.
    pub(super) certificate_expiry: Option<u64>,
}

/// How a TCP connection is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dial {
    /// It must be there by then.
    pub(super) by: Instant,
    /// Another attempt follows whenever the latest is so old.
    pub(super) reconnect_every: Option<Duration>,
}

/// Connects to `server`, with all handshakes by `deadline`. `dialled` tells when the latest attempt began, even to whoever
/// does not wait for the end.
pub(super) async fn connect(
    settings: &Settings,
    ports: &Ports,
    server: SocketAddr,
    dial: Dial,
    deadline: Instant,
    dialled: &mut Instant,
) -> Result<Fresh, Failure> {
    let connecting = ports.connect(server, dial.reconnect_every, dialled);
    let stream = match timeout_at(dial.by.min(deadline).into(), connecting).await {
        Err(_) => return Err(Failure::TimedOut(Phase::Connect)),
        Ok(stream) => stream.map_err(|error| failed(&error))?,
    };
    let local = stream.local_addr().map_err(|error| failed(&error))?;
    let ends = Endpoints { local, server, apart: dialled.elapsed() };
    silence::watch_held(&stream).map_err(|error| failed(&error))?;
    let (stream, given_up) = Tracked::new(stream);
    let Some(tls) = &settings.tls else {
        return Ok(Fresh {
            held: PersistentConnection::new(stream, given_up, ends, settings),
            certificate_expiry: None,
        });
    };
    let connector = TlsConnector::from(tls.client_config());
    match timeout_at(deadline.into(), connector.connect(tls.server_name(), stream)).await {
        Err(_) => Err(Failure::TimedOut(Phase::Handshake)),
        Ok(Err(error)) => Err(broken(&error)),
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates();
            let certificate_expiry = shown.and_then(|chain| chain.first()).and_then(certificate::not_after);
            Ok(Fresh {
                held: PersistentConnection::new(stream, given_up, ends, settings),
                certificate_expiry,
            })
        }
    }
}
