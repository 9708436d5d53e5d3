//! `kubeadm join` in the words of 2019.

use std::time::Duration;

use clap::Args;
use lvscare::config::value;

use super::kubeadm::KubeadmArgs;
use super::prepare::PrepareArgs;

/// What follows the options.
pub const HELP: &str = "\
The same as `lvscare-installer node prepare` and then `kubeadm join --config FILE`, where FILE is of the form that this \
kubeadm reads, and holds the secrets.

Example:
  lvscare-installer kubeadm join 10.103.97.2:6443 --token 9vr73a.a8uxyaju799qwdjv \\
    --master 10.103.97.100:6443 --master 10.103.97.101:6443 --master 10.103.97.102:6443 \\
    --discovery-token-ca-cert-hash sha256:7c2e69131a36ae2a042a339b33381c6d0d43887e2de83720eff5359e26aec866";

/// `lvscare-installer kubeadm join`, and `node join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The virtual server, IP:PORT; the node joins by the name of --apiserver, which will mean it
    #[arg(value_name = "IP:PORT", value_parser = value::virtual_server)]
    pub endpoint: Option<std::net::SocketAddr>,
    /// How the node is prepared
    #[command(flatten)]
    pub prepare: PrepareArgs,
    /// Give a new master the virtual server as well; its clients use its own apiserver while that one is alive
    #[arg(long, requires = "control_plane")]
    pub prefer_local: bool,
    /// How long the daemon's pod may take after the join
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = value::duration)]
    pub wait: Duration,
    /// What kubeadm is told
    #[command(flatten, next_help_heading = "Options of kubeadm")]
    pub kubeadm: KubeadmArgs,
}
