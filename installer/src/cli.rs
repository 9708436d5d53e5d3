//! What can be typed, and the request that it makes.

use std::net::IpAddr;

use ::node::api::{self, Failure, Request, SetHostRequest};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};
use lvscare::exit::Exit;

use lvscare::exit;

use crate::report::{Form, Output};

pub(crate) mod agent;
pub(crate) mod cert;
pub(crate) mod config;
pub(crate) mod etcd;
pub(crate) mod join;
pub(crate) mod kubeadm;
pub(crate) mod lifecycle;
pub(crate) mod node;
pub(crate) mod nodes;
pub(crate) mod package;
pub(crate) mod pod;
pub(crate) mod prepare;
pub(crate) mod remote;

use join::JoinArgs;
use lifecycle::{CleanArgs, LifecycleArgs, What};
use node::NodeCommand;
use nodes::{PrepareNodesArgs, ResumeArgs, SetMastersOfNodesArgs, StatusArgs, UndoNodesArgs};
use pod::PodCommand;
use remote::{CopyArgs, ExecArgs, PingArgs, RemoteRequest};

const HELP: &str = "\
Where to begin, on a node:
  lvscare-installer node check --master 10.0.0.1-10.0.0.3    # what is wrong with it
  lvscare-installer kubeadm join ..                          # what kubeadm prints, and the masters after it
  lvscare-installer node status                              # what is there, and what should be
  lvscare-installer node undo                                # as it was before
and from one machine, for all of a cluster:
  lvscare-installer init --master 10.0.0.1-10.0.0.3 --node 10.0.0.4 --dry-run

Exit codes: 0 done or nothing to do; 1 failed, the message says why; 2 wrong usage or a bad value; 3 a file that is \
not valid; 4 the checks refuse this node; 5 no login at a host, or no sudo there; 6 a host's key; 7 no apiserver \
answers, or no host can be reached; 8 the image or package; 9 another run is at work; \
10 --dry-run --detailed-exitcode found changes; 11 kubeadm failed; 12 not as it should be after the change; \
13 somebody else's work would be damaged; 14 not permitted; 15 the kernel lacks a part; 130 stopped, as was asked.";

/// Everything a node needs before `kubeadm join`, and the way back.
///
/// A node of a highly available cluster must reach the apiservers before it joins. This puts lvscare's virtual server
/// in place first (10.103.97.2:6443, in the kernel), names it in /etc/hosts, and leaves a static pod that guards it.
/// Those three things can be seen with `lvscare-installer node status`.
///
/// `init`, `join` and `clean` make whole clusters from one machine, over SSH; `ping`, `exec`, `copy`, `status`, `prepare`,
/// `set-masters`, `undo` and `resume` work on many hosts.
#[derive(Debug, Parser)]
#[command(name = "lvscare-installer", version, after_help = HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check, prepare and join this node, look at it, take everything back
    Node {
        /// What to do with it
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// Set, take out and list names in /etc/hosts
    Hosts {
        /// What to do with it
        #[command(subcommand)]
        command: HostsCommand,
    },
    /// Render, write and remove the static pod that guards the rules
    Pod {
        /// What to do with it
        #[command(subcommand)]
        command: Box<PodCommand>,
    },
    /// Join with kubeadm, after the way to the apiservers was made
    Kubeadm {
        /// What to do
        #[command(subcommand)]
        command: Box<KubeadmCommand>,
    },
    /// Make a highly available cluster of hosts, or what is missing of it
    #[command(after_help = lifecycle::init_help())]
    Init(Box<LifecycleArgs>),
    /// Have masters and nodes join a cluster that is there
    #[command(after_help = lifecycle::join_help())]
    Join(Box<LifecycleArgs>),
    /// Take hosts out of a cluster, or all of it away
    #[command(after_help = lifecycle::clean_help())]
    Clean(Box<CleanArgs>),
    /// Whether hosts can be worked with over SSH: login, root's rights, clock, kernel
    #[command(after_help = remote::ping_help())]
    Ping(Box<PingArgs>),
    /// Run a command on hosts over SSH
    #[command(after_help = remote::exec_help())]
    Exec(Box<ExecArgs>),
    /// Put a file on hosts over SSH
    #[command(after_help = remote::copy_help())]
    Copy(Box<CopyArgs>),
    /// What nodes have of what they should have, over SSH
    #[command(after_help = nodes::status_help())]
    Status(Box<StatusArgs>),
    /// Make many nodes ready for `kubeadm join`, over SSH
    #[command(after_help = nodes::prepare_help())]
    Prepare(Box<PrepareNodesArgs>),
    /// Tell many nodes of other masters, over SSH
    #[command(after_help = nodes::set_masters_help())]
    SetMasters(Box<SetMastersOfNodesArgs>),
    /// Take back everything that was changed on many nodes, over SSH
    #[command(after_help = nodes::undo_help())]
    Undo(Box<UndoNodesArgs>),
    /// Go on with what is at work on hosts, after a link was lost or Ctrl-C
    #[command(after_help = nodes::resume_help())]
    Resume(Box<ResumeArgs>),
    /// Print a template of a configuration, or fill one in
    #[command(after_help = config::HELP)]
    Config(Box<config::ConfigArgs>),
    /// Build, verify and install packages: all that a node without a network needs, in one archive
    Pkg {
        /// What to do with one
        #[command(subcommand)]
        command: Box<package::PackageCommand>,
    },
    /// Be the remote end of a controller
    #[command(hide = true)]
    Agent(agent::AgentArgs),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What a command asks for, and how the answer is told.
pub(crate) struct Asked {
    pub(crate) form: Form,
    pub(crate) request: Result<Request, Failure>,
}

/// Who does what was typed.
pub(crate) enum Errand {
    /// This machine.
    Here(Box<Asked>),
    /// Other machines.
    There(Result<Box<RemoteRequest>, exit::Failure>),
    /// A controller on another machine.
    Agent(agent::AgentArgs),
    /// Nobody any more: it was done, and ended so.
    Done(Exit),
    /// Nobody; a script is printed.
    Completion(clap_complete::Shell),
}

impl Command {
    pub(crate) fn errand(self) -> Errand {
        Errand::Here(Box::new(match self {
            Self::Node { command } => command.asked(),
            Self::Kubeadm { command } => {
                let KubeadmCommand::Join(args) = *command;
                args.asked()
            }
            Self::Hosts { command } => command.asked(),
            Self::Pod { command } => command.asked(),
            Self::Init(args) => return Errand::Done(args.run(What::Init)),
            Self::Join(args) => return Errand::Done(args.run(What::Join)),
            Self::Clean(args) => return Errand::Done(args.run()),
            Self::Ping(args) => return Errand::There(args.request().map(Box::new)),
            Self::Exec(args) => return Errand::There(args.request().map(Box::new)),
            Self::Copy(args) => return Errand::There(args.request().map(Box::new)),
            Self::Status(args) => return Errand::There(args.request().map(Box::new)),
            Self::Prepare(args) => return Errand::There(args.request().map(Box::new)),
            Self::SetMasters(args) => return Errand::There(args.request().map(Box::new)),
            Self::Undo(args) => return Errand::There(args.request().map(Box::new)),
            Self::Resume(args) => return Errand::There(args.request().map(Box::new)),
            Self::Agent(args) => return Errand::Agent(args),
            Self::Config(args) => return Errand::Done(args.run()),
            Self::Pkg { command } => return command.errand(),
            Self::Completion { shell } => return Errand::Completion(shell),
        }))
    }
}

/// Options whose values nobody may see, not even those that are none.
const SECRETS: [&str; 5] =
    ["--token", "--discovery-token", "--tls-bootstrap-token", "--certificate-key", "--passwd"];

/// What is wrong with what was typed, in one line.
pub(crate) fn explain(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let option = text(ContextKind::InvalidArg).split(' ').next().unwrap_or_default();
    let mut message = lvscare::cli::explain(error);
    // To clap a word that is too much is no word of the command, and it says nothing of the dashes.
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    if error.kind() == ErrorKind::UnknownArgument && !option.starts_with('-') && usage.contains("-- <") {
        message.push_str("; the command comes after `--`");
    }
    // Other programs have them as commands.
    match text(ContextKind::InvalidSubcommand) {
        "help" => message.push_str("; say --help"),
        "version" => message.push_str("; say --version"),
        _ => {}
    }
    let value = text(ContextKind::InvalidValue);
    if SECRETS.contains(&option) && !value.is_empty() { message.replace(value, "***") } else { message }
}

/// `lvscare-installer kubeadm`.
#[derive(Debug, Subcommand)]
pub(crate) enum KubeadmCommand {
    /// Prepare this node, then join it with the stock kubeadm
    #[command(after_help = join::HELP)]
    Join(JoinArgs),
}

/// How a change is made and told.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Show what changes in each file
    #[arg(long)]
    pub(crate) diff: bool,
    /// With --dry-run: end with 10 when there is something to do
    #[arg(long, requires = "dry_run")]
    pub(crate) detailed_exitcode: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    pub(crate) output: Output,
}

impl ChangeArgs {
    pub(crate) fn form(self) -> Form {
        let (output, diff, detailed_exitcode) = (self.output, self.diff, self.detailed_exitcode);
        Form { output, diff, detailed_exitcode, ..Form::default() }
    }

    pub(crate) fn change(self, force: bool) -> api::Change {
        api::Change { dry_run: self.dry_run, force }
    }
}

/// `lvscare-installer hosts`.
#[derive(Debug, Subcommand)]
pub(crate) enum HostsCommand {
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
    List {
        /// The form of the answer
        #[arg(long, short, default_value = "text")]
        output: Output,
    },
}

impl HostsCommand {
    fn asked(self) -> Asked {
        // A person who edits one line wants to see which.
        let mut form = Form { diff: true, ..Form::default() };
        let request = match self {
            Self::Set { name, address, force } => Request::SetHost(SetHostRequest { name, address, force }),
            Self::Unset { name } => Request::UnsetHost { name },
            Self::List { output } => {
                form.output = output;
                Request::ListHosts
            }
        };
        Asked { form, request: Ok(request) }
    }
}
