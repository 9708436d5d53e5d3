//! What a person writes, on a command line or in a file, value by value. What the values mean together is
//! `build`'s business.
//!
//! Everything is optional here: an option that was not given must not hide what the file says. The defaults
//! stand in `build`, and for people in the help texts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use serde::{Deserialize, Serialize};

use super::value::{
    self, Listen, LogFilter, LogFormat, NodeAddress, RealServers, Scheduler, Scheme, Time, VirtualAddress,
};

/// The virtual server of every example.
pub const USUAL: &str = "10.103.97.2:6443";

/// The state directory, unless another one is named.
pub const STATE_DIR: &str = "/var/lib/lvscare";

/// Which virtual server is meant.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// The virtual server: the address that clients connect to
    #[arg(
        long,
        value_name = "IP:PORT",
        env = "LVSCARE_VS",
        default_value = USUAL,
        value_parser = value::virtual_server
    )]
    pub vs: SocketAddr,
}

/// `lvscare care`.
#[derive(Debug, Args)]
pub struct CareArgs {
    /// What the configuration is
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Make route and rules once, without health checks, and exit (before `kubeadm join`)
    #[arg(long, conflicts_with = "clean")]
    pub run_once: bool,
    /// Remove the virtual server and its route, and exit (the same as `lvscare clean`)
    #[arg(long, short = 'C')]
    pub clean: bool,
    /// Go on although another lvscare guards the address, or replace a virtual server of somebody else
    #[arg(long)]
    pub force: bool,
    /// Options of older lvscare without a meaning here
    #[command(flatten)]
    pub ignored: IgnoredArgs,
}

/// All that a configuration is made of.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// A configuration file, for several virtual servers or live changes (see `lvscare config --help`)
    #[arg(long = "config", short = 'c', value_name = "FILE", env = "LVSCARE_CONFIG")]
    pub file: Option<PathBuf>,
    /// The virtual server: the address that clients connect to [default: 10.103.97.2:6443]
    #[arg(long, value_name = "IP:PORT", env = "LVSCARE_VS")]
    pub vs: Option<VirtualAddress>,
    /// A real server (apiserver); repeat it, or separate with commas
    #[arg(long, value_name = "IP:PORT[,weight=N]", env = "LVSCARE_RS")]
    pub rs: Vec<RealServers>,
    /// How the kernel spreads connections: rr, wrr, lc, wlc, fo, sh, mh, .. (not dh, ovf: they refuse clients) [default: rr]
    #[arg(long, value_name = "NAME", env = "LVSCARE_SCHEDULER")]
    pub scheduler: Option<Scheduler>,
    /// Learn the masters from the API, with the credentials of this kubeconfig [default: only --rs]
    #[arg(long, value_name = "FILE", env = "LVSCARE_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// How health is checked
    #[command(flatten, next_help_heading = "Health checks")]
    pub health: Health,
    /// How the rules are guarded
    #[command(flatten, next_help_heading = "Guard")]
    pub guard: Guard,
    /// How the daemon is operated
    #[command(flatten, next_help_heading = "Operation")]
    pub operation: Operation,
}

/// A configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(test, schemars(title = "lvscare"))]
pub struct File {
    /// The virtual servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub virtual_servers: Vec<VirtualServer>,
    /// How health is checked, unless a virtual server says otherwise.
    #[serde(skip_serializing_if = "is_default")]
    pub health: Health,
    /// How the rules are guarded.
    #[serde(skip_serializing_if = "is_default")]
    pub guard: Guard,
    /// How the daemon is operated.
    #[serde(skip_serializing_if = "is_default")]
    pub operation: Operation,
}

/// The JSON Schema of a configuration file; a test keeps it the same as the types.
pub const SCHEMA: &str = include_str!("schema.json");

/// One virtual server in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualServer {
    /// The address that clients connect to.
    pub address: VirtualAddress,
    /// The real servers.
    pub real_servers: Vec<RealServers>,
    /// How the kernel spreads connections; the default is rr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// A kubeconfig (kubelet's is /etc/kubernetes/kubelet.conf) with which the masters are learned from the API; the
    /// real servers above are where it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// How health is checked, where it differs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub health: Health,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How health is checked.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Health {
    /// Time between probes of an apiserver that is fine [default: 5s]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "TIME", env = "LVSCARE_INTERVAL")]
    pub interval: Option<Time>,
    /// Shortest time between probes of one that is suspected or out [default: 200ms]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "TIME", env = "LVSCARE_FAST_INTERVAL")]
    pub fast_interval: Option<Time>,
    /// Bad probes in a row that take an apiserver out [default: 2]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "N", env = "LVSCARE_FALL")]
    pub fall: Option<u32>,
    /// Good probes in a row that put it back [default: 2]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "N", env = "LVSCARE_RISE")]
    pub rise: Option<u32>,
    /// Limit for the TCP connection of a probe [default: 1s]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "TIME", env = "LVSCARE_CONNECT_TIMEOUT")]
    pub connect_timeout: Option<Time>,
    /// Limit for a whole probe [default: 2s]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "health-timeout", value_name = "TIME", env = "LVSCARE_HEALTH_TIMEOUT")]
    pub timeout: Option<Time>,
    /// The protocol of a probe [default: https]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(
        long = "health-scheme",
        alias = "health-schem",
        value_name = "SCHEME",
        env = "LVSCARE_HEALTH_SCHEME"
    )]
    pub scheme: Option<Scheme>,
    /// The path that decides alive or dead [default: /healthz]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "health-path", value_name = "PATH", env = "LVSCARE_HEALTH_PATH")]
    pub path: Option<String>,
    /// The path that decides ready or draining; `none` for not asking [default: /readyz]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "PATH", env = "LVSCARE_READY_PATH")]
    pub ready_path: Option<String>,
    /// Further answers that count as alive, besides 2xx, 401 and 403
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[arg(
        long = "health-status",
        value_name = "CODE",
        env = "LVSCARE_HEALTH_STATUS",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(100..=599)
    )]
    pub status: Vec<u16>,
    /// Verify the apiservers' certificates with this authority [default: they are not verified]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "FILE", env = "LVSCARE_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// The name that must stand in their certificates [default: kubernetes]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "tls-server-name", value_name = "NAME", env = "LVSCARE_TLS_SERVER_NAME")]
    pub tls_server_name: Option<String>,
    /// Show the apiservers this client certificate (PEM) [default: none]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "FILE", env = "LVSCARE_CERT_FILE")]
    pub cert_file: Option<PathBuf>,
    /// The key of the client certificate (PEM) [default: it is in the same file]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "FILE", env = "LVSCARE_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// Send the apiservers the bearer token in this file [default: none]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "FILE", env = "LVSCARE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Do not verify certificates even if --ca-file is given
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(
        long = "health-insecure-skip-verify",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub insecure_skip_verify: Option<bool>,
}

/// How the rules are guarded.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Guard {
    /// This node's address towards the apiservers [default: the one the kernel would use]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "IP", env = "LVSCARE_NODE_IP")]
    pub node_ip: Option<NodeAddress>,
    /// On a control-plane node: use its own apiserver alone while that one is alive
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(
        long,
        value_name = "BOOL",
        env = "LVSCARE_PREFER_LOCAL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub prefer_local: Option<bool>,
    /// Time between comparisons of the kernel with what should be there [default: 1s]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "TIME", env = "LVSCARE_RESYNC")]
    pub resync: Option<Time>,
    /// How long a sick, unready or removed apiserver may keep its open connections [default: 30s]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "TIME", env = "LVSCARE_DRAIN_TIMEOUT")]
    pub drain_timeout: Option<Time>,
}

/// How the daemon is operated. A change of these takes effect at the next start.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Operation {
    /// Where to serve /metrics, /livez, /readyz and /status; `none` for nowhere [default: 127.0.0.1:10261]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "IP:PORT", env = "LVSCARE_LISTEN")]
    pub listen: Option<Listen>,
    /// Where to keep drained servers and masters learned from the API; `none` for nowhere [default: /var/lib/lvscare]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "DIR", env = "LVSCARE_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// How much to log: error, warn, info, debug, or a filter such as `info,lvscare::checker=debug` [default: info]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, visible_alias = "logger", value_name = "LEVEL", env = "LVSCARE_LOG")]
    pub log: Option<LogFilter>,
    /// The form of the log: text or json [default: text]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "FORM", env = "LVSCARE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
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
