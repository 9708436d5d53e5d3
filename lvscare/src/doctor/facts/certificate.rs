//! What an apiserver's certificate says, asked of the library that verifies certificates: it names the dates and
//! names that a verification failed for. So nothing here parses a certificate.

use std::net::IpAddr;
use std::time::Duration;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

/// Later than any certificate is valid: their dates end with the year 9999.
const END_OF_TIME: u64 = 1 << 40;

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
}

impl Certificate {
    /// Reads a certificate; `None` if it is none.
    pub fn read(der: &CertificateDer<'_>, vip: IpAddr, name: &str) -> Option<Self> {
        let certificate = ParsedCertificate::try_from(der).ok()?;
        let is_for = |name: ServerName<'_>| verify_server_name(&certificate, &name).is_ok();
        Some(Self {
            not_before: match refusal(&certificate, 0) {
                // Without a context the library cannot name the date.
                Some(CertificateError::NotValidYetContext { not_before, .. }) => Some(not_before.as_secs()),
                _ => None,
            },
            not_after: match refusal(&certificate, END_OF_TIME) {
                Some(CertificateError::ExpiredContext { not_after, .. }) => Some(not_after.as_secs()),
                _ => None,
            },
            has_vip: is_for(ServerName::IpAddress(vip.into())),
            has_name: ServerName::try_from(name).is_ok_and(is_for),
        })
    }
}

/// Why the certificate would be refused at that time. Its dates are looked at before anything else.
fn refusal(certificate: &ParsedCertificate<'_>, at: u64) -> Option<CertificateError> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    let nobody = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(certificate, &nobody, &[], now, algorithms) {
        Err(Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}
