//! All that looks. Changes nothing: not even a module is loaded by asking.
//!
//! - [`node`]: what a machine has of what it shall have. [`host`]: everything that a check wants to know.
//! - [`installed`]: what a node was prepared with. [`kubelet`]: has it joined, and where?
//! - [`reach`]: do the apiservers answer? [`guard`]: is a daemon at work? [`mod@etcd`]: etcd on a master. [`former`]: does
//!   kubelet run an older one? [`cluster`]: how one was made. [`kubectl`]: what a master says of its nodes.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use lvscare::preflight::Impossible;

use crate::api::{Failure, Kind};
use crate::machine::Machine;
use crate::step::{Content, Digest};

pub mod cluster;
pub mod etcd;
pub mod former;
pub mod guard;
pub mod host;
pub mod installed;
pub mod kubectl;
pub mod kubelet;
pub mod machine;
pub mod node;
pub mod reach;

/// Reads a file of the machine.
pub fn read<M: Machine>(machine: &M, path: impl AsRef<Path>) -> Result<Option<Content>, Failure> {
    let path = path.as_ref();
    machine.read(path).map_err(|error| Failure::io(format_args!("read {}", path.display()), &error))
}

/// What a file of any length holds.
pub fn digest<M: Machine>(machine: &M, path: &Path) -> Result<Option<Digest>, Failure> {
    machine.digest(path).map_err(|error| Failure::io(format_args!("read {}", path.display()), &error))
}

/// Reads a text of the machine that may as well not be there.
pub fn text<M: Machine>(machine: &M, path: impl AsRef<Path>) -> Option<String> {
    let content = machine.read(path.as_ref()).ok()??;
    Some(String::from_utf8_lossy(&content.bytes).into_owned())
}

/// The value of a kernel setting.
pub fn sysctl<M: Machine>(machine: &M, name: &str) -> Option<String> {
    Some(text(machine, crate::paths::sysctl(name))?.trim().to_owned())
}

/// The refusal of addresses that cannot be those of this node, in the words of our own command line.
pub fn refusal(why: &Impossible) -> Failure {
    let option = if matches!(why, Impossible::NotOwn { .. }) { "--node-ip" } else { "--vip" };
    Failure::new(Kind::Invalid, format!("{option} {why}"))
}

/// The source address towards the first of `servers` that there is a way to.
pub fn source_towards_any<M: Machine>(
    machine: &mut M,
    servers: impl IntoIterator<Item = SocketAddr>,
) -> Result<Option<IpAddr>, Failure> {
    for server in servers {
        if let Some(source) = machine.source_towards(server.ip())? {
            return Ok(Some(source));
        }
    }
    Ok(None)
}
