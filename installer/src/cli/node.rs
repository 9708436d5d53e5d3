//! `lvscare-installer node`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use lvscare::config::value::{self, NodeAddress};
use lvscare::doctor::subnet::Subnet;

use super::join::{self, JoinArgs, KubeadmArgs};
use super::{ChangeArgs, Output};
use crate::check::Role;
use crate::masters::{self, Masters};
use crate::node::wanted::Part;

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

/// How a node is prepared.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// What the node shall have
    #[command(flatten)]
    pub spec: SpecArgs,
    /// An archive with the image, for nodes that cannot pull it (`ctr images import`)
    #[arg(long, value_name = "FILE")]
    pub import: Option<PathBuf>,
    /// Leave a part out; repeat it, or separate with commas
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub skip: Vec<Part>,
    /// Take over what somebody else made: a hosts line of the same name, other real servers
    #[arg(long)]
    pub force: bool,
    /// How that is done and told
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Which masters there are.
#[derive(Debug, Args)]
pub struct MastersArgs {
    /// A master, or a range of them (10.0.0.1-10.0.0.3), or the name of one; repeat it, or separate with commas; with a
    /// port if it is not 6443
    #[arg(long = "master", value_name = "IP[:PORT]", required = true)]
    pub masters: Vec<Masters>,
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

/// What a node shall have.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// The virtual address of the apiservers, unused anywhere else; with a port if it is not 6443
    #[arg(long, value_name = "IP[:PORT]", default_value = "10.103.97.2", value_parser = masters::with_port)]
    pub vip: SocketAddr,
    /// Which masters there are
    #[command(flatten)]
    pub masters: MastersArgs,
    /// The name by which clients call the virtual server
    #[arg(long, value_name = "NAME", default_value = "apiserver.cluster.local")]
    pub apiserver: String,
    /// This node's address in the cluster [default: the one used towards the masters]
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<NodeAddress>,
    /// The image that the static pod runs; never `latest`
    #[arg(long, value_name = "REF", default_value = concat!("docker.io/library/lvscare:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// A range of addresses that Kubernetes gives to Services; the virtual address must lie outside
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub service_cidr: Vec<Subnet>,
    /// A range of addresses that Kubernetes gives to pods; the virtual address must lie outside
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub pod_cidr: Vec<Subnet>,
    /// An option for the daemon, as `lvscare care --help` has them; repeat it
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub lvscare_arg: Vec<String>,
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
