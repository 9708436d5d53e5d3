//! What a person types for `lvscare care`, value by value. What the values mean together is
//! [`Config`](super::Config)'s business.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::value::{self, Listen, RealServers, Scheduler, Scheme};

/// Which virtual server is meant.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// The virtual server: the address that clients connect to
    #[arg(
        long,
        value_name = "IP:PORT",
        env = "LVSCARE_VS",
        default_value = "10.103.97.2:6443",
        value_parser = value::virtual_server
    )]
    pub vs: SocketAddr,
}

/// `lvscare care`.
#[derive(Debug, Args)]
pub struct CareArgs {
    /// Which virtual server is meant
    #[command(flatten)]
    pub target: TargetArgs,
    /// A real server (apiserver); repeat it, or separate with commas
    #[arg(long, value_name = "IP:PORT[,weight=N]", env = "LVSCARE_RS")]
    pub rs: Vec<RealServers>,
    /// How the kernel spreads connections: rr, wrr, lc, wlc, fo, sh, mh, ..
    #[arg(long, value_name = "NAME", env = "LVSCARE_SCHEDULER", default_value = "rr")]
    pub scheduler: Scheduler,
    /// This node's address towards the apiservers [default: the one the kernel would use]
    #[arg(long, value_name = "IP", env = "LVSCARE_NODE_IP", value_parser = value::address)]
    pub node_ip: Option<IpAddr>,
    /// On a control-plane node: use its own apiserver alone while that one is alive
    #[arg(long, env = "LVSCARE_PREFER_LOCAL")]
    pub prefer_local: bool,
    /// Make route and rules once, without health checks, and exit (before `kubeadm join`)
    #[arg(long, conflicts_with = "clean")]
    pub run_once: bool,
    /// Remove the virtual server and its route, and exit (the same as `lvscare clean`)
    #[arg(long, short = 'C')]
    pub clean: bool,

    /// How health is checked
    #[command(flatten, next_help_heading = "Health checks")]
    pub health: HealthArgs,

    /// Time between comparisons of the kernel with what should be there
    #[arg(
        long,
        value_name = "TIME",
        env = "LVSCARE_RESYNC",
        default_value = "1s",
        value_parser = value::duration,
        help_heading = "Guard"
    )]
    pub resync: Duration,
    /// How long a sick or unready apiserver may keep its open connections
    #[arg(
        long,
        value_name = "TIME",
        env = "LVSCARE_DRAIN_TIMEOUT",
        default_value = "30s",
        value_parser = value::duration,
        help_heading = "Guard"
    )]
    pub drain_timeout: Duration,
    /// Where to serve /livez, /readyz and /status; `none` for nowhere
    #[arg(
        long,
        value_name = "IP:PORT",
        env = "LVSCARE_LISTEN",
        default_value = "127.0.0.1:10261",
        help_heading = "Operation"
    )]
    pub listen: Listen,
    /// How much to log
    #[arg(
        long,
        visible_alias = "logger",
        value_name = "LEVEL",
        env = "LVSCARE_LOG",
        default_value = "info",
        ignore_case = true,
        help_heading = "Operation"
    )]
    pub log: LogLevel,

    /// Options of older lvscare without a meaning here
    #[command(flatten)]
    pub ignored: IgnoredArgs,
}

/// How health is checked.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Time between probes of an apiserver that is fine
    #[arg(long, value_name = "TIME", env = "LVSCARE_INTERVAL", default_value = "2s", value_parser = value::duration)]
    pub interval: Duration,
    /// Time between probes of one that is suspected or out
    #[arg(
        long,
        value_name = "TIME",
        env = "LVSCARE_FAST_INTERVAL",
        default_value = "200ms",
        value_parser = value::duration
    )]
    pub fast_interval: Duration,
    /// Bad probes in a row that take an apiserver out
    #[arg(long, value_name = "N", env = "LVSCARE_FALL", default_value_t = 2)]
    pub fall: u32,
    /// Good probes in a row that put it back
    #[arg(long, value_name = "N", env = "LVSCARE_RISE", default_value_t = 2)]
    pub rise: u32,
    /// Limit for the TCP connection of a probe
    #[arg(
        long,
        value_name = "TIME",
        env = "LVSCARE_CONNECT_TIMEOUT",
        default_value = "1s",
        value_parser = value::duration
    )]
    pub connect_timeout: Duration,
    /// Limit for a whole probe
    #[arg(
        long = "health-timeout",
        value_name = "TIME",
        env = "LVSCARE_HEALTH_TIMEOUT",
        default_value = "2s",
        value_parser = value::duration
    )]
    pub timeout: Duration,
    /// The protocol of a probe
    #[arg(
        long = "health-scheme",
        alias = "health-schem",
        value_name = "SCHEME",
        env = "LVSCARE_HEALTH_SCHEME",
        default_value = "https"
    )]
    pub scheme: Scheme,
    /// The path that decides alive or dead
    #[arg(
        long = "health-path",
        value_name = "PATH",
        env = "LVSCARE_HEALTH_PATH",
        default_value = "/healthz"
    )]
    pub path: String,
    /// The path that decides ready or draining; `none` for not asking
    #[arg(long, value_name = "PATH", env = "LVSCARE_READY_PATH", default_value = "/readyz")]
    pub ready_path: String,
    /// Further answers that count as alive, besides 2xx, 401 and 403
    #[arg(
        long = "health-status",
        value_name = "CODE",
        env = "LVSCARE_HEALTH_STATUS",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(100..=599)
    )]
    pub status: Vec<u16>,
    /// Verify the apiservers' certificates with this authority [default: they are not verified]
    #[arg(long, value_name = "FILE", env = "LVSCARE_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// The name that must stand in their certificates
    #[arg(
        long = "tls-server-name",
        value_name = "NAME",
        env = "LVSCARE_TLS_SERVER_NAME",
        default_value = "kubernetes"
    )]
    pub server_name: String,
    /// Do not verify certificates even if --ca-file is given
    #[arg(
        long = "health-insecure-skip-verify",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub skip_verify: Option<bool>,
}

/// How much to log. Older lvscare's `DEBG` still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the words of every logger")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl ValueEnum for LogLevel {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Error, Self::Warn, Self::Info, Self::Debug]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Error => PossibleValue::new("error").alias("erro"),
            Self::Warn => PossibleValue::new("warn"),
            Self::Info => PossibleValue::new("info"),
            Self::Debug => PossibleValue::new("debug").alias("debg"),
        })
    }
}

/// Options of older lvscare that have lost their meaning: they are accepted so that an old manifest still
/// starts, and named in the log.
#[derive(Debug, Args)]
#[expect(missing_docs, reason = "they mean nothing any more")]
pub struct IgnoredArgs {
    #[arg(long, hide = true)]
    pub mode: Option<String>,
    #[arg(long, short = 'i', hide = true)]
    pub iface: Option<String>,
    #[arg(long, hide = true)]
    pub ip: Option<String>,
    #[arg(long, hide = true)]
    pub masqueradebit: Option<String>,
}

impl IgnoredArgs {
    /// The names of those that were given.
    pub fn given(&self) -> Vec<&'static str> {
        [
            ("--mode", &self.mode),
            ("--iface", &self.iface),
            ("--ip", &self.ip),
            ("--masqueradebit", &self.masqueradebit),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|_| name))
        .collect()
    }
}
