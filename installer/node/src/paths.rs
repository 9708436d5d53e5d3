//! Where things are on a machine.

use std::fmt;
use std::path::{Path, PathBuf};

/// What the installer knows of a node between its runs.
pub const STATE: &str = "/var/lib/lvscare-installer";
/// What was there before.
pub const JOURNAL: &str = "/var/lib/lvscare-installer/journal.json";
/// Held by the run that is at work.
pub const LOCK: &str = "/var/lib/lvscare-installer/lock";
/// How kubeadm shall join, with the secrets of it.
pub const JOIN: &str = "/var/lib/lvscare-installer/kubeadm-join.yaml";
/// How kubeadm shall make the first master, with the secrets of it.
pub const INIT: &str = "/var/lib/lvscare-installer/kubeadm-init.yaml";
/// Where tasks keep what they print and how they ended.
pub const RUNS: &str = "/var/lib/lvscare-installer/run";
/// Where large files lie that a controller has sent, each under its SHA-256.
pub const RECEIVED: &str = "/var/lib/lvscare-installer/received";
/// Where packages are unpacked, each under its SHA-256.
pub const PACKAGES: &str = "/var/lib/lvscare-installer/pkg";
/// Where a controller leaves this program, under its SHA-256.
pub const PROGRAMS: &str = "/var/lib/lvscare-installer/bin";
/// Where programs lie that others took the place of, each under its SHA-256.
pub const KEPT: &str = "/var/lib/lvscare-installer/kept";
/// Where files lie that were renewed, as they were, each under its whole path.
pub const FORMER: &str = "/var/lib/lvscare-installer/certificates";
/// Where the manifest of a static pod lies that is being restarted.
pub const MOVED: &str = "/var/lib/lvscare-installer/manifests";
/// Modules to load at boot (`modules-load.d(5)`).
pub const MODULES: &str = "/etc/modules-load.d/lvscare.conf";
/// Settings to make at boot (`sysctl.d(5)`): the last file by name wins, and many have a `99-sysctl.conf`.
pub const SYSCTLS: &str = "/etc/sysctl.d/zz-lvscare.conf";
/// Names and addresses (`hosts(5)`).
pub const HOSTS: &str = "/etc/hosts";
/// kubelet's kubeconfig, which a join makes.
pub const KUBELET: &str = "/etc/kubernetes/kubelet.conf";
/// kubelet's configuration, which it has from kubeadm before it is started.
pub const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// kubelet's own certificate and key, which it renews by itself.
pub const KUBELET_CLIENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// Where kubeadm keeps kubeconfigs.
pub const KUBERNETES: &str = "/etc/kubernetes";
/// Where kubeadm keeps certificates.
pub const PKI: &str = "/etc/kubernetes/pki";
/// The cluster's authority.
pub const CA: &str = "/etc/kubernetes/pki/ca.crt";
/// The apiserver's certificate.
pub const APISERVER: &str = "/etc/kubernetes/pki/apiserver.crt";
/// The administrator's kubeconfig.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";
/// Root's copy of it, which kubeadm advises to make.
pub const ROOTS_KUBECONFIG: &str = "/root/.kube/config";
/// Where kubelet finds its static pods.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// etcd's, as kubeadm writes it.
pub const ETCD: &str = "/etc/kubernetes/manifests/etcd.yaml";
/// Ours.
pub const POD: &str = "/etc/kubernetes/manifests/kube-lvscare.yaml";

/// The release of the kernel, as `uname -r` tells it.
pub const RELEASE: &str = "/proc/sys/kernel/osrelease";

/// Where the program lies that held what has this SHA-256.
pub fn kept(digest: impl fmt::Display) -> PathBuf {
    Path::new(KEPT).join(digest.to_string())
}

/// Where a file lies as it was before it was renewed.
pub fn former(path: &Path) -> PathBuf {
    Path::new(FORMER).join(path.strip_prefix("/").unwrap_or(path))
}

/// Where the package of this SHA-256 is unpacked.
pub fn package(sha256: impl fmt::Display) -> PathBuf {
    Path::new(PACKAGES).join(sha256.to_string())
}

/// The file of a kernel setting.
pub fn sysctl(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name.replace('.', "/"))
}

/// The directory that a module has while it is loaded, or part of the kernel. Some that are part of it have none, and
/// loading them again does no harm.
pub fn module(name: &str) -> PathBuf {
    Path::new("/sys/module").join(name)
}

/// Where the new content of a file waits for its name: beside it, but never among the manifests. kubelet takes every
/// file there for a pod, and `kubeadm join` before 1.23 refuses a directory with anything in it.
pub fn staging(path: &Path) -> &Path {
    let directory = path.parent().unwrap_or(path);
    if directory.ends_with("manifests") { directory.parent().unwrap_or(directory) } else { directory }
}
