//! What an apiserver's certificate says, asked of the library that verifies certificates: it names the dates and
//! names that a verification failed for. So nothing here parses a certificate.

use std::net::IpAddr;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

use crate::certificate::{not_after, refusal};

/// An apiserver's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The first second of its validity, since 1970.
    pub not_before: Option<u64>,
    /// The last one.
    pub not_after: Option<u64>,
    /// Whether clients may call the server by the virtual address.
    pub has_vip: bool,
    /// Whether clients may call it by the name.
    pub has_name: bool,
    /// Whether the authority that was told has signed it; `None`: none was told, or that cannot be said.
    pub is_of_cluster: Option<bool>,
}

impl Certificate {
    /// Reads the first certificate of a chain; `None` if it is none.
    pub fn read(
        chain: &[CertificateDer<'_>],
        vip: IpAddr,
        name: &str,
        authority: Option<&RootCertStore>,
    ) -> Option<Self> {
        let (der, others) = chain.split_first()?;
        let certificate = ParsedCertificate::try_from(der).ok()?;
        let is_for = |name: ServerName<'_>| verify_server_name(&certificate, &name).is_ok();
        Some(Self {
            not_before: match refusal(&certificate, 0) {
                // Without a context the library cannot name the date.
                Some(CertificateError::NotValidYetContext { not_before, .. }) => Some(not_before.as_secs()),
                _ => None,
            },
            not_after: not_after(der),
            has_vip: is_for(ServerName::IpAddress(vip.into())),
            has_name: ServerName::try_from(name).is_ok_and(is_for),
            is_of_cluster: authority.and_then(|roots| is_signed(&certificate, roots, others)),
        })
    }
}

/// A certificate that is too old, or too young, says nothing of who signed it.
fn is_signed(
    certificate: &ParsedCertificate<'_>,
    roots: &RootCertStore,
    others: &[CertificateDer<'_>],
) -> Option<bool> {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let verified = verify_server_cert_signed_by_trust_anchor(
        certificate,
        roots,
        others,
        UnixTime::now(),
        algorithms.all,
    );
    match verified {
        Ok(()) => Some(true),
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            Some(false)
        }
        Err(_) => None,
    }
}
