//! What `kubeadm init` and `kubeadm join` are told alike, under kubeadm's names.

use std::collections::BTreeMap;

use serde::Serialize;

/// How a node is made known, by `init` as by `join`.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeRegistration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cri_socket: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignore_preflight_errors: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kubelet_extra_args: Option<ExtraArgs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
}

impl NodeRegistration {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.cri_socket.is_none()
            && self.ignore_preflight_errors.is_empty()
            && self.kubelet_extra_args.is_none()
            && self.name.is_none()
    }
}

/// A map until `v1beta3`, a list from `v1beta4` on.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum ExtraArgs {
    Map(BTreeMap<String, String>),
    List(Vec<ExtraArg>),
}

#[derive(Serialize)]
pub(crate) struct ExtraArg {
    pub(crate) name: String,
    pub(crate) value: String,
}
