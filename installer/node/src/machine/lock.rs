//! One run at a time on a node: a lock that ends with its holder, and says who that is.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Times that the lock's file, or its directory, may vanish under us because a holder that ends removes it.
const ATTEMPTS: usize = 100;

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
    /// Takes the lock at `path`, whose directory is made if need be, and notes `holder` there for whoever comes next.
    pub fn take(path: &Path, holder: &str) -> Result<Self, Error> {
        let failed = |source| Error::File { path: path.to_owned(), source };
        for _ in 0..ATTEMPTS {
            let file = match open(path) {
                // Whoever ends meanwhile takes file and directory away, in between any two steps of ours.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) =>
                {
                    continue;
                }
                other => other.map_err(failed)?,
            };
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

impl AsFd for Lock {
    /// Whoever inherits it keeps the lock: `flock(2)` belongs to the open file.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
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

    #[test]
    fn who_comes_while_another_tidies_up_is_not_confused() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let path = state.join("lock");
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (state, path) = (&state, &path);
                scope.spawn(move || {
                    for _ in 0..200 {
                        match Lock::take(path, &number.to_string()) {
                            Ok(lock) => {
                                lock.remove().unwrap();
                                let _ = fs::remove_dir(state);
                            }
                            Err(Error::Held(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
    }
}
