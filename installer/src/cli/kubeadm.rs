//! Everything that kubeadm's own flags can say.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use lvscare::exit::Failure;

use crate::kubeadm;
use crate::kubernetes::join::{ControlPlane, Join};
use crate::kubernetes::version::KubernetesVersion;
use crate::kubernetes::words::{CaCertHash, CertificateKey, Token};

/// The flags of `kubeadm join` that go into its configuration.
#[derive(Debug, Args)]
pub struct KubeadmArgs {
    /// The bootstrap token, for discovery and for kubelet's certificate
    #[arg(long, env = kubeadm::TOKEN_VARIABLE, hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<Token>,
    /// A file with the bootstrap token
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// Another token for discovery
    #[arg(long, value_name = "TOKEN")]
    pub discovery_token: Option<Token>,
    /// The hash of the cluster's authority
    #[arg(long, value_name = "sha256:HEX", value_delimiter = ',')]
    pub discovery_token_ca_cert_hash: Vec<CaCertHash>,
    /// Trust whoever answers
    #[arg(long)]
    pub discovery_token_unsafe_skip_ca_verification: bool,
    /// A kubeconfig, or its URL, instead of a token
    #[arg(long, value_name = "FILE")]
    pub discovery_file: Option<String>,
    /// Another token for kubelet's certificate
    #[arg(long, value_name = "TOKEN")]
    pub tls_bootstrap_token: Option<Token>,
    /// The node's name
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// The container runtime's socket
    #[arg(long, value_name = "SOCKET")]
    pub cri_socket: Option<String>,
    /// Checks of kubeadm that may fail
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub ignore_preflight_errors: Vec<String>,
    /// A directory with patches
    #[arg(long, value_name = "DIRECTORY")]
    pub patches: Option<String>,
    /// Phases to leave out
    #[arg(long, value_name = "PHASE", value_delimiter = ',')]
    pub skip_phases: Vec<String>,
    /// Make the node a master; it gets no virtual server, and its clients use its own apiserver
    #[arg(long)]
    pub control_plane: bool,
    /// The address of the new master's apiserver
    #[arg(long, value_name = "IP", requires = "control_plane")]
    pub apiserver_advertise_address: Option<IpAddr>,
    /// The port of the new master's apiserver
    #[arg(long, value_name = "PORT", requires = "control_plane")]
    pub apiserver_bind_port: Option<u16>,
    /// The key of the certificates that `kubeadm init --upload-certs` has left
    #[arg(long, value_name = "KEY", requires = "control_plane")]
    pub certificate_key: Option<CertificateKey>,
    /// The version of Kubernetes [default: kubeadm's]
    #[arg(long, value_name = "VERSION")]
    pub kube_version: Option<KubernetesVersion>,
}

impl KubeadmArgs {
    /// Whether anything says how to join.
    pub fn says_how(&self) -> bool {
        self.token.is_some()
            || self.token_file.is_some()
            || self.discovery_token.is_some()
            || self.discovery_file.is_some()
    }

    /// Reads the token of --token-file.
    pub fn read_token(&mut self) -> Result<(), Failure> {
        let Some(path) = self.token_file.take() else { return Ok(()) };
        let wrong = |why: String| Failure::usage(format!("--token-file {}: {why}", path.display()));
        let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        self.token = Some(text.trim().parse().map_err(wrong)?);
        Ok(())
    }

    /// What kubeadm is told, to join at `endpoint`.
    pub fn join(&self, endpoint: String) -> Join {
        let token = |own: &Option<Token>| own.clone().or_else(|| self.token.clone());
        let by_file = self.discovery_file.is_some() && self.discovery_token.is_none();
        Join {
            endpoint,
            discovery_token: if by_file { None } else { token(&self.discovery_token) },
            ca_cert_hashes: self.discovery_token_ca_cert_hash.clone(),
            unsafe_skip_ca: self.discovery_token_unsafe_skip_ca_verification,
            discovery_file: self.discovery_file.clone(),
            tls_bootstrap_token: token(&self.tls_bootstrap_token),
            node_name: self.node_name.clone(),
            cri_socket: self.cri_socket.clone(),
            ignore_preflight_errors: self.ignore_preflight_errors.clone(),
            kubelet_extra_args: Vec::new(),
            patches: self.patches.clone(),
            skip_phases: self.skip_phases.clone(),
            control_plane: self.control_plane.then(|| ControlPlane {
                advertise_address: self.apiserver_advertise_address,
                bind_port: self.apiserver_bind_port,
                certificate_key: self.certificate_key.clone(),
            }),
        }
    }
}
