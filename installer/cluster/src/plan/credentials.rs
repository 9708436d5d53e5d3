//! What those who join are given. It is made for one run, and is of no use after it.

use std::fmt::Write as _;

use node::spec::credentials::{CaCertHash, CertificateKey, Token};
use node::spec::kubeadm::KubeadmSpec;

/// The characters of a token
/// (<https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format>).
const CHARACTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Bytes of chance that [`Credentials::new`] takes.
pub const CHANCE: usize = 22 + 32;

/// A token, a key, and the authority by which the cluster is known.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// With it a host may join.
    pub token: Token,
    /// With it a master decrypts the certificates that were left for it.
    pub certificate_key: CertificateKey,
    /// The hash of the cluster's authority, once it is known.
    pub authority: Option<CaCertHash>,
}

impl Credentials {
    /// Of what chance gives; the same bytes give the same.
    pub fn new(chance: &[u8; CHANCE]) -> Result<Self, String> {
        let (token, key) = chance.split_at(22);
        let mut text = String::new();
        for (index, byte) in token.iter().enumerate() {
            if index == 6 {
                text.push('.');
            }
            text.push(char::from(CHARACTERS[usize::from(byte % 32)]));
        }
        let mut digits = String::new();
        for byte in key {
            let _ = write!(digits, "{byte:02x}");
        }
        Ok(Self { token: text.parse()?, certificate_key: digits.parse()?, authority: None })
    }

    /// Has kubeadm join with them.
    pub fn fill(&self, kubeadm: &mut KubeadmSpec) {
        kubeadm.token = Some(self.token.clone());
        kubeadm.ca_cert_hashes = self.authority.iter().cloned().collect();
        kubeadm.certificate_key = kubeadm.control_plane.then(|| self.certificate_key.clone());
    }
}
