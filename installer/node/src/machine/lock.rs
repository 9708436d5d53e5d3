//! One run at a time on a node: a lock that ends with its holder, and says who that is.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::api::{Failure, Kind};

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
    /// What was handed on as the lock is not the lock.
    #[error("what was handed on is not the lock {}", .0.display())]
    NotIt(PathBuf),
    /// The file cannot be had.
    #[error("cannot lock {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Held(_) => Self::new(Kind::Locked, error.to_string()),
            Error::NotIt(_) => Self::new(Kind::Failed, error.to_string()),
            Error::File { path, source } => Self::io(format_args!("lock {}", path.display()), source),
        }
    }
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

    /// The lock at `path`, of which another process has handed on a [`descriptor`](Self::descriptor); from now on
    /// `holder` is noted there.
    pub fn inherited(path: &Path, descriptor: OwnedFd, holder: &str) -> Result<Self, Error> {
        let mut lock = Self { path: path.to_owned(), file: descriptor.into() };
        // It is the same open file, so that this succeeds for whoever has it already, and for nobody else.
        let is_held = flock(&lock.file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !(lock.is_the_file() && is_held) {
            return Err(Error::NotIt(lock.path));
        }
        lock.write(holder).map_err(|source| Error::File { path: path.to_owned(), source })?;
        Ok(lock)
    }

    /// Another descriptor of the same open file: the lock is held until the last of them is closed, in whatever process.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
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

    /// Notes another holder for whoever comes next.
    pub fn note(&mut self, holder: &str) -> io::Result<()> {
        self.write(holder)
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
    fn a_program_that_inherits_it_keeps_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let lock = Lock::take(&path, "the first").unwrap();
        // It ends when its own input ends, which is ours to say.
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::from(lock.descriptor().unwrap()))
            .spawn()
            .unwrap();
        drop(lock);
        assert!(matches!(Lock::take(&path, "the second"), Err(Error::Held(_))));
        drop(child.stdin.take());
        child.wait().unwrap();
        Lock::take(&path, "the second").unwrap();
    }

    #[test]
    fn who_goes_on_under_it_is_the_one_that_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("lock"), directory.path().join("other"));
        let first = Lock::take(&path, "the agent, with a long name").unwrap();
        let second = Lock::inherited(&path, first.descriptor().unwrap(), "the supervisor").unwrap();
        drop(first);
        let refusal = Lock::take(&path, "somebody else").unwrap_err();
        assert!(matches!(&refusal, Error::Held(holder) if holder == "the supervisor"), "{refusal}");
        // Neither another file, nor the same one opened anew.
        let stray: OwnedFd = File::create(&other).unwrap().into();
        assert!(matches!(Lock::inherited(&path, stray, "x"), Err(Error::NotIt(_))));
        let anew: OwnedFd = File::options().read(true).write(true).open(&path).unwrap().into();
        assert!(matches!(Lock::inherited(&path, anew, "x"), Err(Error::NotIt(_))));
        drop(second);
        Lock::take(&path, "somebody else").unwrap();
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
