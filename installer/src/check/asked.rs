//! What a node is checked for.

use std::net::SocketAddr;
use std::path::PathBuf;

use lvscare::doctor::subnet::Subnet;

/// What a node is checked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The virtual server.
    pub vs: SocketAddr,
    /// The masters.
    pub masters: Vec<SocketAddr>,
    /// Where the daemon will listen.
    pub listen: Option<SocketAddr>,
    /// The name by which clients call the virtual server.
    pub name: String,
    /// The Service CIDRs, if told.
    pub service_cidrs: Vec<Subnet>,
    /// The Pod CIDRs, if told.
    pub pod_cidrs: Vec<Subnet>,
    /// The container runtime's socket, if told.
    pub cri_socket: Option<String>,
    /// The node's name, if it is not that of the host.
    pub node_name: Option<String>,
    /// Hashes of the authority of the cluster to join, if told.
    pub authorities: Vec<String>,
    /// What the node is to become.
    pub role: Role,
    /// An archive with the image, which needs room.
    pub archive: Option<PathBuf>,
    /// Whether kubeadm comes next: then what it would refuse is an error.
    pub joins: bool,
}

/// What a node is to become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// A node for pods
    #[default]
    Worker,
    /// A node with an apiserver of its own
    Master,
}
