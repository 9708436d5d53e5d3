//! What a node shall have, and how it is prepared.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use lvscare::config::value::NodeAddress;
use lvscare::doctor::subnet::Subnet;

use super::ChangeArgs;
use crate::masters::{self, Masters};
use crate::node::wanted::Part;

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
