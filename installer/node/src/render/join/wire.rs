//! The fields of a `JoinConfiguration` that are used, under kubeadm's names. Those of one version only are kept apart
//! by who fills them.

use std::net::IpAddr;

use serde::Serialize;

use crate::render::kubeadm::NodeRegistration;
use crate::spec::credentials::{CaCertHash, CertificateKey, Token};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinConfiguration {
    pub(super) api_version: String,
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) control_plane: Option<ControlPlane>,
    pub(super) discovery: Discovery,
    #[serde(skip_serializing_if = "NodeRegistration::is_empty")]
    pub(super) node_registration: NodeRegistration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patches: Option<Patches>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) skip_phases: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Discovery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bootstrap_token: Option<BootstrapToken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<FileDiscovery>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_bootstrap_token: Option<Token>,
}

#[derive(Serialize)]
pub(super) struct BootstrapToken {
    #[serde(rename = "apiServerEndpoint")]
    pub(super) api_server_endpoint: String,
    #[serde(rename = "caCertHashes", skip_serializing_if = "Vec::is_empty")]
    pub(super) ca_cert_hashes: Vec<CaCertHash>,
    pub(super) token: Token,
    #[serde(rename = "unsafeSkipCAVerification", skip_serializing_if = "is_false")]
    pub(super) unsafe_skip_ca_verification: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileDiscovery {
    pub(super) kube_config_path: String,
}

#[derive(Serialize)]
pub(super) struct Patches {
    pub(super) directory: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ControlPlane {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate_key: Option<CertificateKey>,
    #[serde(rename = "localAPIEndpoint", skip_serializing_if = "ApiEndpoint::is_empty")]
    pub(super) local_api_endpoint: ApiEndpoint,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiEndpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advertise_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bind_port: Option<u16>,
}

impl ApiEndpoint {
    fn is_empty(&self) -> bool {
        self.advertise_address.is_none() && self.bind_port.is_none()
    }
}
