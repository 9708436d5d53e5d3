//! A stand-in for the part of the Kubernetes API that says who the masters are: TLS with client certificates and
//! tokens, and answers that a test chooses.
//!
//! It lives in the test's own runtime. Dropping it ends it, as an apiserver that is killed.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Result;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::pki::{Identity, Pki};

/// The token that is accepted beside client certificates.
pub const TOKEN: &str = "a-token-that-nobody-guesses";

/// Where the masters can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `discovery.k8s.io/v1`.
    Slices,
    /// `discovery.k8s.io/v1beta1`.
    SlicesBeta,
    /// `Endpoints` of `v1`.
    Endpoints,
}

/// What is answered at a place; 404 is answered at all others.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status and a body.
    Status(u16, String),
    /// The body in chunks, as a large list comes.
    Chunked(String),
    /// These bytes instead of an answer.
    Junk(Vec<u8>),
    /// The head of an answer whose body comes at a byte per 100 ms.
    Dribble,
    /// Nothing.
    Hang,
}

/// A request as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Path and query.
    pub path: String,
    /// The client certificate in DER.
    pub certificate: Option<Vec<u8>>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
}

/// A running API.
pub struct Api {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    replies: Mutex<BTreeMap<Place, Reply>>,
    seen: Mutex<Vec<Seen>>,
}

impl Place {
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let labelled = query == "labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";
        match path {
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices" if labelled => Some(Self::Slices),
            "/apis/discovery.k8s.io/v1beta1/namespaces/default/endpointslices" if labelled => {
                Some(Self::SlicesBeta)
            }
            "/api/v1/namespaces/default/endpoints/kubernetes" => Some(Self::Endpoints),
            _ => None,
        }
    }
}

impl Api {
    /// Starts one at `address`, which may have port 0. Nothing is found there yet.
    pub async fn start(address: SocketAddr, identity: &Identity, pki: &Pki) -> Result<Self> {
        let verifier =
            WebPkiClientVerifier::builder(Arc::new(pki.roots()?)).allow_unauthenticated().build()?;
        let certificate = CertificateDer::from_pem_file(&identity.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&identity.key)?;
        let tls = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)?;
        let listener = TcpListener::bind(address).await?;
        let state = Arc::new(State::default());
        Ok(Self {
            address: listener.local_addr()?,
            state: state.clone(),
            accepting: tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), state)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, this is answered at `place`.
    pub fn set(&self, place: Place, reply: Reply) {
        lock(&self.state.replies).insert(place, reply);
    }

    /// From now on, the slices name these masters.
    pub fn name(&self, masters: &[SocketAddr]) {
        self.set(Place::Slices, Reply::Status(200, slices(masters).to_string()));
    }

    /// What was asked since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.state.seen))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The list of `EndpointSlice`s that names these masters, all ready.
pub fn slices(masters: &[SocketAddr]) -> Value {
    let slice = |master: &SocketAddr| {
        json!({
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "addressType": if master.is_ipv4() { "IPv4" } else { "IPv6" },
            "endpoints": [{"addresses": [master.ip()], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": master.port(), "protocol": "TCP"}],
        })
    };
    let items: Vec<Value> = masters.iter().map(slice).collect();
    json!({"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {}, "items": items})
}

/// The `Endpoints` that name these masters.
pub fn endpoints(masters: &[SocketAddr]) -> Value {
    let subset = |master: &SocketAddr| json!({"addresses": [{"ip": master.ip()}], "ports": [{"name": "https", "port": master.port()}]});
    let subsets: Vec<Value> = masters.iter().map(subset).collect();
    json!({"kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": "kubernetes"}, "subsets": subsets})
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        // How a client breaks off is none of our business.
        tokio::spawn(converse(stream, tls.clone(), state.clone()));
    }
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, state: Arc<State>) -> io::Result<()> {
    let mut stream = tls.accept(stream).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(|chain| chain.first()).map(|first| first.to_vec());
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let authorization = headers.find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let authorization = authorization.map(|(_, value)| value.to_owned());
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let place = Place::of(&path);
    let known = certificate.is_some() || authorization.as_deref() == Some(&format!("Bearer {TOKEN}"));
    lock(&state.seen).push(Seen { path, certificate, authorization });

    let reply = place.and_then(|place| lock(&state.replies).get(&place).cloned());
    let reply = match reply {
        _ if !known => Reply::Status(401, "Unauthorized".to_owned()),
        None => Reply::Status(404, "404 page not found".to_owned()),
        Some(reply) => reply,
    };
    match reply {
        Reply::Status(status, body) => {
            let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        }
        Reply::Chunked(body) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            for chunk in body.as_bytes().chunks(1000) {
                let size = format!("{:x}\r\n", chunk.len());
                stream.write_all(&[size.as_bytes(), chunk, b"\r\n"].concat()).await?;
            }
            stream.write_all(b"0\r\n\r\n").await?;
        }
        Reply::Junk(bytes) => stream.write_all(&bytes).await?,
        Reply::Dribble => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await?;
            loop {
                stream.write_all(b" ").await?;
                stream.flush().await?;
                sleep(Duration::from_millis(100)).await;
            }
        }
        Reply::Hang => std::future::pending().await,
    }
    stream.shutdown().await
}
