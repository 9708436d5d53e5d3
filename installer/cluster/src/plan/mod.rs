//! What will be done on which host, in which order. Pure: the same facts give the same plan, and the value that is shown
//! and confirmed is the one that is carried out.
//!
//! - [`init`], [`join`], [`clean`]: the phases of each command, as its documentation reads.
//! - [`members`]: which hosts are what to the cluster. [`check`]: what keeps hosts from being one cluster.
//! - [`etcd`]: whether etcd bears that masters come and go.
//! - [`package`]: what is done with a package before anything else.
//! - [`credentials`]: what those who join are given, made for one run.

use std::net::IpAddr;
use std::time::Duration;

use node::agent::task::{Kubeadm, Phase as KubeadmPhase, Task};
use node::api::{ClusterRequest, PrepareRequest, Request};
use node::spec::version::KubernetesVersion;
use node::step::Digest;

pub mod check;
pub mod clean;
pub mod credentials;
pub mod etcd;
pub mod init;
pub mod join;
pub mod members;
pub mod package;

#[cfg(test)]
mod tests;

/// Phases, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Those in which there is something to do.
    pub phases: Vec<Phase>,
}

/// Steps on hosts, none of which needs another host of the same phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// What people see.
    pub title: &'static str,
    /// In which order the hosts come.
    pub order: Order,
    /// What becomes of the others when one host fails.
    pub on_failure: OnFailure,
    /// Hosts by their place in the inventory, and what is done there.
    pub work: Vec<(usize, Vec<Step>)>,
}

/// In which order hosts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One by one.
    Serial,
    /// Many at once.
    Parallel,
}

/// What becomes of the others when one host fails. It never takes part in a later phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing more is done anywhere.
    StopAll,
    /// Nothing more is done in this phase.
    StopPhase,
    /// They go on.
    LeaveHost,
}

/// What is done on one host.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// What one machine can be asked to do.
    Run(Request),
    /// The same, and whatever comes of it, it goes on.
    Try(Request),
    /// A program that takes minutes.
    Task(Task),
    /// The package is brought, if it is not there.
    SendPackage {
        /// Its SHA-256.
        sha256: Digest,
        /// Its length, rounded up.
        megabytes: u64,
    },
    /// kubeadm is told what to make of this first master.
    ConfigureInit(Box<Configuration>),
    /// All members of etcd are well, at the latest after so long.
    AwaitEtcd(Duration),
    /// The host's authority becomes what others know the cluster by.
    LearnAuthority,
    /// A token and a key are made, with which others may join.
    Admit(Admission),
    /// The host is prepared, and kubeadm told how to join with what was made for it.
    PrepareJoin(Box<PrepareRequest>),
}

/// Who may join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The master that lets them in.
    pub address: IpAddr,
    /// The port of its apiserver.
    pub port: u16,
    /// The version of its kubeadm.
    pub version: KubernetesVersion,
    /// Whether masters are among them.
    pub has_masters: bool,
}

/// What kubeadm is told of a first master, but for the secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The version of kubeadm.
    pub version: KubernetesVersion,
    /// The master's own address.
    pub address: IpAddr,
    /// The port of its apiserver.
    pub port: u16,
    /// Checks of kubeadm that may fail.
    pub ignore_preflight_errors: Vec<String>,
    /// Whether other masters will join.
    pub has_other_masters: bool,
    /// The documents of the whole cluster.
    pub cluster: String,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    /// What people see, a line for each phase and each step; those that many hosts have in common are told once.
    pub fn lines(&self, name: impl Fn(usize) -> String) -> Vec<String> {
        let mut lines = Vec::new();
        for phase in &self.phases {
            let order = match phase.order {
                Order::Serial if phase.work.len() > 1 => ", one by one",
                Order::Parallel if phase.work.len() > 1 => ", many at once",
                _ => "",
            };
            lines.push(format!("{}{order}", phase.title));
            let mut told: Vec<(Vec<String>, Vec<String>)> = Vec::new();
            for (host, steps) in &phase.work {
                let titles: Vec<_> = steps.iter().map(Step::title).collect();
                let is_parallel = phase.order == Order::Parallel;
                match told.iter_mut().find(|(known, _)| is_parallel && *known == titles) {
                    Some((_, hosts)) => hosts.push(name(*host)),
                    None => told.push((titles, vec![name(*host)])),
                }
            }
            for (titles, hosts) in told {
                lines.push(format!("  {}", hosts.join(", ")));
                lines.extend(titles.iter().map(|title| format!("    {title}")));
            }
        }
        lines
    }

    /// Adds a phase, unless there is nothing to do in it.
    fn add(
        &mut self,
        title: &'static str,
        order: Order,
        on_failure: OnFailure,
        work: impl IntoIterator<Item = (usize, Vec<Step>)>,
    ) {
        let work: Vec<_> = work.into_iter().filter(|(_, steps)| !steps.is_empty()).collect();
        if !work.is_empty() {
            self.phases.push(Phase { title, order, on_failure, work });
        }
    }
}

impl Step {
    /// What people see.
    pub fn title(&self) -> String {
        match self {
            Self::Run(request) | Self::Try(request) => request_title(request),
            Self::Task(task) => task_title(task),
            Self::SendPackage { megabytes, .. } => format!("send the package, {megabytes} MB"),
            Self::ConfigureInit(_) => "write kubeadm's configuration".to_owned(),
            Self::AwaitEtcd(_) => "wait until all members of etcd are well".to_owned(),
            Self::LearnAuthority => "read the cluster's authority".to_owned(),
            Self::Admit(admission) if admission.has_masters => {
                "make a token, and leave the certificates for other masters".to_owned()
            }
            Self::Admit(_) => "make a token".to_owned(),
            Self::PrepareJoin(request) if request.kubeadm.control_plane => {
                format!("let {} mean a master, write kubeadm's configuration", request.spec.name)
            }
            Self::PrepareJoin(request) => {
                format!(
                    "rules for {}, {}, the static pod, kubeadm's configuration",
                    request.spec.vip, request.spec.name
                )
            }
        }
    }
}

fn request_title(request: &Request) -> String {
    match request {
        Request::SetHost(host) => format!("let {} mean {}", host.name, host.address),
        Request::Renew(_) => "give the certificates a later end".to_owned(),
        Request::UnsetHost { name } => format!("let {name} mean nothing"),
        Request::SetMasters(request) => format!("know {} masters", request.masters.len()),
        Request::Join(_) => "wait for the daemon, and look whether all is as it should be".to_owned(),
        Request::Undo(_) => "take back rules, hosts entry and static pod".to_owned(),
        Request::EtcdSave { file } => format!("save etcd to {}", file.display()),
        Request::EtcdRemove { address } => format!("let {address} be no member of etcd"),
        Request::InstallPackage(request) if request.unpack_only => "unpack the package".to_owned(),
        Request::InstallPackage(_) => "install kubeadm, kubectl, kubelet and the images".to_owned(),
        Request::Cluster(ClusterRequest::Drain { node, .. }) => format!("drain {node}"),
        Request::Cluster(ClusterRequest::DeleteNode { node }) => format!("delete the node {node}"),
        Request::Cluster(ClusterRequest::RemoveToken { .. }) => "delete the token".to_owned(),
        Request::Cluster(ClusterRequest::AddToken { .. }) => "make a token".to_owned(),
        Request::Cluster(ClusterRequest::Nodes) => "ask for the nodes".to_owned(),
        _ => "look".to_owned(),
    }
}

fn task_title(task: &Task) -> String {
    let words = task.command_line().map(|line| line.words);
    match task {
        Task::Kubeadm(Kubeadm::Init { .. }) => "kubeadm init".to_owned(),
        Task::Kubeadm(Kubeadm::Join { .. }) => "kubeadm join".to_owned(),
        Task::Kubeadm(Kubeadm::Reset { .. }) => "kubeadm reset".to_owned(),
        Task::Kubeadm(Kubeadm::Phase { phase, .. }) => match phase {
            KubeadmPhase::InitCerts => "kubeadm: certificates".to_owned(),
            KubeadmPhase::InitKubeconfig => "kubeadm: kubeconfigs".to_owned(),
            KubeadmPhase::InitUploadCerts => "kubeadm: leave the certificates for other masters".to_owned(),
            _ => words.unwrap_or_default().join(" "),
        },
        Task::Hook { hook, .. } => format!("run the package's {}", hook.file()),
        _ => words.unwrap_or_default().join(" "),
    }
}
