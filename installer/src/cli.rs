//! What can be typed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lvscare::config::value::NodeAddress;

use crate::masters::{self, Masters};
use crate::node::wanted::Part;

pub mod join;

use join::JoinArgs;

const EXIT_CODES: &str = "\
Exit codes: 0 done or nothing to do; 1 failed, the message says why; 2 wrong usage or a bad value; 3 a file that is \
not valid; 4 the checks refuse this node; 7 no apiserver answers; 8 the image; 9 another run is at work; \
10 --dry-run --detailed-exitcode found changes; 11 kubeadm failed; 12 not as it should be after the change; \
13 somebody else's work would be damaged; 14 not permitted; 15 the kernel lacks a part.";

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

const JOIN_HELP: &str = "\
The same as `lvscare-installer node prepare` and then `kubeadm join --config FILE`, where FILE is of the form that this \
kubeadm reads, and holds the secrets.

Example:
  lvscare-installer kubeadm join 10.103.97.2:6443 --token 9vr73a.a8uxyaju799qwdjv \\
    --master 10.103.97.100:6443 --master 10.103.97.101:6443 --master 10.103.97.102:6443 \\
    --discovery-token-ca-cert-hash sha256:7c2e69131a36ae2a042a339b33381c6d0d43887e2de83720eff5359e26aec866";

/// Everything a node needs before `kubeadm join`, and the way back.
///
/// A node of a highly available cluster must reach the apiservers before it joins. This puts lvscare's virtual server
/// in place first (10.103.97.2:6443, in the kernel), names it in /etc/hosts, and leaves a static pod that guards it.
/// Those three things can be seen with `lvscare-installer node status`.
#[derive(Debug, Parser)]
#[command(name = "lvscare-installer", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// This node
    Node {
        /// What to do with it
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// The entry in /etc/hosts
    Hosts {
        /// What to do with it
        #[command(subcommand)]
        command: HostsCommand,
    },
    /// kubeadm, with a way to the apiservers before it begins
    Kubeadm {
        /// What to do
        #[command(subcommand)]
        command: Box<KubeadmCommand>,
    },
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `lvscare-installer node`.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Make this node ready for `kubeadm join`
    #[command(after_help = PREPARE_HELP)]
    Prepare(Box<PrepareArgs>),
    /// Show the three things that were added to this node: manifest, rules, hosts entry
    Status(StatusArgs),
    /// Take back everything that was changed on this node
    Undo(UndoArgs),
}

/// `lvscare-installer kubeadm`.
#[derive(Debug, Subcommand)]
pub enum KubeadmCommand {
    /// Prepare this node, then join it with the stock kubeadm
    #[command(after_help = JOIN_HELP)]
    Join(JoinArgs),
}

/// `lvscare-installer node prepare`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
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
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Show what changes in each file
    #[arg(long)]
    pub diff: bool,
    /// With --dry-run: end with 10 when there is something to do
    #[arg(long, requires = "dry_run")]
    pub detailed_exitcode: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    pub output: Output,
}

/// What a node shall have.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// The virtual address of the apiservers, unused anywhere else; with a port if it is not 6443
    #[arg(long, value_name = "IP[:PORT]", default_value = "10.103.97.2", value_parser = masters::with_port)]
    pub vip: SocketAddr,
    /// A master; repeat it, separate with commas, or give a range (10.0.0.1-10.0.0.3); with a port if it is not 6443
    #[arg(long = "master", value_name = "IP[:PORT]", required = true)]
    pub masters: Vec<Masters>,
    /// The name by which clients call the virtual server
    #[arg(long, value_name = "NAME", default_value = "apiserver.cluster.local")]
    pub apiserver: String,
    /// This node's address in the cluster [default: the one used towards the masters]
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<NodeAddress>,
    /// The image that the static pod runs; never `latest`
    #[arg(long, value_name = "REF", default_value = concat!("docker.io/library/lvscare:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
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

/// `lvscare-installer hosts`.
#[derive(Debug, Subcommand)]
pub enum HostsCommand {
    /// Have a name mean an address
    Set {
        /// The name
        name: String,
        /// The address
        address: IpAddr,
        /// Comment out other lines of this name, so that `unset` brings them back
        #[arg(long)]
        force: bool,
    },
    /// Take the name out again
    Unset {
        /// The name
        name: String,
    },
    /// Show the names that were set
    List,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}
