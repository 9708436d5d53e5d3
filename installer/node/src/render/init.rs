//! What `kubeadm init` is told, for the kubeadm of each version of Kubernetes
//! (<https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/>).
//!
//! One file of several documents: `InitConfiguration` is of this run and holds its secrets; the others are of the whole
//! cluster, and come from elsewhere.

use std::net::IpAddr;

use super::kubeadm::NodeRegistration;
use super::yaml;
use crate::api::{Failure, Kind};
use crate::spec::credentials::{CertificateKey, Token};
use crate::spec::secret::{Secret, revealed};
use crate::spec::version::{KubeadmApi, KubernetesVersion};

mod wire;

pub use wire::JOINERS;

#[cfg(test)]
mod tests;

/// How long a token lives that is made for one run, in the words of Go's `time.ParseDuration`.
const TOKEN_LIVES: &str = "1h0m0s";

/// The first master, and what others will join with.
#[derive(Clone, Debug)]
pub struct Init<'a> {
    /// Where its apiserver listens.
    pub advertise_address: IpAddr,
    /// The port there.
    pub bind_port: u16,
    /// Its name, unless that of the host.
    pub node_name: Option<&'a str>,
    /// The container runtime's socket, where there are several.
    pub cri_socket: Option<&'a str>,
    /// Checks of kubeadm that may fail.
    pub ignore_preflight_errors: &'a [String],
    /// With it others join; absent where none is made.
    pub token: Option<&'a Token>,
    /// With it other masters decrypt the certificates.
    pub certificate_key: Option<&'a CertificateKey>,
}

/// What `kubeadm init phase upload-certs` needs to know of a cluster that is there: without its version it would ask the
/// Internet.
pub fn version_alone(version: KubernetesVersion) -> String {
    let api = version.kubeadm_api();
    format!("apiVersion: {api}\nkind: ClusterConfiguration\nkubernetesVersion: {version}\n")
}

impl Init<'_> {
    /// The whole file, with the documents of the cluster as they are.
    pub fn render(&self, version: KubernetesVersion, cluster: &str) -> Result<Secret, Failure> {
        let own = revealed(|| self.own(version))?;
        let header = format!(
            "# What kubeadm {version} makes of the first master. Written by lvscare-installer; holds secrets."
        );
        Ok(format!("{header}\n{own}---\n{}", cluster.trim_start_matches("---\n")).into())
    }

    fn own(&self, version: KubernetesVersion) -> Result<String, Failure> {
        let api = version.kubeadm_api();
        // 1.14 takes the key as an argument only, and there everybody could read it.
        if api == KubeadmApi::V1Beta1 && self.certificate_key.is_some() {
            let text = format!(
                "kubeadm {version} takes the key for other masters' certificates as an argument only, where every user of \
                 the host can read it; more than one master needs Kubernetes v1.15"
            );
            return Err(Failure::usage(text));
        }
        print(&wire::InitConfiguration {
            api_version: api.to_string(),
            bootstrap_tokens: self.token.map(|token| wire::BootstrapToken {
                groups: [wire::JOINERS],
                token: token.clone(),
                ttl: TOKEN_LIVES,
                usages: ["signing", "authentication"],
            }),
            certificate_key: self.certificate_key.cloned(),
            kind: "InitConfiguration",
            local_api_endpoint: wire::ApiEndpoint {
                advertise_address: self.advertise_address,
                bind_port: self.bind_port,
            },
            node_registration: NodeRegistration {
                cri_socket: self.cri_socket.map(str::to_owned),
                ignore_preflight_errors: match api {
                    // It has no such field, and a flag says so.
                    KubeadmApi::V1Beta1 => Vec::new(),
                    _ => self.ignore_preflight_errors.to_vec(),
                },
                name: self.node_name.map(str::to_owned),
                ..NodeRegistration::default()
            },
        })
    }
}

fn print(value: &impl serde::Serialize) -> Result<String, Failure> {
    yaml::print(value)
        .map_err(|error| Failure::new(Kind::Failed, format!("cannot print kubeadm's configuration: {error}")))
}
