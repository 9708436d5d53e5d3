//! What can be asked for, each value valid on its own; and [`Spec`], all of it valid together.
//!
//! - [`daemon`]: what the daemon is told, as configuration and as arguments. [`masters`]: how masters are typed.
//! - [`kubeadm`]: what `kubeadm join` is told. [`credentials`]: tokens, hashes and keys. [`secret`]: what nobody may see.
//! - [`names`], [`image`], [`version`]: names of hosts, references to images, versions of Kubernetes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use lvscare::config::Config;
use lvscare::config::value::{self, RealServer};
use lvscare::doctor::subnet::Subnet;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};

pub mod credentials;
pub mod daemon;
pub mod image;
pub mod kubeadm;
pub mod masters;
pub mod names;
pub mod secret;
pub mod version;

use daemon::DaemonOptions;
use masters::Master;

/// What a node shall have, as a person or a controller says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// The virtual server.
    pub vip: SocketAddr,
    /// The masters, each by its address or its name.
    pub masters: Vec<Master>,
    /// The name by which clients call the virtual server.
    pub name: String,
    /// The node's address in the cluster; `None`: the one used towards the masters.
    pub node_ip: Option<IpAddr>,
    /// The image that the static pod runs.
    pub image: String,
    /// The ranges of addresses that Kubernetes gives to Services, if told.
    pub service_cidrs: Vec<Subnet>,
    /// The ranges of addresses that Kubernetes gives to pods, if told.
    pub pod_cidrs: Vec<Subnet>,
    /// Further options of the daemon, such as `--interval=5s`.
    pub daemon_args: Vec<String>,
}

/// A part of the preparation that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Looking whether the node is fit.
    Checks,
    /// Loading kernel modules.
    Modules,
    /// Kernel settings.
    Sysctl,
    /// The route and the IPVS rules.
    Rules,
    /// Asking the apiservers whether they answer.
    Reach,
    /// The entry in /etc/hosts.
    Hosts,
    /// The static pod.
    Pod,
}

impl Part {
    /// All of them, with the names by which they are left out, and what they are.
    pub const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Checks, "checks", "Looking whether the node is fit"),
        (Self::Modules, "modules", "Loading kernel modules"),
        (Self::Sysctl, "sysctl", "Kernel settings"),
        (Self::Rules, "rules", "The route and the IPVS rules"),
        (Self::Reach, "reach", "Asking the apiservers whether they answer"),
        (Self::Hosts, "hosts", "The entry in /etc/hosts"),
        (Self::Pod, "pod", "The static pod"),
    ];
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name, _)| *name == text);
        found.map(|(part, _, _)| *part).ok_or_else(|| format!("`{text}` is no part of the preparation"))
    }
}

/// What a node is to become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A node for pods.
    #[default]
    Worker,
    /// A node with an apiserver of its own.
    Master,
}

/// What a node shall have, valid together.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What the daemon is told.
    pub daemon: DaemonOptions,
    /// What that means.
    pub config: Config,
    /// The name by which clients call the virtual server.
    pub name: String,
    /// The image that the static pod runs.
    pub image: String,
    /// The virtual server.
    pub vs: SocketAddr,
    /// The masters.
    pub masters: Vec<SocketAddr>,
    /// The Service CIDRs, if told.
    pub service_cidrs: Vec<Subnet>,
    /// The Pod CIDRs, if told.
    pub pod_cidrs: Vec<Subnet>,
}

impl Spec {
    /// Checks what was asked for; masters that are names are looked up.
    pub fn new(asked: &NodeSpec, lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>>) -> Result<Self, Failure> {
        names::check_resolvable(&asked.name)
            .map_err(|why| Failure::new(Kind::Invalid, format!("--apiserver {why}")))?;
        let vip = asked.vip.to_string();
        value::virtual_server(&vip)
            .map_err(|why| Failure::new(Kind::Invalid, format!("--vip {vip}: {why}")))?;
        for (flag, kind, subnets) in
            [("--service-cidr", "Service", &asked.service_cidrs), ("--pod-cidr", "Pod", &asked.pod_cidrs)]
        {
            if let Some(subnet) = subnets.iter().find(|subnet| subnet.holds(asked.vip.ip())) {
                return Err(Failure::new(
                    Kind::Invalid,
                    format!(
                        "--vip {vip} lies in the {kind} CIDR {subnet} ({flag}), of which Kubernetes may give it away; \
                         choose an address outside, or a smaller range such as 10.96.0.0/22"
                    ),
                ));
            }
        }
        image::check_image(&asked.image).map_err(|error| Failure::usage(error.to_string()))?;
        let masters = masters::addresses(&asked.masters, asked.vip, lookup)?;
        if let Some(node_ip) = asked.node_ip {
            check_node_ip(node_ip, asked.vip)?;
        }
        let servers = masters.iter().map(|&address| RealServer { address, weight: 1 });
        let daemon = DaemonOptions::new(asked.vip, servers, asked.node_ip, &asked.daemon_args)?;
        Ok(Self {
            config: daemon.config()?,
            daemon,
            name: asked.name.clone(),
            image: asked.image.clone(),
            vs: asked.vip,
            masters,
            service_cidrs: asked.service_cidrs.clone(),
            pod_cidrs: asked.pod_cidrs.clone(),
        })
    }
}

fn check_node_ip(node_ip: IpAddr, vip: SocketAddr) -> Result<(), Failure> {
    if node_ip.is_ipv4() != vip.is_ipv4() {
        return Err(Failure::usage(format!("--node-ip {node_ip} and --vip {vip} are of different families")));
    }
    if node_ip == vip.ip() {
        return Err(Failure::usage(format!(
            "--node-ip {node_ip} is the virtual address itself; name the node's own address"
        )));
    }
    Ok(())
}
