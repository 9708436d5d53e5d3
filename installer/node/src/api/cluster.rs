//! What a master asks of its cluster, or tells it, and what it hears.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::credentials::Token;

/// What a master asks of its cluster, or tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cluster", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClusterRequest {
    /// Which nodes there are.
    Nodes,
    /// Whoever shows it may join.
    AddToken {
        /// The token.
        token: Token,
        /// How long it is of use.
        lives: Duration,
    },
    /// It is of no use any more, nor are the certificates that were left for other masters.
    RemoveToken {
        /// The part of it that is no secret.
        id: String,
    },
    /// No pod is to run there but those of the machine itself.
    Drain {
        /// The name of the node.
        node: String,
        /// How long pods may take to end.
        limit: Duration,
    },
    /// It is no node of the cluster any more.
    DeleteNode {
        /// The name of the node.
        node: String,
    },
}

/// A node, as its cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNode {
    /// Its name, which is kubelet's word, not what anybody typed.
    pub name: String,
    /// Its internal addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is labelled as a master.
    pub is_master: bool,
    /// The version of its kubelet.
    pub kubelet: String,
    /// Whether no new pod gets there.
    pub is_cordoned: bool,
    /// Whether kubelet says that it is well.
    pub is_ready: bool,
}
