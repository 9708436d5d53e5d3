//! The fields of a Pod that are used, under the names of the API
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A type of the API: its fields in camel case, and no others.
macro_rules! api {
    ($($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$attribute])* pub(super) $field: $type,)*
        }
    )*};
}

api! {
    Manifest {
        api_version: String,
        kind: String,
        metadata: Metadata,
        spec: Spec,
    }
    Metadata {
        annotations: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
        name: String,
        namespace: String,
    }
    Spec {
        automount_service_account_token: bool,
        containers: Vec<Container>,
        host_network: bool,
        priority: i32,
        priority_class_name: String,
        termination_grace_period_seconds: u32,
        tolerations: Vec<Toleration>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        volumes: Vec<Volume>,
    }
    Container {
        args: Vec<String>,
        image: String,
        image_pull_policy: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        liveness_probe: Option<Probe>,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        readiness_probe: Option<Probe>,
        resources: Resources,
        security_context: SecurityContext,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        volume_mounts: Vec<VolumeMount>,
    }
    Probe {
        failure_threshold: u32,
        http_get: HttpGet,
        period_seconds: u32,
        timeout_seconds: u32,
    }
    HttpGet {
        host: String,
        path: String,
        port: u16,
    }
    Resources {
        limits: BTreeMap<String, String>,
        requests: BTreeMap<String, String>,
    }
    SecurityContext {
        allow_privilege_escalation: bool,
        capabilities: Capabilities,
        privileged: bool,
        read_only_root_filesystem: bool,
        run_as_group: u32,
        run_as_user: u32,
        seccomp_profile: SeccompProfile,
    }
    Capabilities {
        add: Vec<String>,
        drop: Vec<String>,
    }
    SeccompProfile {
        #[serde(rename = "type")]
        kind: String,
    }
    Toleration {
        operator: String,
    }
    Volume {
        host_path: HostPath,
        name: String,
    }
    HostPath {
        path: PathBuf,
        #[serde(rename = "type")]
        kind: String,
    }
    VolumeMount {
        mount_path: PathBuf,
        name: String,
        read_only: bool,
    }
}
