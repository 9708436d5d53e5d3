//! `lvscare-installer node`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use lvscare::config::value::{self, NodeAddress};
use node::api::{AdoptRequest, CheckRequest, Request, SetMastersRequest, UndoRequest};
use node::spec::Role;

use super::cert::CertCommand;
use super::etcd::EtcdCommand;
use super::join::{self, JoinArgs};
use super::kubeadm::KubeadmArgs;
use super::prepare::{MastersArgs, PodArgs, PrepareArgs, SpecArgs};
use super::{Asked, ChangeArgs};
use crate::report::{Form, Output};

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

const ADOPT_HELP: &str = "\
Virtual server and masters are read from the static pod of the older lvscare (kube-sealyun-lvscare.yaml, \
kube-sealos-lvscare.yaml or kube-lvscare.yaml). No request fails meanwhile: its rules stay, our static pod starts beside it, \
and only when our daemon answers does its manifest go. `lvscare-installer node undo` puts it back.

Example:
    lvscare-installer node adopt --import lvscare-image.tar --dry-run --diff";

/// `lvscare-installer node`.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Say everything that is wrong with this node before it is prepared and joined; changes nothing
    Check(Box<CheckArgs>),
    /// Make this node ready for `kubeadm join`
    #[command(after_help = PREPARE_HELP)]
    Prepare(Box<PrepareNodeArgs>),
    /// Prepare this node, then join it with the stock kubeadm; the same as `lvscare-installer kubeadm join`
    #[command(after_help = join::HELP)]
    Join(Box<JoinArgs>),
    /// Take this node over from an older lvscare that sealos, or the like, has put here as a static pod
    #[command(after_help = ADOPT_HELP)]
    Adopt(Box<AdoptArgs>),
    /// Tell a prepared node of other masters
    #[command(after_help = SET_MASTERS_HELP)]
    SetMasters(SetMastersArgs),
    /// Show the three things that were added to this node, manifest, rules and hosts entry, and what is not as it should
    /// be; ends with 12 when there is such a thing
    Status(StatusArgs),
    /// The certificates of the cluster on this node, which need no apiserver for it
    Cert {
        /// What to do with them
        #[command(subcommand)]
        command: CertCommand,
    },
    /// etcd on this master
    Etcd {
        /// What to do with it
        #[command(subcommand)]
        command: EtcdCommand,
    },
    /// Take back everything that was changed on this node
    Undo(UndoArgs),
}

/// `lvscare-installer node check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// What the node shall have
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// What the node shall become
    #[arg(long, default_value = "worker", value_parser = roles())]
    pub(crate) role: Role,
    /// The container runtime's socket [default: those of containerd, CRI-O and cri-dockerd]
    #[arg(long, value_name = "SOCKET")]
    pub(crate) cri_socket: Option<String>,
    /// Also show what is as it should be
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    pub(crate) output: Output,
}

/// `lvscare-installer node prepare`.
#[derive(Debug, Args)]
pub(crate) struct PrepareNodeArgs {
    /// How the node is prepared
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    /// What kubeadm will be told; with a token its configuration is written, too
    #[command(flatten, next_help_heading = "To write kubeadm's JoinConfiguration as well")]
    pub(crate) kubeadm: KubeadmArgs,
}

/// `lvscare-installer node set-masters`.
#[derive(Debug, Args)]
pub(crate) struct SetMastersArgs {
    /// All masters that there are from now on
    #[command(flatten)]
    pub(crate) masters: MastersArgs,
    /// How long connections to those that are no master any more may go on
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = value::duration)]
    pub(crate) drain_timeout: Duration,
    /// How long the static pod may take to start again
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = value::duration)]
    pub(crate) wait: Duration,
    /// How that is done and told
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

/// `lvscare-installer node adopt`.
#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// How our static pod is made
    #[command(flatten)]
    pub(crate) pod: PodArgs,
    /// The name by which clients call the virtual server [default: the one that kubelet uses, or that the hosts file has]
    #[arg(long, value_name = "NAME")]
    pub(crate) apiserver: Option<String>,
    /// This node's address in the cluster [default: the one that the older lvscare was told, or used towards the masters]
    #[arg(long, value_name = "IP")]
    pub(crate) node_ip: Option<NodeAddress>,
    /// An archive with the image, for nodes that cannot pull it
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Option<PathBuf>,
    /// How long our static pod may take to start; until then the older lvscare stays
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = value::duration)]
    pub(crate) wait: Duration,
    /// Take over what somebody else made: real servers that the older lvscare was not told of
    #[arg(long)]
    pub(crate) force: bool,
    /// How that is done and told
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

/// `lvscare-installer node status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    pub(crate) output: Output,
}

/// `lvscare-installer node undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Even while this node is in a cluster, or when somebody has changed what was written
    #[arg(long)]
    pub(crate) force: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    pub(crate) output: Output,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    let values = [
        PossibleValue::new("worker").help("A node for pods"),
        PossibleValue::new("master").help("A node with an apiserver of its own"),
    ];
    PossibleValuesParser::new(values).map(|text| if text == "master" { Role::Master } else { Role::Worker })
}

impl NodeCommand {
    pub(super) fn asked(self) -> Asked {
        match self {
            Self::Check(args) => args.asked(),
            Self::Prepare(args) => {
                let form = args.prepare.change.form();
                let request = args.prepare.request(args.kubeadm);
                Asked { form, request: request.map(|request| Request::Prepare(Box::new(request))) }
            }
            Self::Join(args) => args.asked(),
            Self::Adopt(args) => args.asked(),
            Self::SetMasters(args) => args.asked(),
            Self::Status(args) => {
                let form = Form { output: args.output, ..Form::default() };
                Asked { form, request: Ok(Request::Status) }
            }
            Self::Cert { command } => command.asked(),
            Self::Etcd { command } => command.asked(),
            Self::Undo(args) => args.asked(),
        }
    }
}

impl CheckArgs {
    fn asked(self) -> Asked {
        let form = Form { output: self.output, verbose: self.verbose, ..Form::default() };
        let (role, cri_socket) = (self.role, self.cri_socket);
        let request = CheckRequest { spec: self.spec.spec(), role, cri_socket, visits: true };
        Asked { form, request: Ok(Request::Check(request)) }
    }
}

impl AdoptArgs {
    fn asked(self) -> Asked {
        let request = AdoptRequest {
            image: self.pod.image,
            archive: self.import,
            name: self.apiserver,
            node_ip: self.node_ip.map(|NodeAddress(ip)| ip),
            daemon_args: self.pod.lvscare_arg,
            wait: self.wait,
            change: self.change.change(self.force),
        };
        Asked { form: self.change.form(), request: Ok(Request::Adopt(Box::new(request))) }
    }
}

impl SetMastersArgs {
    fn asked(self) -> Asked {
        let request = SetMastersRequest {
            masters: self.masters.all(),
            drain: self.drain_timeout,
            wait: self.wait,
            change: self.change.change(false),
        };
        Asked { form: self.change.form(), request: Ok(Request::SetMasters(request)) }
    }
}

impl UndoArgs {
    fn asked(&self) -> Asked {
        let change = node::api::Change { dry_run: self.dry_run, force: self.force };
        let form = Form { output: self.output, ..Form::default() };
        Asked { form, request: Ok(Request::Undo(UndoRequest { change })) }
    }
}
