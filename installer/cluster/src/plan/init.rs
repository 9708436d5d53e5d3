//! The first master, which everything else needs.

use node::agent::task::{Kubeadm, Phase as KubeadmPhase, Task};

use super::join::{Wanted, renew, reset, set_host};
use super::members::Member;
use super::{Configuration, Step};

/// What is done on it.
pub fn steps(first: &Member, wanted: &Wanted, has_other_masters: bool) -> Vec<Step> {
    let version = wanted.version;
    let phase = |phase| Step::Task(Task::Kubeadm(Kubeadm::Phase { phase, version }));
    let configuration = Configuration {
        version,
        address: first.address,
        port: wanted.port,
        ignore_preflight_errors: wanted.ignore_preflight_errors.clone(),
        has_other_masters,
        cluster: wanted.cluster.clone(),
    };
    let mut steps = Vec::new();
    if first.facts.joined.is_some() || first.facts.is_joining {
        // An init that came to no end: nobody else can have joined it.
        steps.push(reset(first));
    }
    steps.push(set_host(&wanted.spec.name, first));
    steps.push(Step::ConfigureInit(Box::new(configuration)));
    // Kubeconfigs hold the authority as it is when they are made, and kubeadm refuses another one.
    steps.push(phase(KubeadmPhase::InitCerts));
    steps.push(renew(wanted));
    steps.push(phase(KubeadmPhase::InitKubeconfig));
    steps.push(renew(wanted));
    steps.push(Step::Task(Task::Kubeadm(Kubeadm::Init { upload_certs: has_other_masters, version })));
    steps.push(Step::LearnAuthority);
    steps
}
