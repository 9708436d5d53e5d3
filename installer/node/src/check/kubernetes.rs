//! What of Kubernetes is on the node already, and what a join needs.

use lvscare::doctor::facts::daemon::Daemon;
use lvscare::doctor::{Finding, Severity};

use crate::facts::cluster::Learned;
use crate::facts::guard;
use crate::facts::host::Facts;
use crate::spec::version::KubernetesVersion;

/// The finding that refuses because somebody else's work would be damaged.
pub const CLUSTER: &str = "other-cluster";

/// A node can be in one cluster only.
pub fn cluster(facts: &Facts) -> Vec<Finding> {
    let Some(joined) = &facts.joined else {
        return vec![Finding::ok(CLUSTER, "this node has joined no cluster yet")];
    };
    let own = joined.authority.as_deref().unwrap_or("an unknown authority");
    let strangers: Vec<_> = facts
        .doctor
        .servers
        .iter()
        .filter(|visit| visit.certificate.as_ref().is_some_and(|shown| shown.is_of_cluster == Some(false)))
        .map(|visit| visit.address.to_string())
        .collect();
    let told_another = joined.authority.as_ref().is_some_and(|own| {
        !facts.authorities.is_empty() && facts.authorities.iter().all(|told| !told.eq_ignore_ascii_case(own))
    });
    let seen = if told_another {
        format!(
            "this node has joined another cluster, whose authority is {own}; {} was told",
            facts.authorities.join(", ")
        )
    } else if !strangers.is_empty() {
        format!(
            "this node has joined another cluster, whose authority {own} has not signed the certificate of {}",
            strangers.join(", ")
        )
    } else {
        return vec![Finding::ok(CLUSTER, format!("this node has joined the cluster of {own}"))];
    };
    vec![Finding::error(
        CLUSTER,
        seen,
        "its kubelet and its pods belong to that cluster and would lose it",
        "give the masters of that cluster; or take the node out of it first: kubectl drain and delete node there, \
         kubeadm reset here",
    )]
}

/// Ports that will be listened on. kubeadm refuses a join where kubelet's is taken.
pub fn ports(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "port-in-use";
    let mut findings = Vec::new();
    let mut taken = |port: u16, whose: &str, severity: Severity| {
        if facts.listening.contains(&port) {
            findings.push(Finding {
                severity,
                ..Finding::error(
                    ID,
                    format!("port {port} is in use, and it is not {whose}"),
                    format!("{whose} will not start"),
                    format!("see who has it: ss -ltnp 'sport = :{port}'"),
                )
            });
        }
    };
    // A daemon that has just been started listens before it answers.
    if let Some(listen) = facts.listen
        && !matches!(facts.doctor.daemon, Daemon::Seen { .. })
        && !guard::runs(&facts.doctor)
    {
        taken(listen.port(), "lvscare", Severity::Error);
    }
    if facts.joined.is_none() {
        let severity = kubeadms(facts);
        taken(10250, "kubelet", severity);
        if facts.is_master {
            for (port, whose) in [
                (6443, "the apiserver"),
                (2379, "etcd"),
                (2380, "etcd"),
                (10257, "the controller manager"),
                (10259, "the scheduler"),
            ] {
                taken(port, whose, severity);
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(ID, "the ports of lvscare and of Kubernetes are free"));
    }
    findings
}

/// The finding that there is no container runtime.
pub const RUNTIME: &str = "container-runtime";

/// kubelet needs a container runtime, and kubeadm refuses a join without one.
pub fn runtime(facts: &Facts) -> Vec<Finding> {
    const ID: &str = RUNTIME;
    const CGROUPS: &str = "cgroup-driver";
    let severity = kubeadms(facts);
    let mut findings = Vec::new();
    let answering = facts.runtimes.iter().find(|(_, answers)| *answers);
    let config = facts.containerd.as_deref().unwrap_or_default();
    let containerd = answering.is_some_and(|(socket, _)| socket.contains("containerd"));
    let plain = || config.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    match answering {
        None => {
            let tried: Vec<_> = facts.runtimes.iter().map(|(socket, _)| socket.as_str()).collect();
            findings.push(Finding {
                severity,
                ..Finding::error(
                    ID,
                    format!("no container runtime answers at {}", tried.join(", ")),
                    "kubelet runs no pod without one, and kubeadm refuses to join",
                    "install and start containerd or CRI-O; or name its socket: --cri-socket",
                )
            });
        }
        Some(_) if containerd && disables_cri(config) => {
            findings.push(Finding {
                severity,
                ..Finding::error(
                    ID,
                    "containerd has its CRI plugin disabled (/etc/containerd/config.toml)",
                    "kubelet cannot talk to it; the package of Docker configures it so",
                    "containerd config default > /etc/containerd/config.toml && systemctl restart containerd",
                )
            });
        }
        Some((socket, _)) => {
            findings.push(Finding::ok(ID, format!("a container runtime answers at {socket}")));
        }
    }
    let systemd = plain().any(|line| line.replace(' ', "").contains("SystemdCgroup=true"));
    if containerd && !config.is_empty() && !systemd {
        findings.push(Finding::warning(
            CGROUPS,
            "containerd does not use systemd's control groups (/etc/containerd/config.toml)",
            "kubelet does since Kubernetes 1.22, and with two managers a node becomes unstable under load",
            "SystemdCgroup = true below [..containerd.runtimes.runc.options]; systemctl restart containerd",
        ));
    }
    findings
}

/// kubelet and control groups of version 1: it only keeps them alive since 1.31, and refuses to start on them since 1.35
/// unless `failCgroupV1` is false (<https://kubernetes.io/docs/concepts/architecture/cgroups/>).
pub fn cgroups(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "cgroup-version";
    let version = facts.kubeadm.or(match &facts.cluster {
        Learned::Known(cluster) => cluster.version,
        _ => None,
    });
    if !facts.cgroup_v1 {
        return vec![Finding::ok(ID, "the control groups are those of version 2, or not to be seen")];
    }
    let seen = "the kernel's control groups are those of version 1";
    let fix = "boot with systemd.unified_cgroup_hierarchy=1; stat -fc %T /sys/fs/cgroup then says cgroup2fs";
    vec![match version.map(KubernetesVersion::minor_version) {
        Some(35..) => {
            let why = "kubelet refuses to start on them since Kubernetes 1.35, unless failCgroupV1 is false";
            Finding { severity: kubeadms(facts), ..Finding::error(ID, seen, why, fix) }
        }
        Some(31..) => {
            let why =
                "Kubernetes mends nothing for them since 1.31, and kubelet 1.35 refuses to start on them";
            Finding::warning(ID, seen, why, fix)
        }
        Some(_) => Finding::ok(ID, seen),
        None => Finding::note(ID, seen, "kubelet refuses to start on them since Kubernetes 1.35", fix),
    }]
}

/// What kubeadm or kubelet will refuse is an error where a join comes next.
fn kubeadms(facts: &Facts) -> Severity {
    if facts.joins { Severity::Error } else { Severity::Warning }
}

/// `disabled_plugins = ["cri"]`, over several lines, in either kind of quotes, by its short name or its long one.
fn disables_cri(config: &str) -> bool {
    let lines = config.lines().map(|line| line.split('#').next().unwrap_or_default());
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let Some((_, list)) = text.split_once("disabled_plugins") else { return false };
    let list = list.split(']').next().unwrap_or_default();
    list.split(['"', '\'']).any(|name| matches!(name, "cri" | "io.containerd.grpc.v1.cri"))
}

/// Static pods that others left, and that guard the same.
pub fn manifests(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "foreign-manifest";
    if facts.manifests.is_empty() && facts.former.is_empty() {
        return vec![Finding::ok(ID, "no other static pod guards the apiservers")];
    }
    let finding = |path: &String| {
        Finding::warning(
            ID,
            format!("{path} runs another guard of the apiservers"),
            "two guards of one address undo what the other does",
            format!("if it is of no use any more: mv {path} /root/"),
        )
    };
    let former = |path: &String| {
        Finding::warning(
            ID,
            format!("{path} runs an older lvscare"),
            "two guards of one address undo what the other does",
            "let it be taken over, with the masters that it knows and without a failed request: lvscare-installer node \
             adopt",
        )
    };
    facts.former.iter().map(former).chain(facts.manifests.iter().map(finding)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disabled_plugin_is_seen_however_it_is_written() {
        for (config, disabled) in [
            ("disabled_plugins = [\"cri\"]", true),
            ("disabled_plugins = [ 'io.containerd.grpc.v1.cri' ]", true),
            ("version = 2\ndisabled_plugins = [\n  \"aufs\",\n  \"cri\", # for docker\n]\n", true),
            ("disabled_plugins = []\n[plugins.'io.containerd.grpc.v1.cri']\n", false),
            ("# disabled_plugins = [\"cri\"]", false),
            ("disabled_plugins = [\"aufs\"]\nrequired_plugins = [\"cri\"]", false),
            ("", false),
        ] {
            assert_eq!(disables_cri(config), disabled, "{config}");
        }
    }
}
