//! What an apiserver's certificate says, asked of the library that verifies certificates: it names the dates and
//! names that a verification failed for. So nothing here parses a certificate.

use std::net::IpAddr;

use rustls::CertificateError;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

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
            not_after: not_after(der),
            has_vip: is_for(ServerName::IpAddress(vip.into())),
            has_name: ServerName::try_from(name).is_ok_and(is_for),
        })
    }
}
