//! Is the virtual address a good one, and does its name lead to it?

use super::listed;
use crate::doctor::Finding;
use crate::doctor::facts::Facts;
use crate::doctor::subnet::Subnet;

const SERVICE: &str = "vip-in-service-cidr";
const POD: &str = "vip-in-pod-cidr";
const HOSTS: &str = "hosts-entry";

/// The Service CIDR of kubeadm.
const DEFAULT: &str = "10.96.0.0/12";

/// A part of it that does not hold the default virtual address.
const SMALLER: &str = "10.96.0.0/22";

/// The virtual address must not be one that Kubernetes gives to a Service.
pub fn service_cidr(facts: &Facts) -> Vec<Finding> {
    let vip = facts.vip();
    let known = &facts.cluster.services;
    if let Some((subnet, origin)) = known.iter().find(|(subnet, _)| subnet.holds(vip)) {
        let default = if subnet.to_string() == DEFAULT { ", kubeadm's default" } else { "" };
        let smaller = if subnet.to_string() == DEFAULT {
            format!("before the cluster is made: kubeadm init --service-cidr {SMALLER}; afterwards")
        } else {
            "make the range smaller before the cluster is made; afterwards".to_owned()
        };
        return vec![Finding::error(
            SERVICE,
            format!("{vip} lies in the Service CIDR {subnet}{default} ({origin})"),
            "Kubernetes may give this address to a Service, and kube-proxy in mode nftables may drop packets to \
             addresses of the range that belong to no Service",
            format!(
                "{smaller} give every node an address outside of {subnet} (--vs, or --vip of lvscare-installer)"
            ),
        )];
    }
    if !known.is_empty() {
        return vec![Finding::ok(
            SERVICE,
            format!("{vip} lies outside of the Service CIDR {}", ranges(known)),
        )];
    }
    // The tenth address of the range is that of the name service, but the length of the range is not told.
    let suspect = facts.cluster.dns.iter().any(|dns| dns.to_string() == "10.96.0.10");
    if suspect && DEFAULT.parse().is_ok_and(|default: Subnet| default.holds(vip)) {
        return vec![Finding::note(
            SERVICE,
            format!(
                "the Service CIDR is not known here; cluster DNS 10.96.0.10 fits kubeadm's default {DEFAULT}, \
                 which holds {vip}, and {SMALLER}, which does not"
            ),
            "an address of the Service CIDR may be given to a Service",
            "tell it: lvscare doctor --service-cidr RANGE; a master knows: \
             grep service-cluster-ip-range /etc/kubernetes/manifests/kube-apiserver.yaml",
        )];
    }
    Vec::new()
}

/// Nor one that it gives to a pod.
pub fn pod_cidr(facts: &Facts) -> Vec<Finding> {
    let vip = facts.vip();
    let known = &facts.cluster.pods;
    if let Some((subnet, origin)) = known.iter().find(|(subnet, _)| subnet.holds(vip)) {
        return vec![Finding::error(
            POD,
            format!("{vip} lies in the Pod CIDR {subnet} ({origin})"),
            "a pod may get this address, and the pod network may have routes of its own to it",
            format!("give every node an address outside of {subnet} (--vs, or --vip of lvscare-installer)"),
        )];
    }
    if known.is_empty() {
        return Vec::new();
    }
    vec![Finding::ok(POD, format!("{vip} lies outside of the Pod CIDR {}", ranges(known)))]
}

fn ranges(known: &[(Subnet, String)]) -> String {
    listed(&known.iter().map(|(subnet, _)| subnet.to_string()).collect::<Vec<_>>())
}

/// The name that kubelet and kubectl call must lead to the virtual address.
pub fn hosts_entry(facts: &Facts) -> Vec<Finding> {
    let Some(entries) = &facts.hosts else { return Vec::new() };
    let (vip, name) = (facts.vip(), &facts.name);
    let right = format!("leave one line for it in /etc/hosts: {vip} {name}");
    let Some(first) = entries.first() else {
        return vec![Finding::note(
            HOSTS,
            format!("/etc/hosts does not know {name}"),
            "clients that call the apiserver by this name do not find it, unless DNS knows it",
            format!("echo '{vip} {name}' >> /etc/hosts"),
        )];
    };
    if entries.len() > 1 {
        let all: Vec<String> = entries.iter().map(ToString::to_string).collect();
        return vec![Finding::warning(
            HOSTS,
            format!("/etc/hosts has {} entries for {name}: {}", all.len(), listed(&all)),
            "clients use any of them; those that are wrong, or become wrong, are not noticed",
            right,
        )];
    }
    if *first == vip {
        return vec![Finding::ok(HOSTS, format!("/etc/hosts maps {name} to {vip}"))];
    }
    if facts.node.addresses.iter().any(|own| own.address == *first) {
        return vec![Finding::note(
            HOSTS,
            format!("/etc/hosts maps {name} to {first}, an address of this node"),
            "clients here use this node's own apiserver and none when it is down",
            right,
        )];
    }
    vec![Finding::warning(
        HOSTS,
        format!("/etc/hosts maps {name} to {first} and not to {vip}"),
        "clients that use the name bypass lvscare, and are cut off when that host is down",
        right,
    )]
}
