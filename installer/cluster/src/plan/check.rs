//! What keeps hosts from being one cluster, each in words with the way out. All of it is told before anything is changed.

use std::collections::BTreeMap;

use node::spec::version::KubernetesVersion;

use super::members::Member;

/// Clocks that differ by more make certificates that are not valid yet, in milliseconds.
const CLOCK_LIMIT: u64 = 30_000;

/// What they must be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The version of Kubernetes, if one was asked for.
    pub version: Option<KubernetesVersion>,
    /// The time here when the first and the last of them said theirs, in milliseconds since 1970.
    pub asked: (u64, u64),
}

/// All that is wrong.
pub fn check(members: &[Member], wanted: &Wanted) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(same_names(members));
    wrong.extend(other_clusters(members));
    for member in members {
        let (name, facts) = (&member.name, &member.facts);
        let (first, last) = wanted.asked;
        if facts.clock.saturating_add(CLOCK_LIMIT) < first || facts.clock > last.saturating_add(CLOCK_LIMIT) {
            wrong.push(format!(
                "{name}: its clock is {} s away from the one here; set it, with chrony or systemd-timesyncd",
                facts.clock.abs_diff(first) / 1000
            ));
        }
        if member.has_joined() {
            continue;
        }
        if facts.cri_sockets.is_empty() {
            wrong.push(format!("{name}: no container runtime answers; start containerd, CRI-O or Docker"));
        }
        match (facts.versions.get("kubeadm"), wanted.version) {
            (None, _) => wrong.push(format!("{name}: kubeadm is not installed, or does not run")),
            (Some(said), version) => match (said.trim().parse::<KubernetesVersion>(), version) {
                (Err(why), _) => wrong.push(format!("{name}: kubeadm says its version is {said:?}: {why}")),
                (Ok(there), Some(version)) if there != version => {
                    wrong.push(format!("{name}: kubeadm is {there}, and --version is {version}"));
                }
                _ => {}
            },
        }
        if !facts.versions.contains_key("kubelet") {
            wrong.push(format!("{name}: kubelet is not installed, or does not run"));
        }
    }
    wrong
}

/// Nodes are told apart by the names of their hosts.
fn same_names(members: &[Member]) -> Vec<String> {
    let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for member in members {
        by_name.entry(member.facts.name.to_lowercase()).or_default().push(&member.name);
    }
    let twice = by_name.into_iter().filter(|(_, hosts)| hosts.len() > 1);
    twice.map(|(name, hosts)| format!("{}: all of them are called `{name}`; give each a name of its own, with hostnamectl set-hostname", hosts.join(", "))).collect()
}

/// Those that belong to a cluster must belong to the same.
fn other_clusters(members: &[Member]) -> Vec<String> {
    let authority = members
        .iter()
        .find(|member| member.is_working_master())
        .or_else(|| members.iter().find(|member| member.has_joined()));
    let Some(first) = authority else { return Vec::new() };
    let others =
        members.iter().filter(|member| member.has_joined() && member.facts.joined != first.facts.joined);
    others
        .map(|member| {
            format!(
                "{}: it belongs to another cluster than {}; take it out of that one first, with `lvscare-installer clean` or \
                 `kubeadm reset`",
                member.name, first.name
            )
        })
        .collect()
}
