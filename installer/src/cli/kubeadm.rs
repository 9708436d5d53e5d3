//! Everything that kubeadm's own flags can say.

use std::env;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use node::api::Failure;
use node::spec::credentials::{CaCertHash, CertificateKey, Token};
use node::spec::kubeadm::KubeadmSpec;
use node::spec::version::KubernetesVersion;

use crate::secret;

/// The one variable that says what a node gets: an argument can be read by everybody on it.
const TOKEN_VARIABLE: &str = "LVSCARE_JOIN_TOKEN";

/// The flags of `kubeadm join` that go into its configuration.
#[derive(Debug, Args)]
pub(crate) struct KubeadmArgs {
    /// The bootstrap token, for discovery and for kubelet's certificate; everybody on the node can read it meanwhile,
    /// unless it comes in a file, or in the variable `LVSCARE_JOIN_TOKEN`
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<Token>,
    /// A file with the bootstrap token, which only its owner may read; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(crate) token_file: Option<PathBuf>,
    /// Another token for discovery
    #[arg(long, value_name = "TOKEN")]
    pub(crate) discovery_token: Option<Token>,
    /// A file with that token, which only its owner may read
    #[arg(long, value_name = "FILE", conflicts_with = "discovery_token")]
    pub(crate) discovery_token_file: Option<PathBuf>,
    /// The hash of the cluster's authority
    #[arg(long, value_name = "sha256:HEX", value_delimiter = ',')]
    pub(crate) discovery_token_ca_cert_hash: Vec<CaCertHash>,
    /// Trust whoever answers
    #[arg(long)]
    pub(crate) discovery_token_unsafe_skip_ca_verification: bool,
    /// A kubeconfig, or its URL, instead of a token
    #[arg(long, value_name = "FILE")]
    pub(crate) discovery_file: Option<String>,
    /// Another token for kubelet's certificate
    #[arg(long, value_name = "TOKEN")]
    pub(crate) tls_bootstrap_token: Option<Token>,
    /// A file with that token, which only its owner may read
    #[arg(long, value_name = "FILE", conflicts_with = "tls_bootstrap_token")]
    pub(crate) tls_bootstrap_token_file: Option<PathBuf>,
    /// The node's name
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<String>,
    /// The container runtime's socket
    #[arg(long, value_name = "SOCKET")]
    pub(crate) cri_socket: Option<String>,
    /// An option of kubelet, without dashes, such as node-labels=disk=ssd or register-with-taints=..; repeat it
    #[arg(long, value_name = "NAME=VALUE", value_parser = extra_arg)]
    pub(crate) kubelet_extra_arg: Vec<(String, String)>,
    /// Checks of kubeadm that may fail
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub(crate) ignore_preflight_errors: Vec<String>,
    /// A directory with patches
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) patches: Option<String>,
    /// Phases to leave out
    #[arg(long, value_name = "PHASE", value_delimiter = ',')]
    pub(crate) skip_phases: Vec<String>,
    /// A `JoinConfiguration` with what no option says, such as taints and timeouts; all that options say is left out there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<String>,
    /// Make the node a master; it gets no virtual server, and its clients use its own apiserver
    #[arg(long)]
    pub(crate) control_plane: bool,
    /// The address of the new master's apiserver
    #[arg(long, value_name = "IP", requires = "control_plane")]
    pub(crate) apiserver_advertise_address: Option<IpAddr>,
    /// The port of the new master's apiserver
    #[arg(long, value_name = "PORT", requires = "control_plane")]
    pub(crate) apiserver_bind_port: Option<u16>,
    /// The key of the certificates that `kubeadm init --upload-certs` has left
    #[arg(long, value_name = "KEY", requires = "control_plane")]
    pub(crate) certificate_key: Option<CertificateKey>,
    /// A file with that key, which only its owner may read
    #[arg(long, value_name = "FILE", requires = "control_plane", conflicts_with = "certificate_key")]
    pub(crate) certificate_key_file: Option<PathBuf>,
    /// How much kubeadm says, 0 to 10
    #[arg(long = "v", short = 'v', value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=10))]
    pub(crate) verbosity: Option<u8>,
    /// The version of Kubernetes [default: kubeadm's]
    #[arg(long, value_name = "VERSION")]
    pub(crate) kube_version: Option<KubernetesVersion>,
}

impl KubeadmArgs {
    /// What kubeadm is told; secrets that come in files are read.
    pub(crate) fn spec(self) -> Result<KubeadmSpec, Failure> {
        let discovery_token =
            in_file("--discovery-token-file", self.discovery_token_file, self.discovery_token)?;
        let token = match in_file("--token-file", self.token_file, self.token)? {
            None if discovery_token.is_none() && self.discovery_file.is_none() => from_variable()?,
            token => token,
        };
        let tls_bootstrap_token =
            in_file("--tls-bootstrap-token-file", self.tls_bootstrap_token_file, self.tls_bootstrap_token)?;
        let certificate_key =
            in_file("--certificate-key-file", self.certificate_key_file, self.certificate_key)?;
        Ok(KubeadmSpec {
            token,
            discovery_token,
            ca_cert_hashes: self.discovery_token_ca_cert_hash,
            unsafe_skip_ca: self.discovery_token_unsafe_skip_ca_verification,
            discovery_file: self.discovery_file,
            tls_bootstrap_token,
            node_name: self.node_name,
            cri_socket: self.cri_socket,
            ignore_preflight_errors: self.ignore_preflight_errors,
            kubelet_extra_args: self.kubelet_extra_arg,
            patches: self.patches,
            config: self.config,
            skip_phases: self.skip_phases,
            control_plane: self.control_plane,
            advertise_address: self.apiserver_advertise_address,
            bind_port: self.apiserver_bind_port,
            certificate_key,
            version: self.kube_version,
            verbosity: self.verbosity,
        })
    }
}

/// A variable that is empty says nothing.
fn from_variable() -> Result<Option<Token>, Failure> {
    match env::var(TOKEN_VARIABLE) {
        Ok(text) if !text.trim().is_empty() => match text.trim().parse() {
            Ok(token) => Ok(Some(token)),
            Err(why) => Err(Failure::usage(format!("{TOKEN_VARIABLE}: {why}"))),
        },
        _ => Ok(None),
    }
}

/// The secret that lies in a file, without the blanks around it; else the one that was typed.
fn in_file<T: FromStr<Err = String>>(
    option: &str,
    file: Option<PathBuf>,
    typed: Option<T>,
) -> Result<Option<T>, Failure> {
    let Some(path) = file else { return Ok(typed) };
    let text = secret::read(option, &path).map_err(Failure::usage)?;
    let wrong = |why: String| Failure::usage(format!("{option} {}: {why}", path.display()));
    text.trim().parse().map(Some).map_err(wrong)
}

/// `NAME=VALUE`, with or without the dashes.
fn extra_arg(text: &str) -> Result<(String, String), String> {
    let wrong = "not an option of kubelet and its value, such as node-labels=disk=ssd";
    let (name, value) = text.trim_start_matches('-').split_once('=').ok_or(wrong)?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_name { Ok((name.to_owned(), value.to_owned())) } else { Err(wrong.to_owned()) }
}
