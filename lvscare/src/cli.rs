//! The commands. What `care` takes is configuration and stands in [`config::raw`](crate::config::raw).

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::raw::{CareArgs, TargetArgs};
use crate::config::value::Listen;

const EXIT_CODES: &str = "\
Exit codes: 0 done or nothing to do; 1 failed, the message says why; 2 wrong usage or a bad value, nothing was \
changed; 14 not permitted (CAP_NET_ADMIN); 15 the kernel lacks IPVS or the scheduler.";

const CARE_EXAMPLES: &str = "\
Examples:
  Guard three apiservers (this is what the static pod runs):
    lvscare care --vs 10.103.97.2:6443 --rs 10.0.0.1:6443 --rs 10.0.0.2:6443 --rs 10.0.0.3:6443
  Only make route and rules, before `kubeadm join`:
    lvscare care --run-once --vs 10.103.97.2:6443 --rs 10.0.0.1:6443,10.0.0.2:6443,10.0.0.3:6443
  Give a stronger master twice the connections:
    lvscare care --scheduler wrr --rs 10.0.0.1:6443,weight=2 --rs 10.0.0.2:6443

Every option can also be set by the environment variable named with it.";

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
    /// Remove the virtual server and its route, and nothing else
    Clean(TargetArgs),
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

/// `lvscare status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Which virtual server is meant
    #[command(flatten)]
    pub target: TargetArgs,
    /// Where the daemon listens, or `none` to look at the kernel only
    #[arg(long, value_name = "IP:PORT", env = "LVSCARE_LISTEN", default_value = "127.0.0.1:10261")]
    pub listen: Listen,
    /// The form of the answer
    #[arg(long, short, default_value = "table")]
    pub output: Output,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs
    Json,
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
