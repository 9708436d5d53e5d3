//! How the connection to an apiserver is secured.
//!
//! With an authority file the server's certificate is verified against it and must carry the configured name
//! (`kubernetes` stands in every certificate that kubeadm makes, whatever address is dialled). Without one any
//! certificate is accepted: the probe sends no secret, and before a join there is no authority to verify with.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tracing::warn;

use crate::config::ProbeConfig;
use crate::exit::Failure;
use crate::files;
use crate::tls::{self, trusting};

/// What every connection to the servers of one virtual server is secured with. The files are read again when
/// they change: authorities and client certificates are renewed while the daemon runs.
#[derive(Debug)]
pub struct Tls {
    probe: ProbeConfig,
    server_name: ServerName<'static>,
    latest: Mutex<Latest>,
}

#[derive(Debug)]
struct Latest {
    stamps: Vec<Option<Stamp>>,
    config: Arc<ClientConfig>,
    /// Why `config` is not what the files say.
    problem: Option<String>,
}

/// By this one sees that a file is another one: time of change, inode, length.
type Stamp = (i64, i64, u64, u64);

impl Tls {
    /// Reads the files.
    pub fn new(probe: &ProbeConfig) -> Result<Self, Failure> {
        let latest = Latest { stamps: stamps(probe), config: client_config(probe)?, problem: None };
        Ok(Self { probe: probe.clone(), server_name: server_name(probe)?, latest: Mutex::new(latest) })
    }

    /// The name to ask for and, with an authority, to insist on.
    pub fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }

    /// Why the files are not followed, for people.
    pub fn problem(&self) -> Option<String> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).problem.clone()
    }

    /// What the files say now. When they say nothing sensible, what they said before.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.probe);
        if stamps != latest.stamps {
            // Even what is wrong is not read again before it changes again.
            latest.stamps = stamps;
            match client_config(&self.probe) {
                Ok(config) => {
                    latest.config = config;
                    latest.problem = None;
                }
                Err(failure) => {
                    warn!("{failure}; what was there before is still used");
                    latest.problem = Some(failure.to_string());
                }
            }
        }
        latest.config.clone()
    }
}

fn stamps(probe: &ProbeConfig) -> Vec<Option<Stamp>> {
    let (certificate, key) = probe.identity.as_ref().map(|(certificate, key)| (certificate, key)).unzip();
    let files = [probe.ca_file.as_ref(), certificate, key].into_iter().flatten();
    let stamp = |file: &PathBuf| {
        let seen = std::fs::metadata(file).ok()?;
        Some((seen.mtime(), seen.mtime_nsec(), seen.ino(), seen.size()))
    };
    files.map(stamp).collect()
}

fn client_config(probe: &ProbeConfig) -> Result<Arc<ClientConfig>, Failure> {
    let authorities = probe.ca_file.as_deref().map(authorities).transpose()?;
    let builder = trusting(authorities).map_err(|error| Failure::usage(format!("TLS: {error}")))?;
    let mut config = match &probe.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates("--cert-file", certificate)?;
            let key = private_key(key)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| Failure::usage(format!("--cert-file {}: {error}", certificate.display())))?
        }
    };
    // A resumed session would not show the certificate; every connection is to be judged anew.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn server_name(probe: &ProbeConfig) -> Result<ServerName<'static>, Failure> {
    let name = &probe.server_name;
    tls::server_name(name).ok_or_else(|| {
        Failure::usage(format!("--tls-server-name {name:?} is neither a DNS name nor an IP address"))
    })
}

fn authorities(file: &Path) -> Result<RootCertStore, Failure> {
    tls::store(certificates("--ca-file", file)?)
        .map_err(|error| Failure::usage(format!("--ca-file {}: not a certificate: {error}", file.display())))
}

fn certificates(flag: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let wrong = |why: String| Failure::usage(format!("{flag} {}: {why}", file.display()));
    let bytes = files::read(file).map_err(|error| wrong(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| wrong(format!("not PEM: {error}")))?;
    if found.is_empty() {
        return Err(wrong("holds no certificate in PEM form".into()));
    }
    Ok(found)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let wrong = |why: String| Failure::usage(format!("--key-file {}: {why}", file.display()));
    let bytes = files::read(file).map_err(|error| wrong(error.to_string()))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| wrong("holds no private key in PEM form".into()))
}
