//! A visit to an apiserver as any client makes one: TCP, TLS, `GET /healthz`. All are visited at the same time.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::Certificate;

/// The head of an apiserver's answer fits here many times over.
const LONGEST: usize = 16 * 1024;

/// Apiservers send about ten.
const MOST_HEADERS: usize = 64;

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
        let stream = TcpStream::connect(address).await.map_err(|error| refused(&error))?;
        step = "no TLS handshake";
        // By address, so that no server name is sent: the server shows the certificate meant for everybody.
        let server = ServerName::IpAddress(vip.into());
        let connecting = tls.connect(server, stream);
        let mut stream = connecting.await.map_err(|error| format!("TLS: {error}"))?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        visit.certificate = Certificate::read(shown, vip, name, authority);
        step = "no answer";
        ask(&mut stream, address).await
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
        _ => error.to_string(),
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>, address: SocketAddr) -> Result<Answer, String> {
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: {address}\r\nUser-Agent: lvscare-doctor/{}\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| refused(&error))?;
    stream.flush().await.map_err(|error| refused(&error))?;
    let mut heard = Vec::new();
    loop {
        let length = stream.read_buf(&mut heard).await.map_err(|error| refused(&error))?;
        if let Some(answer) = read(&heard, SystemTime::now())? {
            return Ok(answer);
        }
        if length == 0 || heard.len() > LONGEST {
            return Err("closed without an answer".into());
        }
    }
}

/// The head of an answer; `None` while it is incomplete.
fn read(bytes: &[u8], now: SystemTime) -> Result<Option<Answer>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(bytes) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(_)) => {}
        Err(error) => return Err(format!("the answer is not HTTP: {error}")),
    }
    let date = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("date"));
    let date = date.and_then(|date| httpdate::parse_http_date(std::str::from_utf8(date.value).ok()?).ok());
    Ok(Some(Answer { status: head.code.unwrap_or_default(), ahead: date.map(|date| ahead(date, now)) }))
}

fn ahead(theirs: SystemTime, ours: SystemTime) -> i64 {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match theirs.duration_since(ours) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_soon_as_its_head_is_there() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let text = "HTTP/1.1 403 Forbidden\r\nDate: Sun, 06 Nov 1994 08:51:17 GMT\r\n\r\nno";
        let answer = read(text.as_bytes(), now).unwrap().unwrap();
        assert_eq!(answer, Answer { status: 403, ahead: Some(100) });
        assert!(answer.is_alive());
        assert_eq!(read(&text.as_bytes()[..30], now), Ok(None));
        assert!(read(b"220 mail.example.com\r\n", now).is_err());
        assert_eq!(ahead(now, now + Duration::from_secs(5)), -5);
    }
}
