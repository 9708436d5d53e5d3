//! One question to the Kubernetes API, for programs that ask and end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::http::{self, Limits};
use crate::runtime;
use crate::tls::{self, Pem};

/// What is asked about one object is shorter.
const LIMITS: Limits = Limits { body_bytes: 1 << 20, keep_body: true };

const AGENT: &str = concat!("lvscare/", env!("CARGO_PKG_VERSION"));

/// The name that stands in the certificate of every apiserver that kubeadm has made.
const NAME: &str = "kubernetes";

/// A GET.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who is asked.
    pub server: SocketAddr,
    /// A path, such as `/api/v1/namespaces/kube-public/configmaps/cluster-info`.
    pub path: &'static str,
    /// Who must have signed the server's certificate, and the token that it is shown, if any. `None`: whoever answers will
    /// do, since nothing secret is sent, and what it says proves nothing.
    pub trust: Option<Trust<'a>>,
    /// The time for all of it.
    pub limit: Duration,
}

/// A server that is verified may be told a secret.
#[derive(Clone, Copy)]
pub struct Trust<'a> {
    /// The authority's certificate in PEM.
    pub authority: &'a [u8],
    /// A bearer token.
    pub token: Option<&'a str>,
}

impl std::fmt::Debug for Trust<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("token", &self.token.map(|_| "***")).finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What was said.
    pub body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the question is made of is of no use.
    #[error("{0}")]
    Question(String),
    /// There is no connection, or no encrypted one.
    #[error(transparent)]
    Connection(#[from] std::io::Error),
    /// It does not speak as an apiserver does.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// It takes too long.
    #[error("no answer in {0:?}")]
    TimedOut(Duration),
}

/// Asks, from a thread that has no runtime, and waits for the answer.
pub fn ask(question: &Question<'_>) -> Result<Reply, Error> {
    let useless = |why: &str| Error::Question(why.to_owned());
    let authority = question.trust.map(|trust| Pem { name: "the authority", bytes: trust.authority });
    let config = tls::client_config(authority, None).map_err(|error| useless(&error.to_string()))?;
    let authorization = match question.trust.and_then(|trust| trust.token) {
        Some(token) => Some(http::bearer(token).ok_or_else(|| useless("the token cannot be sent"))?),
        None => None,
    };
    let name = tls::server_name(NAME).ok_or_else(|| useless("no name"))?;
    let uri = Uri::from_static(question.path);
    let request = http::get(&uri, question.server, AGENT, authorization.as_ref());
    let answer = async {
        let stream = TcpStream::connect(question.server).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        Ok::<_, Error>(http::ask(stream, request, LIMITS).await?)
    };
    let answered = runtime::build()?.block_on(async { timeout(question.limit, answer).await });
    let answer = answered.map_err(|_| Error::TimedOut(question.limit))??;
    Ok(Reply { status: answer.status, body: answer.body })
}
