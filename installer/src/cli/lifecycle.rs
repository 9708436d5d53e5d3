//! `lvscare-installer init`, `join` and `clean`: a whole cluster from one machine.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cluster::inventory::Words;
use lvscare::doctor::subnet::Subnet;
use lvscare::exit::{Exit, Failure};
use node::spec::NodeSpec;
use node::spec::version::KubernetesVersion;

use super::cert::validity;
use super::prepare::{EndpointArgs, PodArgs, RangeArgs};
use super::remote::TargetArgs;
use crate::lifecycle;
use crate::login::Login;
use crate::package::PackageArgs;
use crate::report::{Output, refuse};

/// What all three have in common.
const COMMON: &str = "\
All hosts are asked first, and whatever is wrong with any of them is told at once, before anything is changed. Then the plan \
is shown, and done when it is confirmed. Hosts that are as they should be are left alone, so that the same command goes on \
where an earlier one ended. All that happens is in a log, which is named at the end.

Exit codes: 0 done, or nothing to do; 1 failed on some host; 2 wrong usage; 8 the package cannot be used; 4 the checks refuse it, and nothing was changed; \
5 login or sudo; 6 a host's key; 7 unreachable; 10 with --dry-run --detailed-exitcode: there is something to do; \
130 stopped, as was asked.";

const INIT_EXAMPLES: &str = "\
Examples:
  Three masters and one node:
    lvscare-installer init --master 192.168.0.2 --master 192.168.0.3 --master 192.168.0.4 --node 192.168.0.5 \\
      --user root --ask-pass --version v1.34.1
  With everything that hosts need out of one file, and no network:
    lvscare-installer init --master 192.168.0.2 --node 192.168.0.5 --pk kubernetes.pem --pkg-url /root/kube1.34.1.tar.gz
  What would be done:
    lvscare-installer init --master 10.0.0.1-10.0.0.3 --node 10.0.1.1-10.0.1.40 --dry-run";

const JOIN_EXAMPLES: &str = "\
Masters that have joined and masters that are new are both named with --master; the hosts themselves tell them apart. Nodes \
that were there learn of new masters before the command ends, and have to be named for it.

Examples:
  A node more, where one master of the cluster is enough to ask:
    lvscare-installer join --master 10.0.0.1 --node 10.0.1.41
  A fourth master:
    lvscare-installer join --master 10.0.0.1-10.0.0.4 --node 10.0.1.1-10.0.1.40";

const CLEAN_EXAMPLES: &str = "\
Hosts that are named leave; with --limit only those of them, and the others are what stays of the cluster: nodes are told of \
the masters that stay before a master goes, and etcd's majority is kept.

Examples:
  One node of a cluster:
    lvscare-installer clean --master 10.0.0.1-10.0.0.3 --node 10.0.1.40 --limit 10.0.1.40
  A master that has burned down:
    lvscare-installer clean --master 10.0.0.1-10.0.0.2 --node 10.0.1.1-10.0.1.40 --forget 10.0.0.3
  The whole cluster:
    lvscare-installer clean --master 10.0.0.1-10.0.0.3 --node 10.0.1.1-10.0.1.40";

/// What follows the options of `init`.
pub(crate) fn init_help() -> String {
    format!("{INIT_EXAMPLES}\n\n{COMMON}")
}

/// What follows the options of `join`.
pub(crate) fn join_help() -> String {
    format!("{JOIN_EXAMPLES}\n\n{COMMON}")
}

/// What follows the options of `clean`.
pub(crate) fn clean_help() -> String {
    format!("{CLEAN_EXAMPLES}\n\n{COMMON}")
}

/// What a cluster shall be.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// The version of Kubernetes [default: that of the first master's kubeadm]
    #[arg(long, value_name = "VERSION", help_heading = CLUSTER)]
    version: Option<KubernetesVersion>,
    /// Where clients find the apiservers
    #[command(flatten, next_help_heading = CLUSTER)]
    endpoint: EndpointArgs,
    /// The ranges of addresses that Kubernetes gives to Services; the virtual address must lie outside
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.96.0.0/22", help_heading = CLUSTER)]
    service_cidr: Vec<Subnet>,
    /// The ranges of addresses that Kubernetes gives to pods; the virtual address must lie outside
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "100.64.0.0/10", help_heading = CLUSTER)]
    pod_cidr: Vec<Subnet>,
    /// A further name or address for the apiservers' certificates; repeat it, or separate with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = CLUSTER)]
    cert_sans: Vec<String>,
    /// Where images come from [default: from where kubeadm takes them]
    #[arg(long, value_name = "REPOSITORY", help_heading = CLUSTER)]
    repo: Option<String>,
    /// A template of kubeadm's `ClusterConfiguration` and what belongs to it, instead of the one that `lvscare-installer
    /// config -t kubeadm` prints
    #[arg(long, value_name = "FILE", help_heading = CLUSTER)]
    kubeadm_config: Option<PathBuf>,
    /// How long certificates last: years (99y), days (365d) or hours (8760h)
    #[arg(long, value_name = "TIME", default_value = "99y", value_parser = validity, help_heading = CLUSTER)]
    cert_validity: Duration,
    /// Checks of kubeadm that may fail; repeat it, or separate with commas
    #[arg(long, value_name = "CHECK", value_delimiter = ',', help_heading = CLUSTER)]
    ignore_preflight_errors: Vec<String>,
    /// How the static pod is made
    #[command(flatten, next_help_heading = CLUSTER)]
    pod: PodArgs,
}

const CLUSTER: &str = "Cluster";

/// How it is done and told.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: end with 10 when there is something to do
    #[arg(long, requires = "dry_run")]
    detailed_exitcode: bool,
    /// Do it without asking
    #[arg(long, short)]
    yes: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
}

/// `lvscare-installer clean`.
#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// A host that never comes back, by the address that its cluster knows: it is not spoken with, and its member of etcd and its
    /// node go. Those that are named stay then, but for those of --limit
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    forget: Vec<IpAddr>,
    #[command(flatten)]
    lifecycle: LifecycleArgs,
}

impl CleanArgs {
    /// Does it.
    pub(crate) fn run(self) -> Exit {
        self.lifecycle.run_with(What::Clean, self.forget)
    }
}

/// `lvscare-installer init`, `join` or `clean`.
#[derive(Debug, Args)]
pub(crate) struct LifecycleArgs {
    /// Which hosts, and how they are logged in to
    #[command(flatten)]
    targets: TargetArgs,
    /// What the cluster shall be
    #[command(flatten)]
    cluster: ClusterArgs,
    /// What hosts are given before anything else
    #[command(flatten)]
    package: PackageArgs,
    /// How it is done and told
    #[command(flatten)]
    run: RunArgs,
}

/// What is to become of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Init,
    Join,
    Clean,
}

/// All of it, as typed.
pub(crate) struct LifecycleRequest {
    pub(crate) what: What,
    pub(crate) forgotten: Vec<IpAddr>,
    pub(crate) words: Words,
    pub(crate) login: Login,
    pub(crate) output: Output,
    pub(crate) spec: NodeSpec,
    pub(crate) version: Option<KubernetesVersion>,
    pub(crate) cert_sans: Vec<String>,
    pub(crate) repo: Option<String>,
    pub(crate) kubeadm_config: Option<PathBuf>,
    pub(crate) ignore_preflight_errors: Vec<String>,
    pub(crate) validity: Duration,
    pub(crate) package: PackageArgs,
    pub(crate) dry_run: bool,
    pub(crate) detailed_exitcode: bool,
    pub(crate) yes: bool,
    pub(crate) log_dir: Option<PathBuf>,
}

impl What {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Join => "join",
            Self::Clean => "clean",
        }
    }
}

impl LifecycleArgs {
    /// Does it.
    pub(crate) fn run(self, what: What) -> Exit {
        self.run_with(what, Vec::new())
    }

    fn run_with(self, what: What, forgotten: Vec<IpAddr>) -> Exit {
        match self.request(what, forgotten) {
            Ok(request) => lifecycle::run(request),
            Err(Failure { exit, message }) => {
                refuse(&message);
                exit
            }
        }
    }

    fn request(self, what: What, forgotten: Vec<IpAddr>) -> Result<LifecycleRequest, Failure> {
        let (cluster, run) = (self.cluster, self.run);
        let (targets, file) = self.targets.with_file()?;
        let ranges = RangeArgs { service_cidr: cluster.service_cidr, pod_cidr: cluster.pod_cidr };
        let spec = cluster.endpoint.or(file)?.spec(Vec::new(), cluster.pod, ranges);
        let log_dir = targets.log_dir();
        let (words, login) = targets.words_and_login();
        Ok(LifecycleRequest {
            what,
            forgotten,
            words,
            login,
            output: run.output,
            spec,
            version: cluster.version,
            cert_sans: cluster.cert_sans,
            repo: cluster.repo,
            kubeadm_config: cluster.kubeadm_config,
            ignore_preflight_errors: cluster.ignore_preflight_errors,
            validity: cluster.cert_validity,
            package: self.package,
            dry_run: run.dry_run,
            detailed_exitcode: run.detailed_exitcode,
            yes: run.yes,
            log_dir,
        })
    }
}

#[cfg(test)]
mod tests;
