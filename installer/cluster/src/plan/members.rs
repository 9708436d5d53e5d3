//! Which hosts are what to the cluster, by what they and the cluster say.

use std::net::{IpAddr, SocketAddr};

use node::api::ClusterNode;
use node::facts::machine::MachineFacts;
use node::spec::masters::Master;

use crate::inventory::Role;

/// The port of apiservers.
pub const APISERVER: u16 = 6443;

/// A host, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its place in the inventory.
    pub host: usize,
    /// How people call it.
    pub name: String,
    /// Where others of the cluster reach it: the address by which we do.
    pub address: IpAddr,
    /// What it shall be.
    pub role: Role,
    /// What it says of itself.
    pub facts: MachineFacts,
}

impl Member {
    /// Whether it has an apiserver of its own already.
    pub fn is_working_master(&self) -> bool {
        self.role == Role::Master
            && self.facts.joined.is_some()
            && self.facts.has_etcd
            && !self.facts.is_joining
    }

    /// Whether it belongs to a cluster, wholly.
    pub fn has_joined(&self) -> bool {
        self.facts.joined.is_some() && !self.facts.is_joining
    }

    /// How its cluster calls it: by an address that both know, for a name can be anything.
    pub fn node<'a>(&self, nodes: &'a [ClusterNode]) -> Option<&'a ClusterNode> {
        let is_own = |address: &IpAddr| *address == self.address || self.facts.addresses.contains(address);
        nodes.iter().find(|node| node.addresses.iter().any(is_own))
    }
}

/// All masters that there will be: those that were named, and those that only the cluster knows.
pub fn masters(members: &[Member], nodes: &[ClusterNode]) -> Vec<Master> {
    staying(members, nodes, &[])
}

/// The same without hosts that leave, which are given by their places in the inventory.
pub fn staying(members: &[Member], nodes: &[ClusterNode], leaving: &[usize]) -> Vec<Master> {
    let named =
        members.iter().filter(|member| member.role == Role::Master && !leaving.contains(&member.host));
    let others = nodes.iter().filter(|node| node.is_master && !is_named(members, node));
    let others = others.filter_map(|node| node.addresses.first().copied());
    let addresses = named.map(|member| member.address).chain(others);
    addresses.map(|address| Master::At(SocketAddr::new(address, APISERVER))).collect()
}

/// The nodes of the cluster, no masters, that nobody has named, for people.
pub fn unnamed(members: &[Member], nodes: &[ClusterNode]) -> Vec<String> {
    let unnamed = nodes.iter().filter(|node| !node.is_master && !is_named(members, node));
    let called = |node: &ClusterNode| match node.addresses.first() {
        Some(address) => format!("{} ({address})", node.name),
        None => node.name.clone(),
    };
    unnamed.map(called).collect()
}

fn is_named(members: &[Member], node: &ClusterNode) -> bool {
    members.iter().any(|member| member.node(std::slice::from_ref(node)).is_some())
}
