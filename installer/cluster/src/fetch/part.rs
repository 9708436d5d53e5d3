//! What has arrived of a file, and what the server called it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use node::machine::files;
use node::machine::files::copy::{digest, hash_into};
use node::step::{Content, Digest};
use ring::digest::{Context, SHA256};
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};

use super::answer::Begin;
use super::{Error, MAX_BYTES, Wanted};

/// Beside the part: what it is a part of.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    url: String,
    stamp: Option<String>,
    total: Option<u64>,
}

/// A file that is not whole yet, which nobody else adds to.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    path: PathBuf,
    note_path: PathBuf,
    note: Note,
    length: u64,
}

/// The SHA-256 of the file, if it is there and the one that is wanted.
pub(super) fn known(wanted: &Wanted<'_>) -> Result<Option<Digest>, Error> {
    let found = digest(wanted.to).map_err(|error| failed(wanted.to, &error))?;
    match (found, wanted.sha256) {
        (None, _) => Ok(None),
        (Some(found), Some(wanted)) if found == wanted => Ok(Some(found)),
        (Some(_), _) => Err(Error::File {
            path: wanted.to.to_owned(),
            why: "it is there already, and not known to be what is wanted; move it away, or say its --pkg-sha256".to_owned(),
        }),
    }
}

impl Part {
    /// Goes on with what is there of it.
    pub(super) fn open(wanted: &Wanted<'_>) -> Result<Self, Error> {
        let beside = |end: &str| {
            let mut name = wanted.to.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let (path, note_path) = (beside(".part"), beside(".part.json"));
        let opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        let file = opened.map_err(|error| failed(&path, &error))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Error::File { path, why: "another run is at work on it".to_owned() });
        }
        let length = file.metadata().map_err(|error| failed(&path, &error))?.len();
        let note = files::read(&note_path).ok().flatten();
        let note = note.and_then(|content| serde_json::from_slice(&content.bytes).ok());
        let note = note.filter(|note: &Note| note.url == wanted.url && note.stamp.is_some());
        let mut part = Self { file, path, note_path, note: note.unwrap_or_default(), length };
        if part.note.stamp.is_none() || part.note.total.is_some_and(|total| length > total) {
            wanted.url.clone_into(&mut part.note.url);
            part.restart(None, None)?;
        }
        Ok(part)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.note.total
    }

    pub(super) fn begin(&self) -> Begin {
        Begin { offset: self.length, stamp: self.note.stamp.clone(), total: self.note.total }
    }

    /// Begins anew with what the server calls so and of which it says that it has so many bytes.
    pub(super) fn restart(&mut self, stamp: Option<String>, total: Option<u64>) -> Result<(), Error> {
        self.file.set_len(0).map_err(|error| failed(&self.path, &error))?;
        self.length = 0;
        (self.note.stamp, self.note.total) = (stamp, total);
        let bytes = serde_json::to_vec(&self.note).unwrap_or_default();
        let directory = self.note_path.parent().unwrap_or(Path::new("/"));
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let content = Content { uid: own.0, gid: own.1, ..Content::new(bytes, 0o600) };
        files::write(&self.note_path, directory, &content).map_err(|error| failed(&self.note_path, &error))
    }

    pub(super) fn add(&mut self, data: &[u8]) -> Result<(), Error> {
        if self.length + data.len() as u64 > MAX_BYTES {
            let why = format!("more than the {MAX_BYTES} bytes that a package may have");
            self.remove();
            return Err(Error::File { path: self.path.clone(), why });
        }
        if let Err(error) = self.file.write_all(data) {
            // What was written of it is not known.
            self.length = self.file.metadata().map_or(0, |meta| meta.len());
            return Err(failed(&self.path, &error));
        }
        self.length += data.len() as u64;
        Ok(())
    }

    /// Gives the file its name, if it is the one that was wanted.
    pub(super) fn finish(mut self, wanted: &Wanted<'_>) -> Result<Digest, Error> {
        let mut hash = Context::new(&SHA256);
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| hash_into(&mut hash, &mut self.file));
        read.map_err(|error| failed(&self.path, &error))?;
        let found = Digest::of(&hash.finish());
        if let Some(wanted) = wanted.sha256.filter(|wanted| *wanted != found) {
            self.remove();
            return Err(Error::Other { wanted, found });
        }
        let synced = self.file.sync_all().and_then(|()| fs::rename(&self.path, wanted.to));
        synced.map_err(|error| failed(wanted.to, &error))?;
        let _ = fs::remove_file(&self.note_path);
        Ok(found)
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.note_path);
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::File { path: path.to_owned(), why: error.to_string() }
}
