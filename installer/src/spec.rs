//! What was asked for, checked as a whole. The pod's own arguments decide: what the daemon would refuse is refused
//! here, and what the daemon will guard is what is made now.

use std::net::SocketAddr;

use clap::Parser;
use lvscare::cli::{Cli, Command, explain};
use lvscare::config::{Config, value};
use lvscare::doctor::subnet::Subnet;
use lvscare::exit::{Exit, Failure};

use crate::check::asked::{Asked, Role};
use crate::cli::prepare::{MastersArgs, SpecArgs};
use crate::hosts;
use crate::masters::{self, Masters, in_our_words};
use crate::pod::{self, Pod};

/// Where kubeadm puts the cluster's authority, on masters and workers.
const AUTHORITY: &str = "/etc/kubernetes/pki/ca.crt";

/// What a node shall have.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What the daemon is told.
    pub arguments: Vec<String>,
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
    service_cidrs: Vec<Subnet>,
    pod_cidrs: Vec<Subnet>,
}

impl Spec {
    /// Checks what was typed.
    pub fn new(args: &SpecArgs) -> Result<Self, Failure> {
        hosts::check_name(&args.apiserver)
            .map_err(|why| Failure::new(Exit::Invalid, format!("--apiserver {why}")))?;
        let vip = args.vip.to_string();
        value::virtual_server(&vip)
            .map_err(|why| Failure::new(Exit::Invalid, format!("--vip {vip}: {why}")))?;
        for (flag, kind, subnets) in
            [("--service-cidr", "Service", &args.service_cidr), ("--pod-cidr", "Pod", &args.pod_cidr)]
        {
            if let Some(subnet) = subnets.iter().find(|subnet| subnet.holds(args.vip.ip())) {
                return Err(Failure::new(
                    Exit::Invalid,
                    format!(
                        "--vip {vip} lies in the {kind} CIDR {subnet} ({flag}), of which Kubernetes may give it away; \
                         choose an address outside, or a smaller range such as 10.96.0.0/22"
                    ),
                ));
            }
        }
        let masters = masters(&args.masters, args.vip.is_ipv4())?;
        let arguments = arguments(&masters, args);
        Ok(Self {
            config: understood(&arguments).map_err(|refusal| in_our_words(&refusal))?,
            arguments,
            name: args.apiserver.clone(),
            image: args.image.clone(),
            vs: args.vip,
            masters,
            service_cidrs: args.service_cidr.clone(),
            pod_cidrs: args.pod_cidr.clone(),
        })
    }

    /// What the node is to be checked for: a worker that is to be prepared and no more. The caller knows better.
    pub fn asked(&self) -> Asked {
        Asked {
            vs: self.vs,
            masters: self.masters.clone(),
            listen: self.config.listen,
            name: self.name.clone(),
            service_cidrs: self.service_cidrs.clone(),
            pod_cidrs: self.pod_cidrs.clone(),
            cri_socket: None,
            node_name: None,
            authorities: Vec::new(),
            role: Role::Worker,
            archive: None,
            joins: false,
        }
    }

    /// The manifest of the static pod.
    pub fn pod(&self) -> Result<Vec<u8>, Failure> {
        let pod = Pod { image: &self.image, arguments: &self.arguments, config: &self.config };
        let text = pod::render(&pod)?;
        Ok(text.into_bytes())
    }
}

/// The masters of the command line, each by its address.
pub fn masters(args: &MastersArgs, v4: bool) -> Result<Vec<SocketAddr>, Failure> {
    let all = Masters::all(&args.masters, v4, masters::lookup);
    all.map_err(|why| Failure::usage(format!("--master: {why}")))
}

fn arguments(masters: &[SocketAddr], args: &SpecArgs) -> Vec<String> {
    let mut words = vec!["care".to_owned(), format!("--vs={}", args.vip)];
    words.extend(masters.iter().map(|master| format!("--rs={master}")));
    words.extend(args.node_ip.map(|node_ip| format!("--node-ip={node_ip}")));
    if !args.lvscare_arg.iter().any(|word| word.starts_with("--ca-file")) {
        words.push(format!("--ca-file={AUTHORITY}"));
    }
    words.extend(args.lvscare_arg.iter().cloned());
    words
}

/// As the daemon will understand it.
pub fn understood(arguments: &[String]) -> Result<Config, Failure> {
    let words = std::iter::once("lvscare").chain(arguments.iter().map(String::as_str));
    match Cli::try_parse_from(words).map_err(|error| Failure::usage(explain(&error)))?.command {
        Command::Care(care) if !care.clean && !care.run_once => Config::load(&care.config),
        _ => Err(Failure::usage("--lvscare-arg takes options of the daemon, not --clean or --run-once")),
    }
}
