//! What goes in and comes out. Every type is owned and goes through JSON both ways.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lvscare::doctor::Report;
use lvscare::status::Status;
use serde::{Deserialize, Serialize};

pub use crate::failure::{Failure, Kind};
use crate::spec::kubeadm::KubeadmSpec;
use crate::spec::masters::Master;
use crate::spec::{NodeSpec, Part, Role};
pub use crate::step::StepReport;

pub mod certificates;
pub mod cluster;
pub mod etcd;
pub mod package;

use certificates::{AddNamesRequest, Certificates, RenewRequest, RestoreRequest};
pub use cluster::{ClusterNode, ClusterRequest};
use etcd::{EtcdHealth, EtcdSnapshot};
use package::InstallPackageRequest;

/// What a machine is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Say all that is wrong; change nothing.
    Check(CheckRequest),
    /// Get ready for a join.
    Prepare(Box<PrepareRequest>),
    /// Get ready, and join with the stock kubeadm.
    Join(Box<JoinRequest>),
    /// Take over from an older lvscare.
    Adopt(Box<AdoptRequest>),
    /// Know other masters.
    SetMasters(SetMastersRequest),
    /// Say what is there of what should be.
    Status,
    /// Be as before the first change.
    Undo(UndoRequest),
    /// Have a name mean an address.
    SetHost(SetHostRequest),
    /// Know nothing of a name.
    UnsetHost {
        /// The name.
        name: String,
    },
    /// Say which names were set.
    ListHosts,
    /// Give the bytes of the static pod; look at nothing.
    RenderPod(NodeSpec),
    /// Have the static pod's manifest, and nothing else.
    WritePod {
        /// What the pod is told.
        spec: NodeSpec,
        /// How the change is made.
        change: Change,
    },
    /// Have no manifest of ours.
    RemovePod {
        /// How the change is made.
        change: Change,
    },
    /// Say what is true of the cluster's certificates here.
    Certificates,
    /// Give them a later end.
    Renew(RenewRequest),
    /// Give the apiserver's certificate more names.
    AddNames(AddNamesRequest),
    /// Put back those that the last renewal has replaced.
    Restore(RestoreRequest),
    /// Have the programs and images of a package.
    InstallPackage(InstallPackageRequest),
    /// Say how the members of etcd are.
    EtcdHealth,
    /// Have a snapshot of etcd, looked through.
    EtcdSave {
        /// Where; nothing is there yet.
        file: PathBuf,
    },
    /// Have etcd know no member at that address, which is not this machine's.
    EtcdRemove {
        /// The host of its peer URL.
        address: IpAddr,
    },
    /// Say how a snapshot of etcd is restored.
    EtcdRestoreHelp {
        /// The snapshot, if there is one already.
        file: Option<PathBuf>,
    },
    /// Ask or tell the cluster something, on one of its masters.
    Cluster(ClusterRequest),
}

impl Request {
    /// Whether a machine may be another one afterwards.
    pub fn changes(&self) -> bool {
        let change = match self {
            Self::Check(_)
            | Self::Status
            | Self::ListHosts
            | Self::RenderPod(_)
            | Self::Certificates
            | Self::EtcdHealth
            | Self::EtcdRestoreHelp { .. } => {
                return false;
            }
            Self::Cluster(request) => return *request != ClusterRequest::Nodes,
            Self::SetHost(_) | Self::UnsetHost { .. } | Self::EtcdSave { .. } | Self::EtcdRemove { .. } => {
                return true;
            }
            Self::Prepare(request) => request.change,
            Self::Join(request) => request.prepare.change,
            Self::Adopt(request) => request.change,
            Self::SetMasters(request) => request.change,
            Self::Undo(request) => request.change,
            Self::WritePod { change, .. } | Self::RemovePod { change } => *change,
            Self::Renew(request) => request.change,
            Self::AddNames(request) => request.change,
            Self::Restore(request) => request.change,
            Self::InstallPackage(request) => request.change,
        };
        !change.dry_run
    }
}

/// How a change is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Plan only.
    pub dry_run: bool,
    /// Take over what is somebody else's.
    pub force: bool,
}

/// A look at a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// What it shall have.
    pub spec: NodeSpec,
    /// What it shall become.
    pub role: Role,
    /// The container runtime's socket, if told.
    pub cri_socket: Option<String>,
    /// Whether the masters are asked; those of a cluster that is yet to be made do not answer.
    pub visits: bool,
}

/// What it takes to be ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrepareRequest {
    /// What it shall have.
    pub spec: NodeSpec,
    /// An archive with the image.
    pub archive: Option<PathBuf>,
    /// Parts to leave out.
    pub skip: Vec<Part>,
    /// What kubeadm will be told.
    pub kubeadm: KubeadmSpec,
    /// How the change is made.
    pub change: Change,
}

/// A join.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// What comes before it.
    pub prepare: PrepareRequest,
    /// Whether a new master gets the virtual server as well.
    pub prefer_local: bool,
    /// How long the daemon's pod may take after the join.
    pub wait: Duration,
}

/// A node that an older installer made. The virtual server and the masters stand in its static pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdoptRequest {
    /// The image that our static pod runs.
    pub image: String,
    /// An archive with it.
    pub archive: Option<PathBuf>,
    /// The name by which clients call the virtual server; `None`: the one by which kubelet or the hosts file calls it.
    pub name: Option<String>,
    /// The node's address in the cluster; `None`: the one that the older one was told, else the one used towards the
    /// masters.
    pub node_ip: Option<IpAddr>,
    /// Further options of the daemon.
    pub daemon_args: Vec<String>,
    /// How long the daemon's pod may take to start.
    pub wait: Duration,
    /// How the change is made.
    pub change: Change,
}

/// Other masters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetMastersRequest {
    /// All that there are from now on.
    pub masters: Vec<Master>,
    /// How long connections to those that leave may go on.
    pub drain: Duration,
    /// How long a daemon may take to start again.
    pub wait: Duration,
    /// How the change is made.
    pub change: Change,
}

/// The way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoRequest {
    /// How the change is made; `force`: even while kubelet runs pods here.
    pub change: Change,
}

/// A name for an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetHostRequest {
    /// The name.
    pub name: String,
    /// What it shall mean.
    pub address: IpAddr,
    /// Whether others' lines of that name are commented out.
    pub force: bool,
}

/// What happens on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Something that a person should know.
    Note {
        /// In words.
        text: String,
    },
    /// A step was done.
    Done(StepReport),
    /// The apiservers answer through the virtual server.
    Reached {
        /// The virtual server.
        at: SocketAddr,
    },
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// What was found.
    Checked(Report),
    /// What was changed, or would be.
    Changed(Changed),
    /// What is there.
    Status(NodeStatus),
    /// The nodes of the cluster.
    Nodes {
        /// In the order of their names.
        nodes: Vec<ClusterNode>,
    },
    /// The names that were set.
    Hosts {
        /// In the order of the file.
        entries: Vec<HostEntry>,
    },
    /// The manifest.
    Manifest {
        /// Every byte of it.
        text: String,
    },
    /// The cluster's certificates here.
    Certificates(Certificates),
    /// The members of etcd.
    EtcdHealth(EtcdHealth),
    /// A snapshot that was taken.
    EtcdSnapshot(EtcdSnapshot),
    /// What a person is to do.
    Guide {
        /// In words and commands.
        text: String,
    },
}

/// What was changed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// Whether there was anything to do.
    pub changed: bool,
    /// Whether it was only planned.
    pub planned: bool,
    /// The steps.
    pub steps: Vec<StepReport>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// After a join: whether it was done just now, or before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<Joined>,
    /// Whether the daemon guards the rules; absent where there shall be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarded: Option<bool>,
    /// How kubeadm is to be called, when its configuration was written and the join is left to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_command: Option<String>,
    /// What is there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
}

/// A name that was set in the hosts file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The name.
    pub name: String,
    /// What it means.
    pub address: IpAddr,
}

/// When a node joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Joined {
    /// In this run.
    Now,
    /// Before it.
    Already,
}

/// The three things that a prepared node has and that can be seen: manifest, rules, hosts entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The static pod's manifest, if it is there.
    pub manifest: Option<PathBuf>,
    /// The virtual server, as the daemon or else the kernel has it.
    pub rules: Option<Status>,
    /// Why it cannot be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_unknown: Option<String>,
    /// The names in the hosts file that are ours.
    pub hosts: Vec<HostEntry>,
    /// Whether there is something to undo.
    pub prepared: bool,
    /// What is not as it was prepared, each in words.
    pub differences: Vec<String>,
}
