//! What kubelet's kubeconfig tells: has this node joined, and which cluster?

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lvscare::{certificate, yaml};
use serde::Deserialize;

use crate::machine::Machine;
use crate::{facts, paths};

/// The cluster that this node has joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Its authority's certificate, in PEM, if it can be read.
    pub pem: Option<Vec<u8>>,
    /// The hash of its authority's key, as kubeadm writes it.
    pub authority: Option<String>,
}

#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: Option<String>,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
}

/// What the node has joined; `None`: nothing yet.
pub fn joined<M: Machine>(machine: &M) -> Option<Joined> {
    let text = facts::text(machine, paths::KUBELET)?;
    let pem = authority(machine, &text);
    Some(Joined { authority: pem.as_deref().and_then(certificate::pem_key_hash), pem })
}

/// The name by which kubelet calls the API; nothing when it does so by an address.
pub fn server_name<M: Machine>(machine: &M) -> Option<String> {
    let text = facts::text(machine, paths::KUBELET)?;
    let config: Kubeconfig = yaml::parse(text.as_bytes()).ok()?;
    let server = config.clusters.into_iter().next()?.cluster.server?;
    let (_, rest) = server.split_once("://")?;
    let host = rest.split(['/', ':']).next()?;
    (!host.is_empty() && host.parse::<std::net::IpAddr>().is_err()).then(|| host.to_owned())
}

fn authority<M: Machine>(machine: &M, text: &str) -> Option<Vec<u8>> {
    let config: Kubeconfig = yaml::parse(text.as_bytes()).ok()?;
    let cluster = config.clusters.into_iter().next()?.cluster;
    match (cluster.certificate_authority_data, cluster.certificate_authority) {
        (Some(data), _) => STANDARD.decode(data.trim()).ok(),
        (None, Some(path)) => Some(machine.read(&path).ok()??.bytes),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn the_authority_stands_in_the_file_or_beside_it() {
        let mut machine = Fake::bare();
        assert_eq!(joined(&machine), None);
        machine.has_file("/etc/kubernetes/ca.crt", "beside");
        for (cluster, pem) in [
            ("certificate-authority-data: aGVsbG8=", Some(b"hello".to_vec())),
            ("certificate-authority: /etc/kubernetes/ca.crt", Some(b"beside".to_vec())),
            ("server: https://apiserver.cluster.local:6443", None),
        ] {
            let text = format!("apiVersion: v1\nclusters:\n- name: k\n  cluster:\n    {cluster}\n");
            machine.has_file(paths::KUBELET, &text);
            assert_eq!(joined(&machine), Some(Joined { pem, authority: None }));
        }
    }
}
