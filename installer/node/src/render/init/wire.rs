//! The fields of kubeadm's documents that are used, under their names.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use crate::render::kubeadm::NodeRegistration;
use crate::spec::credentials::{CertificateKey, Token};

/// Whoever shows a token is of this group, which may join
/// (<https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/>).
pub const JOINERS: &str = "system:bootstrappers:kubeadm:default-node-token";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitConfiguration {
    pub(super) api_version: String,
    #[serde(serialize_with = "as_list", skip_serializing_if = "Option::is_none")]
    pub(super) bootstrap_tokens: Option<BootstrapToken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate_key: Option<CertificateKey>,
    pub(super) kind: &'static str,
    #[serde(rename = "localAPIEndpoint")]
    pub(super) local_api_endpoint: ApiEndpoint,
    #[serde(skip_serializing_if = "NodeRegistration::is_empty")]
    pub(super) node_registration: NodeRegistration,
}

#[derive(Serialize)]
pub(super) struct BootstrapToken {
    pub(super) groups: [&'static str; 1],
    pub(super) token: Token,
    pub(super) ttl: &'static str,
    pub(super) usages: [&'static str; 2],
}

#[expect(clippy::ref_option, reason = "serde passes it so")]
fn as_list<T: Serialize, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_slice().serialize(serializer)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiEndpoint {
    pub(super) advertise_address: IpAddr,
    pub(super) bind_port: u16,
}
