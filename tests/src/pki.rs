//! A certificate authority as kubeadm makes one, and certificates of apiservers and nodes signed by it.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// The names in every apiserver's certificate, so that clients can verify whichever one they reach.
const NAMES: [&str; 6] = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "apiserver.cluster.local",
    "localhost",
];

/// The virtual addresses of every test.
const VIRTUAL: [&str; 2] = ["10.103.97.2", "fd00:103::2"];

/// A certificate authority with its files in one directory.
pub struct Pki {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate file.
    pub certificate: PathBuf,
    /// The private key file.
    pub key: PathBuf,
}

impl Pki {
    /// Makes an authority and writes its certificate to `directory`.
    pub fn new(directory: &Path) -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "kubernetes");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        // For whoever signs with it as kubeadm does.
        fs::write(directory.join("ca.key"), key.serialize_pem())?;
        let pki = Self {
            directory: directory.to_owned(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(parameters, key),
        };
        fs::write(pki.ca(), certificate.pem())?;
        Ok(pki)
    }

    /// The file with the authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// The authority, for clients that verify.
    pub fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        Ok(roots)
    }

    /// Signs a certificate for an apiserver at `addresses`, and writes it as `{name}.crt` and `{name}.key`.
    pub fn apiserver(&self, name: &str, addresses: &[IpAddr]) -> Result<Identity> {
        let mut parameters = CertificateParams::new(
            [&NAMES[..], &VIRTUAL].concat().into_iter().map(str::to_owned).collect::<Vec<_>>(),
        )?;
        parameters.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        parameters.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        self.sign(name, &parameters)
    }

    /// Signs kubelet's client certificate on the node `name`, and writes it as `{name}.crt` and `{name}.key`.
    pub fn node(&self, name: &str) -> Result<Identity> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        parameters.distinguished_name.push(DnType::CommonName, format!("system:node:{name}"));
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, &parameters)
    }

    /// Signs a certificate for exactly these names and addresses, valid between two times since 1970.
    pub fn certificate(&self, name: &str, names: &[&str], from: Duration, to: Duration) -> Result<Identity> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut parameters = CertificateParams::new(names)?;
        let beginning = date_time_ymd(1970, 1, 1);
        (parameters.not_before, parameters.not_after) = (beginning + from, beginning + to);
        parameters.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        self.sign(name, &parameters)
    }

    fn sign(&self, name: &str, parameters: &CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            certificate: self.directory.join(format!("{name}.crt")),
            key: self.directory.join(format!("{name}.key")),
        };
        fs::write(&identity.certificate, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }
}
