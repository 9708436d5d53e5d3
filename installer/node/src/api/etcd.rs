//! What is asked and told of etcd, as kubeadm has it on a master.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The members of etcd, as the one on this machine knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdHealth {
    /// Each of them.
    pub members: Vec<EtcdMember>,
}

impl EtcdHealth {
    /// Whether all of them are well.
    pub fn is_fine(&self) -> bool {
        !self.members.is_empty() && self.members.iter().all(|member| member.trouble.is_none())
    }
}

impl EtcdMember {
    /// Whether it talks to the others at that address.
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.peer_urls.iter().filter_map(|url| host(url)).any(|host| host == address)
    }
}

/// `https://10.0.0.1:2380`: the address in it.
fn host(url: &str) -> Option<IpAddr> {
    let (_, rest) = url.split_once("://")?;
    let at: SocketAddr = rest.trim_end_matches('/').parse().ok()?;
    Some(at.ip())
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMember {
    /// Its name; nothing while it was announced and has not begun.
    pub name: String,
    /// Where it talks to the others.
    pub peer_urls: Vec<String>,
    /// Where clients find it.
    pub client_urls: Vec<String>,
    /// Whether it only learns, and has no vote.
    pub is_learner: bool,
    /// Whether it leads.
    pub is_leader: bool,
    /// Its version, if it says so.
    pub version: Option<String>,
    /// The length of its database in bytes.
    pub database: Option<u64>,
    /// What is wrong with it.
    pub trouble: Option<String>,
}

/// A snapshot of etcd that was taken and looked through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdSnapshot {
    /// Where it is.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Of what it holds.
    pub sha256: String,
    /// etcd's own hash of the keys and values in it.
    pub hash: u64,
    /// The last change in it.
    pub revision: u64,
    /// How many keys are in it, with all their former values.
    pub keys: u64,
}
