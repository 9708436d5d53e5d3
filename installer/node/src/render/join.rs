//! kubeadm's `JoinConfiguration`, for the kubeadm of each version of Kubernetes
//! (<https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/#kubeadm-k8s-io-v1beta4-JoinConfiguration>).
//!
//! The stock flags of `kubeadm join` are taken into it, because kubeadm refuses most flags beside `--config`, and
//! because an argument can be read by everybody on the node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::kubeadm::{ExtraArg, ExtraArgs, NodeRegistration};
use super::yaml;
use crate::api::{Failure, Kind};
use crate::spec::credentials::{CaCertHash, CertificateKey, Token};
use crate::spec::kubeadm::KubeadmSpec;
use crate::spec::secret::{Secret, revealed};
use crate::spec::version::{KubeadmApi, KubernetesVersion};

mod base;
mod wire;

pub use base::Base;

#[cfg(test)]
mod tests;

/// What `kubeadm join` is told.
#[derive(Clone, Debug, Default)]
pub struct Join {
    /// Where the cluster is asked, `HOST:PORT` such as `apiserver.cluster.local:6443`.
    pub endpoint: String,
    /// `--discovery-token`, or `--token`: the node shows it to learn who the cluster is.
    pub discovery_token: Option<Token>,
    /// `--discovery-token-ca-cert-hash`.
    pub ca_cert_hashes: Vec<CaCertHash>,
    /// `--discovery-token-unsafe-skip-ca-verification`.
    pub unsafe_skip_ca: bool,
    /// `--discovery-file`: a kubeconfig, or its URL, instead of a token.
    pub discovery_file: Option<String>,
    /// `--tls-bootstrap-token`, or `--token`: with it kubelet asks for its certificate.
    pub tls_bootstrap_token: Option<Token>,
    /// `--node-name`.
    pub node_name: Option<String>,
    /// `--cri-socket`.
    pub cri_socket: Option<String>,
    /// `--ignore-preflight-errors`.
    pub ignore_preflight_errors: Vec<String>,
    /// Options of kubelet, without dashes; kubeadm has no flag for them.
    pub kubelet_extra_args: Vec<(String, String)>,
    /// `--patches`.
    pub patches: Option<String>,
    /// `--skip-phases`.
    pub skip_phases: Vec<String>,
    /// `--control-plane`: the node becomes a master.
    pub control_plane: Option<ControlPlane>,
    /// `--config`: what is below all that.
    pub base: Option<Base>,
}

/// What a new master is told beside that.
#[derive(Clone, Debug, Default)]
pub struct ControlPlane {
    /// `--apiserver-advertise-address`.
    pub advertise_address: Option<IpAddr>,
    /// `--apiserver-bind-port`.
    pub bind_port: Option<u16>,
    /// `--certificate-key`.
    pub certificate_key: Option<CertificateKey>,
}

/// How kubeadm is to be called: `kubeadm join --config FILE FLAGS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The content of FILE.
    pub yaml: Secret,
    /// The same without its secrets, for people.
    pub masked: String,
    /// What the configuration of this version has no field for.
    pub flags: Vec<String>,
    /// The kubeadm that it is for.
    pub version: KubernetesVersion,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is missing, or two things cannot be together.
    #[error("{0}")]
    Clash(&'static str),
    /// This kubeadm cannot be told so.
    #[error("{flag} needs Kubernetes v1.{since}; this is {version}")]
    TooOld {
        /// What was asked for.
        flag: &'static str,
        /// The first minor version that can.
        since: u16,
        /// This version.
        version: KubernetesVersion,
    },
    /// This kubeadm keeps one value for each option of kubelet.
    #[error(
        "kubelet option `{0}` is given twice; before Kubernetes v1.31 kubeadm passes each option on once"
    )]
    Twice(String),
    /// It cannot be printed.
    #[error("cannot print the JoinConfiguration: {0}")]
    Print(#[from] serde_json::Error),
}

/// The preflight check that refuses a node where the static pod already lies.
const MANIFESTS: &str = "DirAvailable--etc-kubernetes-manifests";

impl Join {
    /// As `asked`, at `endpoint`.
    pub fn new(asked: &KubeadmSpec, endpoint: String) -> Self {
        let token = |own: &Option<Token>| own.clone().or_else(|| asked.token.clone());
        let by_file = asked.discovery_file.is_some() && asked.discovery_token.is_none();
        Self {
            endpoint,
            discovery_token: if by_file { None } else { token(&asked.discovery_token) },
            ca_cert_hashes: asked.ca_cert_hashes.clone(),
            unsafe_skip_ca: asked.unsafe_skip_ca,
            discovery_file: asked.discovery_file.clone(),
            tls_bootstrap_token: token(&asked.tls_bootstrap_token),
            node_name: asked.node_name.clone(),
            cri_socket: asked.cri_socket.clone(),
            ignore_preflight_errors: asked.ignore_preflight_errors.clone(),
            kubelet_extra_args: asked.kubelet_extra_args.clone(),
            patches: asked.patches.clone(),
            skip_phases: asked.skip_phases.clone(),
            control_plane: asked.control_plane.then(|| ControlPlane {
                advertise_address: asked.advertise_address,
                bind_port: asked.bind_port,
                certificate_key: asked.certificate_key.clone(),
            }),
            base: None,
        }
    }

    /// The configuration for the kubeadm of `version`.
    pub fn render(&self, version: KubernetesVersion) -> Result<Rendered, Error> {
        self.check(version)?;
        let mut ignored = self.ignore_preflight_errors.clone();
        if version.checks_manifests() && !ignored.iter().any(|check| check == MANIFESTS || check == "all") {
            ignored.push(MANIFESTS.to_owned());
        }
        let mut flags = Vec::new();
        if version.kubeadm_api() == KubeadmApi::V1Beta1 {
            flags.extend(ignored.drain(..).map(|check| format!("--ignore-preflight-errors={check}")));
        }
        let configuration = self.wire(version, ignored)?;
        let print = || {
            let ours = serde_json::to_value(&configuration)?;
            yaml::print(&match &self.base {
                Some(base) => base.below(ours),
                None => ours,
            })
        };
        let (yaml, masked) = (revealed(print)?, print()?);
        let header =
            format!("# How kubeadm {version} joins this node. Written by lvscare-installer; holds secrets.");
        Ok(Rendered { yaml: format!("{header}\n{yaml}").into(), masked, flags, version })
    }

    fn check(&self, version: KubernetesVersion) -> Result<(), Error> {
        match (&self.discovery_token, &self.discovery_file) {
            (None, None) => return Err(Error::Clash("a join needs --token or --discovery-file")),
            (Some(_), Some(_)) => {
                return Err(Error::Clash(
                    "--discovery-file takes the place of --discovery-token; give one of them",
                ));
            }
            (Some(_), None) if self.ca_cert_hashes.is_empty() != self.unsafe_skip_ca => {
                return Err(Error::Clash(
                    "give --discovery-token-ca-cert-hash, or --discovery-token-unsafe-skip-ca-verification to trust \
                     whoever answers; not both",
                ));
            }
            _ => {}
        }
        let control_plane = self.control_plane.as_ref();
        let has_key = control_plane.is_some_and(|it| it.certificate_key.is_some());
        let api = version.kubeadm_api();
        for (given, flag, first, since) in [
            // 1.14 takes the key as an argument only, and there everybody could read it.
            (has_key, "--certificate-key", KubeadmApi::V1Beta2, 15),
            (self.patches.is_some(), "--patches", KubeadmApi::V1Beta3, 22),
            (!self.skip_phases.is_empty(), "--skip-phases", KubeadmApi::V1Beta3, 22),
        ] {
            if given && api < first {
                return Err(Error::TooOld { flag, since, version });
            }
        }
        Ok(())
    }

    fn wire(
        &self,
        version: KubernetesVersion,
        ignored: Vec<String>,
    ) -> Result<wire::JoinConfiguration, Error> {
        let api = version.kubeadm_api();
        let bootstrap_token = self.discovery_token.clone().map(|token| wire::BootstrapToken {
            api_server_endpoint: self.endpoint.clone(),
            ca_cert_hashes: self.ca_cert_hashes.clone(),
            token,
            unsafe_skip_ca_verification: self.unsafe_skip_ca,
        });
        Ok(wire::JoinConfiguration {
            api_version: api.to_string(),
            kind: "JoinConfiguration",
            control_plane: self.control_plane.as_ref().map(ControlPlane::wire),
            discovery: wire::Discovery {
                bootstrap_token,
                file: self
                    .discovery_file
                    .clone()
                    .map(|kube_config_path| wire::FileDiscovery { kube_config_path }),
                tls_bootstrap_token: self.tls_bootstrap_token.clone(),
            },
            node_registration: NodeRegistration {
                cri_socket: self.cri_socket.clone(),
                ignore_preflight_errors: ignored,
                kubelet_extra_args: extra_args(&self.kubelet_extra_args, api)?,
                name: self.node_name.clone(),
            },
            patches: self.patches.clone().map(|directory| wire::Patches { directory }),
            skip_phases: self.skip_phases.clone(),
        })
    }
}

impl ControlPlane {
    fn wire(&self) -> wire::ControlPlane {
        wire::ControlPlane {
            certificate_key: self.certificate_key.clone(),
            local_api_endpoint: wire::ApiEndpoint {
                advertise_address: self.advertise_address,
                bind_port: self.bind_port,
            },
        }
    }
}

fn extra_args(args: &[(String, String)], api: KubeadmApi) -> Result<Option<ExtraArgs>, Error> {
    if args.is_empty() {
        return Ok(None);
    }
    if api >= KubeadmApi::V1Beta4 {
        let list = args.iter().cloned().map(|(name, value)| ExtraArg { name, value });
        return Ok(Some(ExtraArgs::List(list.collect())));
    }
    let mut map = BTreeMap::new();
    for (name, value) in args {
        if map.insert(name.clone(), value.clone()).is_some() {
            return Err(Error::Twice(name.clone()));
        }
    }
    Ok(Some(ExtraArgs::Map(map)))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Clash(_) | Error::TooOld { .. } | Error::Twice(_) => Kind::Usage,
            Error::Print(_) => Kind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}
