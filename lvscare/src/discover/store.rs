//! The last good list on disk: what a node knows that starts while no apiserver answers.
//!
//! ```json
//! {
//!   "version": 2,
//!   "virtualServer": "10.103.97.2:6443",
//!   "configured": ["10.0.0.1:6443"],
//!   "trust": "...",
//!   "servers": ["10.0.0.1:6443", "10.0.0.2:6443"],
//!   "sha256": "..."
//! }
//! ```
//!
//! The list is written beside its place and then renamed, so that there is always a whole one. The checksum tells
//! a list that this program wrote from one that a disk or a hand has damaged.
//!
//! A list is of use only where it was learned: behind the same virtual server, from the same configured servers, in a
//! cluster with the same authorities. A node may have moved to another cluster, and a list that somebody has corrected
//! is not to lose against what the mistake has taught.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::list;
use super::membership::MOST;
use crate::files;

#[cfg(test)]
mod tests;

/// Changes when an older program would misread the file.
const VERSION: u32 = 2;

/// A full list needs a tenth of it.
const MAX_BYTES: u64 = 64 << 10;

/// Why a list could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The list is damaged or not ours.
    #[error("{} is ignored: {why}; it is written anew with the next answer of the API", file.display())]
    Ignored {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The list could not be written.
    #[error("cannot keep the list of masters in {}: {error}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    version: u32,
    virtual_server: SocketAddr,
    // Without one in version 1.
    #[serde(default)]
    configured: Vec<SocketAddr>,
    #[serde(default)]
    trust: String,
    servers: Vec<SocketAddr>,
    sha256: String,
}

/// Where a list was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The virtual server.
    pub(super) at: SocketAddr,
    /// The servers that were configured, sorted.
    pub(super) configured: Vec<SocketAddr>,
    /// The authorities that were trusted, see [`Credentials::trust`](super::kubeconfig::Credentials::trust);
    /// `None`: that cannot be said, and is not compared.
    pub(super) trust: Option<String>,
}

/// Reads the list that was learned there; `None` when there is no file.
pub(super) fn load(file: &Path, origin: &Origin) -> Result<Option<Vec<SocketAddr>>, Error> {
    let ignored = |why: String| Error::Ignored { file: file.to_owned(), why };
    match files::read(file) {
        Ok(bytes) => check(&bytes, origin).map(Some).map_err(ignored),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ignored(error.to_string())),
    }
}

/// Replaces the list. Whatever interrupts it, the file holds either the old list or the new one.
pub(super) fn save(file: &Path, origin: &Origin, servers: &[SocketAddr]) -> Result<(), Error> {
    files::replace(file, &render(origin, servers), 0o600)
        .map_err(|error| Error::Write { file: file.to_owned(), error })
}

fn check(bytes: &[u8], origin: &Origin) -> Result<Vec<SocketAddr>, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is longer than {MAX_BYTES} bytes"));
    }
    let record: Record = serde_json::from_slice(bytes)
        .map_err(|error| format!("it is damaged or no list of masters: {error}"))?;
    if record.version != VERSION {
        return Err(format!("its version is {} instead of {VERSION}", record.version));
    }
    if record.sha256 != record.checksum() {
        return Err("its checksum is wrong".to_owned());
    }
    let at = origin.at;
    if record.virtual_server != at {
        return Err(format!("it belongs to the virtual server {}", record.virtual_server));
    }
    if record.configured != origin.configured {
        let configured = list(&record.configured);
        return Err(format!("it was learned when other real servers were configured: {configured}"));
    }
    if origin.trust.as_ref().is_some_and(|trust| *trust != record.trust) {
        return Err("it was learned from a cluster with other certificate authorities".to_owned());
    }
    // The checksum says that we wrote it, not that we were right.
    let mut servers = record.servers;
    servers.sort_unstable();
    servers.dedup();
    if servers.is_empty() || servers.len() > MOST {
        return Err(format!("it holds {} servers", servers.len()));
    }
    if servers.iter().any(|server| server.is_ipv4() != at.is_ipv4() || server.ip() == at.ip()) {
        return Err(format!("it holds servers that cannot stand behind {at}"));
    }
    Ok(servers)
}

fn render(origin: &Origin, servers: &[SocketAddr]) -> Vec<u8> {
    let mut record = Record {
        version: VERSION,
        virtual_server: origin.at,
        configured: origin.configured.clone(),
        trust: origin.trust.clone().unwrap_or_default(),
        servers: servers.to_vec(),
        sha256: String::new(),
    };
    record.sha256 = record.checksum();
    // Plain strings and numbers can always be written.
    let mut bytes = serde_json::to_vec_pretty(&record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

impl Record {
    /// Over what the list means, so that its layout does not matter.
    fn checksum(&self) -> String {
        let Self { version, virtual_server, configured, trust, servers, sha256: _ } = self;
        let [configured, servers] = [configured, servers].map(|servers| list(servers));
        sha256(format!("{version}\n{virtual_server}\n{configured}\n{trust}\n{servers}\n").as_bytes())
    }
}

/// In hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut hex, byte| {
        // A string takes whatever is written to it.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
