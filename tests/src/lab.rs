//! A cluster's network inside one kernel.
//!
//! ```text
//!            net: a bridge
//!      ┌────────┬─────┴──┬────────┐
//!     m1       m2       m3      node ───── pod
//!  10.0.0.1  10.0.0.2  10.0.0.3  10.0.0.10  10.244.0.2
//!  fd00:10::1  ::2      ::3       ::10      fd00:244::2
//! ```
//!
//! Each name is a network namespace. The masters reach the pod network through the node, as routed pod networks do.
//! The node has no default route: what must work without one is not helped by accident.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::{Answer, Client, Connection};
use crate::load::Load;
use crate::netns::Namespace;
use crate::pki::Pki;

mod master;
mod network;

pub use master::Master;
use network::Network;

/// The node's address.
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
/// The node's IPv6 address.
pub const NODE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 0x10);
/// The pod's address.
pub const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 2);
/// The pod's IPv6 address.
pub const POD6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 0, 2);
/// The port of every apiserver.
pub const PORT: u16 = 6443;

/// Generous: the machine may be emulated, and shared.
const LIMIT: Duration = Duration::from_secs(60);

/// How many masters there are.
const MASTERS: u8 = 3;

/// A laboratory. Dropping it ends its servers and removes its namespaces.
pub struct Lab {
    /// The cluster's certificates.
    pub pki: Pki,
    /// A client that trusts them.
    pub client: Client,
    // Dropped in this order: a namespace with a process inside would live on, and servers use the directory.
    masters: Vec<Master>,
    network: Network,
    directory: TempDir,
}

impl Lab {
    /// A worker and three masters, whose servers are up.
    #[expect(clippy::new_without_default, reason = "building machines is not a default")]
    pub fn new() -> Self {
        Self::build(false)
    }

    /// The same, but the node is a master as well: number 4.
    pub fn with_node_as_master() -> Self {
        Self::build(true)
    }

    fn build(node_is_master: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the laboratory");
        let pki = Pki::new(directory.path()).expect("an authority");
        let client = Client::new(pki.roots().expect("its certificate"));

        let network = Network::new(MASTERS);

        let machines = network.masters.iter().chain(node_is_master.then_some(&network.node));
        let masters: Vec<Master> = (1..)
            .zip(machines)
            .map(|(number, machine)| {
                let name = format!("m{number}");
                Master::new(&name, machine.clone(), network.net.clone(), &pki, directory.path())
            })
            .collect();

        masters.iter().for_each(Master::launch);

        masters.iter().for_each(Master::ready);

        Self { pki, client, masters, network, directory }
    }

    /// The machine under test.
    pub fn node(&self) -> &Namespace {
        &self.network.node.namespace
    }

    /// A pod on it.
    pub fn pod(&self) -> &Namespace {
        &self.network.pod
    }

    /// The bridge between the machines, whose ports are called `node`, `m1`, `m2` and `m3`: `tc` there breaks the
    /// network.
    pub fn net(&self) -> &Namespace {
        &self.network.net
    }

    /// All masters.
    pub fn masters(&self) -> &[Master] {
        &self.masters
    }

    /// Where their servers listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.masters.iter().map(Master::address).collect()
    }

    /// Master `number`, counted from 1 as their names are.
    #[track_caller]
    pub fn master(&self, number: usize) -> &Master {
        &self.masters[number - 1]
    }

    /// A directory for files of the test, gone with the laboratory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// One HTTPS request from `place`, on a connection of its own.
    pub fn get(&self, place: &Namespace, url: &str, limit: Duration) -> io::Result<Answer> {
        place.enter(|| self.client.get(url, limit))
    }

    /// A connection from `place` that stays open.
    pub fn connect(&self, place: &Namespace, to: SocketAddr, limit: Duration) -> io::Result<Connection> {
        place.enter(|| self.client.connect(to, limit))
    }

    /// Starts clients in `place` that keep making connections to `url`.
    pub fn load(&self, place: &Namespace, url: &str, clients: usize, limit: Duration) -> Load {
        Load::start(place, &self.client, url, clients, limit)
    }
}
