//! How a cluster was made, as it tells whoever has a bootstrap token, asked as kubeadm asks
//! (<https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-join/#token-based-discovery-with-ca-pinning>): for its
//! authority, which the hash proves; then, of a server that this authority has signed, for its configuration.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lvscare::doctor::subnet::{self, Subnet};
use lvscare::question::{Question, Trust};
use lvscare::{certificate, yaml};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::reach::LIMIT;
use crate::machine::Machine;
use crate::spec::credentials::{CaCertHash, Token};
use crate::spec::kubeadm::KubeadmSpec;
use crate::spec::masters::Endpoint;
use crate::spec::version::KubernetesVersion;

/// Everybody may read it: a join needs it.
const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
/// Whoever has a bootstrap token may read it: kubeadm's own join needs it.
const KUBEADM_CONFIG: &str = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config";

/// kubeadm's own port, where nothing else is said.
const PORT: u16 = 6443;

/// Masters that are asked, at most: one that answers is enough.
const MAX_ASKED: usize = 5;

/// With what a cluster is asked.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Of the authority, of which one must be right.
    hashes: Vec<CaCertHash>,
    /// With which kubelet will ask for its certificate.
    token: Token,
}

impl Pass {
    /// What a join was given; nothing where nothing would prove who answers, or there is no token of its own.
    pub fn of(asked: &KubeadmSpec) -> Option<Self> {
        let token = asked.tls_bootstrap_token.as_ref().or(asked.token.as_ref())?;
        let hashes = asked.ca_cert_hashes.clone();
        (!hashes.is_empty()).then(|| Self { hashes, token: token.clone() })
    }
}

/// What was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Learned {
    /// Nothing was asked.
    #[default]
    NotAsked,
    /// Nobody could tell, for this reason.
    Unknown(String),
    /// A master is of another cluster than the one that was told.
    Stranger {
        /// The master.
        master: SocketAddr,
        /// The hash of its authority, if it has one.
        authority: Option<String>,
        /// What was told.
        told: Vec<String>,
    },
    /// The cluster does not know the token.
    TokenRefused {
        /// Who says so.
        master: SocketAddr,
        /// The part of the token that everybody may see.
        id: String,
    },
    /// How it was made.
    Known(Cluster),
}

/// How a cluster was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Its authority, in PEM.
    pub authority: String,
    /// Where kubelets and masters call its API.
    pub endpoints: Vec<Endpoint>,
    /// The ranges of addresses that it gives to Services.
    pub services: Vec<Subnet>,
    /// The ranges of addresses that it gives to pods.
    pub pods: Vec<Subnet>,
    /// Its version.
    pub version: Option<KubernetesVersion>,
}

#[derive(Deserialize)]
struct ConfigMap<T> {
    data: T,
}

#[derive(Deserialize)]
struct ClusterInfo {
    kubeconfig: String,
}

#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    cluster: Shown,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    server: String,
    #[serde(rename = "certificate-authority-data")]
    authority: String,
}

#[derive(Deserialize)]
struct KubeadmConfig {
    #[serde(rename = "ClusterConfiguration")]
    configuration: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClusterConfiguration {
    control_plane_endpoint: String,
    kubernetes_version: String,
    networking: Networking,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Networking {
    service_subnet: String,
    pod_subnet: String,
}

/// Asks one of `masters` after the other, until one has told.
pub fn learn<M: Machine>(machine: &mut M, masters: &[SocketAddr], pass: &Pass) -> Learned {
    let mut why = "there is no master".to_owned();
    for &master in masters.iter().take(MAX_ASKED) {
        match ask(machine, master, pass) {
            Ok(learned) => return learned,
            Err(trouble) => why = format!("{master}: {trouble}"),
        }
    }
    Learned::Unknown(why)
}

/// What one of them tells. Until its authority is proven it is a stranger, and nothing that it says is repeated.
fn ask<M: Machine>(machine: &mut M, server: SocketAddr, pass: &Pass) -> Result<Learned, String> {
    let path = CLUSTER_INFO;
    let info: ClusterInfo = match get(machine, &Question { server, path, trust: None, limit: LIMIT })? {
        Said::Map(info) => info,
        Said::Status(status) => return Err(format!("cluster-info: HTTP {status}")),
    };
    let useless = "cluster-info is not understood";
    let config: Kubeconfig = yaml::parse(info.kubeconfig.as_bytes()).map_err(|_| useless)?;
    let shown = config.clusters.into_iter().next().ok_or(useless)?.cluster;
    let bundle = STANDARD.decode(shown.authority.trim()).map_err(|_| useless)?;
    let hashes: Vec<&str> = pass.hashes.iter().map(CaCertHash::as_str).collect();
    let Some(authority) = certificate::pinned(&bundle, &hashes) else {
        let told = hashes.into_iter().map(str::to_owned).collect();
        let authority = certificate::pem_key_hash(&bundle);
        return Ok(Learned::Stranger { master: server, authority, told });
    };
    let trust = Some(Trust { authority: authority.as_bytes(), token: Some(pass.token.reveal()) });
    let path = KUBEADM_CONFIG;
    let config: KubeadmConfig = match get(machine, &Question { server, path, trust, limit: LIMIT })? {
        Said::Map(config) => config,
        Said::Status(401) => {
            return Ok(Learned::TokenRefused { master: server, id: pass.token.id().to_owned() });
        }
        Said::Status(status) => return Err(format!("kubeadm-config: HTTP {status}")),
    };
    let made: ClusterConfiguration = yaml::parse(config.configuration.as_bytes())
        .map_err(|_| "its kubeadm-config is not understood".to_owned())?;
    // What stands in cluster-info is proven now: the same server has shown a certificate of that authority.
    let called = [shown.server.strip_prefix("https://"), Some(made.control_plane_endpoint.as_str())];
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for endpoint in called.into_iter().flatten().filter_map(endpoint) {
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    Ok(Learned::Known(Cluster {
        authority,
        endpoints,
        services: subnet::list(&made.networking.service_subnet),
        pods: subnet::list(&made.networking.pod_subnet),
        version: made.kubernetes_version.parse().ok(),
    }))
}

/// `HOST:PORT`, or `HOST` alone; nothing for what is neither.
fn endpoint(text: &str) -> Option<Endpoint> {
    let text = text.trim_end_matches('/');
    let address = text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, PORT)));
    address.map(Endpoint::At).or_else(|| text.parse().or_else(|_| format!("{text}:{PORT}").parse()).ok())
}

/// What was said.
enum Said<T> {
    /// An object.
    Map(T),
    /// Another status than 200.
    Status(u16),
}

fn get<M: Machine, T: DeserializeOwned>(machine: &mut M, question: &Question<'_>) -> Result<Said<T>, String> {
    let reply = machine.ask_api(question).map_err(|error| error.to_string())?;
    if reply.status != 200 {
        return Ok(Said::Status(reply.status));
    }
    let map: ConfigMap<T> = serde_json::from_slice(&reply.body)
        .map_err(|_| format!("{} is not understood", question.path.rsplit('/').next().unwrap_or_default()))?;
    Ok(Said::Map(map.data))
}
