//! The files that hold the keys of hosts: read by everybody, written only where a policy says so.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Error;
use super::known_hosts::{HostName, Known, line};
use super::open;

/// More than this is no such file, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Another program may hold the lock for so long.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// How often the lock is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Where keys of hosts are kept.
#[derive(Clone, Debug)]
pub struct HostKeys {
    /// The files that are read; those that are not there say nothing.
    pub read: Vec<PathBuf>,
    /// The file in which new hosts are recorded; it is read as well.
    pub write: PathBuf,
}

/// The key is not recorded, since a different one has been in the meantime.
#[derive(Debug)]
pub(crate) struct Conflict;

impl HostKeys {
    /// Those of OpenSSH for this user, and for all.
    pub fn of_home(home: &Path) -> Self {
        let global = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from);
        Self { read: global.into(), write: home.join(".ssh/known_hosts") }
    }

    /// What they say of a host.
    pub fn known(&self, host: &HostName) -> Result<Known, Error> {
        let mut known = Known::default();
        for path in self.read.iter().chain([&self.write]) {
            let wrong = |source| Error::File { path: path.clone(), source };
            match open(path, OpenOptions::new().read(true)) {
                Ok(mut file) => {
                    let text = contents(&mut file).map_err(wrong)?;
                    known.read(&path.display().to_string(), &text, host);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        Ok(known)
    }

    /// Records a key of a host of which none is recorded. Under a lock it is looked up once more: many programs, and many
    /// hosts of one program, write the same file.
    pub(crate) async fn record(
        &self,
        host: &HostName,
        algorithm: &str,
        blob: &[u8],
    ) -> Result<Result<(), Conflict>, Error> {
        let wrong = |source| Error::File { path: self.write.clone(), source };
        if let Some(directory) = self.write.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|source| Error::File { path: directory.to_owned(), source })?;
        }
        let mut options = OpenOptions::new();
        let mut file =
            open(&self.write, options.read(true).append(true).create(true).mode(0o600)).map_err(wrong)?;
        lock(&file).await.map_err(wrong)?;
        let text = contents(&mut file).map_err(wrong)?;
        let mut known = Known::default();
        known.read("", &text, host);
        if known.keys.iter().any(|key| key.blob == blob) {
            return Ok(Ok(()));
        }
        if !known.keys.is_empty() {
            return Ok(Err(Conflict));
        }
        let before = if text.last().is_some_and(|last| *last != b'\n') { "\n" } else { "" };
        let added = format!("{before}{}", line(host, algorithm, blob));
        // One write: whoever reads without a lock sees all of the line or nothing.
        file.write_all(added.as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)?;
        Ok(Ok(()))
    }
}

fn contents(file: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(text)
}

async fn lock(file: &File) -> io::Result<()> {
    let tries = LOCK_LIMIT.as_millis() / LOCK_PAUSE.as_millis();
    for _ in 0..tries {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    Err(io::Error::other("another program has held its lock for ten seconds"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::known_hosts::tests::blob;
    use super::*;

    fn host(at: &str) -> HostName {
        HostName::new(at.parse().unwrap())
    }

    fn record(keys: &HostKeys, host: &HostName, key: &[u8]) -> Result<Result<(), Conflict>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(keys.record(host, "ssh-ed25519", &blob("ssh-ed25519", key)))
    }

    fn keys(directory: &Path) -> HostKeys {
        HostKeys { read: vec![directory.join("global")], write: directory.join(".ssh/known_hosts") }
    }

    #[test]
    fn a_new_host_is_recorded_once_and_known_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(directory.path());
        assert_eq!(keys.known(&host("10.0.0.1:22")).unwrap(), Known::default());
        for _ in 0..2 {
            record(&keys, &host("10.0.0.1:22"), b"one").unwrap().unwrap();
            record(&keys, &host("10.0.0.1:2222"), b"two").unwrap().unwrap();
        }
        let text = fs::read_to_string(&keys.write).unwrap();
        let names: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["10.0.0.1", "[10.0.0.1]:2222"]);
        let known = keys.known(&host("10.0.0.1:22")).unwrap();
        assert_eq!(known.keys.first().unwrap().place, format!("{}:1", keys.write.display()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&keys.write), mode(keys.write.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn a_line_without_an_end_stays_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(directory.path());
        fs::create_dir(directory.path().join(".ssh")).unwrap();
        fs::write(&keys.write, "# mine").unwrap();
        record(&keys, &host("10.0.0.1:22"), b"one").unwrap().unwrap();
        let text = fs::read_to_string(&keys.write).unwrap();
        assert!(text.starts_with("# mine\n10.0.0.1 ssh-ed25519 ") && text.ends_with('\n'), "{text}");
    }

    #[test]
    fn what_somebody_recorded_in_the_meantime_counts() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(directory.path());
        record(&keys, &host("10.0.0.1:22"), b"one").unwrap().unwrap();
        assert!(record(&keys, &host("10.0.0.1:22"), b"two").unwrap().is_err());
    }

    #[test]
    fn a_lock_of_somebody_else_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(directory.path());
        record(&keys, &host("10.0.0.1:22"), b"one").unwrap().unwrap();
        let held = File::open(&keys.write).unwrap();
        held.lock().unwrap();
        let waits = {
            let keys = keys.clone();
            std::thread::spawn(move || record(&keys, &host("10.0.0.2:22"), b"two").unwrap().unwrap())
        };
        std::thread::sleep(2 * LOCK_PAUSE);
        assert_eq!(fs::read_to_string(&keys.write).unwrap().lines().count(), 1);
        drop(held);
        waits.join().unwrap();
        assert_eq!(fs::read_to_string(&keys.write).unwrap().lines().count(), 2);
    }

    #[test]
    fn the_global_file_counts_and_is_never_written() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(directory.path());
        let global = line(&host("10.0.0.1:22"), "ssh-ed25519", &blob("ssh-ed25519", b"one"));
        fs::write(&keys.read[0], &global).unwrap();
        assert_eq!(keys.known(&host("10.0.0.1:22")).unwrap().keys.len(), 1);
        record(&keys, &host("10.0.0.2:22"), b"two").unwrap().unwrap();
        assert_eq!(fs::read_to_string(&keys.read[0]).unwrap(), global);
    }

    #[test]
    fn what_is_no_file_is_an_error_and_not_an_unknown_host() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(directory.path());
        fs::create_dir(&keys.read[0]).unwrap();
        let error = keys.known(&host("10.0.0.1:22")).unwrap_err().to_string();
        assert!(error.ends_with("global: it is not a regular file"), "{error}");
    }
}
