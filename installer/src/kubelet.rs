//! What kubelet's kubeconfig tells: has this node joined, and which cluster?

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lvscare::{certificate, files, yaml};
use serde::Deserialize;

use crate::node::paths::{self, Root};

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
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
}

/// What the node has joined; `None`: nothing yet.
pub fn joined(root: &Root) -> Option<Joined> {
    let text = files::read_text(&root.join(Path::new(paths::KUBELET))).ok()?;
    let pem = authority(&text, root);
    Some(Joined { authority: pem.as_deref().and_then(certificate::pem_key_hash), pem })
}

fn authority(text: &str, root: &Root) -> Option<Vec<u8>> {
    let config: Kubeconfig = yaml::parse(text.as_bytes()).ok()?;
    let cluster = config.clusters.into_iter().next()?.cluster;
    match (cluster.certificate_authority_data, cluster.certificate_authority) {
        (Some(data), _) => STANDARD.decode(data.trim()).ok(),
        (None, Some(path)) => files::read(&root.join(&path)).ok(),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_authority_stands_in_the_file_or_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        assert_eq!(joined(&root), None);
        fs::create_dir_all(root.join(Path::new("/etc/kubernetes"))).unwrap();
        let file = root.join(Path::new(paths::KUBELET));
        for (cluster, pem) in [
            ("certificate-authority-data: aGVsbG8=", Some(b"hello".to_vec())),
            ("certificate-authority: /etc/kubernetes/ca.crt", Some(b"beside".to_vec())),
            ("server: https://apiserver.cluster.local:6443", None),
        ] {
            fs::write(root.join(Path::new("/etc/kubernetes/ca.crt")), "beside").unwrap();
            fs::write(&file, format!("apiVersion: v1\nclusters:\n- name: k\n  cluster:\n    {cluster}\n"))
                .unwrap();
            assert_eq!(joined(&root), Some(Joined { pem, authority: None }));
        }
    }
}
