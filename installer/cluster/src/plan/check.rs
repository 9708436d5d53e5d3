//! What keeps hosts from being one cluster, each in words with the way out. All of it is told before anything is changed.

use std::collections::BTreeMap;

use lvscare::doctor::{Finding, Report, Severity};
use node::api::CheckRequest;
use node::check::kubernetes::RUNTIME;
use node::spec::masters::Master;
use node::spec::version::KubernetesVersion;
use node::spec::{self, NodeSpec};

use super::members::Member;
use super::package::Package;
use crate::inventory::Role;

/// Clocks that differ by more make certificates that are not valid yet, in milliseconds.
const CLOCK_LIMIT: u64 = 30_000;

/// What they must be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The version of Kubernetes, if one was asked for.
    pub version: Option<KubernetesVersion>,
    /// The package that those who join are given; without one, they have what they need.
    pub package: Option<Package>,
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
        if let Some(package) = &wanted.package {
            wrong.extend(package.problems(member));
            continue;
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

/// What each host that is to join has to look at on itself. `working` are the masters that can be asked; while there are none,
/// nobody is.
pub fn requests(members: &[Member], spec: &NodeSpec, working: &[Master]) -> Vec<(usize, CheckRequest)> {
    let visits = !working.is_empty();
    let masters = if visits { working.to_vec() } else { spec.masters.clone() };
    let spec = NodeSpec { masters, ..spec.clone() };
    // What an unfinished join has left is taken back first, and would be found here.
    let joining = members.iter().filter(|member| !member.has_joined() && !member.facts.is_joining);
    let request = |member: &Member| {
        let role = match member.role {
            Role::Master => spec::Role::Master,
            Role::Node => spec::Role::Worker,
        };
        (member.host, CheckRequest { spec: spec.clone(), role, cri_socket: None, visits })
    };
    joining.map(request).collect()
}

/// What a host found on itself: why it cannot join, and what people should know. A package may bring the container runtime.
pub fn sort(report: &Report, package: Option<&Package>) -> (Vec<String>, Vec<String>) {
    let is_brought =
        |finding: &Finding| finding.id == RUNTIME && package.is_some_and(super::package::Package::has_init);
    let of = |severity| {
        let findings = report.findings.iter().filter(move |finding| finding.severity == severity);
        let findings = findings.filter(|finding| !is_brought(finding));
        findings.map(words).collect()
    };
    (of(Severity::Error), of(Severity::Warning))
}

fn words(finding: &Finding) -> String {
    let fix = finding.fix.as_ref().map_or_else(String::new, |fix| format!("; {fix}"));
    format!("{}: {}{fix}", finding.id, finding.seen)
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
