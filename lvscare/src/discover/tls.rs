//! The TLS settings of a question: whom to trust, and what to prove with.

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::kubeconfig::{Credentials, Identity};
use crate::tls::{self, trusting};

/// Makes the settings from the credentials.
pub(super) fn client_config(credentials: &Credentials) -> Result<ClientConfig, String> {
    let authorities = credentials.authorities.as_deref().map(authorities).transpose()?;
    let builder = trusting(authorities).map_err(|error| format!("TLS: {error}"))?;
    let mut config = match &credentials.identity {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let chain = certificates("client-certificate", certificate)?;
            // What the reader of PEM says may quote a line of the key.
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|_| "client-key holds no private key in PEM form".to_owned())?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("client-certificate and client-key: {error}"))?
        }
    };
    // A question is rare, and who asks may have a new certificate each time.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The name that must stand in the server's certificate.
pub(super) fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    tls::server_name(name)
        .ok_or_else(|| format!("tls-server-name {name:?} is neither a DNS name nor an IP address"))
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    tls::store(certificates("certificate-authority", pem)?)
        .map_err(|error| format!("certificate-authority: not a certificate: {error}"))
}

fn certificates(key: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(format!("{key} holds no certificate in PEM form")),
    }
}
