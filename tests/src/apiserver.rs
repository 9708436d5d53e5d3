//! A stand-in for kube-apiserver: real TCP, TLS and HTTP, and every way to go wrong that a health check has to tell
//! apart, switchable while it runs.
//!
//! ```text
//! behaviour.rs    the ways, as words
//! state.rs        what all connections share: the behaviour of the moment, the counters
//! connection.rs   one connection: TLS, HTTP/1.1 or HTTP/2, and its untimely end
//! answer.rs       one request
//! cluster.rs      what a join asks of the cluster
//! dribble.rs      a stream that answers too slowly to be of use
//! control.rs      both ends of the socket that switches behaviours
//! ```
//!
//! One process per server (`bin/fake-apiserver.rs`), so that tests can kill or stop one as a machine failure would.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

mod answer;
mod behaviour;
mod cluster;
mod connection;
mod control;
mod dribble;
mod state;

pub use behaviour::Behaviour;
pub use cluster::{ANY_TOKEN, FILE as KUBEADM_CONFIG};
pub use control::Control;
pub use state::Stats;

use crate::pki::Identity;
use state::State;

/// What a server needs to know before it starts.
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it calls itself in answers.
    pub name: String,
    /// What it proves to be.
    pub identity: Identity,
    /// The path of its control socket.
    pub control: PathBuf,
    /// The authority that must have signed the certificates of clients; `None`: they need none.
    pub client_ca: Option<PathBuf>,
    /// The file with the token that every request must carry; it may change.
    pub token: Option<PathBuf>,
}

/// Serves until the process ends.
pub async fn serve(options: Options) -> Result<()> {
    let tls = acceptor(&options.identity, options.client_ca.as_deref())?;
    let state = Arc::new(State::new(options.name, tls, options.token, &options.identity));
    let mut listener = Some(TcpListener::bind(options.listen).await.context("cannot listen")?);
    // The control socket comes last: whoever can connect to it knows that the server is up.
    // A server that was killed has left its own behind.
    let _ = fs::remove_file(&options.control);
    let control = UnixListener::bind(&options.control).context("no control socket")?;
    tokio::spawn(control::serve(control, state.clone()));
    let mut behaviour = state.subscribe();
    loop {
        let deaf = *behaviour.borrow_and_update() == Behaviour::Deaf;
        if deaf {
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(options.listen).await?);
        }
        state.listens(!deaf);
        tokio::select! {
            accepted = accept(listener.as_ref()) => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection::handle(stream, state.clone()))),
                // Out of file descriptors, most likely; connections that end will give some back.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            _ = behaviour.changed() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Offers HTTP/2 first, as kube-apiserver does.
fn acceptor(identity: &Identity, client_ca: Option<&Path>) -> Result<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_file(&identity.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key)?;
    let builder = match client_ca {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(file)?)?;
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
