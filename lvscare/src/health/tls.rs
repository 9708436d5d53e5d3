//! How the connection to an apiserver is secured.
//!
//! With an authority file the server's certificate is verified against it and must carry the configured name
//! (`kubernetes` stands in every certificate that kubeadm makes, whatever address is dialled). Without one any
//! certificate is accepted: the probe sends no secret, and before a join there is no authority to verify with.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::ProbeConfig;
use crate::exit::Failure;

/// The TLS settings for every probe.
pub fn client_config(probe: &ProbeConfig) -> Result<Arc<ClientConfig>, Failure> {
    let wrong = |error: rustls::Error| Failure::usage(format!("TLS: {error}"));
    let Some(file) = &probe.ca_file else { return unverified().map_err(wrong) };
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(authorities(file)?)
        .with_no_client_auth();
    // A resumed session would not show the certificate; every connection is to be judged anew.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The name to ask for and, with an authority, to insist on.
pub fn server_name(probe: &ProbeConfig) -> Result<ServerName<'static>, Failure> {
    let name = probe.server_name.clone();
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    ServerName::try_from(name.clone()).map_err(|_| {
        Failure::usage(format!("--tls-server-name {name:?} is neither a DNS name nor an IP address"))
    })
}

fn authorities(file: &Path) -> Result<RootCertStore, Failure> {
    let wrong = |why: String| Failure::usage(format!("--ca-file {}: {why}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| wrong(format!("not PEM: {error}")))?;
        store.add(certificate).map_err(|error| wrong(format!("not a certificate: {error}")))?;
    }
    if store.is_empty() {
        return Err(wrong("holds no certificate in PEM form".into()));
    }
    Ok(store)
}

/// Settings that accept any certificate.
pub fn unverified() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Accepts any certificate, but still checks that the peer holds its key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
