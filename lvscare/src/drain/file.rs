//! Where it is remembered who is drained.
//!
//! ```json
//! {"version": 1, "servers": [{"address": "10.0.0.1:6443", "since": 1764280000}]}
//! ```

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Drained;
use crate::files;

/// Changes when an older program would misread the file.
const VERSION: u32 = 1;

/// Room for hundreds of servers.
const MAX_BYTES: u64 = 64 << 10;

/// Nothing in it is a secret, and the daemon need not be root.
const MODE: u32 = 0o644;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    servers: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    address: SocketAddr,
    /// In seconds since 1970.
    since: u64,
}

/// The file in this state directory.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join("drained.json")
}

/// Who is drained; without a file, nobody.
pub(crate) fn load(directory: &Path) -> io::Result<Drained> {
    let bytes = match files::read_trusted(&path(directory), MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Drained::default()),
        other => other?,
    };
    let record: Record = serde_json::from_slice(&bytes)?;
    if record.version != VERSION {
        return Err(io::Error::other(format!("its version is {} instead of {VERSION}", record.version)));
    }
    let since = record.servers.into_iter().map(|entry| (entry.address, entry.since)).collect();
    Ok(Drained { since, problem: None })
}

/// The same for who goes on without: if that cannot be read, those of `before`, and the log says why.
pub(crate) fn follow(directory: &Path, before: &Drained) -> Drained {
    load(directory).unwrap_or_else(|error| {
        let problem = format!("{} is damaged and not followed: {error}", path(directory).display());
        warn!("{problem}");
        Drained { problem: Some(problem), ..before.clone() }
    })
}

/// Changes who is drained, as one step: somebody else who does the same has to wait.
pub(crate) fn change<T>(directory: &Path, change: impl FnOnce(&mut Drained) -> T) -> io::Result<T> {
    fs::create_dir_all(directory)?;
    // Ends with the descriptor.
    let lock = File::open(directory)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let before = load(directory)?;
    let mut drained = before.clone();
    let result = change(&mut drained);
    if drained != before {
        files::replace(&path(directory), &render(&drained)?, MODE)?;
    }
    Ok(result)
}

fn render(drained: &Drained) -> io::Result<Vec<u8>> {
    let servers = drained.since.iter().map(|(&address, &since)| Entry { address, since }).collect();
    let mut bytes = serde_json::to_vec_pretty(&Record { version: VERSION, servers })?;
    bytes.push(b'\n');
    Ok(bytes)
}
