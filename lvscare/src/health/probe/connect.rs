//! A new connection to a server, and what its failures mean.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;

use super::super::{Failure, Phase};
use super::dial::{self, Ports};
use super::held::Held;
use super::settings::Settings;
use super::silence::Ends;
use crate::{certificate, http};

/// A connection that nobody has asked anything over yet.
pub(super) struct Fresh {
    pub(super) held: Held,
    /// When the certificate that the server showed ends, in seconds since 1970.
    pub(super) certificate_expiry: Option<u64>,
}

/// Connects to `server`: by the first deadline for TCP, by the second for all of it. With `redial` other attempts follow; `dialled` tells when the latest began, even to whoever does
/// not wait for the end.
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
        return Ok(Fresh { held: Held::new(stream, ends, settings).await?, certificate_expiry: None });
    };
    let connector = TlsConnector::from(tls.client_config());
    match timeout_at(deadline.into(), connector.connect(tls.server_name(), stream)).await {
        Err(_) => Err(Failure::TimedOut(Phase::Handshake)),
        Ok(Err(error)) => Err(broken(&error)),
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates();
            let certificate_expiry = shown.and_then(|chain| chain.first()).and_then(certificate::not_after);
            Ok(Fresh { held: Held::new(stream, ends, settings).await?, certificate_expiry })
        }
    }
}

/// What it means that there is no answer over a connection.
pub(super) fn unanswered(error: http::Error) -> Failure {
    match error {
        http::Error::Connection(error) => broken(&error),
        other => Failure::Garbled(other.to_string()),
    }
}

fn failed(error: &io::Error) -> Failure {
    if dial::is_shortage(error) {
        return Failure::Local(error.to_string());
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::Reset,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Failure::Unreachable,
        // The kernel's own retransmissions gave up before our limit.
        io::ErrorKind::TimedOut => Failure::Unacknowledged,
        _ => Failure::Garbled(error.to_string()),
    }
}

/// As [`failed`], for a connection that may be encrypted.
fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Failure::Tls(error.to_string()),
        _ => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    /// This node's own trouble is told from what comes from elsewhere.
    #[test]
    fn shortages_are_no_evidence() {
        let of = |errno: Errno| failed(&errno.into());
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::PERM,
            Errno::ACCESS,
        ] {
            assert!(matches!(of(errno), Failure::Local(_)), "{errno}");
        }
        assert_eq!(of(Errno::CONNREFUSED), Failure::Refused);
        assert_eq!(of(Errno::CONNRESET), Failure::Reset);
        assert_eq!(of(Errno::HOSTUNREACH), Failure::Unreachable);
        assert_eq!(of(Errno::TIMEDOUT), Failure::Unacknowledged);
    }
}
