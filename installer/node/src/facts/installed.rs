//! What a node was prepared with: its manifest says so, and without one the journal knows where the virtual server is.

use std::net::SocketAddr;

use lvscare::config::Config;
use lvscare::config::value::RealServer;

use crate::api::{Failure, Kind};
use crate::facts;
use crate::journal::Journal;
use crate::machine::Machine;
use crate::paths;
use crate::render::pod;
use crate::spec::daemon::DaemonOptions;
use crate::step::Content;

/// What a node was prepared with.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The manifest, if there is one.
    pub manifest: Option<Content>,
    /// What the daemon is told; of a node without manifest, only where the virtual server is.
    pub daemon: DaemonOptions,
    /// What that means.
    pub config: Config,
}

impl Installed {
    /// Looks at the manifest; without one the journal knows where the virtual server is.
    pub fn of<M: Machine>(machine: &M, journal: &Journal) -> Result<Self, Failure> {
        let manifest = facts::read(machine, paths::POD)?;
        let daemon = if let Some(content) = &manifest {
            DaemonOptions::read(&pod::read(&String::from_utf8_lossy(&content.bytes))?.arguments)?
        } else {
            let (at, _) = journal.services().pop().ok_or_else(|| {
                let help = "use `lvscare-installer node prepare`";
                Failure::new(Kind::Invalid, format!("this node is not prepared; {help}"))
            })?;
            DaemonOptions::bare(at, vec![RealServer { address: placeholder(at), weight: 1 }])
        };
        Ok(Self { config: daemon.config()?, manifest, daemon })
    }
}

/// What our manifest tells the daemon; nothing when there is none, or one that is not ours.
pub fn told<M: Machine>(machine: &M) -> Option<DaemonOptions> {
    let text = facts::text(machine, paths::POD)?;
    DaemonOptions::read(&pod::read(&text).ok()?.arguments).ok()
}

/// Some master; it is replaced before anybody hears of it.
fn placeholder(at: SocketAddr) -> SocketAddr {
    let ip = if at.is_ipv4() { [192, 0, 2, 1].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into() };
    SocketAddr::new(ip, at.port())
}
