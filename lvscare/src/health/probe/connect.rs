//! A new connection to a server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;

use super::super::{Failure, Phase};
use super::classify::{broken, failed};
use super::dial::Ports;
use super::held::Held;
use super::settings::Settings;
use super::silence::Ends;
use crate::certificate;

/// A connection that nobody has asked anything over yet.
pub(super) struct Fresh {
    pub(super) held: Held,
    /// When the certificate that the server showed ends, in seconds since 1970.
    pub(super) certificate_expiry: Option<u64>,
}

/// Connects to `server`: by the first deadline for TCP, by the second for all of it. With `redial` other attempts follow;
/// `dialled` tells when the latest began, even to whoever does not wait for the end.
pub(super) async fn connect(
    settings: &Settings,
    ports: &Ports,
    server: SocketAddr,
    [by, deadline]: [Instant; 2],
    redial: Option<Duration>,
    dialled: &mut Instant,
) -> Result<Fresh, Failure> {
    let stream = match timeout_at(by.into(), ports.connect(server, redial, dialled)).await {
        Err(_) => return Err(Failure::TimedOut(Phase::Connect)),
        Ok(stream) => stream.map_err(|error| failed(&error))?,
    };
    let local = stream.local_addr().map_err(|error| failed(&error))?;
    let ends = Ends { local, server, apart: dialled.elapsed() };
    let Some(tls) = &settings.tls else {
        return Ok(Fresh { held: Held::new(stream, ends, settings), certificate_expiry: None });
    };
    let connector = TlsConnector::from(tls.client_config());
    match timeout_at(deadline.into(), connector.connect(tls.server_name(), stream)).await {
        Err(_) => Err(Failure::TimedOut(Phase::Handshake)),
        Ok(Err(error)) => Err(broken(&error)),
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates();
            let certificate_expiry = shown.and_then(|chain| chain.first()).and_then(certificate::not_after);
            Ok(Fresh { held: Held::new(stream, ends, settings), certificate_expiry })
        }
    }
}
