//! What is asked about a package on a machine.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Change;
use crate::spec::version::KubernetesVersion;
use crate::step::Digest;

/// A package's programs and images, on this machine.
///
/// systemd is told of it by others: units are read anew and kubelet is enabled when the node joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallPackageRequest {
    /// The archive.
    pub archive: PathBuf,
    /// Its SHA-256.
    pub sha256: Digest,
    /// The version that kubeadm shall have.
    pub version: Option<KubernetesVersion>,
    /// Whether it is unpacked and nothing more: its own script does the rest.
    pub unpack_only: bool,
    /// How the change is made.
    pub change: Change,
}
