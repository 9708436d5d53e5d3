//! The virtual address, its name and the masters, before there is a virtual server.

use std::net::IpAddr;

use lvscare::doctor::checks::{addresses as vip, servers};
use lvscare::doctor::facts::table::Table;
use lvscare::doctor::facts::visit::{NO_CONNECTION, Visit};
use lvscare::doctor::subnet::Subnet;
use lvscare::doctor::{Finding, Severity};

use crate::facts::host::Facts;

/// Somebody answers at the virtual address although no rule leads there.
pub fn in_use(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "vip-in-use";
    let ours = match &facts.doctor.table {
        Table::Seen { service, route, .. } => service.scheduler.is_some() || route.is_some(),
        Table::NotLoaded => false,
        _ => true,
    };
    let Some(through) = facts.doctor.through.as_ref().filter(|_| !ours) else { return Vec::new() };
    if !is_somebody(through) {
        return vec![Finding::ok(ID, format!("nobody answers at {}", facts.doctor.vip()))];
    }
    vec![Finding::error(
        ID,
        format!("somebody answers at {} already, and it is not this node", through.address),
        "the virtual address must be nobody's: this node would no longer reach whoever has it",
        "choose another --vip, unused anywhere; or see who has this one: ip route get, traceroute",
    )]
}

/// A worker cannot be its own master.
pub fn own_masters(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "master-is-this-node";
    let Some(own) = facts.own_masters.first().filter(|_| !facts.is_master && facts.joined.is_none()) else {
        return Vec::new();
    };
    let severity = if facts.joins { Severity::Error } else { Severity::Warning };
    vec![Finding {
        severity,
        ..Finding::error(
            ID,
            format!("the master {own} is this machine, which has joined nothing yet"),
            "no apiserver answers here before it has become a master, and a worker never will be one",
            "leave it out of --master; or make it a master: --control-plane",
        )
    }]
}

/// kubeadm's own, unless it is told another.
const DEFAULT_SERVICES: &str = "10.96.0.0/12";

/// Nobody has said which addresses are Services', and a machine outside of the cluster cannot know.
pub fn service_cidr(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "service-cidr-unknown";
    let address = facts.doctor.vip();
    let is_default = DEFAULT_SERVICES.parse().is_ok_and(|default: Subnet| default.holds(address));
    let is_known = facts.service_cidr_told || !vip::service_cidr(&facts.doctor).is_empty();
    if is_known || !is_default {
        return Vec::new();
    }
    // The first is that of the API itself, the tenth that of the name service.
    let taken = [[10, 96, 0, 1], [10, 96, 0, 10]].map(IpAddr::from).contains(&address);
    let why = "an address of the Service CIDR may be given to a Service, and kube-proxy in mode nftables may drop packets \
               to those that belong to none";
    let fix = "kubeadm init --service-cidr 10.96.0.0/22 leaves 10.103.97.2 alone; say so with --service-cidr, or choose \
               another --vip; a master knows the range: kubectl -n kube-system get cm kubeadm-config -o yaml";
    let seen = format!(
        "nobody said which addresses are Services', and {address} lies in {DEFAULT_SERVICES}, kubeadm's default"
    );
    vec![if taken {
        Finding::error(
            ID,
            format!("{seen}, which begins with those of the API and of the name service"),
            why,
            fix,
        )
    } else {
        Finding::warning(ID, seen, why, fix)
    }]
}

/// A connection that is refused may be refused by a router on the way.
fn is_somebody(visit: &Visit) -> bool {
    match &visit.answer {
        Ok(_) => true,
        Err(why) => {
            !(why.starts_with(NO_CONNECTION) || why.contains("refused") || why.contains("unreachable"))
        }
    }
}

/// The kernel's and the daemon's own conditions.
pub fn possible(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "addresses";
    match &facts.impossible {
        None => vec![Finding::ok(ID, "the addresses of node and virtual server are possible")],
        Some(why) => vec![Finding::error(
            ID,
            why.clone(),
            "the virtual server cannot be made on this node",
            "choose another --vip or --node-ip",
        )],
    }
}

/// A line of somebody else for our name.
pub fn hosts(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "hosts-entry";
    let (vip, name) = (facts.doctor.vip(), &facts.doctor.name);
    match &facts.hosts {
        Err(why) => vec![Finding::error(
            ID,
            why.clone(),
            "the name of the virtual server cannot be entered there",
            "mend the file by hand",
        )],
        Ok(others) => match others.first() {
            None => vec![Finding::ok(ID, format!("no line of /etc/hosts stands in the way of {name}"))],
            Some(other) => vec![Finding::error(
                ID,
                format!("line {} of /etc/hosts says what {name} means: {}", other.line, other.text),
                format!("the name must mean {vip}, and clients use any of several lines"),
                "remove that line, or have it commented out: lvscare-installer node prepare --force",
            )],
        },
    }
}

/// One master that answers is enough to join; the others are taken in when they do.
pub fn reachable(facts: &Facts) -> Vec<Finding> {
    if facts.doctor.servers.is_empty() {
        return Vec::new();
    }
    let findings = servers::reachable(&facts.doctor);
    if findings.len() >= facts.doctor.servers.len() {
        return findings;
    }
    super::soften(findings)
}

/// kubelet takes the address of its interface for the node's.
pub fn default_route(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "default-route";
    let IpAddr::V4(_) = facts.doctor.vip() else { return Vec::new() };
    if facts.doctor.node.routes.iter().any(|(_, subnet)| subnet.prefix == 0) {
        return vec![Finding::ok(ID, "there is a default route")];
    }
    vec![Finding::note(
        ID,
        "there is no default route",
        "the virtual server needs none, but kubeadm takes the node's address from it",
        "say it with --node-ip, which kubelet is told as well by lvscare-installer node join",
    )]
}

/// etcd decides by majority.
pub fn count(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "even-masters";
    let count = facts.masters;
    if count % 2 == 1 {
        return vec![Finding::ok(ID, format!("the number of masters is odd ({count})"))];
    }
    vec![Finding::note(
        ID,
        format!("there are {count} masters"),
        "an even number of etcd members bears no more failures than one member less",
        "three or five masters are usual",
    )]
}
