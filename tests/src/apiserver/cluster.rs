//! What an apiserver tells of its cluster: to everybody its authority, to whoever has the token how it was made.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::stub::TOKEN;

/// How it was made, when a test has not written it into the file [`FILE`] of the server's directory.
const MADE: &str =
    "controlPlaneEndpoint: apiserver.cluster.local:6443\nnetworking:\n  serviceSubnet: 10.96.0.0/22\n";

/// The `ClusterConfiguration`.
pub const FILE: &str = "kubeadm-config.yaml";

/// Where this file lies in the server's directory, any token will do: one that was made in the test is not known here.
pub const ANY_TOKEN: &str = "any-token";

/// Status and body for a question about the cluster whose authority lies in `directory`; nothing for any other question.
pub(super) fn answer(directory: &Path, path: &str, authorization: Option<&[u8]>) -> Option<(u16, String)> {
    match path {
        "/api/v1/namespaces/kube-public/configmaps/cluster-info" => {
            let authority = STANDARD.encode(fs::read(directory.join("ca.crt")).unwrap_or_default());
            let kubeconfig = format!(
                "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {authority}\n    server: \
                 https://apiserver.cluster.local:6443\n  name: \"\"\ncontexts: null\nkind: Config\n"
            );
            Some((200, json!({ "data": { "kubeconfig": kubeconfig } }).to_string()))
        }
        "/api/v1/namespaces/kube-system/configmaps/kubeadm-config" => {
            let is_known = authorization == Some(format!("Bearer {TOKEN}").as_bytes());
            let any_will_do = authorization.is_some() && directory.join(ANY_TOKEN).exists();
            if !(is_known || any_will_do) {
                return Some((401, String::new()));
            }
            let made = fs::read_to_string(directory.join(FILE)).unwrap_or_else(|_| MADE.to_owned());
            Some((200, json!({ "data": { "ClusterConfiguration": made } }).to_string()))
        }
        _ => None,
    }
}
