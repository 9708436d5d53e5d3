//! Where things are on a node. Everything below one root, so that a test has a node in a directory.

use std::path::{Path, PathBuf};

/// Where the root of the node's file system is.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// The node itself: `/`. A test says another directory.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// An absolute path of the node, as this process must call it.
    pub fn join(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// What the installer knows of a node between its runs.
pub const STATE: &str = "/var/lib/lvscare-installer";
/// What was there before.
pub const JOURNAL: &str = "/var/lib/lvscare-installer/journal.json";
/// Held by the run that is at work.
pub const LOCK: &str = "/var/lib/lvscare-installer/lock";
/// How kubeadm shall join, with the secrets of it.
pub const JOIN: &str = "/var/lib/lvscare-installer/kubeadm-join.yaml";
/// Modules to load at boot (`modules-load.d(5)`).
pub const MODULES: &str = "/etc/modules-load.d/lvscare.conf";
/// Settings to make at boot (`sysctl.d(5)`).
pub const SYSCTLS: &str = "/etc/sysctl.d/99-lvscare.conf";
/// Names and addresses (`hosts(5)`).
pub const HOSTS: &str = "/etc/hosts";
/// kubelet's kubeconfig, which a join makes.
pub const KUBELET: &str = "/etc/kubernetes/kubelet.conf";
/// Where kubelet finds its static pods.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Ours.
pub const POD: &str = "/etc/kubernetes/manifests/kube-lvscare.yaml";

/// Where the new content of a file waits for its name: beside it, but never among the manifests. kubelet takes every
/// file there for a pod, and `kubeadm join` before 1.23 refuses a directory with anything in it.
pub fn staging(path: &Path) -> &Path {
    let directory = path.parent().unwrap_or(path);
    if directory.ends_with("manifests") { directory.parent().unwrap_or(directory) } else { directory }
}
