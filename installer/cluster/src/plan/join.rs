//! Whoever is missing joins: masters one by one, then nodes at once; and nodes that were there learn of new masters.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use node::agent::task::{CriSocket, Kubeadm, Phase as KubeadmPhase, Task};
use node::api::certificates::RenewRequest;
use node::api::{
    Change, ClusterRequest, JoinRequest, PrepareRequest, Request, SetHostRequest, SetMastersRequest,
};
use node::spec::NodeSpec;
use node::spec::kubeadm::KubeadmSpec;
use node::spec::masters::Master;
use node::spec::version::KubernetesVersion;

use super::members::Member;
use super::package::Package;
use super::{Admission, OnFailure, Order, Plan, Step, init};
use crate::inventory::Role;

/// How long connections to masters that leave may go on.
const DRAIN: Duration = Duration::from_secs(30);

/// What a cluster shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The version of Kubernetes.
    pub version: KubernetesVersion,
    /// What each node shall have; its masters are all that there will be.
    pub spec: NodeSpec,
    /// What kubeadm is told of the whole cluster.
    pub cluster: String,
    /// The port of apiservers.
    pub port: u16,
    /// Checks of kubeadm that may fail.
    pub ignore_preflight_errors: Vec<String>,
    /// The last second of certificates, since 1970.
    pub until: u64,
    /// How long the daemon's pod may take after a join.
    pub wait: Duration,
    /// The part of the token that is no secret.
    pub token_id: String,
    /// Where etcd is saved before a master joins.
    pub snapshot: PathBuf,
    /// New masters at whose addresses etcd knows a member.
    pub known_to_etcd: Vec<IpAddr>,
    /// What those who join are given before anything else.
    pub package: Option<Package>,
}

/// The phases. `members` are all hosts that there will be, masters first.
pub fn plan(members: &[Member], wanted: &Wanted) -> Plan {
    let mut plan = Plan::default();
    let masters: Vec<_> = members.iter().filter(|member| member.role == Role::Master).collect();
    let Some(first) = masters.iter().find(|master| master.is_working_master()).or(masters.first()) else {
        return plan;
    };
    let new: Vec<_> = masters.iter().filter(|it| it.host != first.host && !it.has_joined()).collect();
    let nodes = || members.iter().filter(|member| member.role == Role::Node);
    let joins = !new.is_empty() || nodes().any(|node| !node.has_joined());
    if let Some(package) = &wanted.package {
        let is_new = |member: &&Member| {
            !member.has_joined() || (member.host == first.host && !first.is_working_master())
        };
        let work = members.iter().filter(is_new).map(|member| (member.host, package.steps(member)));
        plan.add("the package", Order::Parallel, OnFailure::StopAll, work);
    }
    if first.is_working_master() {
        let (version, port, has_masters) = (wanted.version, wanted.port, !new.is_empty());
        let admission = Admission { address: first.address, port, version, has_masters };
        let steps = if joins { vec![Step::LearnAuthority, Step::Admit(admission)] } else { Vec::new() };
        plan.add("a token", Order::Serial, OnFailure::StopAll, [(first.host, steps)]);
    } else {
        let steps = init::steps(first, wanted, !new.is_empty());
        plan.add("the first master", Order::Serial, OnFailure::StopAll, [(first.host, steps)]);
    }
    plan.add("masters", Order::Serial, OnFailure::StopPhase, masters_join(&new, first, wanted));
    let joining = nodes().filter(|node| !node.has_joined()).map(|node| (node.host, node_steps(node, wanted)));
    plan.add("nodes", Order::Parallel, OnFailure::LeaveHost, joining);
    let known = nodes().filter(|node| node.has_joined()).map(|node| (node.host, vec![set_masters(wanted)]));
    plan.add("masters, told to nodes", Order::Parallel, OnFailure::LeaveHost, known);
    let end = Step::Try(Request::Cluster(ClusterRequest::RemoveToken { id: wanted.token_id.clone() }));
    let end = if joins { vec![end] } else { Vec::new() };
    plan.add("the end", Order::Serial, OnFailure::LeaveHost, [(first.host, end)]);
    plan
}

/// Each new master makes etcd wait for it: all members are well before one joins and after the last one, and what etcd holds is saved.
fn masters_join(new: &[&&Member], first: &Member, wanted: &Wanted) -> Vec<(usize, Vec<Step>)> {
    let mut work = Vec::new();
    for (index, master) in new.iter().enumerate() {
        let mut before = Vec::new();
        if wanted.known_to_etcd.contains(&master.address) {
            // A member whose join came to no end keeps the others from being well, and another one from its address.
            before.push(Step::Run(Request::EtcdRemove { address: master.address }));
        }
        before.push(Step::AwaitEtcd(wanted.wait));
        if index == 0 {
            before.push(save(&wanted.snapshot));
        }
        work.push((first.host, before));
        work.push((master.host, master_steps(master, first, wanted)));
    }
    if !new.is_empty() {
        work.push((first.host, vec![Step::AwaitEtcd(wanted.wait)]));
    }
    work
}

/// What etcd holds, in case it is lost.
pub(super) fn save(snapshot: &Path) -> Step {
    Step::Run(Request::EtcdSave { file: snapshot.to_owned() })
}

/// A master joins through the first one, by the name that all clients use, and then means itself by it.
fn master_steps(master: &Member, first: &Member, wanted: &Wanted) -> Vec<Step> {
    let through = Master::At(SocketAddr::new(first.address, wanted.port));
    let mut prepare = prepare(NodeSpec { masters: vec![through], ..wanted.spec.clone() }, wanted);
    prepare.kubeadm.control_plane = true;
    prepare.kubeadm.advertise_address = Some(master.address);
    prepare.kubeadm.bind_port = Some(wanted.port);
    let phase = |phase| Step::Task(Task::Kubeadm(Kubeadm::Phase { phase, version: wanted.version }));
    let mut steps = half_joined(master);
    steps.push(Step::PrepareJoin(Box::new(prepare)));
    steps.push(phase(KubeadmPhase::JoinDownloadCerts));
    steps.push(phase(KubeadmPhase::JoinCerts));
    steps.push(phase(KubeadmPhase::JoinKubeconfig));
    steps.push(renew(wanted));
    steps.push(join());
    steps.push(set_host(&wanted.spec.name, master));
    steps
}

fn node_steps(node: &Member, wanted: &Wanted) -> Vec<Step> {
    let prepare = prepare(wanted.spec.clone(), wanted);
    let looks = JoinRequest { prepare: prepare.clone(), prefer_local: false, wait: wanted.wait };
    let mut steps = half_joined(node);
    steps.extend([Step::PrepareJoin(Box::new(prepare)), join(), Step::Run(Request::Join(Box::new(looks)))]);
    steps
}

/// What an unfinished join left is in the way of another.
fn half_joined(member: &Member) -> Vec<Step> {
    if member.facts.is_joining { vec![reset(member)] } else { Vec::new() }
}

/// Takes a host's part of the cluster back.
pub(super) fn reset(member: &Member) -> Step {
    // With several, kubeadm refuses to choose.
    let socket = match member.facts.cri_sockets.as_slice() {
        [_, _, ..] => member.facts.cri_sockets.first().cloned(),
        _ => None,
    };
    let cri_socket = socket.and_then(|socket| CriSocket::try_from(socket).ok());
    Step::Task(Task::Kubeadm(Kubeadm::Reset { cri_socket }))
}

fn join() -> Step {
    Step::Task(Task::Kubeadm(Kubeadm::Join { ignore_preflight_errors: Vec::new(), verbosity: None }))
}

fn prepare(spec: NodeSpec, wanted: &Wanted) -> PrepareRequest {
    let kubeadm = KubeadmSpec {
        version: Some(wanted.version),
        ignore_preflight_errors: wanted.ignore_preflight_errors.clone(),
        ..KubeadmSpec::default()
    };
    PrepareRequest { spec, archive: None, skip: Vec::new(), kubeadm, change: Change::default() }
}

/// Certificates get a later end before anybody has read them: kubeadm takes those that it finds.
pub(super) fn renew(wanted: &Wanted) -> Step {
    let (until, wait) = (wanted.until, wanted.wait);
    Step::Run(Request::Renew(RenewRequest { until, files: Vec::new(), wait, change: Change::default() }))
}

/// The name means this very machine.
pub(super) fn set_host(name: &str, member: &Member) -> Step {
    Step::Run(set_host_request(name, member))
}

/// The name means that machine.
pub(super) fn set_host_request(name: &str, member: &Member) -> Request {
    Request::SetHost(SetHostRequest { name: name.to_owned(), address: member.address, force: false })
}

fn set_masters(wanted: &Wanted) -> Step {
    Step::Run(set_masters_request(wanted.spec.masters.clone(), wanted.wait))
}

/// A node knows these masters, and no others.
pub(super) fn set_masters_request(masters: Vec<Master>, wait: Duration) -> Request {
    Request::SetMasters(SetMastersRequest { masters, drain: DRAIN, wait, change: Change::default() })
}
