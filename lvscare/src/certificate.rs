//! What an apiserver's certificate says, asked of the library that verifies certificates: it names the dates that a
//! verification failed for. So nothing here parses a certificate.

use std::time::Duration;

use ::ring::digest::{SHA256, digest};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

/// Later than any certificate is valid: their dates end with the year 9999.
const END_OF_TIME: u64 = 1 << 40;

/// The last second of its validity, since 1970.
pub fn not_after(der: &CertificateDer<'_>) -> Option<u64> {
    let certificate = ParsedCertificate::try_from(der).ok()?;
    match refusal(&certificate, END_OF_TIME) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => Some(not_after.as_secs()),
        _ => None,
    }
}

/// SHA-256 of the public key (RFC 7469, section 2.4) of the first certificate in a PEM file, as kubeadm names an
/// authority: `sha256:` and digits.
pub fn pem_key_hash(pem: &[u8]) -> Option<String> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let certificate = ParsedCertificate::try_from(&der).ok()?;
    let hash = digest(&SHA256, &certificate.subject_public_key_info());
    Some(hash.as_ref().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}")))
}

/// Why the certificate would be refused at that time. Its dates are looked at before anything else.
pub(crate) fn refusal(certificate: &ParsedCertificate<'_>, at: u64) -> Option<CertificateError> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    let nobody = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(certificate, &nobody, &[], now, algorithms) {
        Err(Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}
