//! What a cluster says of its nodes, by the `kubectl` of one of its masters.

use std::time::Duration;

use crate::api::{ClusterNode, Failure, Kind};
use crate::machine::{Finished, Machine, Program};
use crate::spec::secret::Secret;

/// Root's kubeconfig, which kubeadm leaves on each master.
const ADMIN: &str = "/etc/kubernetes/admin.conf";

/// How long one question may take.
const ASKED: Duration = Duration::from_secs(30);

/// A line for each node, a tab between the fields: a node as JSON has some 20 KB, most of them names of images.
const NODES: &str = r#"{{range .items}}{{.metadata.name}}{{"\t"}}{{range .status.addresses}}{{if eq .type "InternalIP"}}{{.address}} {{end}}{{end}}{{"\t"}}{{range $label, $value := .metadata.labels}}{{if or (eq $label "node-role.kubernetes.io/master") (eq $label "node-role.kubernetes.io/control-plane")}}master {{end}}{{end}}{{"\t"}}{{.status.nodeInfo.kubeletVersion}}{{"\t"}}{{.spec.unschedulable}}{{"\t"}}{{range .status.conditions}}{{if eq .type "Ready"}}{{.status}}{{end}}{{end}}{{"\n"}}{{end}}"#;

/// Asks kubectl.
pub fn kubectl<M: Machine>(
    machine: &mut M,
    words: &[&str],
    limit: Duration,
    input: Option<Secret>,
) -> Result<Finished, Failure> {
    let told = ["--kubeconfig", ADMIN];
    let words: Vec<&str> = told.into_iter().chain(words.iter().copied()).collect();
    let program = Program { input, ..Program::asked("kubectl", &words, limit) };
    let what = words.get(2).copied().unwrap_or_default();
    let failed = |why: &str| {
        let why: String = why.chars().filter(|char| !char.is_control() || *char == '\n').take(2000).collect();
        Failure::new(Kind::Failed, format!("kubectl {what}: {why}"))
    };
    let finished = machine.run(&program).map_err(|error| failed(&error.to_string()))?;
    if finished.success { Ok(finished) } else { Err(failed(finished.complaint())) }
}

/// All nodes of the cluster.
pub fn nodes<M: Machine>(machine: &mut M) -> Result<Vec<ClusterNode>, Failure> {
    let template = format!("go-template={NODES}");
    let words = ["get", "nodes", "--request-timeout=20s", "-o", &template];
    let finished = kubectl(machine, &words, ASKED, None)?;
    finished.stdout.lines().map(node).collect()
}

fn node(line: &str) -> Result<ClusterNode, Failure> {
    let fields: Vec<_> = line.split('\t').collect();
    let [name, addresses, roles, kubelet, cordoned, ready] = fields[..] else {
        let text = format!("kubectl get nodes says {line:?}, which is no line of a node");
        return Err(Failure::new(Kind::Failed, text));
    };
    Ok(ClusterNode {
        name: name.to_owned(),
        addresses: addresses.split(' ').filter_map(|address| address.parse().ok()).collect(),
        is_master: !roles.is_empty(),
        kubelet: kubelet.to_owned(),
        is_cordoned: cordoned == "true",
        is_ready: ready == "True",
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_line_is_a_node() {
        let master = node("cm1\t10.9.8.1 fd00::1 \tmaster master \tv1.20.2\t<no value>\tTrue").unwrap();
        assert_eq!((master.name.as_str(), master.kubelet.as_str()), ("cm1", "v1.20.2"));
        assert_eq!(master.addresses, [IpAddr::from([10, 9, 8, 1]), "fd00::1".parse().unwrap()]);
        assert!(master.is_master && master.is_ready && !master.is_cordoned);
        let node_ = node("w1\t10.9.8.9 \t\tv1.20.2\ttrue\tUnknown").unwrap();
        assert!(!node_.is_master && !node_.is_ready && node_.is_cordoned);
        let refusal = node("Error from server").unwrap_err();
        assert!(refusal.message.contains("no line of a node"), "{refusal}");
    }
}
