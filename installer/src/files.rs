//! Files are written whole or not at all.
//!
//! The new content goes to a file beside the old one, is on the disk before it takes the old one's name, and the
//! name is on the disk before anything else happens. Whoever reads meanwhile sees the old or the new content; a
//! full disk or a crash leaves the old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid, XattrFlags, fchmod, fchown, fgetxattr, fsetxattr};

/// The label by which `SELinux` knows what a file is for.
const SELINUX: &str = "security.selinux";

/// A file as it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Content {
    /// Every byte of it.
    #[serde(with = "base64")]
    pub bytes: Vec<u8>,
    /// Its permissions, such as `0o644`.
    pub mode: u32,
    /// Its owner's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

impl Content {
    /// A file of root's.
    pub fn new(bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self { bytes: bytes.into(), mode, uid: 0, gid: 0 }
    }
}

/// Reads a file; `None` when there is none.
pub fn read(path: &Path) -> io::Result<Option<Content>> {
    let result = (|| {
        let meta = fs::metadata(path)?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let bytes = fs::read(path)?;
        Ok(Content { bytes, mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() })
    })();
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Gives `path` the content, by way of a file in the directory `staging`, which must be of the same file system.
///
/// A symbolic link stays one: the file behind it is replaced. A file that is a mount point, such as /etc/hosts in a
/// container, cannot be replaced and is written in place; meanwhile a copy of the old one lies in `staging`, with which
/// [`mend`] repairs what a crash has left.
pub fn write(path: &Path, staging: &Path, content: &Content) -> io::Result<()> {
    let path = real(path)?;
    let staged = staged(&path, staging);
    let result = stage(&staged, &path, content).and_then(|()| match fs::rename(&staged, &path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices) => {
            in_place(&path, staging, content)?;
            remove(&staged)
        }
        other => other,
    });
    if result.is_err() {
        let _ = fs::remove_file(&staged);
        return result;
    }
    sync_directory(path.parent())
}

/// Removes a file, for good. That there is none is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    sync_directory(path.parent())
}

/// Gives a file that was being written in place when the writer crashed its old content back. Returns whether it was.
pub fn mend(path: &Path, staging: &Path) -> io::Result<bool> {
    let path = real(path)?;
    let copy = copy_of(&path, staging);
    let Some(old) = read(&copy)? else { return Ok(false) };
    overwrite(&path, &old)?;
    remove(&copy)?;
    Ok(true)
}

/// Removes what a crash in the midst of [`write()`] left behind.
pub fn remove_leftover(path: &Path, staging: &Path) -> io::Result<()> {
    let leftover = staged(&real(path)?, staging);
    // A disk that is read-only refuses to remove even what is not there.
    if leftover.symlink_metadata().is_ok() { remove(&leftover) } else { Ok(()) }
}

/// The file behind symbolic links; itself, when there is none yet.
fn real(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        other => other,
    }
}

/// Where the new content of `path` waits. Always the same name, so that a crash leaves one file at most, which the
/// next run uses again; kubelet does not look at names that begin with a dot.
fn staged(path: &Path, staging: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    staging.join(format!(".{name}.lvscare-installer"))
}

fn stage(staged: &Path, path: &Path, content: &Content) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(staged)?;
    file.write_all(&content.bytes)?;
    let meta = file.metadata()?;
    if (meta.uid(), meta.gid()) != (content.uid, content.gid) {
        fchown(&file, Some(Uid::from_raw(content.uid)), Some(Gid::from_raw(content.gid)))?;
    }
    fchmod(&file, Mode::from_raw_mode(content.mode))?;
    copy_label(path, &file);
    file.sync_all()
}

/// Best effort: without `SELinux` there is nothing to copy.
fn copy_label(from: &Path, to: &File) {
    let mut label = [0; 256];
    if let Ok(old) = File::open(from)
        && let Ok(length) = fgetxattr(&old, SELINUX, &mut label)
    {
        let _ = fsetxattr(to, SELINUX, &label[..length], XattrFlags::empty());
    }
}

/// Where a copy of the old content of `path` lies while it is written in place.
fn copy_of(path: &Path, staging: &Path) -> PathBuf {
    let mut name = staged(path, staging).into_os_string();
    name.push(".old");
    name.into()
}

fn in_place(path: &Path, staging: &Path, content: &Content) -> io::Result<()> {
    let copy = copy_of(path, staging);
    if let Some(old) = read(path)? {
        // The copy, too, is whole or not there.
        let staged = staged(path, staging);
        stage(&staged, path, &old)?;
        fs::rename(&staged, &copy)?;
        sync_directory(copy.parent())?;
    }
    if let Err(error) = overwrite(path, content) {
        // A disk that is full has room for what was there.
        return mend(path, staging).and(Err(error));
    }
    remove(&copy)
}

fn overwrite(path: &Path, content: &Content) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&content.bytes)?;
    file.set_len(content.bytes.len() as u64)?;
    file.sync_all()
}

/// Until then a crash may bring the old name back.
fn sync_directory(directory: Option<&Path>) -> io::Result<()> {
    match directory {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Bytes within JSON.
mod base64 {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn own(bytes: &str, mode: u32) -> Content {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Content { uid, gid, ..Content::new(bytes, mode) }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_stays_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        assert_eq!(read(&path).unwrap(), None);
        for content in [own("one", 0o644), own("two", 0o600), own("", 0o640)] {
            write(&path, directory.path(), &content).unwrap();
            assert_eq!(read(&path).unwrap(), Some(content));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, directory.path(), &own("new", 0o644)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn what_was_written_in_place_can_be_mended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        fs::write(&path, "old").unwrap();
        in_place(&path, directory.path(), &own("new", 0o644)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(!mend(&path, directory.path()).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        fs::write(copy_of(&path, directory.path()), "old").unwrap();
        fs::write(&path, "ne").unwrap();
        assert!(mend(&path, directory.path()).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_leftover_of_a_crash_is_used_again_and_a_planted_link_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (directory.path().join("hosts"), directory.path().join("victim"));
        fs::write(staged(&path, directory.path()), "half").unwrap();
        write(&path, directory.path(), &own("whole", 0o644)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");

        fs::write(&victim, "mine").unwrap();
        symlink(&victim, staged(&path, directory.path())).unwrap();
        assert!(write(&path, directory.path(), &own("evil", 0o644)).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_directory_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).is_err());
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
}
