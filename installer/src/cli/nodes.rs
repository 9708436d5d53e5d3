//! `lvscare-installer status`, `prepare`, `set-masters`, `undo` and `resume`: what one node does by itself, on many.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use lvscare::config::value;
use lvscare::exit::Failure;
use node::api::{Change, PrepareRequest, Request, SetMastersRequest, UndoRequest};
use node::spec::Part;
use node::spec::kubeadm::KubeadmSpec;
use node::spec::masters::Master;

use super::ChangeArgs;
use super::prepare::{EndpointArgs, PodArgs, RangeArgs, parts};
use super::remote::{RemoteRequest, TargetArgs, Wanted, hosts_help};
use crate::report::Output;
use crate::report::remote::{RemoteForm, Table};

/// How it is done, for all of them.
const AGENT_HELP: &str = "\
This program is brought to each host, compared there as root by its SHA-256, and taken away at the end. It needs root there, \
or sudo, and a host of this machine's architecture.";

const STATUS_EXAMPLES: &str = "\
STATE is `ok`, `different` (what was prepared is not as it was left; the lines below say what), `not prepared`, or why the host \
could not be asked. It ends with 12 where a node is different.

Examples:
  lvscare-installer status --node 10.0.1.1-10.0.1.40
  Every apiserver as each node sees it, drawn anew every second:
    lvscare-installer status --node 10.0.1.1-10.0.1.40 -o wide --watch 1s";

const PREPARE_EXAMPLES: &str = "\
Masters are named here, and not touched; nodes and other hosts are prepared as `lvscare-installer node prepare` does it on one.

Examples:
  What would be done on each of forty nodes:
    lvscare-installer prepare --master 10.0.0.1-10.0.0.3 --node 10.0.1.1-10.0.1.40 --dry-run
  With the image in an archive, which is sent to each:
    lvscare-installer prepare --master 10.0.0.1-10.0.0.3 --node 10.0.1.1-10.0.1.40 --import lvscare.tar";

const SET_MASTERS_EXAMPLES: &str = "\
The masters named here are all that there are from now on; they are not touched. Nodes and other hosts are told, each as \
`lvscare-installer node set-masters` does it: no connection fails meanwhile.

Example:
  lvscare-installer set-masters --master 10.0.0.1-10.0.0.5 --node 10.0.1.1-10.0.1.40";

const UNDO_EXAMPLES: &str = "\
Example:
  lvscare-installer undo --node 10.0.1.1-10.0.1.40 --dry-run";

const RESUME_EXAMPLES: &str = "\
Hosts are asked, nothing is remembered here: what is at work there is followed to its end, whoever began it, with all that it \
has printed. It fails where that fails.

Example:
  lvscare-installer resume --master 10.0.0.1-10.0.0.3 --node 10.0.1.1-10.0.1.40";

fn help(examples: &str) -> String {
    format!("{examples}\n\n{AGENT_HELP} {}", hosts_help())
}

/// What follows the options of `status`.
pub(crate) fn status_help() -> String {
    help(STATUS_EXAMPLES)
}

/// What follows the options of `prepare`.
pub(crate) fn prepare_help() -> String {
    help(PREPARE_EXAMPLES)
}

/// What follows the options of `set-masters`.
pub(crate) fn set_masters_help() -> String {
    help(SET_MASTERS_EXAMPLES)
}

/// What follows the options of `undo`.
pub(crate) fn undo_help() -> String {
    help(UNDO_EXAMPLES)
}

/// What follows the options of `resume`.
pub(crate) fn resume_help() -> String {
    help(RESUME_EXAMPLES)
}

/// The form of a table.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TableOutput {
    /// A line for each host
    Text,
    /// What each host knows of each apiserver, too
    Wide,
    /// For programs
    Json,
}

/// `lvscare-installer status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Which hosts, and how they are logged in to
    #[command(flatten)]
    targets: TargetArgs,
    /// Look again after each such time, until Ctrl-C
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "2s", value_parser = value::duration)]
    watch: Option<Duration>,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: TableOutput,
}

/// The port of the apiservers on all masters.
#[derive(Debug, Args)]
struct ApiserverArgs {
    /// The port of the masters' apiservers
    #[arg(long, value_name = "PORT", default_value = "6443", value_parser = clap::value_parser!(u16).range(1..))]
    apiserver_port: u16,
}

/// `lvscare-installer prepare`.
#[derive(Debug, Args)]
pub(crate) struct PrepareNodesArgs {
    /// Which hosts, and how they are logged in to
    #[command(flatten)]
    targets: TargetArgs,
    /// Where the masters listen
    #[command(flatten)]
    apiservers: ApiserverArgs,
    /// Where clients find them
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// How the static pod is made
    #[command(flatten)]
    pod: PodArgs,
    /// What the virtual address must lie outside of
    #[command(flatten)]
    ranges: RangeArgs,
    /// An archive of this machine with the image, for nodes that cannot pull it; it is not sent in a dry run
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// Leave a part out; repeat it, or separate with commas
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = parts())]
    skip: Vec<Part>,
    /// Take over what somebody else made: a hosts line of the same name, other real servers
    #[arg(long)]
    force: bool,
    /// How that is done and told
    #[command(flatten)]
    change: ChangeArgs,
}

/// `lvscare-installer set-masters`.
#[derive(Debug, Args)]
pub(crate) struct SetMastersOfNodesArgs {
    /// Which hosts, and how they are logged in to
    #[command(flatten)]
    targets: TargetArgs,
    /// Where the masters listen
    #[command(flatten)]
    apiservers: ApiserverArgs,
    /// How long connections to those that are no master any more may go on
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = value::duration)]
    drain_timeout: Duration,
    /// How long the static pod may take to start again
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = value::duration)]
    wait: Duration,
    /// How that is done and told
    #[command(flatten)]
    change: ChangeArgs,
}

/// `lvscare-installer undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoNodesArgs {
    /// Which hosts, and how they are logged in to
    #[command(flatten)]
    targets: TargetArgs,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Even while a node is in a cluster, or when somebody has changed what was written
    #[arg(long)]
    force: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
}

/// `lvscare-installer resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// Which hosts, and how they are logged in to
    #[command(flatten)]
    targets: TargetArgs,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
}

impl ChangeArgs {
    fn remote_form(self) -> RemoteForm {
        let (output, diff, detailed_exitcode) = (self.output, self.diff, self.detailed_exitcode);
        RemoteForm { output, diff, detailed_exitcode, ..RemoteForm::default() }
    }
}

impl StatusArgs {
    pub(crate) fn request(self) -> Result<RemoteRequest, Failure> {
        let (targets, _) = self.targets.with_file()?;
        let (output, is_wide) = match self.output {
            TableOutput::Text => (Output::Text, false),
            TableOutput::Wide => (Output::Text, true),
            TableOutput::Json => (Output::Json, false),
        };
        let (table, is_repeated) = (Some(Table::Status { is_wide }), self.watch.is_some());
        let form = RemoteForm { output, table, is_repeated, ..RemoteForm::default() };
        Ok(targets.request(Wanted::Status { every: self.watch }, form))
    }
}

impl PrepareNodesArgs {
    pub(crate) fn request(self) -> Result<RemoteRequest, Failure> {
        let (targets, file) = self.targets.with_file()?;
        let endpoint = self.endpoint.or(file)?;
        let masters = targets.masters(self.apiservers.apiserver_port);
        let archive = self.import.filter(|_| !self.change.dry_run);
        let request = PrepareRequest {
            change: self.change.change(self.force),
            spec: endpoint.spec(masters, self.pod, self.ranges),
            archive: None,
            skip: self.skip,
            kubeadm: KubeadmSpec::default(),
        };
        let wanted =
            Wanted::Change { request: Request::Prepare(Box::new(request)), archive, spares_masters: true };
        Ok(targets.request(wanted, self.change.remote_form()))
    }
}

impl SetMastersOfNodesArgs {
    pub(crate) fn request(self) -> Result<RemoteRequest, Failure> {
        let (targets, _) = self.targets.with_file()?;
        let request = Request::SetMasters(SetMastersRequest {
            masters: targets.masters(self.apiservers.apiserver_port),
            drain: self.drain_timeout,
            wait: self.wait,
            change: self.change.change(false),
        });
        let wanted = Wanted::Change { request, archive: None, spares_masters: true };
        Ok(targets.request(wanted, self.change.remote_form()))
    }
}

impl UndoNodesArgs {
    pub(crate) fn request(self) -> Result<RemoteRequest, Failure> {
        let (targets, _) = self.targets.with_file()?;
        let change = Change { dry_run: self.dry_run, force: self.force };
        let request = Request::Undo(UndoRequest { change });
        let wanted = Wanted::Change { request, archive: None, spares_masters: false };
        Ok(targets.request(wanted, RemoteForm { output: self.output, ..RemoteForm::default() }))
    }
}

impl ResumeArgs {
    pub(crate) fn request(self) -> Result<RemoteRequest, Failure> {
        let (targets, _) = self.targets.with_file()?;
        let form = RemoteForm { output: self.output, ..RemoteForm::default() };
        Ok(targets.request(Wanted::Resume, form))
    }
}

impl TargetArgs {
    /// The apiservers of all masters. What cannot be understood is told with everything else.
    fn masters(&self, port: u16) -> Vec<Master> {
        self.master_addresses().into_iter().map(|at| Master::At((at, port).into())).collect()
    }
}
