//! The three things that a prepared node has and that can be seen: manifest, rules, hosts entry.

use std::fmt;
use std::net::SocketAddr;

use lvscare::client;
use lvscare::exit::Failure;
use lvscare::status::{self, Status, Style};
use serde::Serialize;

use crate::hosts::{self, Entry};
use crate::node::facts;
use crate::node::journal::{Journal, Original};
use crate::node::paths::{self, Root};

/// What is seen.
#[derive(Debug, Serialize)]
pub struct Things {
    /// The static pod's manifest, if it is there.
    pub manifest: Option<&'static str>,
    /// The virtual server, as the daemon or else the kernel has it; why it cannot be seen, otherwise.
    pub rules: Result<Status, String>,
    /// The names in the hosts file that are ours.
    pub hosts: Vec<Entry>,
    /// Whether `node undo` would have something to do.
    pub prepared: bool,
}

impl Things {
    /// Looks at them. Where the virtual server is, the journal knows.
    pub fn of(root: &Root) -> Result<Self, Failure> {
        let journal = Journal::at(root)?;
        let known = journal.originals().iter().find_map(|original| match original {
            Original::Rules { at, guard, .. } => Some((*at, *guard)),
            _ => None,
        });
        let hosts = facts::read(root, paths::HOSTS)?.map(|content| content.bytes).unwrap_or_default();
        Ok(Self {
            manifest: facts::read(root, paths::POD)?.map(|_| paths::POD),
            rules: rules(known),
            hosts: hosts::list(&hosts)?,
            prepared: !journal.originals().is_empty(),
        })
    }
}

fn rules(known: Option<(SocketAddr, Option<SocketAddr>)>) -> Result<Status, String> {
    let (at, guard) = known.ok_or("none were made on this node")?;
    client::status(guard, at).map_err(|failure| failure.message)
}

impl fmt::Display for Things {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "static pod  {}", self.manifest.unwrap_or("none"))?;
        match self.hosts.as_slice() {
            [] => writeln!(f, "hosts       none")?,
            entries => {
                for Entry { address, name } in entries {
                    writeln!(f, "hosts       {address} {name}")?;
                }
            }
        }
        match &self.rules {
            Ok(status) => {
                let table = status::render(status, Style { colour: false, wide: false });
                write!(f, "rules\n{}", table.trim_end())
            }
            Err(why) => write!(f, "rules       {why}"),
        }
    }
}
