//! What goes in and comes out. Every type is owned and goes through JSON both ways.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lvscare::doctor::Report;
use lvscare::exit;
use lvscare::status::Status;
use serde::{Deserialize, Serialize};

use crate::render::hosts::Entry;
use crate::spec::kubeadm::KubeadmSpec;
use crate::spec::masters::Master;
use crate::spec::{NodeSpec, Part, Role};

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
}

impl Request {
    /// Whether a machine may be another one afterwards.
    pub fn changes(&self) -> bool {
        let change = match self {
            Self::Check(_) | Self::Status | Self::ListHosts | Self::RenderPod(_) => return false,
            Self::SetHost(_) | Self::UnsetHost { .. } => return true,
            Self::Prepare(request) => request.change,
            Self::Join(request) => request.prepare.change,
            Self::Adopt(request) => request.change,
            Self::SetMasters(request) => request.change,
            Self::Undo(request) => request.change,
            Self::WritePod { change, .. } | Self::RemovePod { change } => *change,
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

/// A step, done or planned, as it may be shown: never with a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// A stable name of the kind of step, for programs.
    pub kind: String,
    /// What people see.
    pub text: String,
    /// What it changes in its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
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
    /// The names that were set.
    Hosts {
        /// In the order of the file.
        entries: Vec<Entry>,
    },
    /// The manifest.
    Manifest {
        /// Every byte of it.
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
    pub hosts: Vec<Entry>,
    /// Whether there is something to undo.
    pub prepared: bool,
    /// What is not as it was prepared, each in words.
    pub differences: Vec<String>,
}

/// Why a request ended early: for programs a kind, for people one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// By this a controller decides.
    pub kind: Kind,
    /// What was wrong, with which value, and the way out.
    pub message: String,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A reason that only the message names.
    Failed,
    /// A bad value; nothing was changed.
    Usage,
    /// Values that do not fit together, or a file that is not valid.
    Invalid,
    /// The checks refuse this node; nothing was changed.
    Refused,
    /// No apiserver can be reached.
    Unreachable,
    /// The image is missing or damaged.
    Image,
    /// Another run is at work.
    Locked,
    /// kubeadm failed.
    Kubeadm,
    /// Something is not as it should be after the change.
    NotVerified,
    /// Somebody else's work would be damaged.
    Foreign,
    /// A right is missing.
    NotPermitted,
    /// The kernel lacks IPVS or the scheduler.
    Kernel,
    /// Whoever asked for it wants no more of it; what was begun is done.
    Cancelled,
}

impl Failure {
    /// A failure with a message of its own.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A bad value.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Nobody wants it any more.
    pub fn cancelled() -> Self {
        let text = "stopped between two steps, as was asked; run it again to finish it, or undo it";
        Self::new(Kind::Cancelled, text)
    }

    /// What the system refused, with the reason of [`std::io::Error`].
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Kind::NotPermitted,
            _ => Kind::Failed,
        };
        Self::new(kind, format!("cannot {what}: {error}"))
    }
}

impl From<exit::Failure> for Failure {
    fn from(failure: exit::Failure) -> Self {
        let kind = match failure.exit {
            exit::Exit::Usage => Kind::Usage,
            exit::Exit::Invalid => Kind::Invalid,
            exit::Exit::NotPermitted => Kind::NotPermitted,
            exit::Exit::KernelLacksPart => Kind::Kernel,
            _ => Kind::Failed,
        };
        Self::new(kind, failure.message)
    }
}

impl From<lvscare::kernel::Error> for Failure {
    fn from(error: lvscare::kernel::Error) -> Self {
        exit::Failure::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_told_from_other_trouble() {
        let kind = |error: std::io::ErrorKind| Failure::io("write /x", &error.into()).kind;
        assert_eq!(kind(std::io::ErrorKind::PermissionDenied), Kind::NotPermitted);
        assert_eq!(kind(std::io::ErrorKind::StorageFull), Kind::Failed);
    }
}
