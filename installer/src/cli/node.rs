//! `lvscare-installer node`.

use std::time::Duration;

use clap::{Args, Subcommand};
use lvscare::config::value;

use super::join::{self, JoinArgs};
use super::kubeadm::KubeadmArgs;
use super::prepare::{MastersArgs, PrepareArgs, SpecArgs};
use super::{ChangeArgs, Output};
use crate::check::asked::Role;

const PREPARE_HELP: &str = "\
In this order: kernel modules and settings, the route and the IPVS rules, a try of the apiservers through them, what \
makes it last a reboot, the entry in /etc/hosts, the static pod. What is as it should be is left alone, so it can \
be run again at any time. `lvscare-installer node undo` takes it all back.

Examples:
  Make a node ready to join:
    lvscare-installer node prepare --vip 10.103.97.2 --master 10.0.0.1 --master 10.0.0.2 --master 10.0.0.3
  See what that would change, file by file:
    lvscare-installer node prepare --master 10.0.0.1,10.0.0.2,10.0.0.3 --dry-run --diff
  Then join with kubeadm as it is:
    kubeadm join apiserver.cluster.local:6443 --token ... --discovery-token-ca-cert-hash sha256:...";

const SET_MASTERS_HELP: &str = "\
No connection fails meanwhile: new masters are added first, then the static pod is told, then those that are no master \
any more get no new connections, and go when the old ones have ended. Everything else stays as the node was prepared.

Example:
  A fourth and a fifth master:
    lvscare-installer node set-masters --master 10.0.0.1-10.0.0.5";

/// `lvscare-installer node`.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Say everything that is wrong with this node before it is prepared and joined; changes nothing
    Check(Box<CheckArgs>),
    /// Make this node ready for `kubeadm join`
    #[command(after_help = PREPARE_HELP)]
    Prepare(Box<PrepareNodeArgs>),
    /// Prepare this node, then join it with the stock kubeadm; the same as `lvscare-installer kubeadm join`
    #[command(after_help = join::HELP)]
    Join(Box<JoinArgs>),
    /// Tell a prepared node of other masters
    #[command(after_help = SET_MASTERS_HELP)]
    SetMasters(SetMastersArgs),
    /// Show the three things that were added to this node: manifest, rules, hosts entry
    Status(StatusArgs),
    /// Take back everything that was changed on this node
    Undo(UndoArgs),
}

/// `lvscare-installer node check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What the node shall have
    #[command(flatten)]
    pub spec: SpecArgs,
    /// What the node shall become
    #[arg(long, default_value = "worker")]
    pub role: Role,
    /// The container runtime's socket [default: those of containerd, CRI-O and cri-dockerd]
    #[arg(long, value_name = "SOCKET")]
    pub cri_socket: Option<String>,
    /// Also show what is as it should be
    #[arg(long, short)]
    pub verbose: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    pub output: Output,
}

/// `lvscare-installer node prepare`.
#[derive(Debug, Args)]
pub struct PrepareNodeArgs {
    /// How the node is prepared
    #[command(flatten)]
    pub prepare: PrepareArgs,
    /// What kubeadm will be told; with a token its configuration is written, too
    #[command(flatten, next_help_heading = "To write kubeadm's JoinConfiguration as well")]
    pub kubeadm: KubeadmArgs,
}

/// `lvscare-installer node set-masters`.
#[derive(Debug, Args)]
pub struct SetMastersArgs {
    /// All masters that there are from now on
    #[command(flatten)]
    pub masters: MastersArgs,
    /// How long connections to those that are no master any more may go on
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = value::duration)]
    pub drain_timeout: Duration,
    /// How long the static pod may take to start again
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = value::duration)]
    pub wait: Duration,
    /// How that is done and told
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `lvscare-installer node status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    pub output: Output,
}

/// `lvscare-installer node undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    pub output: Output,
}
