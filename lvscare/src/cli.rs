//! The commands. What `care` takes is configuration and stands in [`config::raw`](crate::config::raw).

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, Args as _, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::config::raw::{CareArgs, ConfigArgs, STATE_DIR, TargetArgs};
use crate::config::value::{self, Listen, RealServers, Time};
use crate::doctor::facts::{Asked, Scope};
use crate::doctor::subnet::Subnet;
use crate::drain::Whom;
use crate::exit::Failure;

const EXIT_CODES: &str = "\
Exit codes: 0 done or nothing to do; 1 failed, the message says why; 2 wrong usage or a bad value, nothing was \
changed; 9 another lvscare guards the address; 13 refused, because a virtual server of somebody else would be \
damaged; 14 not permitted (CAP_NET_ADMIN); 15 the kernel lacks IPVS or the scheduler.";

const CARE_EXAMPLES: &str = "\
Examples:
  Guard three apiservers (this is what the static pod runs):
    lvscare care --vs 10.103.97.2:6443 --rs 10.0.0.1:6443 --rs 10.0.0.2:6443 --rs 10.0.0.3:6443
  Only make route and rules, before `kubeadm join`:
    lvscare care --run-once --vs 10.103.97.2:6443 --rs 10.0.0.1:6443,10.0.0.2:6443,10.0.0.3:6443
  Give a stronger master twice the connections:
    lvscare care --scheduler wrr --rs 10.0.0.1:6443,weight=2 --rs 10.0.0.2:6443

Every option can also be set by the environment variable named with it.";

const CONFIG_EXAMPLE: &str = "\
A configuration file; every key but virtualServers may be left out:

  virtualServers:
    - address: 10.103.97.2:6443
      realServers: [10.0.0.1:6443, 10.0.0.2:6443, '10.0.0.3:6443,weight=2']
    - address: 10.103.97.3:5000            # an image registry, say
      realServers: [10.0.0.7:5000, 10.0.0.8:5000]
      health: {scheme: http, path: /v2/, readyPath: none}
  health: {interval: 5s, caFile: /etc/kubernetes/pki/ca.crt}
  guard: {drainTimeout: 30s}
  operation: {listen: '127.0.0.1:10261'}

`lvscare care --config FILE` follows the file: a change is in force within three seconds, or at once on SIGHUP. \
What is not valid is refused, and the old configuration stays. Options and environment go before the file.

A file is read once it has rested for a second. Write it elsewhere and rename it: half a list is valid YAML as well.";

const DOCTOR_HELP: &str = "\
Each finding has a stable name, such as vip-in-service-cidr, and is an error, a warning or a note.

Exit codes: 0 nothing is wrong, there are notes at most; 1 errors or warnings were found; 2 wrong usage.";

/// Keeps this node connected to every Kubernetes apiserver with the kernel's own load balancer, IPVS.
///
/// Connections to the virtual server (10.103.97.2:6443) are spread over the apiservers by the kernel. lvscare
/// makes these rules, checks the apiservers' health, takes dead ones out, puts recovered ones back, and repairs
/// the rules when somebody else damages them. It never carries a packet itself: if it dies, traffic goes on.
#[derive(Debug, Parser)]
#[command(name = "lvscare", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the rules and guard them (the daemon)
    #[command(after_help = CARE_EXAMPLES)]
    Care(Box<CareArgs>),
    /// Show the virtual server: every real server's state, weight, connections and last probe
    ///
    /// Asks the daemon; when none answers, shows what the kernel has, which needs root.
    Status(StatusArgs),
    /// Find out what is wrong with this node, why it matters and what mends it
    ///
    /// Looks at the apiservers and their certificates, the virtual address, kube-proxy, the kernel's settings and
    /// the daemon, within two seconds. Changes nothing and needs no daemon; as root it sees more.
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Take a real server (apiserver) out of service until `undrain`
    ///
    /// It gets no new connections from this node; open ones may finish, for --drain-timeout of the daemon. This is
    /// remembered across restarts, and works without a daemon for when it starts. The last real server that is alive is
    /// refused; should all others die, a drained one serves nevertheless.
    Drain(DrainArgs),
    /// Let a drained real server serve again
    Undrain(UndrainArgs),
    /// Remove the virtual server and its route, and nothing else
    ///
    /// The route stays while another virtual server has the address. Refused while a daemon guards the virtual server,
    /// since it would bring it back.
    Clean(CleanArgs),
    /// Check, print or describe the configuration
    #[command(after_help = CONFIG_EXAMPLE)]
    Config {
        /// What to do with it
        #[command(subcommand)]
        command: Box<ConfigCommand>,
    },
    /// Print a completion script for a shell
    ///
    /// For example: `lvscare completion bash > /etc/bash_completion.d/lvscare`
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version {
        /// Only the number
        #[arg(long)]
        short: bool,
    },
}

/// `lvscare clean`.
#[derive(Debug, clap::Args)]
pub struct CleanArgs {
    /// Which virtual server is meant
    #[command(flatten)]
    pub target: TargetArgs,
    /// Instead: every virtual server of this configuration file
    #[arg(long = "config", short = 'c', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Instead: everything that lvscare made on this node, known by its routes (lvscare status --all shows it)
    #[arg(long, conflicts_with = "file")]
    pub all: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Go on although a daemon guards the virtual server and will bring it back
    #[arg(long)]
    pub force: bool,
    /// Where a daemon would listen, or `none` to look for its process only
    #[arg(long, value_name = "IP:PORT", env = "LVSCARE_LISTEN", default_value = "127.0.0.1:10261")]
    pub listen: Listen,
}

/// `lvscare config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether file, environment and options make a valid configuration
    Check(ConfigArgs),
    /// Print the configuration as a file, defaults included; it can be read back
    Print(ConfigArgs),
    /// Print the JSON Schema of a configuration file, for editors
    Schema,
}

/// `lvscare status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Which virtual server is meant
    #[command(flatten)]
    pub target: TargetArgs,
    /// Also everything that lvscare made and the daemon does not guard, known by its routes; needs root
    #[arg(long)]
    pub all: bool,
    /// Where the daemon listens, or `none` to look at the kernel only
    #[arg(long, value_name = "IP:PORT", env = "LVSCARE_LISTEN", default_value = "127.0.0.1:10261")]
    pub listen: Listen,
    /// The form of the answer
    #[arg(long, short, default_value = "table")]
    pub output: Output,
    /// Show it again and again, every second or every so often
    #[arg(
        long,
        short,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1s"
    )]
    pub watch: Option<Time>,
}

/// `lvscare drain`.
#[derive(Debug, clap::Args)]
pub struct DrainArgs {
    /// What both commands are told
    #[command(flatten)]
    pub common: UndrainArgs,
    /// Even the last real server that is alive; it goes on serving as long as nobody else can
    #[arg(long)]
    pub force: bool,
}

/// `lvscare undrain`.
#[derive(Debug, clap::Args)]
pub struct UndrainArgs {
    /// The real server, or a host for all real servers there
    #[arg(value_name = "IP[:PORT]")]
    pub address: Whom,
    /// Which virtual server is looked at where no daemon answers
    #[command(flatten)]
    pub target: TargetArgs,
    /// Where the daemon listens, or `none` not to wait for it
    #[arg(long, value_name = "IP:PORT", env = "LVSCARE_LISTEN", default_value = "127.0.0.1:10261")]
    pub listen: Listen,
    /// Where it is remembered: the state directory of the daemon
    #[arg(long, value_name = "DIR", env = "LVSCARE_STATE_DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
}

/// `lvscare doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Which virtual server is meant
    #[command(flatten)]
    pub target: TargetArgs,
    /// A real server (apiserver) [default: those of the daemon, else of the kernel's table]
    #[arg(long, value_name = "IP:PORT", env = "LVSCARE_RS")]
    pub rs: Vec<RealServers>,
    /// Where the daemon listens, or `none` to leave it alone
    #[arg(long, value_name = "IP:PORT", env = "LVSCARE_LISTEN", default_value = "127.0.0.1:10261")]
    pub listen: Listen,
    /// The name by which clients call the virtual server
    #[arg(long, value_name = "NAME", default_value = "apiserver.cluster.local")]
    pub name: String,
    /// The Service CIDR [default: from kubeadm's manifests on a master]
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub service_cidr: Vec<Subnet>,
    /// The Pod CIDR [default: from kubeadm's manifests or kube-proxy's configuration]
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub pod_cidr: Vec<Subnet>,
    /// kube-proxy's configuration [default: that of the running kube-proxy]
    #[arg(long, value_name = "FILE")]
    pub kube_proxy_config: Option<PathBuf>,
    /// Limit of each question over the network
    #[arg(long, value_name = "TIME", default_value = "800ms", value_parser = value::duration)]
    pub timeout: Duration,
    /// Also show what is as it should be
    #[arg(long, short)]
    pub verbose: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "table")]
    pub output: Output,
}

impl From<&DoctorArgs> for Asked {
    fn from(args: &DoctorArgs) -> Self {
        Self {
            vs: args.target.vs,
            servers: args.rs.iter().flat_map(|list| &list.0).map(|server| server.address).collect(),
            listen: args.listen.0,
            name: args.name.clone(),
            service_cidrs: args.service_cidr.clone(),
            pod_cidrs: args.pod_cidr.clone(),
            kube_proxy_config: args.kube_proxy_config.clone(),
            timeout: args.timeout,
            scope: Scope::Whole,
            authority: None,
        }
    }
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For people, with traffic and configuration
    Wide,
    /// For programs
    Json,
    /// For both
    Yaml,
}

/// Makes sense of this process's arguments and environment.
pub fn parse() -> Result<Cli, clap::Error> {
    let mut command = without_empty_variables(Cli::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    if let Some(("clean", clean)) = matches.subcommand() {
        // A variable is for all commands, and loses against what was typed.
        let is_typed = |id| clean.value_source(id) == Some(ValueSource::CommandLine);
        let others = [("file", "--config <FILE>"), ("all", "--all")];
        if let Some((_, other)) = others.into_iter().find(|(id, _)| is_typed(id) && is_typed("vs")) {
            let why = format!("the argument '--vs <IP:PORT>' cannot be used with '{other}'");
            return Err(command.error(ErrorKind::ArgumentConflict, why));
        }
    }
    Cli::from_arg_matches(&matches)
}

/// An empty variable is how files of systemd and of pods write that nothing is said.
pub fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &Arg| {
        arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()))
    };
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(None::<&str>) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// The options of `care` as another process will understand them: this one's environment says nothing here.
pub fn care_options(words: &[String]) -> Result<CareArgs, Failure> {
    let command = clap::Command::new("lvscare care").no_binary_name(true).disable_help_flag(true);
    let command = CareArgs::augment_args(command).mut_args(|arg| arg.env(None::<&'static str>));
    let matches = command.try_get_matches_from(words).map_err(|error| Failure::usage(explain(&error)))?;
    CareArgs::from_arg_matches(&matches).map_err(|error| Failure::usage(explain(&error)))
}

/// A parse error in one line: what is wrong, and what is probably meant.
pub fn explain(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut parts = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = parts.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    for part in parts.take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more")) {
        line.push_str(if line.ends_with(':') { " " } else { "; " });
        line.push_str(part.trim_start_matches("tip: "));
    }
    line
}
