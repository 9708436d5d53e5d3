//! `kubeadm join` in the words of 2019, and as `kubeadm token create --print-join-command` prints it.

use std::time::Duration;

use clap::Args;
use lvscare::config::value;
use node::api::{Failure, JoinRequest, Request};
use node::spec::masters::Endpoint;

use super::Asked;
use super::kubeadm::KubeadmArgs;
use super::prepare::PrepareArgs;

/// What follows the options.
pub(crate) const HELP: &str = "\
The same as `lvscare-installer node prepare` and then `kubeadm join --config FILE`, where FILE is of the form that this \
kubeadm reads, and holds the secrets.

Example:
  lvscare-installer kubeadm join 10.103.97.2:6443 --token 9vr73a.a8uxyaju799qwdjv \\
    --master 10.103.97.100:6443 --master 10.103.97.101:6443 --master 10.103.97.102:6443 \\
    --discovery-token-ca-cert-hash sha256:7c2e69131a36ae2a042a339b33381c6d0d43887e2de83720eff5359e26aec866

Ctrl-C or SIGTERM while kubeadm is at work lets it go on to its end, and nothing is begun after it; the second one ends it, and \
that join may need `kubeadm reset`.

What `kubeadm token create --print-join-command` prints is understood as well: put `lvscare-installer` before it, and the \
masters after it.";

/// `lvscare-installer kubeadm join`, and `node join`.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// Where the cluster is joined: the virtual server, IP:PORT, or the name that will mean it, NAME:PORT
    #[arg(value_name = "IP:PORT|NAME:PORT")]
    pub(crate) endpoint: Option<Endpoint>,
    /// How the node is prepared
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    /// Give a new master the virtual server as well; its clients use its own apiserver while that one is alive
    #[arg(long, requires = "control_plane")]
    pub(crate) prefer_local: bool,
    /// How long the daemon's pod may take after the join
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = value::duration)]
    pub(crate) wait: Duration,
    /// What kubeadm is told
    #[command(flatten, next_help_heading = "Options of kubeadm")]
    pub(crate) kubeadm: KubeadmArgs,
}

impl JoinArgs {
    pub(crate) fn asked(self) -> Asked {
        Asked { form: self.prepare.change.form(), request: self.request() }
    }

    fn request(mut self) -> Result<Request, Failure> {
        let told = &mut self.prepare.spec.endpoint;
        match self.endpoint {
            None => {}
            Some(Endpoint::At(endpoint)) => told.vip_is(endpoint)?,
            Some(Endpoint::Called(name, port)) => {
                told.name_is(name)?;
                told.port_is(port)?;
            }
        }
        let prepare = self.prepare.request(self.kubeadm)?;
        let (prefer_local, wait) = (self.prefer_local, self.wait);
        Ok(Request::Join(Box::new(JoinRequest { prepare, prefer_local, wait })))
    }
}
