//! What `kubeadm join` is told, beside the endpoint.

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::credentials::{CaCertHash, CertificateKey, Token};
use super::version::KubernetesVersion;
use crate::failure::Failure;

/// The flags of `kubeadm join` that go into its configuration, and how kubeadm itself is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KubeadmSpec {
    /// `--token`: for discovery and for kubelet's certificate.
    pub token: Option<Token>,
    /// `--discovery-token`: another one for discovery.
    pub discovery_token: Option<Token>,
    /// `--discovery-token-ca-cert-hash`.
    pub ca_cert_hashes: Vec<CaCertHash>,
    /// `--discovery-token-unsafe-skip-ca-verification`.
    pub unsafe_skip_ca: bool,
    /// `--discovery-file`: a kubeconfig, or its URL.
    pub discovery_file: Option<String>,
    /// `--tls-bootstrap-token`: another one for kubelet's certificate.
    pub tls_bootstrap_token: Option<Token>,
    /// `--node-name`.
    pub node_name: Option<String>,
    /// `--cri-socket`.
    pub cri_socket: Option<String>,
    /// `--ignore-preflight-errors`.
    pub ignore_preflight_errors: Vec<String>,
    /// Options of kubelet and their values, without dashes.
    pub kubelet_extra_args: Vec<(String, String)>,
    /// `--patches`: a directory.
    pub patches: Option<String>,
    /// `--skip-phases`.
    pub skip_phases: Vec<String>,
    /// `--config`: a file with what no option says.
    pub config: Option<String>,
    /// `--control-plane`: the node becomes a master.
    pub control_plane: bool,
    /// `--apiserver-advertise-address`.
    pub advertise_address: Option<IpAddr>,
    /// `--apiserver-bind-port`.
    pub bind_port: Option<u16>,
    /// `--certificate-key`.
    pub certificate_key: Option<CertificateKey>,
    /// The version of kubeadm; `None`: it is asked.
    pub version: Option<KubernetesVersion>,
    /// `-v`: how much kubeadm says.
    pub verbosity: Option<u8>,
}

impl KubeadmSpec {
    /// Whether anything says how to join.
    pub fn says_how(&self) -> bool {
        self.token.is_some() || self.discovery_token.is_some() || self.discovery_file.is_some()
    }

    /// Refuses what only makes sense for a join when nothing says how.
    pub fn check_alone(&self) -> Result<(), Failure> {
        if self.says_how() {
            return Ok(());
        }
        let given = [
            ("--tls-bootstrap-token", self.tls_bootstrap_token.is_some()),
            ("--discovery-token-ca-cert-hash", !self.ca_cert_hashes.is_empty()),
            ("--discovery-token-unsafe-skip-ca-verification", self.unsafe_skip_ca),
            ("--config", self.config.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(Failure::usage(format!("{flag} says nothing without --token or --discovery-file")))
            }
            None => Ok(()),
        }
    }

    /// The files of the machine that kubeadm will read, each with the option that names it.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let file = self.discovery_file.as_deref().filter(|file| !file.contains("://"));
        let file = file.map(|file| ("--discovery-file", Path::new(file)));
        let patches = self.patches.as_deref().map(|directory| ("--patches", Path::new(directory)));
        let config = self.config.as_deref().map(|file| ("--config", Path::new(file)));
        file.into_iter().chain(config).chain(patches)
    }
}
