//! Whom a TLS client trusts and who it is itself: what probes, questions and the doctor have in common.
//!
//! With authorities the server's certificate is verified against them and must carry the right name. Without any, every
//! certificate is accepted: for who sends no secret, and before a join, when there is no authority to verify with.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

mod files;

pub(crate) use files::{ClientFiles, NamedFile};

/// Certificates or a key in PEM, and what whoever gave them calls them.
#[derive(Clone, Copy)]
pub(crate) struct Pem<'a> {
    /// As in an error: `--ca-file /etc/ca.crt`.
    pub name: &'a str,
    /// The text.
    pub bytes: &'a [u8],
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that was given is of no use.
    #[error("{name}: {why}")]
    Given {
        /// What whoever gave it calls it.
        name: String,
        /// What is wrong with it.
        #[source]
        why: Why,
    },
    /// The library has no protocol version to offer.
    #[error("TLS: {0}")]
    Library(#[source] rustls::Error),
}

/// What is wrong with something that was given. Nothing of its contents is said: a key may stand in a wrong place.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[source] io::Error),
    /// It begins as PEM does and is something else.
    #[error("damaged PEM")]
    Damaged,
    /// There is no certificate in it.
    #[error("holds no certificate in PEM form")]
    NoCertificate,
    /// There is no key in it.
    #[error("holds no private key in PEM form")]
    NoKey,
    /// It is no certificate of an authority.
    #[error("not a certificate: {0}")]
    NotAnAuthority(#[source] rustls::Error),
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error("{0}")]
    Identity(#[source] rustls::Error),
}

impl Pem<'_> {
    fn wrong(&self, why: Why) -> Error {
        Error::Given { name: self.name.to_owned(), why }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        match CertificateDer::pem_slice_iter(self.bytes).collect::<Result<Vec<_>, _>>() {
            Ok(found) if found.is_empty() => Err(self.wrong(Why::NoCertificate)),
            Ok(found) => Ok(found),
            Err(_) => Err(self.wrong(Why::Damaged)),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        PrivateKeyDer::from_pem_slice(self.bytes).map_err(|_| self.wrong(Why::NoKey))
    }

    /// Those who may have signed a certificate.
    pub(crate) fn authorities(&self) -> Result<RootCertStore, Error> {
        let mut store = RootCertStore::empty();
        for certificate in self.certificates()? {
            store.add(certificate).map_err(|error| self.wrong(Why::NotAnAuthority(error)))?;
        }
        Ok(store)
    }
}

/// A client that trusts these authorities, or everybody, and shows this certificate with its key, or none.
///
/// No session is resumed: a resumed one would not show the server's certificate, and every connection is to be judged
/// anew.
pub(crate) fn client_config(
    authorities: Option<Pem<'_>>,
    identity: Option<(Pem<'_>, Pem<'_>)>,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::Library)?;
    let builder = match authorities {
        Some(pem) => builder.with_root_certificates(pem.authorities()?),
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider))),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificate.certificates()?, key.key()?)
            .map_err(|error| Error::Given {
                // Nobody knows which of the two is the wrong one.
                name: format!("{} and {}", certificate.name, key.name),
                why: Why::Identity(error),
            })?,
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The name that a server's certificate must hold; `None` if it is neither a DNS name nor an IP address.
pub(crate) fn server_name(name: &str) -> Option<ServerName<'static>> {
    match name.parse::<IpAddr>() {
        Ok(ip) => Some(ServerName::IpAddress(ip.into())),
        Err(_) => ServerName::try_from(name.to_owned()).ok(),
    }
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
