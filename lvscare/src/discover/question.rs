//! One question to the API, through the virtual server and with the node's own credentials.
//!
//! Every request has a connection of its own: the kernel then leads the questions to one apiserver after the
//! other, and no single one can tell this node who the masters are.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::answer::{self, Form};
use super::{Settings, http, kubeconfig, tls};

/// For everything together: files, connections, answers.
pub(super) const LIMIT: Duration = Duration::from_secs(3);

/// How much is read at once.
const CHUNK: usize = 16 << 10;

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
        }
    }
}

/// What the API said.
pub(super) struct Reply {
    /// The masters; at least one.
    pub(super) masters: BTreeSet<SocketAddr>,
    /// Whether the apiserver has shown a certificate that was verified.
    pub(super) verified: bool,
}

/// Asks for the masters.
pub(super) async fn ask(settings: &Settings) -> Result<Reply, Problem> {
    let at = settings.at;
    timeout(LIMIT, ask_in_time(settings)).await.unwrap_or(Err(Problem::TimedOut { at }))
}

async fn ask_in_time(settings: &Settings) -> Result<Reply, Problem> {
    let at = settings.at;
    let file = &settings.kubeconfig;
    let asker = {
        let (settings, file) = (settings.clone(), file.clone());
        // A disk that hangs is to hold up this question, not the probes.
        let prepared = spawn_blocking(move || Asker::new(&settings));
        let lost = |_| Problem::Credentials { file, why: "could not be read".to_owned() };
        prepared.await.map_err(lost)??
    };
    let mut forbidden = false;
    for (form, path) in [(Form::Slices, SLICES), (Form::Slices, SLICES_BETA), (Form::Endpoints, ENDPOINTS)] {
        if forbidden && form == Form::Slices {
            continue;
        }
        let heard = asker.get(path).await?;
        let useless = |why| Problem::Useless { at, why };
        let Some(answer) = http::parse(&heard, true).map_err(useless)? else {
            return Err(useless("it is incomplete".to_owned()));
        };
        match answer.status {
            200 => {
                let masters = answer::masters(form, &answer.body, at).map_err(useless)?;
                return Ok(Reply { masters, verified: asker.verified });
            }
            401 => return Err(Problem::Unauthorized { at, file: file.clone() }),
            403 => forbidden = true,
            404 => {}
            status => return Err(Problem::Status { at, status }),
        }
    }
    let file = file.clone();
    Err(if forbidden { Problem::Forbidden { at, file } } else { Problem::Status { at, status: 404 } })
}

/// Whoever asks, with its credentials at hand.
struct Asker {
    at: SocketAddr,
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
    authorization: String,
    verified: bool,
}

impl Asker {
    /// Reads the kubeconfig and all that it names: certificates and tokens are replaced while they are in use.
    fn new(settings: &Settings) -> Result<Self, Problem> {
        let credentials = kubeconfig::read(&settings.kubeconfig)?;
        let wrong = |why| Problem::Credentials { file: Path::to_owned(&settings.kubeconfig), why };
        let name = credentials.server_name.as_deref().unwrap_or(&settings.server_name);
        let authorization = match &credentials.token {
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        Ok(Self {
            at: settings.at,
            tls: Arc::new(tls::client_config(&credentials).map_err(wrong)?),
            name: tls::server_name(name).map_err(wrong)?,
            authorization,
            verified: credentials.authorities.is_some(),
        })
    }

    /// The whole answer, head and body.
    async fn get(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let at = self.at;
        let exchange = self.exchange(path).await.map_err(|error| Problem::Transport { at, error })?;
        exchange.map_err(|why| Problem::Useless { at, why })
    }

    async fn exchange(&self, path: &str) -> io::Result<Result<Vec<u8>, String>> {
        let stream = TcpStream::connect(self.at).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(self.tls.clone());
        let mut stream = connector.connect(self.name.clone(), stream).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: lvscare/{}\r\nAccept: application/json\r\n\
             {}Connection: close\r\n\r\n",
            self.at,
            env!("CARGO_PKG_VERSION"),
            self.authorization
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut heard = Vec::new();
        loop {
            heard.reserve(CHUNK);
            let ended = match stream.read_buf(&mut heard).await {
                // A TLS connection that ends without saying so: an answer that is cut short is no JSON.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
                length => length? == 0,
            };
            match http::parse(&heard, ended) {
                Err(why) => return Ok(Err(why)),
                Ok(Some(_)) => return Ok(Ok(heard)),
                Ok(None) if ended && heard.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(None) if ended => return Ok(Err("it is incomplete".to_owned())),
                Ok(None) if heard.len() > http::LONGEST => {
                    return Ok(Err(format!("the answer is longer than {} bytes", http::LONGEST)));
                }
                Ok(None) => {}
            }
        }
    }
}
