//! What a node shall have, and how it is prepared.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use cluster::inventory::file::VirtualServerFile;
use lvscare::config::value::NodeAddress;
use lvscare::doctor::subnet::Subnet;
use lvscare::exit;
use node::api::{Failure, PrepareRequest};
use node::spec::masters::{self, Master, Masters};
use node::spec::{NodeSpec, Part};

use super::ChangeArgs;
use super::kubeadm::KubeadmArgs;

/// How a node is prepared.
#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    /// What the node shall have
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// An archive with the image, for nodes that cannot pull it (`ctr images import`)
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Option<PathBuf>,
    /// Leave a part out; repeat it, or separate with commas
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = parts())]
    pub(crate) skip: Vec<Part>,
    /// Take over what somebody else made: a hosts line of the same name, other real servers
    #[arg(long)]
    pub(crate) force: bool,
    /// How that is done and told
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

/// Which masters there are.
#[derive(Debug, Args)]
pub(crate) struct MastersArgs {
    /// A master, or a range of them (10.0.0.1-10.0.0.3), or the name of one; repeat it, or separate with commas; with a
    /// port if it is not 6443
    #[arg(long = "master", value_name = "IP[:PORT]", required = true)]
    pub(crate) masters: Vec<Masters>,
}

/// How the static pod is made.
#[derive(Debug, Args)]
pub(crate) struct PodArgs {
    /// The image that the static pod runs; never `latest`
    #[arg(long, value_name = "REF", default_value = concat!("docker.io/library/lvscare:", env!("CARGO_PKG_VERSION")))]
    pub(crate) image: String,
    /// An option for the daemon, as `lvscare care --help` has them, such as --lvscare-arg=--interval=5s; repeat it
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) lvscare_arg: Vec<String>,
}

/// Where clients find the apiservers.
#[derive(Debug, Args)]
pub(crate) struct EndpointArgs {
    /// The virtual address of the apiservers, unused anywhere else; with a port if it is not 6443 [default: 10.103.97.2]
    #[arg(long, value_name = "IP[:PORT]")]
    pub(crate) vip: Option<Vip>,
    /// The name by which clients call the virtual server [default: apiserver.cluster.local]
    #[arg(long, value_name = "NAME")]
    pub(crate) apiserver: Option<String>,
}

/// Addresses that Kubernetes gives away.
#[derive(Debug, Args)]
pub(crate) struct RangeArgs {
    /// A range of addresses that Kubernetes gives to Services; the virtual address must lie outside
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) service_cidr: Vec<Subnet>,
    /// A range of addresses that Kubernetes gives to pods; the virtual address must lie outside
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) pod_cidr: Vec<Subnet>,
}

/// What a node shall have.
#[derive(Debug, Args)]
pub(crate) struct SpecArgs {
    /// Which masters there are
    #[command(flatten)]
    pub(crate) masters: MastersArgs,
    /// Where clients find them
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    /// This node's address in the cluster, for kubelet as well [default: the one used towards the masters]
    #[arg(long, value_name = "IP")]
    pub(crate) node_ip: Option<NodeAddress>,
    /// How the static pod is made
    #[command(flatten)]
    pub(crate) pod: PodArgs,
    /// What the virtual address must lie outside of
    #[command(flatten)]
    pub(crate) ranges: RangeArgs,
}

pub(super) fn parts() -> impl TypedValueParser<Value = Part> {
    let values = Part::ALL.map(|(_, name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).try_map(|text| text.parse::<Part>())
}

/// The virtual server as typed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vip {
    address: SocketAddr,
    has_port: bool,
}

/// The one of every example.
const USUAL: Vip = Vip {
    address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 103, 97, 2)), 6443),
    has_port: false,
};

impl Default for Vip {
    fn default() -> Self {
        USUAL
    }
}

impl FromStr for Vip {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { address: masters::with_port(text)?, has_port: text.parse::<SocketAddr>().is_ok() })
    }
}

impl Vip {
    /// With the port that was typed, or the usual one.
    pub(crate) fn address(self) -> SocketAddr {
        self.address
    }
}

impl EndpointArgs {
    fn vip(&self) -> Vip {
        self.vip.unwrap_or_default()
    }

    /// What was not typed, a file may tell.
    pub(crate) fn or(mut self, file: VirtualServerFile) -> Result<Self, exit::Failure> {
        if let (None, Some(text)) = (self.vip, &file.address) {
            let wrong = |why| {
                exit::Failure::new(exit::Exit::Invalid, format!("--cluster: virtualServer.address: {why}"))
            };
            self.vip = Some(text.parse().map_err(wrong)?);
        }
        self.apiserver = self.apiserver.or(file.name);
        Ok(self)
    }

    /// The virtual server stands elsewhere on the command line, too.
    pub(crate) fn vip_is(&mut self, endpoint: SocketAddr) -> Result<(), Failure> {
        match self.vip.replace(Vip { address: endpoint, has_port: true }) {
            Some(vip) if vip.address != endpoint => Err(Failure::usage(format!(
                "the endpoint {endpoint} and --vip {} differ; give one of them",
                vip.address
            ))),
            _ => Ok(()),
        }
    }

    /// The name stands elsewhere on the command line, too.
    pub(crate) fn name_is(&mut self, name: String) -> Result<(), Failure> {
        match &self.apiserver {
            Some(told) if *told != name => Err(Failure::usage(format!(
                "the endpoint's name {name} and --apiserver {told} differ; give one of them"
            ))),
            _ => {
                self.apiserver = Some(name);
                Ok(())
            }
        }
    }

    /// The port stands elsewhere on the command line, too.
    pub(crate) fn port_is(&mut self, port: u16) -> Result<(), Failure> {
        let vip = self.vip();
        if vip.has_port && vip.address.port() != port {
            return Err(Failure::usage(format!(
                "the endpoint's port {port} and that of --vip {} differ; give one of them",
                vip.address
            )));
        }
        self.vip = Some(Vip { address: SocketAddr::new(vip.address.ip(), port), has_port: true });
        Ok(())
    }

    /// What a node shall have of these masters.
    pub(crate) fn spec(self, masters: Vec<Master>, pod: PodArgs, ranges: RangeArgs) -> NodeSpec {
        NodeSpec {
            vip: self.vip().address,
            masters,
            name: self.apiserver.unwrap_or_else(|| "apiserver.cluster.local".to_owned()),
            node_ip: None,
            image: pod.image,
            service_cidrs: ranges.service_cidr,
            pod_cidrs: ranges.pod_cidr,
            daemon_args: pod.lvscare_arg,
        }
    }
}

impl SpecArgs {
    /// What the node shall have.
    pub(crate) fn spec(self) -> NodeSpec {
        let node_ip = self.node_ip.map(|NodeAddress(ip)| ip);
        NodeSpec { node_ip, ..self.endpoint.spec(self.masters.all(), self.pod, self.ranges) }
    }
}

impl MastersArgs {
    /// All of them, in the order in which they were typed.
    pub(crate) fn all(&self) -> Vec<Master> {
        self.masters.iter().flat_map(|Masters(masters)| masters).cloned().collect()
    }
}

impl PrepareArgs {
    /// What is asked for, with what kubeadm is told.
    pub(crate) fn request(self, kubeadm: KubeadmArgs) -> Result<PrepareRequest, Failure> {
        Ok(PrepareRequest {
            change: self.change.change(self.force),
            spec: self.spec.spec(),
            archive: self.import,
            skip: self.skip,
            kubeadm: kubeadm.spec()?,
        })
    }
}
