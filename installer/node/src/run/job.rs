//! What a preparation comes to, once everything that was asked for is looked at together.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::image::Importer;
use super::kubeadm;
use crate::api::{Change, Failure, Kind, PrepareRequest};
use crate::desired::{DesiredNode, Rendered, RenderedPod};
use crate::facts::cluster::Pass;
use crate::facts::host::{self, Asked};
use crate::facts::{self, kubelet, reach, source_towards_any};
use crate::machine::Machine;
use crate::paths;
use crate::render::join::Rendered as Join;
use crate::render::pod::{self, Pod};
use crate::spec::kubeadm::KubeadmSpec;
use crate::spec::{Part, Role, Spec};

/// What of a join is done here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing.
    Nothing,
    /// Its configuration is written; the join is left to others.
    IsLeft,
    /// All of it.
    Joins,
}

/// A machine is to be prepared.
#[derive(Debug)]
pub struct Job {
    /// What was asked for.
    pub spec: Spec,
    /// What the machine shall have.
    pub desired: DesiredNode,
    /// How kubeadm is to join.
    pub join: Option<Join>,
    /// How it is done.
    pub manner: Manner,
    /// Whether the node becomes a master without a virtual server of its own.
    pub is_plain_master: bool,
    /// How the node gets images.
    pub importer: Option<Importer>,
}

/// How a machine is prepared.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The name by which clients call the virtual server.
    pub name: String,
    /// Whether the apiservers are asked.
    pub reach: bool,
    /// What the machine is checked for before anything is done; `None`: it is not.
    pub checks: Option<(Spec, Asked)>,
    /// Whether what is somebody else's is taken over.
    pub force: bool,
}

impl Job {
    /// As `request` says, for a join or not.
    pub fn new<M: Machine>(
        machine: &mut M,
        request: &PrepareRequest,
        prefer_local: bool,
        how: How,
    ) -> Result<Self, Failure> {
        let asked = &request.kubeadm;
        let spec = resolve(machine, request, prefer_local)?;
        let is_plain_master = asked.control_plane && !prefer_local;
        check_ports(asked, &spec, is_plain_master)?;
        check_files(machine, request)?;
        let mut skip = request.skip.clone();
        if is_plain_master {
            // It is its own way to the apiserver: neither rules nor a pod.
            skip.extend([Part::Modules, Part::Rules, Part::Pod]);
        }
        let join = match how {
            How::Nothing => None,
            How::IsLeft | How::Joins => {
                let endpoint = format!("{}:{}", spec.name, spec.vs.port());
                let asked = told_kubelet(asked, request.spec.node_ip)?;
                Some(kubeadm::render(machine, &asked, endpoint, how == How::Joins)?)
            }
        };
        let arguments = spec.daemon.arguments();
        let manifest = pod::render(&Pod { image: &spec.image, arguments: &arguments, config: &spec.config })?;
        let rendered = Rendered {
            pod: Some(RenderedPod {
                manifest: manifest.into_bytes(),
                image: spec.image.clone(),
                daemon: spec.daemon.clone(),
            }),
            archive: request.archive.clone(),
            join: join.as_ref().map(|join| join.yaml.reveal().as_bytes().to_vec()),
            release: facts::text(machine, paths::RELEASE).unwrap_or_default(),
        };
        let mut desired = DesiredNode::new(spec.config.clone(), &spec.name, rendered, &skip);
        if is_plain_master && let Some((_, address)) = &mut desired.hosts {
            let master = first_that_answers(machine, &spec)?;
            let joined = kubelet::joined(machine).is_some();
            *address = if joined { own_address(machine, asked, master)? } else { master.ip() };
        }
        let has = |part| !skip.contains(&part);
        let checks = has(Part::Checks).then(|| {
            let authorities = asked.ca_cert_hashes.iter().map(|hash| hash.as_str().to_owned());
            let asked = Asked {
                cri_socket: asked.cri_socket.clone(),
                node_name: asked.node_name.clone(),
                authorities: authorities.collect(),
                pass: Pass::of(asked),
                kubeadm: join.as_ref().map(|join| join.version),
                role: if asked.control_plane { Role::Master } else { Role::Worker },
                archive: request.archive.clone(),
                joins: how == How::Joins,
                has_rules: !is_plain_master,
            };
            (spec.clone(), asked)
        });
        let reach = has(Part::Reach);
        let manner = Manner { name: spec.name.clone(), reach, checks, force: request.change.force };
        let importer = match &desired.image {
            Some(_) => find_importer(machine, asked, desired.archive.as_deref())?,
            None => None,
        };
        Ok(Self { spec, desired, join, manner, is_plain_master, importer })
    }
}

fn resolve<M: Machine>(machine: &M, request: &PrepareRequest, prefer_local: bool) -> Result<Spec, Failure> {
    let mut spec = request.spec.clone();
    if prefer_local {
        spec.daemon_args.push("--prefer-local".to_owned());
    }
    Spec::new(&spec, |name| machine.lookup(name))
}

/// A master's clients call its own apiserver by the name and the port of all.
fn check_ports(asked: &KubeadmSpec, spec: &Spec, is_plain_master: bool) -> Result<(), Failure> {
    let port = asked.bind_port.unwrap_or(spec.vs.port());
    if is_plain_master && port != spec.vs.port() {
        return Err(Failure::usage(format!(
            "--apiserver-bind-port {port} and the port of the endpoint, {}, differ: clients of this master would call \
             {}:{} and find nobody there",
            spec.vs.port(),
            spec.name,
            spec.vs.port()
        )));
    }
    Ok(())
}

/// What is missing is said before anything is changed.
fn check_files<M: Machine>(machine: &M, request: &PrepareRequest) -> Result<(), Failure> {
    if let Some(archive) = &request.archive {
        let place = machine.place(archive);
        let wrong = if place.is_directory {
            Some("it is a directory")
        } else if place.length.is_none() {
            Some("No such file or directory (os error 2)")
        } else {
            None
        };
        if let Some(why) = wrong {
            let archive = archive.display();
            return Err(Failure::new(Kind::Image, format!("--import {archive}: {why}; nothing was changed")));
        }
    }
    for (option, path) in request.kubeadm.files() {
        let place = machine.place(path);
        let wants_directory = option == "--patches";
        let right = if wants_directory { place.is_directory } else { place.length.is_some() };
        if !right {
            let what = if wants_directory { "directory" } else { "file" };
            return Err(Failure::usage(format!("{option} {}: there is no such {what}", path.display())));
        }
    }
    Ok(())
}

/// kubelet is to have the same address as the virtual server's route, unless it is told another.
fn told_kubelet(asked: &KubeadmSpec, node_ip: Option<IpAddr>) -> Result<KubeadmSpec, Failure> {
    let mut asked = asked.clone();
    let told = asked.kubelet_extra_args.iter().find(|(name, _)| name == "node-ip").map(|(_, value)| value);
    match (told, node_ip) {
        (None, Some(node_ip)) => {
            asked.kubelet_extra_args.push(("node-ip".to_owned(), node_ip.to_string()));
        }
        (Some(told), Some(node_ip)) if *told != node_ip.to_string() => {
            return Err(Failure::usage(format!(
                "--node-ip {node_ip} and --kubelet-extra-arg node-ip={told} differ; give one of them"
            )));
        }
        _ => {}
    }
    Ok(asked)
}

/// Where an image is to be imported, somebody must be there who can.
fn find_importer<M: Machine>(
    machine: &mut M,
    asked: &KubeadmSpec,
    archive: Option<&Path>,
) -> Result<Option<Importer>, Failure> {
    let told = asked.cri_socket.as_deref();
    let sockets: Vec<&str> = told.map_or_else(|| host::RUNTIMES.to_vec(), |socket| vec![socket]);
    let importer = Importer::find(machine, &sockets);
    match archive {
        Some(archive) if importer.is_none() => Err(Failure::new(
            Kind::Image,
            format!(
                "--import {}: no client of a container runtime can import it (ctr, nerdctl, podman or docker, at {}); \
                 nothing was changed",
                archive.display(),
                sockets.join(", ")
            ),
        )),
        _ => Ok(importer),
    }
}

/// A master to join by, where there is no virtual server.
fn first_that_answers<M: Machine>(machine: &mut M, spec: &Spec) -> Result<SocketAddr, Failure> {
    let visits = reach::directly(machine, &spec.masters, spec.vs, &spec.name)?;
    let silent = reach::some_answer(&visits, "")?;
    let answering = spec.masters.iter().find(|master| !silent.contains_key(*master));
    answering.copied().ok_or_else(|| Failure::new(Kind::Unreachable, "no apiserver answers"))
}

/// The address of this node's own apiserver.
pub fn own_address<M: Machine>(
    machine: &mut M,
    asked: &KubeadmSpec,
    master: SocketAddr,
) -> Result<IpAddr, Failure> {
    if let Some(told) = asked.advertise_address {
        return Ok(told);
    }
    let source = source_towards_any(machine, [master])?;
    source.ok_or_else(|| {
        let help = "give --apiserver-advertise-address";
        Failure::new(Kind::Unreachable, format!("there is no way to {}; {help}", master.ip()))
    })
}

/// A change of one name and nothing else.
pub fn only_name(name: &str, change: Change) -> Manner {
    Manner { name: name.to_owned(), reach: false, checks: None, force: change.force }
}
