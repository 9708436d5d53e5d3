//! One run at a time on a node: a lock that ends with its holder, and says who that is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Times that the lock's file may vanish between opening and locking it, because a holder removed it.
const ATTEMPTS: usize = 10;

/// The lock, held until it is dropped; the kernel drops it for a process that is killed.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has it.
    #[error("another run is at work on this node: {0}; wait for it, or end it")]
    Held(String),
    /// The file cannot be had.
    #[error("cannot lock {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock at `path`, and notes `holder` there for whoever comes next.
    pub fn take(path: &Path, holder: &str) -> Result<Self, Error> {
        let failed = |source| Error::File { path: path.to_owned(), source };
        for _ in 0..ATTEMPTS {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)
                .map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Held(note(&file))),
                Err(error) => return Err(failed(error.into())),
            }
            let mut lock = Self { path: path.to_owned(), file };
            if lock.is_the_file() {
                lock.write(holder).map_err(failed)?;
                return Ok(lock);
            }
        }
        Err(failed(io::Error::other("its file keeps vanishing")))
    }

    /// Removes the lock's file and lets go of it.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    /// Whether what was locked is still what the path means.
    fn is_the_file(&self) -> bool {
        let same = || -> io::Result<bool> {
            let (ours, named) = (self.file.metadata()?, fs::metadata(&self.path)?);
            Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
        };
        same().unwrap_or(false)
    }

    fn write(&mut self, holder: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(holder.as_bytes())
    }
}

/// What the holder wrote.
fn note(mut file: &File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(length) if length > 0 => text.trim().to_owned(),
        _ => "it has not said who it is".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = Lock::take(&path, "process 7, `node prepare`, since 12:00").unwrap();
        let refusal = Lock::take(&path, "process 8").unwrap_err().to_string();
        assert_eq!(
            refusal,
            "another run is at work on this node: process 7, `node prepare`, since 12:00; wait for it, or end it"
        );
        drop(first);
        let second = Lock::take(&path, "process 8").unwrap();
        second.remove().unwrap();
        assert!(!path.exists());
        Lock::take(&path, "process 9").unwrap();
    }
}
