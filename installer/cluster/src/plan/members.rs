//! Which hosts are what to the cluster, by what they and the cluster say.

use std::net::IpAddr;

use node::api::ClusterNode;
use node::facts::machine::MachineFacts;

use crate::inventory::Role;

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
