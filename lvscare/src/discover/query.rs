//! One question to the API, through the virtual server and with the node's own credentials.
//!
//! When nobody answers there, the server that the kubeconfig names is asked as well, if it is another one and must prove
//! to be of the cluster: all masters that were known may have been replaced while this node was away.
//!
//! Every request has a connection of its own: the kernel then leads the questions to one apiserver after the
//! other, and no single one can tell this node who the masters are.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{ACCEPT, HeaderValue};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Settings;
use super::answer::{self, Form};
use super::disk::Disk;
use super::kubeconfig::{self, Credentials, Identity};
use crate::http::{self, Answer, Limits};
use crate::tls::{self, Pem};

/// For the files, and for everything that is asked of one server: connections, answers.
pub(super) const LIMIT: Duration = Duration::from_secs(3);

/// Nothing about a few masters is longer.
const LIMITS: Limits = Limits { body_bytes: 4 << 20, keep_body: true };

const AGENT: &str = concat!("lvscare/", env!("CARGO_PKG_VERSION"));

/// Since Kubernetes 1.21.
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices\
                      ?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";

/// From 1.17 to 1.24.
const SLICES_BETA: &str = "/apis/discovery.k8s.io/v1beta1/namespaces/default/endpointslices\
                           ?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";

/// Always, and what a node may read without a role of its own.
const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints/kubernetes";

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    #[error("kubeconfig {}: {why}", file.display())]
    Credentials { file: PathBuf, why: String },
    #[error("cannot ask the API at {at} for the masters: {error}")]
    Transport { at: SocketAddr, error: io::Error },
    #[error("the API at {at} did not say within {LIMIT:?} who the masters are")]
    TimedOut { at: SocketAddr },
    #[error(
        "the API at {at} does not accept the credentials in {} (401); has the certificate or token expired?",
        file.display()
    )]
    Unauthorized { at: SocketAddr, file: PathBuf },
    #[error(
        "the API at {at} does not let the user of {} read the endpoints of the masters (403); \
         apply manifests/rbac.yaml",
        file.display()
    )]
    Forbidden { at: SocketAddr, file: PathBuf },
    #[error("the API at {at} answered {status} when asked for the masters")]
    Status { at: SocketAddr, status: u16 },
    #[error("the answer of the API at {at} is of no use: {why}")]
    Useless { at: SocketAddr, why: String },
    #[error("{first}; {second}")]
    Both { first: Box<Problem>, second: Box<Problem> },
}

impl Problem {
    /// In a word, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Kubeconfig(_) | Self::Credentials { .. } => "kubeconfig",
            Self::Transport { .. } => "unreachable",
            Self::TimedOut { .. } => "timeout",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::Status { .. } => "bad-status",
            Self::Useless { .. } => "useless",
            Self::Both { first, .. } => first.reason(),
        }
    }

    /// What stays the same while the problem does. Messages of TLS hold the time, and answers whatever a server likes.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Transport { at, error } => format!("{at} {}: {}", self.reason(), error.kind()),
            Self::Useless { at, .. } => format!("{at} {}", self.reason()),
            Self::Both { first, second } => format!("{}; {}", first.kind(), second.kind()),
            _ => self.to_string(),
        }
    }

    /// Whether no apiserver of this cluster has said a word, so that another one may.
    fn is_silence(&self) -> bool {
        matches!(self, Self::Transport { .. } | Self::TimedOut { .. })
    }
}

/// What the API said.
pub(super) struct Reply {
    /// The masters; at least one.
    pub(super) masters: BTreeSet<SocketAddr>,
    /// Whether the apiserver has shown a certificate that was verified.
    pub(super) verified: bool,
    /// The authorities by which it was verified, see [`kubeconfig::Credentials::trust`].
    pub(super) trust: String,
    /// Why the virtual server was not the one that answered.
    pub(super) detour: Option<Problem>,
}

/// Asks for the masters.
pub(super) async fn ask(settings: &Settings, disk: &mut Disk) -> Result<Reply, Problem> {
    let unreadable = |why| Problem::Credentials { file: settings.kubeconfig.clone(), why };
    // A disk that hangs is to hold up this question, not the probes.
    let prepared = {
        let settings = settings.clone();
        timeout(LIMIT, disk.run(move || Asker::new(&settings))).await
    };
    let asker = prepared
        .map_err(|_| unreadable(format!("it could not be read within {LIMIT:?}")))?
        .map_err(|error| unreadable(error.to_string()))??;
    let first = match asker.masters(settings.at).await {
        Err(problem) if problem.is_silence() => problem,
        answered => return answered,
    };
    let Some(other) = asker.other else { return Err(first) };
    match asker.masters(other).await {
        Ok(reply) => Ok(Reply { detour: Some(first), ..reply }),
        Err(second) => Err(Problem::Both { first: Box::new(first), second: Box::new(second) }),
    }
}

/// Whoever asks, with its credentials at hand.
struct Asker {
    /// The virtual server.
    at: SocketAddr,
    /// Another server that may be asked.
    other: Option<SocketAddr>,
    file: PathBuf,
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
    authorization: Option<HeaderValue>,
    verified: bool,
    trust: String,
}

impl Asker {
    /// Reads the kubeconfig and all that it names: certificates and tokens are replaced while they are in use.
    fn new(settings: &Settings) -> Result<Self, Problem> {
        let credentials = kubeconfig::read(&settings.kubeconfig)?;
        let wrong = |why| Problem::Credentials { file: settings.kubeconfig.clone(), why };
        let name = credentials.server_name.as_deref().unwrap_or(&settings.server_name);
        let authorization = match &credentials.token {
            Some(token) => {
                Some(http::bearer(token).ok_or_else(|| wrong("the token cannot be sent".to_owned()))?)
            }
            None => None,
        };
        let verified = credentials.authorities.is_some();
        Ok(Self {
            at: settings.at,
            other: credentials.server.filter(|server| verified && *server != settings.at),
            file: settings.kubeconfig.clone(),
            tls: Arc::new(client_config(&credentials).map_err(|error| wrong(error.to_string()))?),
            name: tls::server_name(name).ok_or_else(|| {
                wrong(format!("tls-server-name {name:?} is neither a DNS name nor an IP address"))
            })?,
            authorization,
            verified,
            trust: credentials.trust(),
        })
    }

    /// Asks the server at `at`.
    async fn masters(&self, at: SocketAddr) -> Result<Reply, Problem> {
        timeout(LIMIT, self.masters_in_time(at)).await.unwrap_or(Err(Problem::TimedOut { at }))
    }

    async fn masters_in_time(&self, at: SocketAddr) -> Result<Reply, Problem> {
        let mut forbidden = false;
        for (form, path) in
            [(Form::Slices, SLICES), (Form::Slices, SLICES_BETA), (Form::Endpoints, ENDPOINTS)]
        {
            if forbidden && form == Form::Slices {
                continue;
            }
            let answer = self.get(at, path).await?;
            let useless = |why| Problem::Useless { at, why };
            match answer.status {
                200 => {
                    let masters = answer::masters(form, &answer.body, self.at).map_err(useless)?;
                    let (verified, trust) = (self.verified, self.trust.clone());
                    return Ok(Reply { masters, verified, trust, detour: None });
                }
                401 => return Err(Problem::Unauthorized { at, file: self.file.clone() }),
                403 => forbidden = true,
                404 => {}
                status => return Err(Problem::Status { at, status }),
            }
        }
        let file = self.file.clone();
        Err(if forbidden { Problem::Forbidden { at, file } } else { Problem::Status { at, status: 404 } })
    }

    async fn get(&self, at: SocketAddr, path: &'static str) -> Result<Answer, Problem> {
        let failed = |error| Problem::Transport { at, error };
        let stream = TcpStream::connect(at).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let connector = TlsConnector::from(self.tls.clone());
        let stream = connector.connect(self.name.clone(), stream).await.map_err(failed)?;
        let mut request = http::get(&Uri::from_static(path), at, AGENT, self.authorization.as_ref());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        http::ask(stream, request, LIMITS).await.map_err(|error| match error {
            http::Error::Connection(error) => failed(error),
            http::Error::Closed => failed(io::ErrorKind::UnexpectedEof.into()),
            other => Problem::Useless { at, why: other.to_string() },
        })
    }
}

/// A client that proves who this node is. Each piece is called what the kubeconfig calls it.
fn client_config(credentials: &Credentials) -> Result<ClientConfig, tls::Error> {
    let authorities = credentials.authorities.as_deref();
    let authorities = authorities.map(|bytes| Pem { name: "certificate-authority", bytes });
    let identity = credentials.identity.as_ref().map(|Identity { certificate, key }| {
        (Pem { name: "client-certificate", bytes: certificate }, Pem { name: "client-key", bytes: key })
    });
    let mut config = tls::client_config(authorities, identity)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that has expired is older each time.
    #[test]
    fn a_problem_stays_of_its_kind_while_its_words_change() {
        let at = SocketAddr::from(([10, 103, 97, 2], 6443));
        let expired = |seconds: u32| Problem::Transport {
            at,
            error: io::Error::new(
                io::ErrorKind::InvalidData,
                format!("expired: verification time {seconds}"),
            ),
        };
        let useless = |why: &str| Problem::Useless { at, why: why.to_owned() };
        let both = |problem| Problem::Both { first: Box::new(problem), second: Box::new(useless("")) };
        assert_ne!(expired(1).to_string(), expired(2).to_string());
        assert_eq!(expired(1).kind(), expired(2).kind());
        assert_eq!(useless("kind A").kind(), useless("kind B").kind());
        assert_eq!(both(expired(1)).kind(), both(expired(2)).kind());
        let refused = Problem::Transport { at, error: io::ErrorKind::ConnectionRefused.into() };
        assert_ne!(refused.kind(), expired(1).kind());
    }
}
