//! A visit to an apiserver as any client makes one: TCP, TLS, `GET /healthz`. All are visited at the same time.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use hyper::Uri;
use hyper::header::{DATE, HeaderMap};
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::certificate::Certificate;
use crate::http::{self, Limits};
use crate::probe::dial::Ports;

/// A health page is judged by its status, whatever stands in it.
const LIMITS: Limits = Limits { body_bytes: 1 << 20, keep_body: false };

/// What apiservers find in their logs.
const AGENT: &str = concat!("lvscare-doctor/", env!("CARGO_PKG_VERSION"));

/// Where the visited address does not even answer the first packet.
pub const NO_CONNECTION: &str = "no connection";

/// How visits are paid.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address that must stand in the certificate.
    pub vip: IpAddr,
    /// The name that must stand there, too.
    pub name: String,
    /// Limit of each visit.
    pub limit: Duration,
    /// Who must have signed the certificate, if that is known.
    pub authority: Option<Arc<RootCertStore>>,
}

/// What came of a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Whom it was paid to.
    pub address: SocketAddr,
    /// The certificate, if it came to that.
    pub certificate: Option<Certificate>,
    /// The answer, or why there was none.
    pub answer: Result<Answer, String>,
}

/// The answer to `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Seconds by which the server's clock is ahead of ours, if it tells the time.
    pub ahead: Option<i64>,
}

impl Answer {
    /// Whether the server is fine: one that does not talk to strangers is alive, too.
    pub fn is_alive(&self) -> bool {
        matches!(self.status, 200..300 | 401 | 403)
    }
}

/// Pays all visits at the same time, and returns them in the same order.
///
/// Without tasks: those would draw threads into a program that has one. Nobody is in a hurry either, so each is
/// looked at whenever one of them has something new.
pub(super) async fn all<F: Future<Output = Visit>>(visits: Vec<F>) -> Vec<Visit> {
    let mut visits: Vec<(Pin<Box<F>>, Option<Visit>)> =
        visits.into_iter().map(|visit| (Box::pin(visit), None)).collect();
    poll_fn(|context| {
        for (visit, done) in &mut visits {
            if done.is_none()
                && let Poll::Ready(visit) = visit.as_mut().poll(context)
            {
                *done = Some(visit);
            }
        }
        if visits.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    visits.into_iter().filter_map(|(_, done)| done).collect()
}

/// Pays one visit, within the limit of one question.
pub(super) async fn visit(address: SocketAddr, tls: &TlsConnector, caller: &Caller) -> Visit {
    let (vip, name, limit) = (caller.vip, caller.name.as_str(), caller.limit);
    let authority = caller.authority.as_deref();
    let mut visit = Visit { address, certificate: None, answer: Err(String::new()) };
    let mut step = NO_CONNECTION;
    let answer = timeout(limit, async {
        // A client of the virtual server has a client's port, and nobody else has.
        let ports = if address.ip() == vip { Ports::of_clients() } else { Ports::outside_ephemeral() };
        let stream = ports.dial(address).await.map_err(|error| refused(&error))?;
        step = "no TLS handshake";
        // By address, so that no server name is sent: the server shows the certificate meant for everybody.
        let server = ServerName::IpAddress(vip.into());
        let connecting = tls.connect(server, stream);
        let stream = connecting.await.map_err(|error| format!("TLS: {error}"))?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        visit.certificate = Certificate::read(shown, vip, name, authority);
        step = "no answer";
        ask(stream, address).await
    });
    visit.answer = match answer.await {
        Ok(answer) => answer,
        Err(_) => Err(format!("{step} in {:.1} s", limit.as_secs_f64())),
    };
    visit
}

/// The words that `lvscare status` has for the same.
fn refused(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "host unreachable".into(),
        // The kernel gave up before we did.
        io::ErrorKind::TimedOut => format!("{NO_CONNECTION} in time"),
        _ => error.to_string(),
    }
}

async fn ask(stream: impl http::Stream, address: SocketAddr) -> Result<Answer, String> {
    let request = http::get(&Uri::from_static("/healthz"), address, AGENT, None);
    let answer = http::ask(stream, request, LIMITS).await.map_err(|error| match &error {
        http::Error::Connection(error) => refused(error),
        other => other.to_string(),
    })?;
    Ok(Answer { status: answer.status, ahead: clock(&answer.headers, SystemTime::now()) })
}

/// By how much the clock of whoever sent these headers is ahead of ours.
fn clock(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let date = headers.get(DATE)?.to_str().ok()?;
    Some(ahead(httpdate::parse_http_date(date).ok()?, now))
}

fn ahead(theirs: SystemTime, ours: SystemTime) -> i64 {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match theirs.duration_since(ours) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => seconds(behind.duration()).saturating_neg(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use tokio::io::duplex;

    use super::*;
    use crate::http::tests::HOSTILE;

    #[test]
    fn the_clock_of_a_server() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let headers = |date: &'static str| HeaderMap::from_iter([(DATE, HeaderValue::from_static(date))]);
        assert_eq!(clock(&headers("Sun, 06 Nov 1994 08:51:17 GMT"), now), Some(100));
        assert_eq!(clock(&headers("yesterday"), now), None);
        assert_eq!(clock(&HeaderMap::new(), now), None);
        assert_eq!(ahead(now, now + Duration::from_secs(5)), -5);
        // Neither end of time is out of reach.
        let far = headers("Fri, 31 Dec 9999 23:59:59 GMT");
        assert!(clock(&far, now).is_some_and(|ahead| ahead > 1 << 37));
    }

    #[tokio::test]
    async fn a_hostile_server_is_no_danger() {
        for hostile in HOSTILE {
            let (ours, mut theirs) = duplex(1 << 16);
            let address = SocketAddr::from(([10, 0, 0, 1], 6443));
            let (answer, ()) = tokio::join!(ask(ours, address), hostile.speak(&mut theirs));
            hostile.check(answer.map(|answer| answer.status));
        }
    }

    #[test]
    fn one_that_does_not_talk_to_strangers_is_alive() {
        for (status, alive) in [(200, true), (401, true), (403, true), (302, false), (500, false)] {
            assert_eq!(Answer { status, ahead: None }.is_alive(), alive, "{status}");
        }
    }
}
