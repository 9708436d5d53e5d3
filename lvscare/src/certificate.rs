//! What an apiserver's certificate says, asked of the library that verifies certificates: it names the dates that a
//! verification failed for. So nothing here parses a certificate.

use std::time::Duration;

use ::ring::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    key_hash(&CertificateDer::from_pem_slice(pem).ok()?)
}

/// The first certificate of a PEM file whose public key has one of these hashes, in PEM and alone: what else is in the file
/// is not proven by it.
pub fn pinned(pem: &[u8], hashes: &[&str]) -> Option<String> {
    let is_pinned = |der: &CertificateDer<'_>| {
        key_hash(der).is_some_and(|own| hashes.iter().any(|hash| hash.eq_ignore_ascii_case(&own)))
    };
    let found = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).find(is_pinned)?;
    let text = STANDARD.encode(&found);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    Some(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")))
}

fn key_hash(der: &CertificateDer<'_>) -> Option<String> {
    let certificate = ParsedCertificate::try_from(der).ok()?;
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn authority() -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::new(Vec::<String>::new()).unwrap().self_signed(&key).unwrap().pem()
    }

    #[test]
    fn only_what_is_pinned_is_taken_out_of_a_bundle() {
        let (ours, theirs) = (authority(), authority());
        let hash = pem_key_hash(ours.as_bytes()).unwrap();
        let bundle = format!("{theirs}\n{ours}\n{theirs}");
        for hash in [hash.clone(), hash.to_uppercase()] {
            let found = pinned(bundle.as_bytes(), &[&hash]).unwrap();
            let all: Vec<_> = CertificateDer::pem_slice_iter(found.as_bytes()).map(Result::unwrap).collect();
            assert_eq!(all, [CertificateDer::from_pem_slice(ours.as_bytes()).unwrap()]);
        }
        assert_eq!(pinned(theirs.as_bytes(), &[&hash]), None);
        assert_eq!(pinned(bundle.as_bytes(), &[]), None);
        assert_eq!(pinned(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &[&hash]), None);
    }
}
