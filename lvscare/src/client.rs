//! Asking a running daemon, and the kernel when there is none.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::exit::{Exit, Failure};
use crate::http::{self, Limits};
use crate::kernel::{Kernel, Linux};
use crate::runtime;
use crate::status::Status;

/// A daemon answers in milliseconds, even on a busy node. For everything together.
const PATIENCE: Duration = Duration::from_secs(2);

/// The status of a daemon with hundreds of virtual servers is well below this.
const LIMITS: Limits = Limits { body_bytes: 16 << 20, keep_body: true };

const AGENT: &str = concat!("lvscare-status/", env!("CARGO_PKG_VERSION"));

/// Why a daemon has not said how it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection to it.
    #[error(transparent)]
    Unreachable(io::Error),
    /// Somebody else listens there, or it is broken.
    #[error("{0}")]
    Useless(String),
}

/// What the daemon at `listen` says; when none answers, what the kernel says about `vs`.
pub fn status(listen: Option<SocketAddr>, vs: SocketAddr) -> Result<Status, Failure> {
    if let Some(address) = listen
        && let Some(status) = ask_if_there(address)?
    {
        return Ok(status);
    }
    let actual = Linux::open()?.read(&[vs])?;
    Ok(Status::of_kernel(&actual, [&vs]))
}

/// What the daemon at `listen` says, and everything else in the kernel that lvscare made.
pub fn status_of_all(listen: Option<SocketAddr>) -> Result<Status, Failure> {
    let mut linux = Linux::open()?;
    let survey = linux.survey()?;
    let ours: Vec<SocketAddr> = survey.ours().collect();
    let actual = linux.read(&ours)?;
    let asked = match listen {
        Some(address) => ask_if_there(address)?,
        None => None,
    };
    let mut status = asked.unwrap_or_else(|| Status::of_kernel(&actual, []));
    status.add_unguarded(&survey, &actual);
    Ok(status)
}

/// What a daemon at `listen` says, if there is one.
pub fn daemon(listen: SocketAddr) -> Option<Status> {
    ask(listen).ok()
}

fn ask_if_there(address: SocketAddr) -> Result<Option<Status>, Failure> {
    match ask(address) {
        Ok(status) => Ok(Some(status)),
        Err(Error::Unreachable(_)) => Ok(None),
        Err(why) => {
            let why = format!("the daemon on {address} does not answer properly: {why}");
            Err(Failure::new(Exit::Failed, why))
        }
    }
}

/// Asks, from a thread that has no runtime.
fn ask(address: SocketAddr) -> Result<Status, Error> {
    let late = || Error::Useless(format!("no answer in {PATIENCE:?}"));
    let question = async { timeout(PATIENCE, fetch(address)).await.unwrap_or_else(|_| Err(late())) };
    runtime::build().map_err(Error::Unreachable)?.block_on(question)
}

/// The HTTP status with which a health page answers; `None`: nobody does. Over TLS whoever answers will do.
pub fn health(address: SocketAddr, tls: bool, path: &str) -> Option<u16> {
    let path: Uri = path.parse().ok()?;
    let limits = Limits { body_bytes: 1 << 20, keep_body: false };
    let question = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let request = http::get(&path, address, AGENT, None);
        let answer = if tls {
            let connector = TlsConnector::from(Arc::new(crate::tls::client_config(None, None).ok()?));
            let stream = connector.connect(ServerName::IpAddress(address.ip().into()), stream).await.ok()?;
            http::ask(stream, request, limits).await
        } else {
            http::ask(stream, request, limits).await
        };
        answer.ok().map(|answer| answer.status)
    };
    let answered = runtime::build().ok()?.block_on(async { timeout(PATIENCE, question).await });
    answered.ok().flatten()
}

/// What the daemon at `address` says. The caller limits the time.
pub(crate) async fn fetch(address: SocketAddr) -> Result<Status, Error> {
    let stream = TcpStream::connect(address).await.map_err(Error::Unreachable)?;
    let request = http::get(&Uri::from_static("/status"), address, AGENT, None);
    let useless = |why: &dyn std::fmt::Display| Error::Useless(why.to_string());
    let answer = http::ask(stream, request, LIMITS).await.map_err(|error| useless(&error))?;
    if answer.status != 200 {
        return Err(Error::Useless(format!("HTTP {}", answer.status)));
    }
    Status::from_json(&answer.body).map_err(|_| useless(&"it is not lvscare, or of another version"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;
    use crate::http::tests::{HOSTILE, Verdict};

    /// Whatever listens where the daemon should, the answer comes in time, is bounded and in our own words.
    #[test]
    fn strangers_in_the_place_of_the_daemon() {
        for hostile in HOSTILE {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let stranger = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                stream.set_nonblocking(true).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    hostile.speak(&mut TcpStream::from_std(stream).unwrap()).await;
                });
            });
            match ask(address) {
                // It says more than 16 MiB, and all of it takes longer than we wait on a busy machine.
                Err(Error::Useless(why)) if why.contains("no answer in") => {}
                Err(Error::Useless(why)) if hostile.verdict == Verdict::Judged(200) => {
                    assert_eq!(why, "it is not lvscare, or of another version");
                }
                Err(Error::Useless(why)) => hostile.check(Err(why)),
                other => panic!("{}: {other:?}", hostile.name),
            }
            stranger.join().unwrap();
        }
    }

    #[test]
    fn a_health_page_is_judged_by_its_status_and_nobody_is_none() {
        for hostile in HOSTILE {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let stranger = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                stream.set_nonblocking(true).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    hostile.speak(&mut TcpStream::from_std(stream).unwrap()).await;
                });
            });
            match (health(address, false, "/livez"), hostile.verdict) {
                (Some(status), Verdict::Judged(wanted)) => assert_eq!(status, wanted, "{}", hostile.name),
                (Some(status), _) => panic!("{}: {status}", hostile.name),
                // A busy machine may be late for a good answer, too.
                (None, _) => {}
            }
            stranger.join().unwrap();
            assert_eq!(health(address, true, "/livez"), None, "nobody is there any more");
        }
    }

    #[test]
    fn nobody_is_no_daemon() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(ask(address), Err(Error::Unreachable(_))));
        assert_eq!(daemon(address), None);
    }
}
