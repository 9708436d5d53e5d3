//! What was there before the first change: the way back.
//!
//! A record is on the disk before the thing it tells of is touched, and the first record of a thing stays: so
//! whatever happens in between, even a crash, undoing leads to the node as it was found.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use lvscare::exit::{Exit, Failure};
use lvscare::model::{Actual, Destination, Forwarding, Service, WantedService};
use serde::{Deserialize, Serialize};

use super::paths::{self, Root};
use crate::files::{self, Content};

/// How something was before it was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields carry the names of what they hold")]
pub enum Original {
    /// A directory that was not there.
    Directory { path: PathBuf },
    /// A file of which every byte is ours.
    File { path: PathBuf, before: Option<Content> },
    /// A name in the hosts file, which belongs to others, too.
    HostsEntry { path: PathBuf, name: String },
    /// A kernel setting.
    Sysctl { name: String, before: String },
    /// A virtual server and the route to it, and where the daemon that guards them listens.
    Rules { at: SocketAddr, service: Option<FormerService>, route: Option<IpAddr>, guard: Option<SocketAddr> },
}

/// A virtual server that was there before us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerService {
    scheduler: String,
    flags: u32,
    /// Weights.
    servers: BTreeMap<SocketAddr, u32>,
}

impl FormerService {
    /// As something to be had again.
    pub fn wanted(&self) -> WantedService {
        let servers = self.servers.iter();
        WantedService {
            service: Service { scheduler: self.scheduler.clone(), flags: self.flags },
            destinations: servers.map(|(at, weight)| (*at, Destination::masqueraded(*weight))).collect(),
        }
    }
}

impl Original {
    /// The virtual server at `at` as the kernel has it. Only masqueraded real servers are remembered.
    pub fn rules(at: SocketAddr, guard: Option<SocketAddr>, actual: &Actual) -> Self {
        let service = actual.services.get(&at).map(|seen| FormerService {
            scheduler: seen.service.scheduler.clone(),
            flags: seen.service.flags,
            servers: seen
                .destinations
                .iter()
                .filter(|(_, seen)| seen.destination.forwarding == Forwarding::Masquerade)
                .map(|(server, seen)| (*server, seen.destination.weight))
                .collect(),
        });
        let route = actual.routes.get(&at.ip()).and_then(|route| route.source);
        Self::Rules { at, service, route, guard }
    }

    /// Whether both tell of the same thing.
    fn same_thing(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Directory { path } | Self::File { path, .. },
                Self::Directory { path: other } | Self::File { path: other, .. },
            ) => path == other,
            (Self::HostsEntry { path, name }, Self::HostsEntry { path: file, name: other }) => {
                (path, name) == (file, other)
            }
            (Self::Sysctl { name, .. }, Self::Sysctl { name: other, .. }) => name == other,
            (Self::Rules { at, .. }, Self::Rules { at: other, .. }) => at == other,
            _ => false,
        }
    }
}

/// The file of records.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    records: Records,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    /// Of this form of the file; a newer installer may have another.
    version: u32,
    originals: Vec<Original>,
}

const VERSION: u32 = 1;

impl Journal {
    /// Reads the journal at `path`, an empty one if there is none. A damaged one is an error and stays: it is the
    /// only way back.
    pub fn open(path: &Path) -> io::Result<Self> {
        let records = match files::read(path)? {
            None => Records { version: VERSION, originals: Vec::new() },
            Some(content) => serde_json::from_slice(&content.bytes).map_err(io::Error::other)?,
        };
        if records.version != VERSION {
            let message = format!("it is of form {}, this installer knows {VERSION}", records.version);
            return Err(io::Error::other(message));
        }
        Ok(Self { path: path.to_owned(), records })
    }

    /// The journal of the node.
    pub fn at(root: &Root) -> Result<Self, Failure> {
        Self::open(&root.join(Path::new(paths::JOURNAL))).map_err(|error| {
            let help =
                "it is the only way back to how the node was: mend it, or move it away to give that up";
            Failure::new(Exit::Invalid, format!("cannot use {}: {error}; {help}", paths::JOURNAL))
        })
    }

    /// How things were, the first that was touched first.
    pub fn originals(&self) -> &[Original] {
        &self.records.originals
    }

    /// Notes how something was, unless that is known from an earlier run.
    pub fn remember(&mut self, original: Original) -> io::Result<()> {
        if self.records.originals.iter().any(|known| known.same_thing(&original)) {
            return Ok(());
        }
        self.records.originals.push(original);
        self.save()
    }

    /// Strikes out what is as it was.
    pub fn forget(&mut self, original: &Original) -> io::Result<()> {
        self.records.originals.retain(|known| known != original);
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(&self.records)?;
        bytes.push(b'\n');
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let content = Content { bytes, mode: 0o600, uid: owner.0, gid: owner.1 };
        files::write(&self.path, self.path.parent().unwrap_or(&self.path), &content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_of_a_thing_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.json");
        let was = |value: &str| Original::Sysctl { name: "net.ipv4.ip_forward".into(), before: value.into() };
        let mut journal = Journal::open(&path).unwrap();
        journal.remember(was("0")).unwrap();
        journal.remember(was("1")).unwrap();
        let pod =
            Original::File { path: "/pod.yaml".into(), before: Some(Content::new(vec![0, 255], 0o600)) };
        journal.remember(pod.clone()).unwrap();

        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.originals(), [was("0"), pod.clone()]);
        journal.forget(&was("0")).unwrap();
        assert_eq!(Journal::open(&path).unwrap().originals(), [pod]);
    }

    #[test]
    fn a_damaged_or_newer_journal_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.json");
        for text in
            ["{", "{\"version\": 2, \"originals\": []}", "{\"version\": 1, \"originals\": [], \"more\": 1}"]
        {
            std::fs::write(&path, text).unwrap();
            assert!(Journal::open(&path).is_err(), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
