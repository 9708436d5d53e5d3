//! What the files of kubeadm, kubelet and kube-proxy tell of the cluster.
//!
//! They are YAML, of which a few keys and flags are wanted, always written in the same plain way. So lines are
//! looked at; what is written in any other way is not seen, and an unseen fact is no finding.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::Asked;
use super::process::Process;
use crate::doctor::subnet::{Subnet, list};
use crate::files;

#[cfg(test)]
mod tests;

const MANIFESTS: &str = "/etc/kubernetes/manifests";
const KUBELET: &str = "/var/lib/kubelet/config.yaml";
const KUBE_PROXY: &str = "/var/lib/kube-proxy/config.conf";

/// The cluster's ranges of addresses, each with where it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The Service CIDRs.
    pub services: Vec<(Subnet, String)>,
    /// The Pod CIDRs.
    pub pods: Vec<(Subnet, String)>,
    /// The addresses of the cluster's name service.
    pub dns: Vec<IpAddr>,
}

/// How kube-proxy is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeProxy {
    /// Where that was found.
    pub origin: String,
    /// `iptables`, `ipvs` or `nftables`.
    pub mode: String,
    /// What it leaves alone in mode `ipvs`.
    pub excluded: Vec<Subnet>,
    /// The Pod CIDRs.
    pub pods: Vec<Subnet>,
}

/// Looks where kubeadm puts things.
pub(super) fn look(asked: &Asked, kube_proxy: Option<&KubeProxy>) -> Cluster {
    let mut cluster = files(Path::new(MANIFESTS), Path::new(KUBELET));
    if cluster.pods.is_empty()
        && let Some(proxy) = kube_proxy
    {
        cluster.pods = proxy.pods.iter().map(|subnet| (*subnet, proxy.origin.clone())).collect();
    }
    let told =
        |subnets: &[Subnet], flag: &str| subnets.iter().map(|subnet| (*subnet, flag.to_owned())).collect();
    if !asked.service_cidrs.is_empty() {
        cluster.services = told(&asked.service_cidrs, "--service-cidr");
    }
    if !asked.pod_cidrs.is_empty() {
        cluster.pods = told(&asked.pod_cidrs, "--pod-cidr");
    }
    cluster
}

fn files(manifests: &Path, kubelet: &Path) -> Cluster {
    let mut cluster = Cluster::default();
    for name in ["kube-apiserver.yaml", "kube-controller-manager.yaml"] {
        let path = manifests.join(name);
        let Ok(text) = files::read_text(&path) else { continue };
        let found = |flag_name: &str| -> Vec<(Subnet, String)> {
            let value = flag(text.lines(), flag_name).unwrap_or_default();
            list(&value).into_iter().map(|subnet| (subnet, path.display().to_string())).collect()
        };
        if cluster.services.is_empty() {
            cluster.services = found("--service-cluster-ip-range");
        }
        cluster.pods.extend(found("--cluster-cidr"));
    }
    if let Ok(text) = files::read_text(kubelet) {
        cluster.dns = values(&text, "clusterDNS").iter().filter_map(|value| value.parse().ok()).collect();
    }
    cluster
}

/// The configuration of kube-proxy: the file told, or what the running one was started with, or the usual file.
pub(super) fn kube_proxy(told: Option<&Path>, processes: &[Process]) -> Option<KubeProxy> {
    if let Some(path) = told {
        return configured(files::read_text(path), path);
    }
    let Some(process) = processes.iter().find(|process| process.name == "kube-proxy") else {
        return configured(files::read_text(Path::new(KUBE_PROXY)), Path::new(KUBE_PROXY));
    };
    let words = || process.words.iter().map(String::as_str);
    if let Some(config) = flag(words(), "--config") {
        // As the process sees it, which mostly lives in a container.
        let path = Path::new(&config);
        return configured(files::read_text_below(&process.root, path), path);
    }
    let mut proxy = KubeProxy { origin: "the command line of kube-proxy".into(), ..KubeProxy::default() };
    proxy.mode = mode(flag(words(), "--proxy-mode"));
    proxy.excluded = flag(words(), "--ipvs-exclude-cidrs").map(|value| list(&value)).unwrap_or_default();
    proxy.pods = flag(words(), "--cluster-cidr").map(|value| list(&value)).unwrap_or_default();
    Some(proxy)
}

/// What the file at `path` says.
fn configured(text: io::Result<String>, path: &Path) -> Option<KubeProxy> {
    let text = text.ok().filter(|text| text.contains("KubeProxyConfiguration"))?;
    // The same in JSON is valid, and nobody writes it.
    if text.trim_start().starts_with('{') {
        return None;
    }
    Some(KubeProxy {
        origin: path.display().to_string(),
        mode: mode(values(&text, "mode").pop()),
        excluded: values(&text, "excludeCIDRs").iter().flat_map(|value| list(value)).collect(),
        pods: values(&text, "clusterCIDR").iter().flat_map(|value| list(value)).collect(),
    })
}

/// Nothing said means this one on Linux.
fn mode(told: Option<String>) -> String {
    told.filter(|mode| !mode.is_empty()).unwrap_or_else(|| "iptables".into())
}

/// The value of `--name=value`, or of `--name` and the next word, wherever it stands in a line.
fn flag<'a>(lines: impl Iterator<Item = &'a str>, name: &str) -> Option<String> {
    let mut lines = lines.map(|line| unquote(line.trim().trim_start_matches("- ")));
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix(name) {
            let value = rest.strip_prefix('=').or_else(|| if rest.is_empty() { lines.next() } else { None });
            if let Some(value) = value {
                return Some(unquote(value).to_owned());
            }
        }
    }
    None
}

/// The value of a key, or all of its list: `key: a`, `key: [a, b]`, or lines `- a` below it.
fn values(text: &str, key: &str) -> Vec<String> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(':'));
    let Some(value) = value.map(|value| value.split(" #").next().unwrap_or_default().trim()) else {
        return Vec::new();
    };
    let items: Vec<&str> = if value.is_empty() {
        lines.map_while(|line| line.trim_start().strip_prefix("- ")).collect()
    } else {
        match value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) {
            Some(inside) => inside.split(',').collect(),
            None => vec![value],
        }
    };
    let items = items.into_iter().map(|item| unquote(item.trim()).to_owned());
    items.filter(|item| !item.is_empty() && item != "null").collect()
}

fn unquote(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}
