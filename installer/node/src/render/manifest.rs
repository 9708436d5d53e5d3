//! Manifests of static pods that others have written, as far as anything here cares. Pure.

use serde::Deserialize;

/// A pod.
#[derive(Debug, Deserialize)]
pub struct Pod {
    /// What it is, said by who is careful.
    #[serde(default)]
    pub kind: String,
    /// What it runs.
    pub spec: Spec,
}

/// What a pod runs.
#[derive(Debug, Deserialize)]
pub struct Spec {
    /// Its containers.
    pub containers: Vec<Container>,
}

/// One container.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its image.
    #[serde(default)]
    pub image: String,
    /// Its program and words.
    #[serde(default)]
    pub command: Vec<String>,
    /// More words.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its variables.
    #[serde(default)]
    pub env: Vec<Variable>,
    /// How kubelet asks whether it lives.
    pub liveness_probe: Option<serde_yaml::Value>,
}

/// A variable of a container; one whose value is said elsewhere has none here.
#[derive(Debug, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}
